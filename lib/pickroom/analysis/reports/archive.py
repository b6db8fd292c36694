"""The archive of a finished project: its database, the report's numbers, its pictures in one verified zip.

FORMATS.md, Folders: `archives/<project>/`. It is built under a hidden name and published whole.
"""

import contextlib
import json
import lzma
import re
import shutil
import sqlite3
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pickroom.core.companions import negatives_of_images
from pickroom.core.errors import FileOperationError, ProjectError, StoreError
from pickroom.core.naming import CROP_ORIGINALS, CROPPED, RAW_EXTENSIONS, SELECTED, extension_of, stem_of
from pickroom.storage import atomic, zips
from pickroom.store import decisions, legacy
from pickroom.store.connect import backup, open_read_only
from pickroom.store.workspace import Project

# what an archive packs: bundle -> the folders of its images; each is a zip and a list of that name
DELIVERABLES, ORIGINALS = "deliverables", "originals"
BUNDLES = {DELIVERABLES: (SELECTED, CROPPED), ORIGINALS: (CROP_ORIGINALS,)}
_SUMMARY = "summary.json"
# errors of reading JSON and zips that other programs may have changed
_DAMAGE = (
    *(OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError, EOFError),
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError),
)

Progress = Callable[[int, int], None]  # pictures packed, of all


def archive_folder(project: Project) -> Path:
    return project.workspace.archives / project.id


def contents(project: Project, bundle: str = DELIVERABLES) -> tuple[dict[str, int], list[str]]:
    """Image -> bytes of a bundle, and the other files in its folders, which are not packed; paths below the root.

    Only files of the manifest's allowed extensions: 3,366 sidecars once went out with the pictures. Of RAW files those
    that are images, each with its XMP sidecar: the crop is in it.
    """
    allowed = frozenset(project.manifest.allowed_extensions)
    if project.manifest.in_place is not None:  # nothing has moved: what was kept is found by its decisions
        with open_read_only(project.database) as connection:
            kept = decisions.kept_paths(connection) if bundle == DELIVERABLES else []
        files = [path for name in kept if (path := project.root / name).is_file()]
        sidecars = [path.with_suffix(".xmp") for path in files if extension_of(path.name) in RAW_EXTENSIONS]
        files += [path for path in sidecars if path.is_file()]
    else:
        bases = [base for folder in BUNDLES[bundle] if (base := project.root / folder).is_dir()]
        files = [path for base in bases for path in sorted(base.rglob("*")) if path.is_file() and path.name[0] != "."]
    paths = {path.relative_to(project.root).as_posix(): path for path in files}
    plain = {name for name, path in paths.items() if not path.is_symlink()}
    images = {name for name in plain if extension_of(name) in allowed}
    images -= negatives_of_images(images)
    developed = [stem_of(name) for name in images if extension_of(name) in RAW_EXTENSIONS]
    images |= plain & {f"{stem}.xmp" for stem in developed}
    wanted = {name: path.stat().st_size for name, path in paths.items() if name in images}
    return wanted, [name for name in paths if name not in images]


def write(
    project: Project,
    summary: dict[str, Any],
    progress: Progress | None = None,
    bundles: Sequence[str] = (DELIVERABLES,),
) -> Path:
    """Make the archive of a project and return its folder; an earlier one is kept under its time.

    The caller holds the project's lock: leftovers of a killed run are removed.

    Args:
        bundles: which of `BUNDLES` to pack.

    Raises:
        FileOperationError: the disk is full or closed to writing, or a file changed while it was packed.
        StoreError: the database cannot be copied, or the copy differs.
    """
    folder = archive_folder(project)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        # hidden folders of this project that were never published; eight characters follow its id, see tempfile
        own = re.compile(rf"\.{re.escape(project.id)}-[a-z0-9_]{{8}}")
        for leftover in [path for path in folder.parent.iterdir() if own.fullmatch(path.name) and path.is_dir()]:
            shutil.rmtree(leftover)
        building = Path(tempfile.mkdtemp(prefix=f".{project.id}-", dir=folder.parent))
        try:
            counts = _copy_databases(project, building, folder)
            databases = {path.name: atomic.sha256_of(path) for path in sorted(building.glob("*.db"))}
            packed = {bundle: _pack(project, bundle, building, progress) for bundle in bundles}
            _write_json(building / "vectors.json", list(_vectors(project)))
            for path in sorted(project.workspace.models.glob("*_metadata.json")):  # weights are not archived
                (building / "models").mkdir(exist_ok=True)
                shutil.copyfile(path, building / "models" / path.name)
            shutil.copyfile(project.manifest_file, building / project.manifest_file.name)
            sizes = {
                bundle: {"files": len(files), "bytes": sum(f["size"] for f in files), "zip": f"{bundle}.zip"}
                for bundle, files in packed.items()
            }
            _write_json(building / _SUMMARY, {**summary, "database_rows": counts, "databases": databases, **sizes})
            _publish(building, folder)
        finally:
            shutil.rmtree(building, ignore_errors=True)
    except OSError as error:
        hint = "make room, or open the folder to writing; the project is not finished"
        raise FileOperationError.of(error, "archiving a project", folder, hint) from error
    return folder


def _copy_databases(project: Project, building: Path, folder: Path) -> dict[str, int]:
    """Copy the project's database, and its imported history, by SQLite's backup; rows by table of the first."""
    counts: dict[str, int] = {}
    for database in legacy.databases(project.workspace, project.id):
        copy = building / database.name
        with open_read_only(database) as connection:
            try:
                backup(connection, copy)
            except sqlite3.Error as error:
                hint = "make room, then finish again; the project is not finished"
                raise StoreError(str(error), doing="copying the database", subject=folder, hint=hint) from error
            before = _count(connection)
        with closing(sqlite3.connect(f"{copy.absolute().as_uri()}?mode=ro&immutable=1", uri=True)) as connection:
            sound = connection.execute("PRAGMA quick_check").fetchone()[0] == "ok"
            after = _count(connection)
        if not sound or before != after:
            raise StoreError("the copy of the database differs from it", doing="archiving a project", subject=database)
        counts = counts or after
    return counts


def _count(connection: sqlite3.Connection) -> dict[str, int]:
    tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY 1")]
    return {t: connection.execute(f'SELECT count(*) FROM "{t}"').fetchone()[0] for t in tables if "sqlite" not in t}


def _pack(project: Project, bundle: str, building: Path, progress: Progress | None) -> list[dict[str, Any]]:
    """Pack a bundle into its zip and read every file back; its list has name, size and hash of each."""
    wanted, _ = contents(project, bundle)
    packed: list[dict[str, Any]] = []
    path = building / f"{bundle}.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        for number, name in enumerate(wanted, start=1):
            size, sha256 = zips.put(archive, name, project.root / name)
            packed.append({"name": name, "size": size, "sha256": sha256})
            if progress is not None:
                progress(number, len(wanted))
    _write_json(building / f"{bundle}.json", packed)
    if _in_zip(path) != [(entry["name"], entry["sha256"]) for entry in packed]:
        raise FileOperationError("the zip does not hold what was packed", "archiving a project", [path])
    for entry in packed:
        original = project.root / entry["name"]
        if atomic.sha256_of(original) != entry["sha256"]:
            what = "the file in the zip differs from the one on disk"
            raise FileOperationError(what, "archiving a project", [original, path], "finish again")
    return packed


def _in_zip(path: Path) -> list[tuple[str, str]]:
    """(name, sha256) of every file in a zip, as its bytes are now."""
    with zipfile.ZipFile(path) as archive:
        return [(name, zips.sha256_in(archive, name)) for name in archive.namelist()]


def verified(project: Project) -> dict[str, frozenset[str]]:
    """Bundle -> the content hashes that a project's archive holds, after reading all of it back.

    Raises:
        ProjectError: the project is not finished, has no archive, or its archive is damaged or of an earlier finish.
    """
    folder = archive_folder(project)
    try:
        if project.manifest.status not in ("finished", "archived"):
            raise ValueError("the project is not finished")
        summary = json.loads((folder / _SUMMARY).read_text(encoding="utf-8"))
        if summary["finished_at"] != project.manifest.finished_at:
            raise ValueError("the archive is of another finish")
        for name, sha256 in summary["databases"].items():
            if Path(name).name != name:
                raise ValueError(f"{name!r} is not a plain name of a database")
            if atomic.sha256_of(folder / name) != sha256:
                raise ValueError(f"its copy of {name} has changed")
        found = {}
        for bundle in (bundle for bundle in BUNDLES if bundle in summary):
            listed = json.loads((folder / f"{bundle}.json").read_text(encoding="utf-8"))
            held = _in_zip(folder / f"{bundle}.zip")
            if held != [(entry["name"], entry["sha256"]) for entry in listed]:
                raise ValueError(f"{bundle}.zip does not hold what its list says")
            found[bundle] = frozenset(sha256 for _, sha256 in held)
        return found
    except _DAMAGE as error:
        hint = f"finish it: pickroom finish {project.id} --execute"
        raise ProjectError(str(error), doing="verifying an archive", subject=folder, hint=hint) from None


def _vectors(project: Project) -> Iterator[dict[str, Any]]:
    """The files of vectors: they stay where they are, and can be made again."""
    base = project.workspace.embeddings
    for path in sorted(base.glob(f"*/{project.id}/*.parquet")):
        if not path.name.startswith("."):
            name = path.relative_to(base).as_posix()
            yield {"name": name, "size": path.stat().st_size, "sha256": atomic.sha256_of(path)}


def _write_json(path: Path, values: object) -> None:
    path.write_text(json.dumps(values, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _publish(building: Path, folder: Path) -> None:
    """Sync it, then give it its name; an existing archive is renamed to the time it was made."""
    for path in building.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                atomic.sync(file.fileno())
    if folder.exists():
        when = datetime.fromtimestamp(folder.stat().st_mtime, UTC)
        atomic.publish(folder, folder.with_name(f"{folder.name}-{when:%Y%m%dT%H%M%SZ}"))
    with contextlib.suppress(OSError):  # a disk without permissions
        building.chmod(0o755)
    atomic.publish(building, folder)
    atomic.sync_folders([folder, folder.parent])

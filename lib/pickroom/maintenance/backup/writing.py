"""Make a backup under a hidden name, read it back completely, then publish it; it never replaces a file."""

import contextlib
import json
import os
import time
import zipfile
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from pickroom import __version__
from pickroom.core.errors import FileOperationError, ProjectError, StoreError, UsageError
from pickroom.core.naming import is_project_id
from pickroom.maintenance.backup import reading
from pickroom.storage import atomic, leftovers, zips
from pickroom.store import snapshot
from pickroom.store.workspace import Workspace, utc_now

# weights are zips; databases of an earlier schema are seldom looked at
_PACKED_ALREADY = (".npz", ".pt", ".backup", ".parquet")
_LEVEL = 1  # of deflate: a database comes down to a fifth, at several times the speed of the usual level


@dataclass(frozen=True, slots=True)
class Backup:
    """A backup that was made."""

    file: Path
    listing: reading.Listing
    left_out: dict[str, str]  # what no backup holds -> why
    damaged: dict[str, str]  # files left out because they are damaged: path relative to the workspace -> why


def write(
    workspace: Workspace, file: Path, progress: reading.Progress | None = None, *, vectors: bool = True
) -> Backup:
    """Save databases, manifests, models, vectors and logs while others work; each database in one consistent state.

    Args:
        file: a name that is free, or a folder: then the file is named by the time.
        vectors: False leaves out what is computed from the images.

    Raises:
        UsageError: `file` exists, or lies in what is backed up.
        ProjectError: there is nothing to back up.
        FileOperationError: the disk is full or closed to writing.
        StoreError: a database is locked, or the only one is lost. In each case no file is left behind.
    """
    target = _target(workspace, file)
    if not reading.members(workspace):
        what, hint = "there is nothing to back up", "see: pickroom status"
        raise ProjectError(what, doing="backing up", subject=workspace.root, hint=hint)
    try:
        with leftovers.Folder(".pickroom-backup-", target.parent) as building:
            archive = building / target.name
            listing, damaged = _pack(workspace, archive, building, progress, vectors)
            if not listing.files:
                name, wrong = next(iter(damaged.items()))
                hint = f"restore it from a copy: pickroom restore --project {Path(name).stem}"
                raise StoreError(f"nothing else is here than {name}: {wrong}", doing="backing up", hint=hint)
            with archive.open("rb") as packed:
                atomic.sync(packed.fileno())
            if reading.check(archive) != listing:
                raise StoreError("the backup does not hold what was saved", doing="backing up", subject=target)
            with contextlib.suppress(OSError):  # a disk without permissions
                archive.chmod(0o644)
            atomic.publish(archive, target)
            atomic.sync_folders([target.parent])
    except FileExistsError:
        raise _taken(target) from None
    except OSError as error:
        hint = "no backup was made; make room, or give another folder"
        raise FileOperationError.of(error, "backing up", target, hint) from error
    return Backup(target, listing, reading.left_out(workspace, vectors=vectors), damaged)


def _target(workspace: Workspace, file: Path) -> Path:
    file = file.expanduser().absolute()
    if file.is_dir():
        file /= f"pickroom-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.zip"
    if os.path.lexists(file):
        raise _taken(file)
    if not file.parent.is_dir():
        raise UsageError("the folder does not exist", doing="backing up", subject=file.parent, hint="make it first")
    if file.resolve().is_relative_to((workspace.root / "data").resolve()):
        what = "a backup among the files that it backs up"
        raise UsageError(what, doing="backing up", subject=file, hint="give another folder, best on another disk")
    return file


def _taken(file: Path) -> UsageError:
    hint = "a backup replaces nothing: give another name, or a folder"
    return UsageError("this file exists already", doing="backing up", subject=file, hint=hint)


def _pack(
    workspace: Workspace, archive: Path, building: Path, progress: reading.Progress | None, vectors: bool
) -> tuple[reading.Listing, dict[str, str]]:
    """Put every file into the zip, its list last."""
    made_at = utc_now()
    listed: dict[str, reading.Listed] = {}
    damaged: dict[str, str] = {}
    seen: set[str] = set()
    with zipfile.ZipFile(archive, "x", allowZip64=True, compresslevel=_LEVEL) as packed:
        # a file just read may name a model published meanwhile: repeat until nothing is new
        while waiting := [name for name in reading.members(workspace, vectors=vectors) if name not in seen]:
            for name in waiting:
                seen.add(name)
                database = f"{reading.DATABASES}{Path(name).stem}.db"
                if reading.is_manifest(name) and is_project_id(Path(name).stem) and database not in listed:
                    damaged.setdefault(database, "it is missing")  # databases are saved before manifests
                # no project without its decisions
                if not (name.startswith(reading.MANIFESTS) and database in damaged):
                    found = _add(packed, name, workspace.root / name, building, damaged)
                    if found is not None:
                        listed[name] = found
                if progress is not None:
                    progress(len(seen), len(seen) + len(waiting))
        listing = reading.Listing(reading.FORMAT, made_at, __version__, reading.in_order(listed.values()))
        text = json.dumps(asdict(listing), indent=1) + "\n"
        packed.writestr(zips.entry(reading.LISTING, time.time(), zipfile.ZIP_DEFLATED), text)
    return listing, damaged


def _add(
    packed: zipfile.ZipFile, name: str, path: Path, building: Path, damaged: dict[str, str]
) -> reading.Listed | None:
    """Save one file; None when it is gone meanwhile, or is a database that is not sound."""
    compression = zipfile.ZIP_STORED if name.endswith(_PACKED_ALREADY) else zipfile.ZIP_DEFLATED
    if not reading.is_database(name):
        try:
            return reading.Listed(name, *zips.put(packed, name, path, compression))
        except FileNotFoundError:
            return None
    copy = building / "copy.db"
    try:
        wrong = snapshot.copy(path, copy)
        if wrong is None:
            return reading.Listed(name, *zips.put(packed, name, copy, compression))
        damaged[name] = wrong
        return None
    finally:
        copy.unlink(missing_ok=True)

"""A folder that an export fills: pictures as links or copies, documents whole or not at all, nothing of others touched.

`.pickroom-export.json` names every file that an export has made here, and is on disk before they are: a file that it
does not name is never replaced, one that a later run no longer makes is removed. A folder holds one kind of export.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path, PurePosixPath

from pickroom import atomic, leftovers
from pickroom.errors import ConflictError, FileOperationError, UsageError
from pickroom.exports.choices import Judged
from pickroom.naming import stays_inside
from pickroom.workspace import Project

STATE_FILE = ".pickroom-export.json"
PICTURES = "images"
_MOST_BYTES = 256 << 20  # of the list of files: more than a million

Progress = Callable[[int, int], None]
Writer = Callable[[Path], object]  # writes a document to the path it is given


def picture_name(judged: Judged) -> str:
    """Where an image lies in the folder: `images/<project>/<file name>`; a name is unique within its project."""
    return f"{PICTURES}/{judged.project_id}/{judged.image.filename}"


def check_outside(folder: Path, projects: Iterable[Project]) -> None:
    """Raise UsageError where a folder lies in a project's: what is exported there would be scanned as its images."""
    for project in projects:
        root = project.root.resolve()
        if folder == root or root in folder.parents:
            raise UsageError(
                f"it lies in the images of project {project.id}",
                doing="exporting",
                subject=folder,
                hint="give a folder outside of it",
            )


def publish(
    folder: Path,
    kind: str,
    pictures: Mapping[str, Path],
    documents: Mapping[str, Writer],
    *,
    copy: bool = False,
    progress: Progress | None = None,
) -> None:
    """Fill a folder.

    Args:
        kind: what is exported; a folder of another kind is refused, since its files would be taken for outdated.
        pictures: name in the folder -> the image file. Linked to, unless `copy`; never changed.
        documents: name in the folder -> what writes it, called with a path beside its place.

    Raises:
        ConflictError: a file of that name is there that no export made, it is another kind's folder, or a link in it
            leads elsewhere; nothing is written.
        FileOperationError: the disk refused; run it again when there is room.
    """
    names = [*pictures, *documents]
    try:
        held, before = _read_state(folder)
        if held not in (None, kind):
            hint = "give another folder"
            raise ConflictError(
                f"it holds an export to {held}", doing=f"exporting to {kind}", subject=folder, hint=hint
            )
        strange = [name for name in names if name not in before and os.path.lexists(folder / name)]
        if strange:
            raise ConflictError(
                f"{len(strange)} files there were not made by an export, the first: {strange[0]}",
                items=strange,
                doing="exporting",
                subject=folder,
                hint="give an empty folder",
            )
        led = sorted({name for name in (*names, *before) if _is_led_away(folder, name)})
        if led:
            raise ConflictError(
                f"a folder on the way to {led[0]} is a link",
                items=led,
                doing="exporting",
                subject=folder,
                hint="give an empty folder",
            )
        folder.mkdir(parents=True, exist_ok=True)
        _write_state(folder, kind, sorted({*before, *names}))
        with leftovers.Folder(".pickroom-export-", folder) as building:
            for done, (name, source) in enumerate(pictures.items(), start=1):
                _place(folder / name, source, copy, building)
                if progress:
                    progress(done, len(pictures))
            for name, write in documents.items():
                _publish(folder / name, write, building)
        for name in set(before) - set(names):
            (folder / name).unlink(missing_ok=True)
        _write_state(folder, kind, sorted(names))
    except OSError as error:
        where = [Path(error.filename)] if error.filename else [folder]
        hint = "make room, or give another DIR, and run it again"
        raise FileOperationError(error.strerror or str(error), "exporting", where, hint) from error


def _place(target: Path, source: Path, copy: bool, building: Path) -> None:
    if _same(target, source, copy):
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    _publish(target, (lambda path: _copy(source, path)) if copy else (lambda path: _link(source, path)), building)


def _copy(source: Path, path: Path) -> None:
    shutil.copyfile(source, path)
    atomic.copy_stat(source, path)  # the next run knows a copy by its times


def _link(source: Path, path: Path) -> None:
    try:
        path.symlink_to(source)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP):
            raise
        what = "the disk has no symbolic links"
        raise FileOperationError(what, "exporting", [path.parent], "copy the pictures: --copy") from error


def _same(target: Path, source: Path, copy: bool) -> bool:
    if target.is_symlink():
        return not copy and os.readlink(target) == str(source)
    if not copy or not target.is_file():
        return False
    here, there = target.stat(), source.stat()
    return (here.st_size, here.st_mtime_ns) == (there.st_size, there.st_mtime_ns)


def _publish(target: Path, write: Writer, building: Path) -> None:
    temporary = building / "file"  # what a failed one leaves here goes with the folder
    write(temporary)
    atomic.replace(temporary, target)


def _read_state(folder: Path) -> tuple[str | None, list[str]]:
    """(kind, names) of what exports made here; (None, []) where nothing is known to be theirs."""
    try:
        state = json.loads(atomic.read_small(folder / STATE_FILE, _MOST_BYTES))
    except FileNotFoundError:
        return None, []
    except (ValueError, RecursionError):  # damaged: then no file there is known to be ours
        return None, []
    match state:
        case {"kind": str(kind), "files": list(names)}:
            return kind, [name for name in names if isinstance(name, str) and _inside(name)]
    return None, []


def _inside(name: str) -> bool:
    try:
        os.fsencode(name)
    except UnicodeEncodeError:  # no file can have this name
        return False
    return stays_inside(name)


def _is_led_away(folder: Path, name: str) -> bool:
    """Whether a folder between the export's and a file of it is a link: what is written there would land elsewhere."""
    return any(os.path.islink(folder / above) for above in PurePosixPath(name).parents[:-1])


def _write_state(folder: Path, kind: str, names: list[str]) -> None:
    atomic.write_text(folder / STATE_FILE, json.dumps({"kind": kind, "files": names}, indent=1) + "\n")

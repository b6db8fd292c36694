"""What a plan stood on: the files that proved images and vectors needless, as they were when they were read.

Between the look and the word to go on hours may pass in a notebook. Reading an archive of many gigabytes a second time
would double the wait; that none of its files has another size, time or inode is told in a moment.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pickroom.analysis.reports import archive
from pickroom.core.errors import FileOperationError
from pickroom.store.workspace import Project

Stamps = frozenset[tuple[str, int, int, int]]  # path, bytes, ns since the epoch, inode


def stamps(project: Project) -> Stamps:
    """The project's manifest, its archive, and the vectors of its own encoder, as they are now."""
    return frozenset(_stamp(path) for path in _files(project))


def require_unchanged(project: Project, before: Stamps) -> None:
    """Raises FileOperationError when what a plan stood on is no longer as it was."""
    changed = before ^ stamps(project)
    if changed:
        paths = [Path(min(changed)[0])]
        what = "what proved it needless has changed since it was looked at"
        raise FileOperationError(what, "reclaiming disk space", paths, "nothing has gone; look again")


def _files(project: Project) -> Iterator[Path]:
    yield project.manifest_file
    folders = [archive.archive_folder(project)]
    if project.manifest.encoder is not None:
        folders.append(project.workspace.embeddings / project.manifest.encoder / project.id)
    for folder in folders:
        yield from (path for path in folder.rglob("*") if path.is_file())


def _stamp(path: Path) -> tuple[str, int, int, int]:
    try:
        info = path.stat()
    except OSError:
        return str(path), -1, -1, -1
    return str(path), info.st_size, info.st_mtime_ns, info.st_ino

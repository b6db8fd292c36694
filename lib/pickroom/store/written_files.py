"""Which files Pickroom wrote, known by their content: a file that the user made or changed is never replaced.

`data/ai_data/logs/written.jsonl` has one line per file, written before the file itself: its name, its SHA-256 and the
time. No folder is stored, so that a moved workspace stays what it was.
"""

import hashlib
import os
from pathlib import Path

from pickroom.core.errors import ConflictError
from pickroom.storage import append_log, atomic
from pickroom.store.workspace import Workspace, utc_now


def log_path(workspace: Workspace) -> Path:
    return workspace.logs / "written.jsonl"


def is_known(workspace: Workspace, sha256: str) -> bool:
    """Whether Pickroom once wrote a file of this hex SHA-256 in this workspace."""
    return any(line.get("sha256") == sha256 for line in append_log.read(log_path(workspace), holding=sha256))


def may_replace(workspace: Workspace, path: Path) -> bool:
    """Whether `path` is free, or holds what Pickroom wrote: then writing there loses nothing of the user.

    Raises:
        OSError: what is there cannot be read.
    """
    if not os.path.lexists(path):
        return True
    return not path.is_symlink() and path.is_file() and is_known(workspace, atomic.sha256_of(path))


def free_path(workspace: Workspace, path: Path) -> Path:
    """`path` where that may be replaced, else the first of `name-2.ext`, `name-3.ext`, ... that may."""
    number, found = 1, path
    while not may_replace(workspace, found):
        number += 1
        found = path.with_name(f"{path.stem}-{number}{path.suffix}")
    return found


def record(workspace: Workspace, path: Path, sha256: str) -> None:
    """Note that Pickroom is about to give `path` a content of this hex SHA-256."""
    if not is_known(workspace, sha256):
        line = {"name": path.name, "sha256": sha256, "written_at": utc_now()}
        append_log.append(log_path(workspace), [line], durable=True)


def write_text(workspace: Workspace, path: Path, text: str) -> None:
    """Write a file, whole or not at all; its folder is made.

    Raises:
        ConflictError: a file is there that Pickroom did not write, or that was changed since.
        OSError: the disk refuses.
    """
    data = text.encode()
    if not may_replace(workspace, path):
        what = "a file is there that Pickroom did not write"
        raise ConflictError(what, doing="writing a file", subject=path, hint="move it away")
    record(workspace, path, hashlib.sha256(data).hexdigest())
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic.write_bytes(path, data)

"""What belongs to a backup: everything under `data/` but what can be made again. docs/decisions/117."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pickroom.core.naming import is_text
from pickroom.core.quantities import format_bytes
from pickroom.storage.atomic import PARTIAL_SUFFIX
from pickroom.store.workspace import Workspace

# where what was in the way of a restore lies, until the user removes it
SET_ASIDE = "before-restore-"
DATABASES = "data/training/ai_training_decisions/"
MANIFESTS = "data/projects/"
# what is computed from the images, and cannot be when they are gone: vectors and numbers
LEARNT_FROM = ("data/ai_data/embeddings/", "data/ai_data/blocks/", "data/ai_data/cache/consistency/")
_CACHE = "data/ai_data/cache/"  # of what is made again when it is needed, but for the above
_COPIES = "data/backups/"  # of the databases that a backup holds already
_NOT_OURS = ("data/README.md",)  # the checkout's
# SQLite's own files next to a database: the copy of a database holds what is in them
SIDE_FILES = ("-wal", "-shm", "-journal")
_PASSING = (*SIDE_FILES, ".lock", PARTIAL_SUFFIX)


@dataclass(frozen=True, slots=True)
class Member:
    """One file of a backup; `name` is its path relative to the workspace, with slashes."""

    name: str
    path: Path

    @property
    def is_database(self) -> bool:
        return is_database(self.name)


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A folder or a file that a backup does not hold, and why; not counted, since a cache may hold a million files."""

    name: str
    reason: str


def is_database(name: str) -> bool:
    """Whether a member is a project's database, or its imports."""
    return name.startswith(DATABASES) and name.endswith(".db")


def is_manifest(name: str) -> bool:
    return name.startswith(MANIFESTS) and name.endswith(".json") and name.count("/") == MANIFESTS.count("/")


def belongs(name: str) -> bool:
    """Whether a path relative to the workspace may be part of a backup; never one that leads out of `data/`."""
    parts = name.split("/")
    if len(parts) < 2 or parts[0] != "data" or parts[1].startswith(SET_ASIDE) or name in _NOT_OURS:
        return False
    # a part with a dot in front is hidden, empty, or leads upwards
    plain = all(part and not part.startswith(".") and "\\" not in part and "\0" not in part for part in parts)
    passing = name.endswith(_PASSING) or name.startswith(_COPIES)
    return plain and not passing and (not name.startswith(_CACHE) or name.startswith(LEARNT_FROM))


def members(workspace: Workspace, *, vectors: bool = True) -> list[Member]:
    """Every file that belongs to a backup now: databases first, manifests last, each by name.

    Of a manifest and its database the manifest is the younger: no project without its decisions.

    Args:
        vectors: False leaves out what is computed from the images.
    """
    names = [name for name in _walk(workspace) if belongs(name) and (vectors or not name.startswith(LEARNT_FROM))]
    found = [Member(name, workspace.root / name) for name in names]
    found = [member for member in found if member.path.is_file() and not member.path.is_symlink()]
    return sorted(found, key=lambda m: (turn(m.name), m.name))


def turn(name: str) -> int:
    """What a member waits for: databases for nothing, manifests for everything else."""
    return 0 if is_database(name) else 2 if is_manifest(name) else 1


def left_out(workspace: Workspace, *, vectors: bool = True) -> list[LeftOut]:
    """What a user may look for in a backup and not find; `vectors` as in `members`."""
    # folders next to data/ that a user may take for part of it
    beside = [folder.name for folder in (workspace.sandbox, workspace.archives, workspace.reports)]
    found = [LeftOut(_CACHE.rstrip("/"), "can be made again")]
    for name in () if vectors else LEARNT_FROM:
        size = sum(path.stat().st_size for path in (workspace.root / name).rglob("*") if path.is_file())
        reason = f"{format_bytes(size)}, left out by --no-vectors: cannot be made again without the images"
        found.append(LeftOut(name.rstrip("/"), reason))
    found += [LeftOut(_COPIES.rstrip("/"), "copies of the databases")]
    found += [LeftOut(name, "no part of data/: copy it yourself if it matters") for name in beside]
    found = [one for one in found if _holds_something(workspace.root / one.name)]
    links = [name for name in _walk(workspace) if belongs(name) and (workspace.root / name).is_symlink()]
    return found + [LeftOut(name, "symbolic link: not followed") for name in links]


def _holds_something(folder: Path) -> bool:
    return folder.is_dir() and any(path.name != "README.md" for path in folder.iterdir())


def _walk(workspace: Workspace) -> Iterator[str]:
    """The path of every file under data/, but in folders that are left out as a whole; hidden ones apart."""
    for folder, inner, files in os.walk(workspace.root / "data"):
        base = Path(folder).relative_to(workspace.root).as_posix()
        inner[:] = sorted(n for n in inner if not n.startswith(".") and f"{base}/{n}/" != _COPIES)
        if f"{base}/" == _CACHE:  # a million previews
            inner[:], files = [name for name in inner if f"{base}/{name}/" in LEARNT_FROM], []
        for name in sorted([*files, *(name for name in inner if os.path.islink(os.path.join(folder, name)))]):
            if is_text(name):
                yield f"{base}/{name}"

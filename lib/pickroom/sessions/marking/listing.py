"""Which images lie in which folders of a project: what a board shows. Only names, sizes and times are read."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from pickroom.core.errors import UsageError
from pickroom.core.naming import CROPPED, OWNED_FOLDERS, SELECTED, folder_of, join
from pickroom.images import scan
from pickroom.store.workspace import Project

RESULTS = (SELECTED, CROPPED)


@dataclass(frozen=True, slots=True)
class ListedImage:
    """One image file; its folder relative to the root, bytes, and nanoseconds since the epoch."""

    directory: str
    filename: str
    file_size: int
    mtime_ns: int

    @property
    def path(self) -> str:
        return join(self.directory, self.filename)


@dataclass(frozen=True, slots=True)
class Listing:
    """The images of some folders, by folder and name.

    Attributes:
        bases: the folders that were asked for.
        left_out: (path, reason) of images that are not shown: links, names that are not UTF-8, closed folders.
        stamps: folder -> time of its last change (ns), to tell whether to look again.
    """

    bases: tuple[str, ...]
    items: tuple[ListedImage, ...]
    left_out: tuple[tuple[str, str], ...]
    stamps: dict[str, int]

    @property
    def counts(self) -> dict[str, int]:
        """Folder -> its own images, the bases among them even when they hold none."""
        found = Counter(item.directory for item in self.items)
        return {**dict.fromkeys(self.bases, 0), **found}

    def find(self, filename: str, directory: str | None = None) -> str:
        """The path of an image given its name, and its folder where several hold the name.

        Raises:
            UsageError: there is none, or more than one.
        """
        found = [item.path for item in self.items if item.filename == filename]
        if directory is not None:
            found = [path for path in found if folder_of(path) == directory.strip("/")]
        if len(found) == 1:
            return found[0]
        where = f" in {directory}/" if directory else ""
        what = f"{filename!r} is in {len(found)} folders" if found else f"there is no image {filename!r}{where}"
        hint = 'say in which "directory"' if found else "looked in: " + ", ".join(base or "." for base in self.bases)
        raise UsageError(what, doing="reading a file of marks", hint=hint)


def look(project: Project, folders: Sequence[str]) -> Listing:
    """List the images of these folders with their sub-folders; "" is every folder of sources.

    Raises:
        UsageError: a folder does not exist in the project's.
        ProjectError: the image folder is not there.
    """
    root = project.require_root()
    extensions = tuple(project.manifest.allowed_extensions)
    own = project.workspace.own_folders
    found: set[ListedImage] = set()
    left_out: dict[str, str] = {}
    bases = tuple(dict.fromkeys(checked(project, folder) for folder in folders))
    for base in bases:
        if (root / base).is_dir():  # else a result folder that nothing has gone to yet
            entries, refused = scan.walk(root, extensions, own, base=base)
            found |= {ListedImage(one.directory, one.filename, one.file_size, one.mtime_ns) for one in entries}
            left_out |= {join(one.directory, one.filename): one.reason for one in refused}
    items = tuple(sorted(found, key=lambda item: (item.directory, item.filename)))
    return Listing(bases, items, tuple(left_out.items()), stamps(project, bases, items))


def stamps(project: Project, bases: Sequence[str], items: Sequence[ListedImage]) -> dict[str, int]:
    """When each of the folders was last changed (ns): files that come or go show in it."""
    found = dict.fromkeys((*bases, *(item.directory for item in items)), 0)
    for folder in found:
        with contextlib.suppress(OSError):
            found[folder] = (project.root / folder).stat().st_mtime_ns
    return found


def checked(project: Project, folder: str) -> str:
    """A folder of the project as the journal spells it ("." is ""); a result folder need not exist yet.

    Raises:
        UsageError: it leads out of the project's folder, or does not exist.
    """
    plain = PurePosixPath(folder.strip() or ".")
    text = "" if str(plain) == "." else str(plain)
    doing = f"looking into project {project.id}"
    if plain.is_absolute() or ".." in plain.parts:
        what = "a folder is named relative to the project's"
        raise UsageError(what, doing=doing, subject=folder, hint=f"it is {project.root}")
    if text not in OWNED_FOLDERS and not (project.root / text).is_dir():
        known = ", ".join(sorted(p.name for p in project.root.iterdir() if p.is_dir() and not p.name.startswith(".")))
        hint = f"folders there: {known or 'none'}"
        raise UsageError("there is no such folder", doing=doing, subject=folder, hint=hint)
    return text

"""The images of a board: their folders, numbers, thumbnails and texts (YAML, caption, PNG text).

A finished crop keeps the text inside its file, but its YAML and caption go to `crop_originals/` with the image that it
was cut from (files/cropping.py), under the same name. Where the original was reclaimed, only the crop's own text can be
read.
"""

import contextlib
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath

from pickroom.core import naming
from pickroom.core.companions import Companions
from pickroom.core.errors import ImageError, UsageError
from pickroom.core.naming import filename_of, folder_of, join
from pickroom.images import decode, metadata, scan, thumbnails
from pickroom.images.scan import ListedImage
from pickroom.store.images import Stat
from pickroom.store.workspace import Project

RESULTS = (naming.SELECTED, naming.CROPPED)


@dataclass(frozen=True, slots=True)
class Listing:
    """The images of some folders, by folder, capture time and name."""

    bases: tuple[str, ...]  # the folders that were asked for
    items: tuple[ListedImage, ...]
    # (path, reason) of images that are not shown: links, names that are not UTF-8, closed folders
    left_out: tuple[tuple[str, str], ...]
    stamps: dict[str, int]  # folder -> time of its last change (ns), to tell whether to look again

    @property
    def counts(self) -> dict[str, int]:
        """Folder -> number of its own images; the listed folders are included even when empty."""
        found = Counter(item.directory for item in self.items)
        return {**dict.fromkeys(self.bases, 0), **found}

    def find(self, filename: str, directory: str | None = None) -> str:
        """The path of an image given its name, and its folder where several hold the name.

        Raises UsageError where there is none, or more than one.
        """
        found = [item.path for item in self.items if item.filename == filename]
        if directory is not None:
            found = [path for path in found if folder_of(path) == directory.strip("/")]
        if len(found) == 1:
            return found[0]
        where = f" in {directory}/" if directory else ""
        what = f"{filename!r} is in {len(found)} folders" if found else f"no image is named {filename!r}{where}"
        hint = 'say in which "directory"' if found else "looked in: " + ", ".join(base or "." for base in self.bases)
        raise UsageError(what, doing="reading a file of marks", hint=hint)


def look(project: Project, folders: Sequence[str]) -> Listing:
    """List the images of these folders with their sub-folders; "" is every folder of sources.

    Raises UsageError where a folder does not exist in the project's, ProjectError where the image folder is not there.
    """
    root = project.require_root()
    extensions = tuple(project.manifest.allowed_extensions)
    own = project.workspace.own_folders
    found: set[ListedImage] = set()
    left_out: dict[str, str] = {}
    bases = tuple(dict.fromkeys(checked(project, folder) for folder in folders))
    for base in bases:
        if (root / base).is_dir():  # else a result folder without images yet
            entries, refused = scan.walk(root, extensions, own, base=base)
            found |= set(entries)
            left_out |= {join(one.directory, one.filename): one.reason for one in refused}
    items = tuple(sorted(found, key=lambda item: (item.directory, item.filename)))
    return Listing(bases, items, tuple(left_out.items()), stamps(project, bases, items))


def stamps(project: Project, bases: Sequence[str], items: Sequence[ListedImage]) -> dict[str, int]:
    """The time of the last change of each folder (ns), which changes when files come or go."""
    found = dict.fromkeys((*bases, *(item.directory for item in items)), 0)
    for folder in found:
        with contextlib.suppress(OSError):
            found[folder] = (project.root / folder).stat().st_mtime_ns
    return found


def checked(project: Project, folder: str) -> str:
    """A folder of the project as the journal spells it ("." is ""); a result folder need not exist yet.

    Raises UsageError where it leads out of the project's folder, or does not exist.
    """
    plain = PurePosixPath(folder.strip() or ".")
    text = "" if str(plain) == "." else str(plain)
    doing = f"looking into project {project.id}"
    if plain.is_absolute() or ".." in plain.parts:
        what = "a folder is named relative to the project's"
        raise UsageError(what, doing=doing, subject=folder, hint=f"it is {project.root}")
    if text not in naming.OWNED_FOLDERS and not (project.root / text).is_dir():
        known = ", ".join(sorted(p.name for p in project.root.iterdir() if p.is_dir() and not p.name.startswith(".")))
        hint = f"folders there: {known or 'none'}"
        raise UsageError("no such folder", doing=doing, subject=folder, hint=hint)
    return text


class BoardImages:
    """The images that a board has shown since it was opened. A number identifies one content of one file."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self._numbers: dict[ListedImage, int] = {}
        self._images: list[ListedImage] = []
        self._hashes: dict[ListedImage, str] = {}

    def in_time_order(
        self, images: Iterable[ListedImage], known: Mapping[Stat, str], times: Mapping[str, str]
    ) -> tuple[ListedImage, ...]:
        """Images by folder, in it by capture time and name; those without a time come last. `times` is by content.

        The hashes of the last scan (`known`, see `store/images.py:known_hashes`) are taken over.
        """
        late = "~"  # after every time

        def place(image: ListedImage) -> tuple[str, str, str]:
            sha256 = self._hashes.get(image) or known.get((image.filename, image.file_size, image.mtime_ns), "")
            if sha256:
                self._hashes[image] = sha256
            return image.directory, times.get(sha256, late), image.filename

        return tuple(sorted(images, key=place))

    def number(self, image: ListedImage) -> int:
        """The number of an image, from 0 in the order in which they are asked for."""
        if image not in self._numbers:
            self._numbers[image] = len(self._images)
            self._images.append(image)
        return self._numbers[image]

    def numbered(self, number: int) -> ListedImage | None:
        """The image that a number stands for, None when it stands for none."""
        return self._images[number] if 0 <= number < len(self._images) else None

    def thumbnail(self, image: ListedImage, *, large: bool = False) -> bytes:
        """A JPEG of at most 256 pixels a side, or 1024; safe to call from several threads.

        Raises ImageError where the file has gone, or has gone bad.
        """
        path = self.project.path(image.directory, image.filename)
        try:
            sha256 = self._hashes.get(image)
            if sha256 is None:
                sha256 = self._hashes[image] = decode.content_hash(path)
            read = thumbnails.read if large else thumbnails.read_small
            return read(self.project.workspace.thumbnails, sha256, path)
        except OSError as error:
            raise ImageError(path, error.strerror or str(error)) from None

    def texts(self, path: str) -> dict[str, str]:
        """Field -> text of an image, given relative to the root."""
        return read_texts(self.project.root, [path])[path]


def read_texts(root: Path, paths: Sequence[str]) -> dict[str, dict[str, str]]:
    """Path -> field -> YAML, caption and PNG text of images, named relative to the project's root.

    What a crop says itself counts before its original. Each folder is listed once, however many images it has.
    """

    @cache
    def companions(folder: str) -> Companions:
        with contextlib.suppress(OSError):
            return Companions(os.listdir(root / folder))
        return Companions([])

    def own(path: str) -> dict[str, str]:
        return metadata.read(root / path, companions(folder_of(path)).of(filename_of(path)))

    def read(path: str) -> dict[str, str]:
        original = _original_of(root, path)
        return {**(own(original) if original else {}), **own(path)}

    for folder in set(map(folder_of, paths)):
        companions(folder)  # before several threads ask for it at once
    with ThreadPoolExecutor(os.cpu_count() or 2) as pool:
        return dict(zip(paths, pool.map(read, paths), strict=True))


def _original_of(root: Path, path: str) -> str | None:
    """Where the original of a finished crop lies, also of one that was sorted since; None without one."""
    top, *below = path.split("/")
    for start in range(len(below) if top == naming.CROPPED else 0):
        original = "/".join((naming.CROP_ORIGINALS, *below[start:]))
        if (root / original).is_file():
            return original
    return None

"""The images of a board: a number for each, its thumbnail, and what is written about it.

A finished crop keeps the text inside its file, but its YAML and caption go to `crop_originals/` with the image that it
was cut from (files/cropping.py), under the same name. Where the original was reclaimed, the crop's own text is left.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from pickroom.core.errors import ImageError
from pickroom.core.naming import (
    CROP_ORIGINALS,
    CROPPED,
    companions_by_stem,
    filename_of,
    folder_of,
    join,
    split,
    stem_of,
)
from pickroom.files.apply_marks import Stat
from pickroom.images import decode, metadata, thumbnails
from pickroom.sessions.marking.listing import ListedImage
from pickroom.store.workspace import Project


class BoardImages:
    """The images that a board has shown since it was opened. A number stands for one content of one file."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self._numbers: dict[ListedImage, int] = {}
        self._images: list[ListedImage] = []
        self._hashes: dict[ListedImage, str] = {}

    def learn(self, images: Iterable[ListedImage], known: Mapping[Stat, str]) -> None:
        """Take over the hashes that the last scan knows (see `apply_marks.known_hashes`)."""
        for image in images:
            found = known.get((image.filename, image.file_size, image.mtime_ns))
            if found is not None:
                self._hashes.setdefault(image, found)

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

        Raises:
            ImageError: the file has gone, or has gone bad.
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
        """Field -> text of what is written about an image, named relative to the root: see `ImageTexts`."""
        return ImageTexts(self.project.root).read(path)


class ImageTexts:
    """YAML, caption and PNG text of images of one project; each folder is listed once, however many images it has."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._companions: dict[str, Mapping[str, tuple[str, ...]]] = {}

    def list_folders(self, paths: list[str]) -> None:
        """List the folders of these images and of their originals, before `read` is called from several threads."""
        for path in (*paths, *filter(None, map(original_of, paths))):
            self._list(folder_of(path))

    def read(self, path: str) -> dict[str, str]:
        """Field -> text of an image, named relative to the root; what a crop says itself counts before its original."""
        original = original_of(path)
        if original is None or not (self.root / original).is_file():
            return self._of(path)
        return {**self._of(original), **self._of(path)}

    def _of(self, path: str) -> dict[str, str]:
        folder, name = split(path)
        return metadata.read(self.root / path, self._list(folder).get(stem_of(name), ()))

    def _list(self, folder: str) -> Mapping[str, tuple[str, ...]]:
        if folder not in self._companions:
            try:
                self._companions[folder] = companions_by_stem(os.listdir(self.root / folder))
            except OSError:
                self._companions[folder] = {}
        return self._companions[folder]


def original_of(path: str) -> str | None:
    """Where the original of a finished crop lies, also of one that was sorted since; None for what is no crop."""
    top, _, rest = path.partition("/")
    return join(CROP_ORIGINALS, filename_of(rest)) if top == CROPPED and rest else None

"""The pictures of a board: a number for every image, its thumbnail, what is written about it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pickroom.core.errors import ImageError
from pickroom.files.apply_marks import Stat
from pickroom.images import decode, thumbnails
from pickroom.sessions.marking.listing import Item
from pickroom.sessions.marking.written import Writing
from pickroom.store.workspace import Project


class Pictures:
    """The images that a board has shown since it was opened. A number stands for one content of one file."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self._numbers: dict[Item, int] = {}
        self._items: list[Item] = []
        self._hashes: dict[Item, str] = {}

    def learn(self, items: Iterable[Item], known: Mapping[Stat, str]) -> None:
        """Take over the hashes that the last scan knows (see `placing.known_hashes`)."""
        for item in items:
            found = known.get((item.filename, item.file_size, item.mtime_ns))
            if found is not None:
                self._hashes.setdefault(item, found)

    def number(self, item: Item) -> int:
        """The number of an image, from 0 in the order in which they are asked for."""
        if item not in self._numbers:
            self._numbers[item] = len(self._items)
            self._items.append(item)
        return self._numbers[item]

    def item(self, number: int) -> Item | None:
        """The image that a number stands for, None when it stands for none."""
        return self._items[number] if 0 <= number < len(self._items) else None

    def thumbnail(self, item: Item, *, large: bool = False) -> bytes:
        """A JPEG of at most 256 pixels a side, or 1024; safe to call from several threads.

        Raises:
            ImageError: the file has gone, or has gone bad.
        """
        path = self.project.path(item.directory, item.filename)
        try:
            sha256 = self._hashes.get(item)
            if sha256 is None:
                sha256 = self._hashes[item] = decode.content_hash(path)
            folder = self.project.workspace.thumbnails
            return (thumbnails.read if large else thumbnails.read_small)(folder, sha256, path)
        except OSError as error:
            raise ImageError(path, error.strerror or str(error)) from None

    def written(self, path: str) -> dict[str, str]:
        """Field -> text of what is written about an image, named relative to the root: see `written.Writing`."""
        return Writing(self.project.root).read(path)

"""The pictures of a review, as a browser shows them, and what is written about them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from pickroom.core.naming import extension_of
from pickroom.images import decode, metadata, thumbnails
from pickroom.images.metadata import InfoRow
from pickroom.store.workspace import Project

_SHOWN_BY_BROWSERS = {"png": "image/png", "jpg": "image/jpeg", "jpeg": "image/jpeg", "webp": "image/webp"}


class Pictured(Protocol):
    """An image by its place and its content."""

    @property
    def directory(self) -> str: ...
    @property
    def filename(self) -> str: ...
    @property
    def sha256(self) -> str: ...


class Pictures:
    """The files of one project, and the previews kept of them.

    Args:
        previews: the folder they are kept in; the workspace's own by default.
    """

    def __init__(self, project: Project, previews: Path | None = None) -> None:
        self._project = project
        self._previews = previews or project.workspace.thumbnails

    def preview(self, image: Pictured) -> bytes:
        """A JPEG of at most 1024 pixels a side; raises ImageError when the file has gone bad."""
        return thumbnails.read(self._previews, image.sha256, self._path(image))

    def original(self, image: Pictured) -> tuple[str, bytes]:
        """(MIME type, bytes) of the image at full size in a format that browsers show."""
        path = self._path(image)
        mime = _SHOWN_BY_BROWSERS.get(extension_of(image.filename))
        if mime is not None:
            return mime, path.read_bytes()
        return "image/png", decode.encode_png(decode.read_rgb(path))

    def written(self, directory: str, filenames: Sequence[str]) -> list[InfoRow]:
        """Prompt and settings of candidates, side by side."""
        return metadata.compare([self._project.path(directory, name) for name in filenames])

    def _path(self, image: Pictured) -> Path:
        return self._project.path(image.directory, image.filename)

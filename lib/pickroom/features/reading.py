"""Reading one image for an encoder: as little of it as its input needs, always upright and in sRGB."""

import os
from dataclasses import dataclass
from pathlib import Path

from PIL import Image as PillowImage

from pickroom.core.errors import ImageError
from pickroom.core.naming import extension_of
from pickroom.images import decode, thumbnails


@dataclass(frozen=True, slots=True)
class EmbedItem:
    """One image file to embed, as it was when the work was planned."""

    directory: str  # POSIX path relative to the project's root
    filename: str
    content_hash: str  # SHA-256 (hex) of its bytes
    file_size: int
    mtime_ns: int
    # width, height: pixels upright, where a scan has read them; else None
    width: int | None = None
    height: int | None = None


@dataclass(frozen=True, slots=True)
class ImageSource:
    """Where a project's images, and their previews, lie; small enough to be sent to another machine."""

    root: Path
    previews: Path | None  # the thumbnail folder; None reads every image from its own file

    def path(self, item: EmbedItem) -> Path:
        return self.root / item.directory / item.filename

    def unchanged(self, item: EmbedItem) -> bool:
        """Whether the file is still where and what it was when the work was planned."""
        try:
            info = os.stat(self.path(item), follow_symlinks=False)
        except OSError:
            return False
        return (info.st_size, info.st_mtime_ns) == (item.file_size, item.mtime_ns)

    def read(self, item: EmbedItem, least_side: int) -> tuple[PillowImage.Image, tuple[int, int]]:
        """The image with a short side of at least `least_side` pixels, or all; and (width, height) of its file.

        A preview that is large enough is taken; it shows that the whole file could be decoded, by its hash. Else
        a JPEG is decoded at the smallest of its scales (1/2, 1/4, 1/8) that is large enough.

        Raises:
            ImageError: the image cannot be read.
        """
        preview = self._preview(item, least_side)
        if preview is not None and item.width and item.height:
            return preview, (item.width, item.height)
        path = self.path(item)
        with decode.open_image(path) as image:
            size = decode.upright_size(image)
            profile = image.info.get("icc_profile")
            image.draft("RGB", (least_side, least_side))
            rgb = decode.load_rgb(image, path)
        return thumbnails.to_srgb(rgb, profile), size

    def _preview(self, item: EmbedItem, least_side: int) -> PillowImage.Image | None:
        is_jpeg = extension_of(item.filename) in ("jpg", "jpeg", "jfif", "jpe")
        small_jpeg = max(item.width or 0, item.height or 0) <= thumbnails.LONG_SIDE and is_jpeg
        if self.previews is None or small_jpeg:  # such a file decodes as fast as its preview, and is the real thing
            return None
        path = thumbnails.thumbnail_path(self.previews, item.content_hash)
        try:
            with decode.open_image(path) as image:
                if min(image.size) < least_side:
                    return None
                image.draft("RGB", (least_side, least_side))
                return decode.load_rgb(image, path)
        except ImageError:  # missing or damaged: the image itself then
            return None

"""Previews: made once, kept by content hash, so that moves and renames never make them again."""

import contextlib
import io
from pathlib import Path

from PIL import Image as PillowImage
from PIL import ImageCms
from PIL.ImageFile import ImageFile

from pickroom.images import decode
from pickroom.storage import atomic

LONG_SIDE = 1024  # REVIEW.md, Speed: 1024-px previews
SMALL_SIDE = 256  # of a grid of thumbnails: about 12 kB each, so that thousands fit into a page
_QUALITY = 88
_SMALL_QUALITY = 82
_SRGB = ImageCms.createProfile("sRGB")
_END = b"\xff\xd9"  # of every JPEG file (ITU T.81, B.1.1.3): a preview without it was torn by a power cut


def thumbnail_path(folder: Path, sha256: str) -> Path:
    """Where the preview of the image with this content lies (it may not exist yet)."""
    return folder / sha256[:2] / f"{sha256}.jpg"


def make(folder: Path, sha256: str, source: Path) -> tuple[int, int]:
    """Decode an image wholly, keep its preview, and return its upright (width, height) in pixels.

    Decoding to the end is what finds truncated files, so a scan calls this even to no other purpose.

    Raises:
        ImageError: the image cannot be read.
        OSError: the preview cannot be written.
    """
    with decode.open_image(source) as image:
        return make_of(folder, sha256, source, image)


def make_of(folder: Path, sha256: str, source: Path, image: ImageFile) -> tuple[int, int]:
    """As `make`, of a file that is open already."""
    target = thumbnail_path(folder, sha256)
    with decode.room_for(image):
        size = decode.upright_size(image)
        profile = image.info.get("icc_profile")
        shrink = LONG_SIDE / max(image.size)
        # decoded at the smallest scale that holds the preview: it has the picture's own aspect ratio
        image.draft("RGB", (max(1, int(image.width * shrink)), max(1, int(image.height * shrink))))
        rgb = decode.load_rgb(image, source, long_side=LONG_SIDE)
        preview = None if target.exists() else _encode(rgb, profile)
    if preview is not None:
        target.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):  # another thread met the same content
            # not synced one by one: that was four fifths of a scan of small images; `read` knows a torn one
            atomic.create_bytes(target, preview, durable=False)
    return size


def read(folder: Path, sha256: str, source: Path) -> bytes:
    """The preview's JPEG bytes, made now if the cache was cleared, or a power cut tore it; raises as `make` does."""
    path = thumbnail_path(folder, sha256)
    data = _whole(path)
    if data is None:
        make(folder, sha256, source)
        data = path.read_bytes()
    return data


def read_small(folder: Path, sha256: str, source: Path) -> bytes:
    """A JPEG of at most SMALL_SIDE pixels a side, made of the preview and kept next to it; raises as `make` does."""
    path = folder / sha256[:2] / f"{sha256}.small.jpg"
    data = _whole(path)
    if data is None:
        data = shrink(read(folder, sha256, source), SMALL_SIDE)
        with contextlib.suppress(FileExistsError):  # another thread was faster
            atomic.create_bytes(path, data, durable=False)
    return data


def shrink(preview: bytes, side: int) -> bytes:
    """A JPEG of at most `side` pixels a side, made of a larger one."""
    with PillowImage.open(io.BytesIO(preview)) as picture:
        picture.draft("RGB", (side, side))
        picture.thumbnail((side, side), PillowImage.Resampling.BICUBIC, reducing_gap=2.0)
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=_SMALL_QUALITY)
    return buffer.getvalue()


def _whole(path: Path) -> bytes | None:
    """A preview's bytes, None where there is none; one that was torn is removed, to be made again."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    if data.endswith(_END):
        return data
    path.unlink(missing_ok=True)
    return None


def _encode(rgb: PillowImage.Image, profile: bytes | None) -> bytes:
    """A preview's bytes, in sRGB, so that no viewer needs the profile."""
    buffer = io.BytesIO()
    to_srgb(rgb, profile).save(buffer, "JPEG", quality=_QUALITY, optimize=False)
    return buffer.getvalue()


def to_srgb(rgb: PillowImage.Image, profile: bytes | None) -> PillowImage.Image:
    """The image in sRGB, given its file's ICC profile; the bare numbers without one, or with a damaged one."""
    if profile:
        with contextlib.suppress(ImageCms.PyCMSError, OSError):
            own = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            return ImageCms.profileToProfile(rgb, own, _SRGB, outputMode="RGB") or rgb
    return rgb

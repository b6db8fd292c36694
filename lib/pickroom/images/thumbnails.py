"""Previews: made once, kept by content hash, so that moves and renames never make them again.

A JPEG that is small, upright and without a colour profile is its own preview, without its metadata: nothing is kept of
it (docs/decisions/177).
"""

import contextlib
import io
import struct
from pathlib import Path

from PIL import Image as PillowImage
from PIL import ImageCms
from PIL.ImageFile import ImageFile

from pickroom.images import decode
from pickroom.images.crops.jpeg import APP0, APP14, APP15, COM, segments, written
from pickroom.storage import atomic

LONG_SIDE = 1024  # REVIEW.md, Speed: 1024-px previews
SMALL_SIDE = 256  # of a grid of thumbnails: about 12 kB each, so that thousands fit into a page
_QUALITY = 88
_SMALL_QUALITY = 82
_SRGB = ImageCms.createProfile("sRGB")
_LARGEST_OWN = 1 << 19  # bytes of a JPEG that is its own preview: three times what a preview of its size takes
_OWN_CODINGS = {0xC0, 0xC1, 0xC2}  # baseline, extended and progressive (T.81, table B.1): what every browser reads
_ARITHMETIC = 0xCC  # a segment of arithmetic coding, which browsers do not read
_JFIF = b"JFIF\0"
_END = b"\xff\xd9"  # of every JPEG file (ITU T.81, B.1.1.3): a preview without it was torn by a power cut


def thumbnail_path(folder: Path, sha256: str) -> Path:
    """Where the preview of the image with this content lies (it may not exist yet)."""
    return folder / sha256[:2] / f"{sha256}.jpg"


def make(folder: Path, sha256: str, source: Path, image: ImageFile | None = None) -> tuple[int, int]:
    """Decode an image wholly, keep its preview where it needs one, and return its upright (width, height) in pixels.

    Decoding to the end is what finds truncated files, so a scan calls this even to no other purpose. `image` is the
    file, where it is open already. Raises ImageError where it cannot be read, OSError where no preview can be written.
    """
    if image is None:
        with decode.open_image(source) as image:
            return make(folder, sha256, source, image)
    target = thumbnail_path(folder, sha256)
    with decode.room_for(image):
        size = decode.upright_size(image)
        if target.exists() or _as_own_preview(image, source) is not None:
            image.draft("RGB", (1, 1))  # every byte of the pixels is read all the same
            decode.load_rgb(image, source)
            return size
        profile, scale = image.info.get("icc_profile"), LONG_SIDE / max(image.size)
        # decoded at the smallest scale that holds the preview: it has the picture's own aspect ratio
        image.draft("RGB", (max(1, int(image.width * scale)), max(1, int(image.height * scale))))
        # in sRGB, so that no viewer needs the profile
        small = to_srgb(decode.load_rgb(image, source, long_side=LONG_SIDE), profile)
        _keep(target, decode.encode(small, "JPEG", quality=_QUALITY))
    return size


def read(folder: Path, sha256: str, source: Path) -> bytes:
    """The preview's JPEG bytes, made now if the cache was cleared, or a power cut tore it; raises as `make` does."""
    path = thumbnail_path(folder, sha256)
    data = _whole(path)
    if data is None:
        with decode.open_image(source) as image:
            data = _as_own_preview(image, source)
            if data is None:
                make(folder, sha256, source, image)
                data = path.read_bytes()
    return data


def open_preview(folder: Path, sha256: str, source: Path, *, draft: int | None = None) -> PillowImage.Image:
    """The preview as an RGB picture; `draft` as of `decode.read_rgb`. Raises as `make` does."""
    with PillowImage.open(io.BytesIO(read(folder, sha256, source))) as preview:
        if draft:
            preview.draft("RGB", (draft, draft))
        return decode.load_rgb(preview, source)


def read_small(folder: Path, sha256: str, source: Path) -> bytes:
    """A JPEG of at most SMALL_SIDE pixels a side, made of the preview and kept next to it; raises as `make` does."""
    path = folder / sha256[:2] / f"{sha256}.small.jpg"
    data = _whole(path)
    if data is None:
        whole = read(folder, sha256, source)
        data = shrink(whole, SMALL_SIDE)
        if data is whole:
            return whole
        _keep(path, data)
    return data


def shrink(preview: bytes, side: int) -> bytes:
    """A JPEG of at most `side` pixels a side, made of a larger one; one that is small enough, as it is."""
    with PillowImage.open(io.BytesIO(preview)) as picture:
        if max(picture.size) <= side:
            return preview
        picture.draft("RGB", (side, side))
        picture.thumbnail((side, side), PillowImage.Resampling.BICUBIC, reducing_gap=2.0)
        return decode.encode(picture, "JPEG", quality=_SMALL_QUALITY)


def _keep(path: Path, preview: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):  # another thread met the same content
        # not synced one by one: that was four fifths of a scan of small images; `_whole` knows a torn one
        atomic.create_bytes(path, preview, durable=False)


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


def _as_own_preview(image: ImageFile, source: Path) -> bytes | None:
    """An opened image's own bytes without its metadata, None where it needs a preview."""
    plain = image.format == "JPEG" and image.mode == "RGB" and not image.info.get("icc_profile")
    if not plain or max(image.size) > LONG_SIDE or decode.orientation(image) != 1:
        return None
    try:
        data = source.read_bytes()
        head, scans_at, end = segments(data)
    except (OSError, struct.error):  # decoding it says why
        return None
    markers = {marker for marker, _ in head}
    if len(data) > _LARGEST_OWN or _ARITHMETIC in markers or not markers & _OWN_CODINGS:
        return None
    # APP0 and APP14 say how the components are to be read
    kept = [(marker, content) for marker, content in head if not APP0 <= marker <= APP15 and marker != COM]
    kept = [(APP14, content) for marker, content in head if marker == APP14] + kept
    jfif = [content[:12] + bytes(2) for marker, content in head if marker == APP0 and content.startswith(_JFIF)]
    kept = [(APP0, content) for content in jfif[:1]] + kept  # without its thumbnail
    return b"\xff\xd8" + b"".join(map(written, kept)) + data[scans_at:end]


def to_srgb(rgb: PillowImage.Image, profile: bytes | None) -> PillowImage.Image:
    """The image in sRGB, given its file's ICC profile; the bare numbers without one, or with a damaged one."""
    if profile:
        with contextlib.suppress(ImageCms.PyCMSError, OSError):
            own = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            return ImageCms.profileToProfile(rgb, own, _SRGB, outputMode="RGB") or rgb
    return rgb

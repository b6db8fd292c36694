"""What the tests of cropping share: a photograph, a rich EXIF block, and crops read back."""

from __future__ import annotations

import io
import struct
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image as PillowImage
from PIL import ImageCms, ImageOps
from PIL.ExifTags import IFD

from pickroom.core.geometry import to_pixels
from pickroom.core.records import CropBox
from pickroom.images import crops

BOX = CropBox(0.113, 0.05, 0.883, 0.764)
SIZE = (214, 143)  # of the photograph, in pixels: odd sizes, and larger than one JPEG block
ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:Rating="5"/></rdf:RDF></x:xmpmeta>'
)
MAKER_NOTE = b"Maker\0" + bytes(range(60))
THUMBNAIL = b"\xff\xd8" + b"the whole picture, small" * 8 + b"\xff\xd9"


@cache
def photograph(mode: str = "RGB") -> PillowImage.Image:
    """A real photograph (sklearn's china.jpg) in a mode of Pillow; do not change it."""
    package = find_spec("sklearn")  # found, not imported: that takes seconds
    assert package is not None and package.origin is not None
    with PillowImage.open(Path(package.origin).parent / "datasets" / "images" / "china.jpg") as image:
        small = image.convert("RGB").resize(SIZE, PillowImage.Resampling.LANCZOS)
    small.info.clear()
    if mode in ("LA", "RGBA"):
        small.putalpha(small.convert("L").point(lambda value: max(0, value - 60)))
        return small.convert(mode)
    if mode == "I;16":
        values = np.asarray(small.convert("L"), dtype=np.uint16) * 251 + 7  # low bytes in use too
        return PillowImage.fromarray(values)
    if mode in ("I", "F"):
        return PillowImage.fromarray(np.asarray(small.convert("L")).astype("i4" if mode == "I" else "f4") * 3 - 100)
    return small.convert(mode)


def exif_block(orientation: int = 1, order: str = "<", thumbnail: bytes = THUMBNAIL) -> bytes:
    """An EXIF block as cameras lay it out: IFD0, Exif with a maker note, GPS, then IFD1 and its thumbnail."""
    make, taken = b"Pickroom Cameras\0", b"2025:08:03 06:00:00\0"
    latitude = struct.pack(order + "6I", 52, 1, 31, 1, 1234, 100)

    def directory(at: int, rows: list[tuple[int, int, int, bytes]], following: int = 0) -> bytes:
        extra, entries = b"", b""
        behind = at + 2 + 12 * len(rows) + 4
        for tag, kind, count, value in rows:
            if len(value) > 4:
                value, extra = struct.pack(order + "I", behind + len(extra)), extra + value + bytes(len(value) % 2)
            entries += struct.pack(order + "HHI", tag, kind, count) + value.ljust(4, b"\0")
        return struct.pack(order + "H", len(rows)) + entries + struct.pack(order + "I", following) + extra

    def short(value: int) -> bytes:
        return struct.pack(order + "H", value)

    def long(value: int) -> bytes:
        return struct.pack(order + "I", value)

    def whole(photo_at: int, gps_at: int, second_at: int, thumbnail_at: int) -> list[bytes]:
        main = [
            (0x0100, 4, 1, long(SIZE[0])),
            (0x0101, 4, 1, long(SIZE[1])),
            (0x010F, 2, len(make), make),
            (0x0112, 3, 1, short(orientation)),
            (0x8769, 4, 1, long(photo_at)),
            (0x8825, 4, 1, long(gps_at)),
        ]
        photo = [
            (0x9003, 2, len(taken), taken),
            (0x927C, 7, len(MAKER_NOTE), MAKER_NOTE),
            (0xA002, 3, 1, short(SIZE[0])),
            (0xA003, 3, 1, short(SIZE[1])),
        ]
        second = [(0x0201, 4, 1, long(thumbnail_at)), (0x0202, 4, 1, long(len(thumbnail)))]
        return [
            directory(8, main, second_at),
            directory(photo_at, photo),
            directory(gps_at, [(1, 2, 2, b"N\0"), (2, 5, 3, latitude)]),
            directory(second_at, second),
        ]

    places = [0, 0, 0, 0]
    for _ in range(2):  # once to learn the lengths, once with the offsets they give
        parts = whole(*places)
        places = [8 + sum(map(len, parts[: n + 1])) for n in range(4)]
    mark = b"II" if order == "<" else b"MM"
    return b"Exif\0\0" + mark + struct.pack(order + "HI", 42, 8) + b"".join(parts) + thumbnail


def exif_fields(image: PillowImage.Image) -> dict[str, dict[int, object]]:
    """Every EXIF field of an image, by directory."""
    exif = image.getexif()
    main = {tag: value for tag, value in exif.items() if tag not in (0x8769, 0x8825)}
    return {
        "main": main,
        "exif": dict(exif.get_ifd(IFD.Exif)),
        "gps": dict(exif.get_ifd(IFD.GPSInfo)),
        "thumbnail": dict(exif.get_ifd(IFD.IFD1)),
    }


def cropped(source: Path, box: CropBox = BOX) -> PillowImage.Image:
    """The rendered crop, opened and not yet upright."""
    return PillowImage.open(io.BytesIO(crops.render(source, box)))


def expected(source: Path, box: CropBox = BOX) -> np.ndarray:
    """The source's upright pixels inside the box, as Pillow alone gives them."""
    # not by its name: Pillow 13 misreads turned TIFF files that it can map into memory
    with PillowImage.open(io.BytesIO(source.read_bytes())) as image:
        upright = ImageOps.exif_transpose(image)
    return np.asarray(upright.crop(to_pixels(box, *upright.size)))


def pixels(crop: PillowImage.Image) -> np.ndarray:
    return np.asarray(ImageOps.exif_transpose(crop))


def difference(a: np.ndarray, b: np.ndarray) -> float:
    """Mean absolute difference of two images of one shape, in levels of 255."""
    assert a.shape == b.shape
    return float(np.abs(a.astype(float) - b.astype(float)).mean())

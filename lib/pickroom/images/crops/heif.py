"""HEIC: coded again at a fixed high quality, since the file does not say its own.

Source of the container: ISO/IEC 14496-12 (boxes), ISO/IEC 23008-12 (items), Motion Photo format 1.0 (`mpvd`).
"""

import io
import struct
from collections.abc import Iterator

from PIL import ImageFile

from pickroom.core.geometry import PixelBox
from pickroom.images.crops import metadata, xmp
from pickroom.images.crops.regions import Cut

QUALITY = 90  # of 100: see the test that holds the second generation to a small error
# Of x265; libheif's own is "slow". By benchmarks/heic.py, in time of the processor: 2.5 times faster with 0.7 % more
# bytes at the same error on the built-in photographs, 2.3 times with 2.4 % on twelve of 900 px (at the same quality
# number 1.6 and 3.9 % more bytes, with a smaller error). "ultrafast" is 7 times faster, and 9 % larger.
PRESET = "fast"
_PICTURE = (b"ftyp", b"meta", b"mdat", b"free", b"skip")
# the id of the uuid box that holds signatures (C2PA 2.1, A.4.1)
_SIGNATURES = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")
_XMP = b"application/rdf+xml"


def refusal(image: ImageFile.ImageFile, data: bytes) -> str:
    """Why a crop would lose something, "" when it would not."""
    frames = getattr(image, "n_frames", 1)
    if frames > 1:
        return f"holds {frames} pictures, of which only one would be cropped"
    depth = image.info.get("bit_depth", 8)
    if depth > 8:
        return f"HEIC of {depth} bits, which would be cut to 8"
    if any(image.info.get("depth_images") or ()):
        return "holds a depth map, which would be lost"
    if image.info.get("aux"):
        return "holds an auxiliary picture (an HDR gain map or a matte), which would be lost"
    if any(kind == b"moov" for kind, _, _ in _boxes(data, 0, len(data))):
        return "holds an image sequence or a video, which would be lost"
    for kind, content in _items(data):
        if kind == b"tmap":
            return "holds an HDR gain map, which would be lost"
        if kind == b"mime" and content != _XMP:
            return f"holds an item of another program ({content.decode('latin-1')}), which would be lost"
    return ""


def trailer(image: ImageFile.ImageFile, data: bytes) -> bytes:
    """Boxes of other programs, such as the video of a Motion Photo, and what lies behind the last box."""
    kept, at = b"", 0
    for kind, start, end in _boxes(data, 0, len(data)):
        if kind not in _PICTURE and not _is_signature(data, kind, start):
            kept += data[start:end]
        at = end
    return kept + data[at:]


def left_out(data: bytes) -> str:
    """What only the uncropped picture can have, for the user to be told; "" when there is nothing of the kind."""
    signed = any(_is_signature(data, kind, start) for kind, start, _ in _boxes(data, 0, len(data)))
    return metadata.SIGNATURE if signed else ""


def encode(image: ImageFile.ImageFile, box: PixelBox, cut: Cut, data: bytes) -> bytes:
    """The crop, upright, with the source's chroma subsampling, colour profile, EXIF and XMP."""
    crop = image.crop(box)
    chroma = image.info.get("chroma")
    options: dict[str, object] = {"enc_params": {"preset": PRESET}} | ({"chroma": chroma} if chroma else {})
    # the plugin has set Orientation to 1 in both, and takes the other properties from `info` by itself
    if exif := image.info.get("exif"):
        options["exif"] = metadata.exif_after_crop(exif, cut)
    if packet := image.info.get("xmp"):
        options["xmp"] = xmp.after_crop(packet, cut)
    buffer = io.BytesIO()
    crop.save(buffer, "HEIF", quality=QUALITY, **options)
    return buffer.getvalue()


def _is_signature(data: bytes, kind: bytes, start: int) -> bool:
    return kind == b"uuid" and data.startswith(_SIGNATURES, start + 8)


def _boxes(data: bytes, at: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """(kind, start, end) of each box, up to what is none."""
    while at + 16 <= end:
        size, kind = struct.unpack_from(">I4s", data, at)
        if size == 1:
            (size,) = struct.unpack_from(">Q", data, at + 8)
        elif size == 0 and kind == b"mdat":
            size = end - at
        if size < 8 or at + size > end:
            return
        yield kind, at, at + size
        at += size


def _items(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(kind, content type of a "mime" item) of every item of the file (ISO/IEC 14496-12, 8.11.6)."""
    for kind, start, end in _boxes(data, 0, len(data)):
        for kind_in_meta, at, until in _boxes(data, start + 12, end) if kind == b"meta" else ():
            if kind_in_meta != b"iinf":
                continue
            for _, entry, entry_end in _boxes(data, at + (14 if data[at + 8] == 0 else 16), until):
                place = entry + (16 if data[entry + 8] < 3 else 18)  # behind the ids of the item and its protection
                _, content, *_ = (*data[place + 4 : entry_end].split(b"\0"), b"", b"")
                yield data[place : place + 4], content

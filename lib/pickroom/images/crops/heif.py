"""HEIC and AVIF: coded again at a fixed high quality, since a file does not say its own.

HEIC is written upright; AVIF is turned as its source is.

Sources: ISO/IEC 14496-12 (boxes), ISO/IEC 23008-12 (items and their properties), AV1 Image File Format 1.1, Motion
Photo format 1.0 (`mpvd`).
"""

import struct
from collections.abc import Iterator

from PIL import Image as PillowImage
from PIL import ImageFile

from pickroom.core.geometry import PixelBox
from pickroom.images import decode
from pickroom.images.crops import exif, xmp
from pickroom.images.crops.regions import CropError, Cut

QUALITY = 90  # of 100, of both: see the tests that hold the second generation to a small error
# Of x265; libheif's own is "slow". By benchmarks/heic.py, in time of the processor: 2.5 times faster with 0.7 % more
# bytes at the same error on the built-in photographs, 2.3 times with 2.4 % on twelve of 900 px (at the same quality
# number 1.6 and 3.9 % more bytes, with a smaller error). "ultrafast" is 7 times faster, and 9 % larger.
PRESET = "fast"
_AVIF_SPEED = 8  # of 0 to 10: half the time of Pillow's usual 6, for a fifth more bytes and .5 dB
_PICTURE = (b"ftyp", b"meta", b"mdat", b"free", b"skip")
# the id of the uuid box that holds signatures (C2PA 2.1, A.4.1)
_SIGNATURES = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")
_XMP = b"application/rdf+xml"
_OUTER = {b"meta": 12, b"iprp": 8, b"ipco": 8}  # boxes that hold boxes -> bytes before these
_SRGB = ((1, 2), (2, 13))  # colour primaries, transfer functions (H.273) that say sRGB, or nothing
_ALPHA = b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha"
_ORIENTATION, _DESCRIPTION = 0x0112, 0x010E


def check_heic(image: ImageFile.ImageFile, data: bytes) -> tuple[str, bytes]:
    """Refuse more than 8 bits, and whatever else lies next to the one picture (see `crops.Check`)."""
    depth = image.info.get("bit_depth", 8)
    if depth > 8:
        raise CropError(f"HEIC of {depth} bits, which would be cut to 8")
    if any(image.info.get("depth_images") or ()):
        raise CropError("holds a depth map, which would be lost")
    if image.info.get("aux"):
        raise CropError("holds an auxiliary picture (an HDR gain map or a matte), which would be lost")
    return _check(image, data)


def check_avif(image: ImageFile.ImageFile, data: bytes) -> tuple[str, bytes]:
    """Refuse more than 8 bits, colours that are not sRGB, and further pictures (see `crops.Check`)."""
    for kind, body in _properties(data):
        # bits of a sample, by an AV1 configuration record (AV1-ISOBMFF, 2.3)
        if kind == b"av1C" and len(body) >= 4 and body[2] & 0x40:
            raise CropError(f"AVIF of {12 if body[2] & 0x20 else 10} bits, which would be cut to 8")
        if kind == b"auxC" and not body[4:].startswith(_ALPHA):
            raise CropError("holds an auxiliary picture (a depth or gain map), which would be lost")
        if kind == b"colr" and body[:4] == b"nclx" and "icc_profile" not in image.info:
            primaries, transfer = struct.unpack_from(">HH", body, 4)
            if primaries not in _SRGB[0] or transfer not in _SRGB[1]:
                raise CropError(f"has colours of its own ({primaries}/{transfer} of H.273), which would read as sRGB")
    return _check(image, data)


def _check(image: ImageFile.ImageFile, data: bytes) -> tuple[str, bytes]:
    frames = getattr(image, "n_frames", 1)
    if frames > 1:
        raise CropError(f"holds {frames} pictures, of which only one would be cropped")
    own = list(_own(data))
    if any(kind == b"moov" for kind, _, _ in own):
        raise CropError("holds an image sequence or a video, which would be lost")
    for kind, content in _items(data):
        if kind == b"tmap":
            raise CropError("holds an HDR gain map, which would be lost")
        if kind == b"mime" and content != _XMP:
            raise CropError(f"holds an item of another program ({content.decode('latin-1')}), which would be lost")
    signed = [start for kind, start, _ in own if kind == b"uuid" and data.startswith(_SIGNATURES, start + 8)]
    others = [(start, end) for kind, start, end in own if kind not in _PICTURE and start not in signed]
    behind = own[-1][2] if own else 0
    trailer = b"".join(data[start:end] for start, end in (*others, (behind, None)))
    return exif.SIGNATURE if signed else "", trailer


def encode_heic(image: ImageFile.ImageFile, box: PixelBox, cut: Cut, data: bytes) -> bytes:
    """The crop, upright, with the source's chroma subsampling, colour profile, EXIF and XMP."""
    chroma = image.info.get("chroma")
    options: dict[str, object] = {"enc_params": {"preset": PRESET}} | ({"chroma": chroma} if chroma else {})
    # the plugin has set Orientation to 1 in both, and takes the other properties from `info` by itself
    if block := image.info.get("exif"):
        options["exif"] = exif.after_crop(block, cut)
    if packet := image.info.get("xmp"):
        options["xmp"] = xmp.after_crop(packet, cut)
    return decode.encode(image.crop(box), "HEIF", quality=QUALITY, **options)


def encode_avif(image: ImageFile.ImageFile, box: PixelBox, cut: Cut, data: bytes) -> bytes:
    """The crop with the source's chroma subsampling, ICC profile, EXIF and XMP, and its turn."""
    coded = [body for kind, body in _properties(data) if kind == b"av1C" and len(body) >= 4]
    colour = next((body for body in coded if not body[2] & 0x10), coded[0])[2]  # alpha has no colour
    # Pillow writes EXIF with a turn anew, which breaks what makers keep there: its place is held by as many bytes as
    # the block has with its prefix, or a few more
    block = exif.after_crop(image.info.get("exif", b""), cut).removeprefix(exif.PREFIX)
    held = PillowImage.Exif()
    if block:
        held[_DESCRIPTION] = "x" * max(1, len(block) - 27)
    placed = held.tobytes() if block else b""
    held[_ORIENTATION] = cut.after
    made = decode.encode(
        image.crop(box),
        "AVIF",
        quality=QUALITY,
        speed=_AVIF_SPEED,
        subsampling="4:0:0" if colour & 0x10 else {0: "4:4:4", 0x08: "4:2:2"}.get(colour & 0x0C, "4:2:0"),
        icc_profile=image.info.get("icc_profile", b""),
        exif=held if cut.after != 1 else placed,
        xmp=xmp.after_crop(packet, cut) if (packet := image.info.get("xmp")) else b"",
    )
    if not block:
        return made
    if made.count(placed) != 1:
        raise ValueError("its EXIF could not be written")
    return made.replace(placed, (exif.PREFIX + block).ljust(len(placed), b"\0"))


def _boxes(data: bytes, at: int = 0, end: int | None = None) -> Iterator[tuple[bytes, int, int]]:
    """(kind, start, end) of each box from one place to another, up to what is none."""
    end = len(data) if end is None else end
    while at + 8 <= end:
        size, kind = struct.unpack_from(">I4s", data, at)
        if size == 1:
            size = int.from_bytes(data[at + 8 : at + 16])
        elif size == 0 and kind == b"mdat":
            size = end - at
        if size < 8 or at + size > end:
            return
        yield kind, at, at + size
        at += size


def _own(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """The boxes of the picture's file; a video may follow as a file of its own."""
    for kind, start, end in _boxes(data):
        if kind == b"ftyp" and start:
            return
        yield kind, start, end


def _items(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(kind, content type of a "mime" item) of every item of the file (ISO/IEC 14496-12, 8.11.6)."""
    for kind, start, end in _own(data):
        for kind_in_meta, at, until in _boxes(data, start + 12, end) if kind == b"meta" else ():
            if kind_in_meta != b"iinf":
                continue
            for _, entry, entry_end in _boxes(data, at + (14 if data[at + 8] == 0 else 16), until):
                place = entry + (16 if data[entry + 8] < 3 else 18)  # behind the ids of the item and its protection
                _, content, *_ = (*data[place + 4 : entry_end].split(b"\0"), b"", b"")
                yield data[place : place + 4], content


def _properties(data: bytes, at: int = 0, end: int | None = None) -> Iterator[tuple[bytes, bytes]]:
    """(kind, body) of the properties of items."""
    for kind, start, stop in _boxes(data, at, end):
        if kind in _OUTER:
            yield from _properties(data, start + _OUTER[kind], stop)
        elif kind in (b"av1C", b"auxC", b"colr"):
            yield kind, data[start + 8 : stop]

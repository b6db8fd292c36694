"""PNG and WebP: the source's own chunks around newly coded pixels; and BMP, which has no metadata but its resolution.

Lossless WebP stays lossless; lossy is coded again at a fixed high quality, since the file does not say its own.

Sources: PNG (third edition); WebP Image Format (RFC 9649), sections 2.3 to 2.7.
"""

import struct
import zlib
from collections.abc import Iterator

from PIL import ImageFile

from pickroom.core.geometry import PixelBox
from pickroom.images import decode
from pickroom.images.crops import exif, xmp
from pickroom.images.crops.regions import CropError, Cut

_SIGNATURE_LENGTH = 8  # PNG (third edition), section 5.2
# Chunks whose name forbids a copy by an editor that does not know them (section 5.4, safe-to-copy bit), and that are
# as true of the crop as of the source
_KNOWN = frozenset(b"PLTE tRNS cHRM gAMA iCCP sBIT sPLT sRGB cICP mDCV mDCv cLLI cLLi bKGD tIME pCAL sCAL orNT".split())
# Chunks that a crop makes untrue: how often the source has each colour, where Apple's decoder begins its second half,
# signatures, the frame of an animation of one, and where the uncropped picture lies on a larger page
_UNTRUE = frozenset(b"hIST iDOT dSIG caBX acTL fcTL oFFs vpAg caNv".split())
# of 9: twice as fast on a photograph as Pillow's 6, for files at most 3 % larger (measured, 1577 x 1564 px)
_COMPRESS_LEVEL = 4
_PNG_PIXELS = (b"IHDR", b"IDAT", b"IEND")
_TEXT = (b"tEXt", b"zTXt", b"iTXt")
_XMP = b"XML:com.adobe.xmp"  # keyword of XMP (part 3, 1.1.5); writers use all three kinds of text
_PROFILE = b"Raw profile type "  # keyword of metadata as ImageMagick writes them, in hexadecimal digits
_LONGEST_TEXT = 1 << 26  # bytes of a text that is unpacked
_SAFE_TO_COPY = 0x20  # bit 5 of the fourth letter
# WebP
WEBP_QUALITY = 96  # of 100: see the test that holds the second generation to a small error
_WEBP_LOSSY_METHOD = 2  # of 6: half of libwebp's usual time, with the error of its 95 and 9 % more bytes
_WEBP_LOSSLESS = {"lossless": True, "exact": True, "quality": 80}  # quality is effort here, libwebp's usual
_WEBP_PIXELS = (b"VP8 ", b"VP8L", b"ALPH")
# What the crop has anew, or does not have: the header, an animation of one frame, signatures
_WEBP_LEFT = (b"VP8X", b"ANIM", b"ANMF", b"C2PA")
_WEBP_FLAGS = {b"ICCP": 0x20, b"EXIF": 0x08, b"XMP ": 0x04}  # of VP8X
_WEBP_ALPHA = 0x10
# BMP
_BMP_PROFILE_KINDS = (b"DEBM", b"KNIL")  # BITMAPV5HEADER: PROFILE_EMBEDDED, PROFILE_LINKED
_BMP_V5_SIZE, _BMP_KIND_AT = b"\x7c\0\0\0", 14 + 56  # bV5CSType, counted from the start of the file


def check_png(image: ImageFile.ImageFile, data: bytes) -> tuple[str, bytes]:
    """Refuse animations, 16-bit colour, and unknown chunks that are bound to their pixels (see `crops.Check`)."""
    if getattr(image, "n_frames", 1) > 1:
        raise CropError("animated PNG")
    depth, colour = _png_header(data)
    if depth == 16 and colour != 0:
        # Pillow decodes these to 8 bits
        raise CropError("16-bit colour PNG, which would be cut to 8 bits")
    left_out, end = "", _SIGNATURE_LENGTH
    for kind, chunk in _png_chunks(data):
        handled = kind in _KNOWN or kind in _UNTRUE or kind in (*_PNG_PIXELS, b"eXIf")
        if not handled and not kind[3] & _SAFE_TO_COPY:
            raise CropError(f"holds a chunk bound to its pixels ({kind.decode('latin-1')}), which would be lost")
        left_out = exif.SIGNATURE if kind in (b"caBX", b"dSIG") else left_out
        end += len(chunk)
        if kind == b"IEND":
            return left_out, data[end:]
    return left_out, b""


def encode_png(image: ImageFile.ImageFile, box: PixelBox, cut: Cut, data: bytes) -> bytes:
    """The crop at the source's depth and colour type; text, profiles and the rest verbatim, in their order."""
    crop = image.crop(box)
    crop.info.clear()
    depth, _ = _png_header(data)
    if crop.mode == "P":
        # as many entries as the depth allows makes Pillow keep the depth; the palette written is the source's own
        palette = crop.getpalette() or []
        crop.putpalette(palette + [0] * (3 * (1 << depth) - len(palette)))
    encoded = decode.encode(crop, "PNG", bits=min(depth, 8), compress_level=_COMPRESS_LEVEL)
    new: dict[bytes, list[bytes]] = {}
    for kind, chunk in _png_chunks(encoded):
        new.setdefault(kind, []).append(chunk)
    parts = [data[:_SIGNATURE_LENGTH]]
    for kind, chunk in _png_chunks(data):
        if kind in _PNG_PIXELS:
            parts += new.pop(kind, [])  # all pixels at the place of the first IDAT
        elif kind == b"eXIf":
            parts.append(decode.png_chunk(kind, exif.after_crop(chunk[8:-4], cut)))
        elif kind in _TEXT:
            parts.append(_text_after_crop(kind, chunk, cut))
        elif kind not in _UNTRUE:
            parts.append(chunk)
    parts += new.get(b"IEND", [])  # a source that ends without one is decoded all the same
    return b"".join(parts)


def _png_header(data: bytes) -> tuple[int, int]:
    """Bit depth and colour type of IHDR (section 11.2.1), which Pillow does not tell."""
    return data[_SIGNATURE_LENGTH + 16], data[_SIGNATURE_LENGTH + 17]


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(type, whole chunk with length and CRC) up to IEND."""
    at = _SIGNATURE_LENGTH
    while at + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        kind = data[at + 4 : at + 8]
        yield kind, data[at : at + 12 + length]
        if kind == b"IEND":
            return
        at += 12 + length


def _text_after_crop(kind: bytes, chunk: bytes, cut: Cut) -> bytes:
    """A text chunk (section 11.3.3) whose text is metadata, as it is true of the crop; others as they are."""
    keyword, _, text = chunk[8:-4].partition(b"\0")
    if keyword != _XMP and not keyword.startswith(_PROFILE):
        return chunk
    head, packed = b"", kind == b"zTXt"
    if kind == b"iTXt":  # whether it is packed, how, a language, and the keyword in it
        parts = text[2:].split(b"\0", 2)
        if len(parts) != 3:
            return chunk
        packed = text[:1] == b"\1"
        head, text = text[:2] + parts[0] + b"\0" + parts[1] + b"\0", parts[2]
    elif packed:
        head, text = text[:1], text[1:]
    if packed:
        unpacker = zlib.decompressobj()
        text = unpacker.decompress(text, _LONGEST_TEXT)
        if not unpacker.eof:
            return chunk
    changed = xmp.after_crop(text, cut) if keyword == _XMP else _profile_after_crop(text, cut)
    if changed == text:
        return chunk
    return decode.png_chunk(kind, keyword + b"\0" + head + (zlib.compress(changed) if packed else changed))


def _profile_after_crop(text: bytes, cut: Cut) -> bytes:
    """ImageMagick's text of a profile: a line break, a name, a length and hexadecimal digits, each in lines."""
    try:
        start, name, _, *lines = text.split(b"\n")
        profile = bytes.fromhex(b"".join(lines).decode("ascii"))
    except ValueError:
        return text
    mark = xmp.PREFIX if profile.startswith(xmp.PREFIX) else b""
    if profile.startswith((exif.PREFIX, b"II*\0", b"MM\0*")):
        changed = exif.after_crop(profile, cut)
    elif profile.startswith(b"8BIM"):
        changed = xmp.resources_after_crop(profile, cut)
    else:
        changed = mark + xmp.after_crop(profile[len(mark) :], cut)
    if changed == profile:
        return text
    digits = changed.hex().encode()
    rows = (digits[at : at + 72] for at in range(0, len(digits), 72))
    return b"\n".join((start, name, b"%8d" % len(changed), *rows, b""))


def check_webp(image: ImageFile.ImageFile, data: bytes) -> tuple[str, bytes]:
    """Refuse animations (see `crops.Check`)."""
    if getattr(image, "n_frames", 1) > 1:
        raise CropError("animated WebP")
    return exif.SIGNATURE if any(kind == b"C2PA" for kind, _ in _webp_chunks(data)) else "", data[_webp_end(data) :]


def encode_webp(image: ImageFile.ImageFile, box: PixelBox, cut: Cut, data: bytes) -> bytes:
    """The crop among the source's other chunks; the colours under transparent pixels too if lossless."""
    lossless = any(kind == b"VP8L" for kind, _ in _webp_chunks(data))
    crop = image.crop(box)
    crop.info.clear()
    options = _WEBP_LOSSLESS if lossless else {"quality": WEBP_QUALITY, "method": _WEBP_LOSSY_METHOD}
    encoded = list(_webp_chunks(decode.encode(crop, "WEBP", **options)))
    pixels = [chunk for chunk in encoded if chunk[0] in _WEBP_PIXELS]
    kept: list[tuple[bytes, bytes]] = []
    for kind, content in _webp_chunks(data):
        if kind in _WEBP_PIXELS:
            kept += pixels  # at the place of the first
            pixels = []
        elif kind == b"EXIF":
            kept.append((kind, exif.after_crop(content, cut)))
        elif kind == b"XMP ":
            kept.append((kind, xmp.after_crop(content, cut)))
        elif kind not in _WEBP_LEFT:
            kept.append((kind, content))
    header = any(kind == b"VP8X" for kind, _ in encoded)
    if header or any(kind not in _WEBP_PIXELS for kind, _ in kept):
        # the encoder's lossless pixels say by themselves whether there is alpha, in bit 28 behind their signature
        alpha = header or any(kind == b"VP8L" and content[4] & 0x10 for kind, content in kept)
        flags = sum({_WEBP_FLAGS.get(kind, 0) for kind, _ in kept}) | (_WEBP_ALPHA if alpha else 0)
        canvas = b"".join((side - 1).to_bytes(3, "little") for side in cut.stored_size)
        kept.insert(0, (b"VP8X", bytes((flags, 0, 0, 0)) + canvas))
    parts = (kind + struct.pack("<I", len(content)) + content + bytes(len(content) % 2) for kind, content in kept)
    body = b"WEBP" + b"".join(parts)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _webp_end(data: bytes) -> int:
    length = int.from_bytes(data[4:8], "little")
    return min(8 + length + (length & 1), len(data))


def _webp_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(kind, content) of each chunk; of a frame's own chunks in an animation, those of its pixels."""
    at, end = 12, _webp_end(data)
    while at + 8 <= end:
        kind, size = struct.unpack_from("<4sI", data, at)
        yield kind, data[at + 8 : min(at + 8 + size, end)]
        # a frame begins with 16 bytes of its own, then its pixels' chunks
        at += 8 + (16 if kind == b"ANMF" else size + (size & 1))


def check_bmp(image: ImageFile.ImageFile, data: bytes) -> tuple[str, bytes]:
    """Refuse transparency and colour profiles, which Pillow cannot write (see `crops.Check`)."""
    if image.mode == "RGBA":
        raise CropError("BMP with transparency, which Pillow cannot write")
    if data[14:18] == _BMP_V5_SIZE and data[_BMP_KIND_AT : _BMP_KIND_AT + 4] in _BMP_PROFILE_KINDS:
        raise CropError("BMP with a colour profile, which Pillow cannot write")
    (start,) = struct.unpack_from("<I", data, 10)
    (header,) = struct.unpack_from("<I", data, 14)
    if header < 40:  # BITMAPCOREHEADER: uncompressed, its depth at another place
        compression, length, bits = 0, 0, struct.unpack_from("<H", data, 24)[0]
    else:
        bits, compression, length = struct.unpack_from("<HII", data, 28)
    if compression not in (1, 2):  # RLE8 and RLE4 say their length, or do not tell
        length = (image.width * bits + 31) // 32 * 4 * image.height
    return "", data[start + length :] if length else b""


def encode_bmp(image: ImageFile.ImageFile, box: PixelBox, cut: Cut, data: bytes) -> bytes:
    """The crop with the source's resolution."""
    # (0, 0): unknown stays unknown, where Pillow would write 96 dpi
    return decode.encode(image.crop(box), "BMP", dpi=image.info.get("dpi", (0, 0)))

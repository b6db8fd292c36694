"""Real files of every format, cropped: no metadata speaks of the picture before."""

from __future__ import annotations

import io
import shutil
import struct
import subprocess
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image as PillowImage
from PIL.PngImagePlugin import PngInfo
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from images.pictures import SIZE, exif_block, photograph
from images.test_crops_photoshop import resource
from images.test_crops_xmp import SPACES, area, numbers, packet, regions
from pickroom.core.errors import ImageError
from pickroom.core.geometry import to_stored
from pickroom.core.records import CropBox
from pickroom.images import crops, decode
from pickroom.images.crops import xmp

BOX = CropBox(0.5, 0.5, 1, 1)
WIDE, HIGH = SIZE
PICTURE = photograph()
INSIDE, OUTSIDE = area(0.75, 0.75, 0.1, 0.2), area(0.2, 0.2, 0.1, 0.1)
WHOLE = packet(
    regions(INSIDE, OUTSIDE, size=SIZE) + "<dc:title>kept</dc:title><crs:HasCrop>True</crs:HasCrop>",
    f'tiff:ImageWidth="{WIDE}" exif:PixelYDimension="{HIGH}" GPano:FullPanoWidthPixels="{WIDE}"',
)
XMP_HEAD, EXTENDED_HEAD = b"http://ns.adobe.com/xap/1.0/\0", b"http://ns.adobe.com/xmp/extension/\0"


def segment(marker: int, data: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(data) + 2) + data


def jpeg(*segments: bytes) -> bytes:
    buffer = io.BytesIO()
    PICTURE.save(buffer, "JPEG", quality=90)
    plain = buffer.getvalue()
    behind_app0 = 4 + int.from_bytes(plain[4:6])
    return plain[:behind_app0] + b"".join(segments) + plain[behind_app0:]


def jpeg_with_xmp(whole: bytes) -> bytes:
    return jpeg(segment(0xE1, XMP_HEAD + whole))


def png(kind: bytes, content: bytes) -> bytes:
    buffer = io.BytesIO()
    PICTURE.save(buffer, "PNG")
    plain = buffer.getvalue()
    chunk = struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
    return plain[:33] + chunk + plain[33:]


def raw_profile(name: bytes, profile: bytes) -> bytes:
    digits = profile.hex().encode()
    rows = b"\n".join(digits[at : at + 72] for at in range(0, len(digits), 72))
    return b"\n" + name + b"\n%8d\n" % len(profile) + rows + b"\n"


def webp(whole: bytes) -> bytes:
    buffer = io.BytesIO()
    PICTURE.save(buffer, "WEBP", lossless=True, xmp=whole)
    return buffer.getvalue()


def tiff(whole: bytes, tag: int = 700) -> bytes:
    tags = ImageFileDirectory_v2()
    tags.tagtype[tag] = 1
    tags[tag] = whole
    buffer = io.BytesIO()
    PICTURE.save(buffer, "TIFF", tiffinfo=tags)
    return buffer.getvalue()


def avif(xmp: bytes) -> bytes:
    buffer = io.BytesIO()
    PICTURE.save(buffer, "AVIF", xmp=xmp, quality=90)
    return buffer.getvalue()


def heic(whole: bytes) -> bytes:
    buffer = io.BytesIO()
    PICTURE.save(buffer, "HEIF", xmp=whole)
    return buffer.getvalue()


XMP_FILES: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "jpeg": ("jpg", jpeg_with_xmp),
    "png itxt": ("png", lambda x: png(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + x)),
    "png packed itxt": ("png", lambda x: png(b"iTXt", b"XML:com.adobe.xmp\0\1\0en\0\0" + zlib.compress(x))),
    "png text": ("png", lambda x: png(b"tEXt", b"XML:com.adobe.xmp\0" + x)),
    "png raw profile": (
        "png",
        lambda x: png(b"zTXt", b"Raw profile type xmp\0\0" + zlib.compress(raw_profile(b"xmp", x))),
    ),
    "png app1 profile": (
        "png",
        lambda x: png(b"tEXt", b"Raw profile type APP1\0" + raw_profile(b"generic", XMP_HEAD + x)),
    ),
    "webp": ("webp", webp),
    "tiff": ("tif", tiff),
    "tiff resource": ("tif", lambda x: tiff(resource(1060, x), 34377)),
    "heic": ("heic", heic),
    "avif": ("avif", avif),
}


def rendered(folder: Path, name: str, content: bytes, box: CropBox = BOX) -> bytes:
    source = folder / name
    source.write_bytes(content)
    crop = crops.render(source, box)
    (folder / f"crop.{source.suffix[1:]}").write_bytes(crop)
    return crop


def unpacked(crop: bytes) -> bytes:
    """A file with every text of a PNG unpacked, and profiles out of their hexadecimal digits."""
    found = crop
    for part in crop.split(b"IDAT")[0].split(b"iTXt")[1:] + crop.split(b"IDAT")[0].split(b"zTXt")[1:]:
        start = part.find(b"\x78\x9c")
        found += zlib.decompressobj().decompress(part[start:]) if start >= 0 else b""
    for name in (b"\nxmp\n", b"\ngeneric\n", b"\nexif\n"):
        if name in found:
            digits = found.split(name)[1].split(b"\n", 1)[1]
            found += bytes.fromhex("".join(line.decode() for line in digits.split(b"\n")[:-1] if line.isalnum()))
    return found


@pytest.mark.parametrize("kind", XMP_FILES)
def test_xmp_of_each_format_is_true_of_its_crop(kind: str, tmp_path: Path) -> None:
    extension, make = XMP_FILES[kind]
    crop = unpacked(rendered(tmp_path, f"a.{extension}", make(WHOLE)))
    wide, high = PillowImage.open(tmp_path / f"crop.{extension}").size
    found = crop[crop.rindex(b"<x:xmpmeta") : crop.rindex(b"</x:xmpmeta>")]
    assert numbers(found.replace(b"\0", b""), "tiff:ImageWidth", "exif:PixelYDimension") == [wide, high]
    assert b">kept<" in found and b"GPano:Full" not in found and b"crs:HasCrop" not in found
    assert found.count(b"mwg-rs:Area ") == 1
    x1, y1, x2, y2 = (side * of for side, of in zip((0.7, 0.65, 0.8, 0.85), (WIDE, HIGH) * 2, strict=True))
    left, top = WIDE - wide, HIGH - high
    place = [(x1 + x2) / 2 - left, (y1 + y2) / 2 - top, x2 - x1, y2 - y1]
    fractions = [side / of for side, of in zip(place, (wide, high) * 2, strict=True)]
    assert numbers(found, "stArea:[xywh]") == pytest.approx(fractions, abs=1e-6)


@pytest.mark.parametrize("kind", XMP_FILES)
def test_xmp_without_anything_untrue_stays_byte_for_byte(kind: str, tmp_path: Path) -> None:
    extension, make = XMP_FILES[kind]
    plain = packet("<dc:title>kept</dc:title>", padding=30)
    assert plain in unpacked(rendered(tmp_path, f"a.{extension}", make(plain)))


@pytest.mark.parametrize("kind", ["jpeg", "png itxt", "webp", "tiff", "heic"])
def test_broken_xmp_of_the_whole_picture_refuses_the_crop(kind: str, tmp_path: Path) -> None:
    extension, make = XMP_FILES[kind]
    with pytest.raises(ImageError, match="cannot be cropped: its XMP"):
        rendered(tmp_path, f"a.{extension}", make(WHOLE[:-40]))
    harmless = b"<x:xmpmeta><dc:title>a & b</x:xmpmeta>"
    assert harmless in rendered(tmp_path, f"a.{extension}", make(harmless))


@pytest.mark.parametrize("orientation", [3, 5, 6, 8])
def test_a_turned_jpeg_keeps_its_regions_on_the_faces(orientation: int, tmp_path: Path) -> None:
    upright = (0.6, 0.7, 0.8, 0.9)  # of the upright picture; in the crop (0.2, 0.4, 0.6, 0.8)
    x1, y1, x2, y2 = to_stored(upright, (1.0, 1.0), orientation)
    whole = packet(regions(area((x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1), size=SIZE))
    content = jpeg(segment(0xE1, exif_block(orientation)), segment(0xE1, XMP_HEAD + whole))
    crop = rendered(tmp_path, "a.jpg", content)
    x1, y1, x2, y2 = to_stored((0.2, 0.4, 0.6, 0.8), (1.0, 1.0), orientation)
    meant = [(x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1]
    assert numbers(crop[crop.index(b"<mwg-rs:Area") :][:200], "stArea:[xywh]") == pytest.approx(meant, abs=0.01)


def extended(extension: bytes, *, room: int = 700) -> list[bytes]:
    head = EXTENDED_HEAD + xmp.guid(extension).encode()
    return [
        segment(0xE1, head + struct.pack(">II", len(extension), at) + extension[at : at + room])
        for at in range(0, len(extension), room)
    ]


def test_extended_xmp_in_several_segments_is_changed_and_renamed(tmp_path: Path) -> None:
    extension = packet(f"<dc:title>{'long ' * 300}</dc:title>" + regions(INSIDE) + "<GDepth:Data>AAAA</GDepth:Data>")
    main = packet(attributes=f'xmpNote:HasExtendedXMP="{xmp.guid(extension)}"')
    crop = rendered(tmp_path, "a.jpg", jpeg(segment(0xE1, XMP_HEAD + main), *reversed(extended(extension))))
    assert crop.count(EXTENDED_HEAD) == 1
    head, _, rest = crop.partition(EXTENDED_HEAD)
    (length,) = struct.unpack(">I", rest[32:36])
    changed = rest[40 : 40 + length]
    assert changed.endswith(b"</x:xmpmeta>\n") and b"GDepth:Data" not in changed and b'stArea:w="0.2' in changed
    assert rest[:32] == xmp.guid(changed).encode() and b'HasExtendedXMP="' + rest[:32] in head


@pytest.mark.parametrize("whole", [True, False])
def test_extended_xmp_goes_when_empty_and_stays_when_torn(whole: bool, tmp_path: Path) -> None:
    extension = packet(f"<GDepth:Data>{'A' * 2000}</GDepth:Data>")
    main = packet(attributes=f'xmpNote:HasExtendedXMP="{xmp.guid(extension)}"')
    parts = extended(extension)
    crop = rendered(tmp_path, "a.jpg", jpeg(segment(0xE1, XMP_HEAD + main), *(parts if whole else parts[1:])))
    assert (EXTENDED_HEAD in crop, b"HasExtendedXMP" in crop) == (not whole, not whole)


def test_previews_in_segments_of_their_own_go(tmp_path: Path) -> None:
    preview = b"\xff\xd8\xff\xdb" + b"small" * 30
    parts = [segment(0xE3, preview), segment(0xE4, b"more of it\xff\xd9"), segment(0xE4, b"SCALADO\0kept")]
    crop = rendered(tmp_path, "a.jpg", jpeg(*parts, segment(0xE5, b"RMETA\0kept")))
    assert b"small" not in crop and b"more of it" not in crop and crop.count(b"kept") == 2


def exif_with_subject(values: tuple[int, ...], extension: str) -> bytes:
    exif = PillowImage.Exif()
    exif.get_ifd(0x8769).update({0x9003: "2025:08:03 06:00:00", 0x9214: values, 0xA002: WIDE, 0xA215: 7.0})
    buffer = io.BytesIO()
    PICTURE.save(buffer, {"jpg": "JPEG", "png": "PNG", "webp": "WEBP", "heic": "HEIF"}[extension], exif=exif.tobytes())
    return buffer.getvalue()


@pytest.mark.parametrize("extension", ["jpg", "png", "webp", "heic"])
@pytest.mark.parametrize(
    ("values", "moved"),
    [((160, 110, 20, 10), (53, 38, 20, 10)), ((160, 110), (53, 38)), ((10, 10, 9), None), ((9, 9, 4, 4), None)],
)
def test_the_subject_of_exif_moves_or_goes(
    extension: str, values: tuple[int, ...], moved: tuple[int, ...] | None, tmp_path: Path
) -> None:
    rendered(tmp_path, f"a.{extension}", exif_with_subject(values, extension))
    with PillowImage.open(tmp_path / f"crop.{extension}") as crop:
        found = decode.exif_of(crop).get_ifd(0x8769)
    assert found.get(0x9214) == moved
    assert found[0x9003] == "2025:08:03 06:00:00" and float(found[0xA215]) == 7.0 and found[0xA002] == WIDE // 2


@pytest.mark.parametrize("name", [b"exif", b"APP1"])
def test_exif_and_resources_in_raw_profiles_of_png_are_set_right(name: bytes, tmp_path: Path) -> None:
    text = b"Raw profile type " + name + b"\0\0" + zlib.compress(raw_profile(b"exif", exif_block(1)))
    crop = unpacked(rendered(tmp_path, "a.png", png(b"zTXt", text)))
    assert struct.pack("<HHIHH", 0xA002, 3, 1, WIDE // 2, 0) in crop
    resources = resource(1028, b"IPTC") + resource(1036, b"small")
    text = b"Raw profile type 8bim\0" + raw_profile(b"8bim", resources)
    assert raw_profile(b"8bim", resource(1028, b"IPTC")) in rendered(tmp_path, "b.png", png(b"tEXt", text))


def test_xmp_within_exif_is_set_right(tmp_path: Path) -> None:
    exif = PillowImage.Exif()
    exif[700], exif[0x010F] = WHOLE, "Pickroom Cameras"
    buffer = io.BytesIO()
    PICTURE.save(buffer, "JPEG", exif=exif)
    crop = rendered(tmp_path, "a.jpg", buffer.getvalue())
    assert b"GPano:Full" not in crop and b">kept<" in crop
    assert PillowImage.open(io.BytesIO(crop)).getexif()[0x010F] == "Pickroom Cameras"


def test_the_user_is_told_of_a_panorama_that_goes(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(jpeg_with_xmp(packet(attributes='GPano:ProjectionType="cylindrical"')))
    assert "panorama data" in crops.check_croppable(tmp_path / "a.jpg")


def test_exiftool_reads_what_the_crop_says(tmp_path: Path) -> None:
    if shutil.which("exiftool") is None:
        pytest.skip("exiftool is not installed")
    text = PngInfo()
    text.add_itxt("XML:com.adobe.xmp", WHOLE.decode())
    buffer = io.BytesIO()
    PICTURE.save(buffer, "PNG", pnginfo=text)
    rendered(tmp_path, "a.png", buffer.getvalue())
    arguments = ["exiftool", "-s3", "-n", "-XMP-tiff:ImageWidth", "-RegionName", "-XMP-dc:Title", "-validate"]
    done = subprocess.run([*arguments, str(tmp_path / "crop.png")], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[:3] == [str(WIDE // 2), "0", "kept"]
    assert SPACES["GPano"] in WHOLE.decode()

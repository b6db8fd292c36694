"""When and with what an image was taken: EXIF, XMP and PNG as programs write them, and dates that are none."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as PillowImage
from PIL.ExifTags import IFD, Base
from PIL.PngImagePlugin import PngInfo

from pickroom.core.records import Capture
from pickroom.images import capture, decode

AT = datetime(2024, 5, 6, 7, 8, 9)


def written(path: Path, main: dict[int, object], sub: dict[int, object], **options: object) -> Capture:
    """What is read of an image with this EXIF."""
    exif = PillowImage.Exif()
    for tag, value in main.items():
        exif[tag] = value
    exif.get_ifd(IFD.Exif).update(sub)
    exif.load(exif.tobytes())  # Pillow writes the Exif directory of a TIFF file only when it was read
    PillowImage.new("RGB", (8, 8)).save(path, exif=exif, **options)  # type: ignore[arg-type]
    with decode.open_image(path) as image:
        return capture.read(image)


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif", "heic"])
def test_exif_says_time_camera_and_exposure(tmp_path: Path, suffix: str) -> None:
    said = written(
        tmp_path / f"a.{suffix}",
        {Base.Make: "Canon", Base.Model: "Canon EOS R6", Base.DateTime: "2025:01:01 00:00:00"},
        {
            Base.DateTimeOriginal: "2024:05:06 07:08:09",
            Base.SubsecTimeOriginal: "25",
            Base.OffsetTimeOriginal: "-03:30",
            Base.BodySerialNumber: "0042\0",
            Base.ExposureTime: 1 / 64,
            Base.FNumber: 4.0,
            Base.ISOSpeedRatings: 200,
            Base.ExposureMode: 2,
        },
    )
    assert said == Capture(
        AT.replace(microsecond=250_000), "exif", -210, "Canon EOS R6", "0042", 1 / 64, 4.0, 200, True
    )
    assert said.words == "2024-05-06 07:08:09 · Canon EOS R6 · 1/64 s · f/4 · ISO 200"


@pytest.mark.parametrize(
    "none", ["0000:00:00 00:00:00", "    :  :     :  :  ", "2024:02:31 10:00:00", "", "0001:01:01 00:00:00"]
)
def test_a_date_that_is_none_is_not_known(tmp_path: Path, none: str) -> None:
    assert written(tmp_path / "a.jpg", {}, {Base.DateTimeOriginal: none}).captured_at is None
    later = written(
        tmp_path / "a.jpg", {}, {Base.DateTimeOriginal: none, Base.DateTimeDigitized: "2024:05:06 07:08:09"}
    )
    assert (later.captured_at, later.captured_by) == (AT, "exif")


@pytest.mark.parametrize(
    "packet",
    [
        '<rdf:Description exif:DateTimeOriginal="2024-05-06T07:08:09+02:00" tiff:Make="SONY" tiff:Model="ILCE-7M3"/>',
        "<rdf:Description photoshop:DateCreated='2024-05-06T07:08:09+02:00' tiff:Model='SONY ILCE-7M3'/>",
        "<xmp:CreateDate>2024-05-06T07:08:09+02:00</xmp:CreateDate><tiff:Make>SONY</tiff:Make>"
        "<tiff:Model>ILCE-7M3</tiff:Model>",
    ],
)
def test_xmp_says_it_where_exif_does_not(tmp_path: Path, packet: str) -> None:
    path = tmp_path / "a.jpg"
    PillowImage.new("RGB", (8, 8)).save(path, xmp=packet.encode())
    with decode.open_image(path) as image:
        said = capture.read(image)
    assert (said.captured_at, said.captured_by, said.utc_offset, said.camera) == (AT, "xmp", 120, "SONY ILCE-7M3")


@pytest.mark.parametrize("text", ["Mon, 06 May 2024 07:08:09 +0000", "2024-05-06T07:08:09Z", "2024:05:06 07:08:09Z"])
def test_png_text_says_it_last(tmp_path: Path, text: str) -> None:
    info = PngInfo()
    info.add_text("Creation Time", text)
    PillowImage.new("RGB", (8, 8)).save(tmp_path / "a.png", pnginfo=info)
    with decode.open_image(tmp_path / "a.png") as image:
        said = capture.read(image)
    assert (said.captured_at, said.captured_by, said.utc_offset) == (AT, "png", 0)


def test_a_plain_picture_says_nothing(tmp_path: Path) -> None:
    assert written(tmp_path / "a.jpg", {}, {}) == Capture()


@given(st.text() | st.binary() | st.none() | st.integers())
def test_any_value_is_a_time_or_none(value: object) -> None:
    found = capture.time_of(value)
    assert found is None or found[0].year >= 1826


@given(st.datetimes(datetime(1826, 1, 1), datetime(2100, 1, 1)), st.integers(-14 * 60, 14 * 60))
def test_a_written_time_is_read_back(moment: datetime, minutes: int) -> None:
    offset = f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}"
    assert capture.time_of(f"{moment.isoformat(timespec='microseconds')}{offset}") == (moment, minutes)

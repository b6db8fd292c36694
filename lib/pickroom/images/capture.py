"""When and with what an image was taken, as its file says: EXIF first, then XMP, then PNG text.

A date that is none (zeros, blanks, the 31st of February) counts as not written. Times are the camera's own clock: only
those of one camera are compared, so that the clock's zone never matters.
"""

import math
import re
from contextlib import suppress
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

from PIL.ExifTags import IFD, Base
from PIL.Image import Image

from pickroom.core.records import Capture
from pickroom.images import decode

_FIRST_YEAR = 1826  # of the oldest photograph there is; cameras without a clock write year 0 or 1
_AUTO_BRACKET = 2  # Exif 2.32, ExposureMode
# EXIF writes colons into the date and no T, XMP is ISO 8601, and some writers mix the two
_TIME = re.compile(
    r"(\d{4})[:/-](\d\d)[:/-](\d\d)[T ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?\s*(Z|[+-]\d\d:?\d\d)?", re.ASCII
)
_OFFSET = re.compile(r"([+-]\d\d):?(\d\d)", re.ASCII)
_EXIF_TIMES = (
    (Base.DateTimeOriginal, Base.SubsecTimeOriginal, Base.OffsetTimeOriginal),
    (Base.DateTimeDigitized, Base.SubsecTimeDigitized, Base.OffsetTimeDigitized),
)
_XMP_TIMES = ("exif:DateTimeOriginal", "photoshop:DateCreated", "xmp:CreateDate", "exif:DateTimeDigitized")
_XMP_SERIALS = ("exifEX:BodySerialNumber", "aux:SerialNumber")
_PNG_TIME = "Creation Time"  # PNG third edition, 11.3.3.2
_DNG_SERIAL = 50735  # DNG 1.4, CameraSerialNumber
_LONGEST = 100  # characters of a camera's name and number


def read(image: Image) -> Capture:
    """What an opened image file says; no pixel is decoded, and damaged metadata says nothing."""
    main, sub = dict[int, Any](), dict[int, Any]()
    with suppress(Exception):  # Pillow's parser raises almost anything; damaged EXIF says nothing
        exif = decode.exif_of(image)
        main, sub = dict(exif), dict(exif.get_ifd(IFD.Exif))
    packet = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp") or ""  # as Pillow names a PNG's
    xmp = packet.decode("utf-8", errors="replace") if isinstance(packet, bytes) else str(packet)
    written = [("exif", _exif_time(sub, *names)) for names in _EXIF_TIMES]
    written += [("xmp", time_of(_property(xmp, name))) for name in _XMP_TIMES]
    written.append(("png", time_of(image.info.get(_PNG_TIME))))
    said_by, time = next(((by, time) for by, time in written if time is not None), (None, (None, None)))
    maker = _plain(main.get(Base.Make)) or _plain(_property(xmp, "tiff:Make"))
    model = _plain(main.get(Base.Model)) or _plain(_property(xmp, "tiff:Model"))
    iso = _number(sub.get(Base.ISOSpeedRatings))
    serials = (sub.get(Base.BodySerialNumber), main.get(_DNG_SERIAL), *(_property(xmp, name) for name in _XMP_SERIALS))
    return Capture(
        time[0],
        said_by,
        time[1],
        _camera(maker, model),
        next((serial for one in serials if (serial := _plain(one))), None),
        _number(sub.get(Base.ExposureTime)),
        _number(sub.get(Base.FNumber)),
        None if iso is None else round(iso),
        sub.get(Base.ExposureMode) == _AUTO_BRACKET,
    )


def time_of(text: object) -> tuple[datetime, int | None] | None:
    """Read a clock and its offset in minutes, as EXIF, XMP, PNG and e-mail (RFC 2822) write them.

    None is what is not a time, or a day alone.

    >>> time_of("2024:05:06 07:08:09.25+02:00")
    (datetime.datetime(2024, 5, 6, 7, 8, 9, 250000), 120)
    >>> time_of("0000:00:00 00:00:00")
    """
    if not isinstance(text, str):
        return None
    with suppress(ValueError, OverflowError, IndexError, TypeError):  # the parser of e-mail dates raises them all
        if match := _TIME.match(text.strip()):
            year, month, day, hour, minute, second = (int(match[place] or 0) for place in range(1, 7))
            microsecond = int((match[7] or "").ljust(6, "0")[:6])
            moment = datetime(year, month, day, hour, minute, second, microsecond)
            offset = _minutes(match[8])
        else:
            dated = parsedate_to_datetime(text)
            moment, ahead = dated.replace(tzinfo=None), dated.utcoffset()
            offset = None if ahead is None else round(ahead.total_seconds() / 60)
        return (moment, offset) if moment.year >= _FIRST_YEAR else None
    return None


def _minutes(text: object) -> int | None:
    """The minutes of `+02:00` or `Z`; None for anything else, as the blanks of cameras that do not know."""
    if text == "Z":
        return 0
    match = _OFFSET.match(text.strip()) if isinstance(text, str) else None
    if match is None:
        return None
    hours = int(match[1])
    return hours * 60 + (-1 if match[1].startswith("-") else 1) * int(match[2])


def _camera(maker: str | None, model: str | None) -> str | None:
    # most models begin with their maker's first name: "NIKON CORPORATION", "NIKON Z 6"
    if maker and model and model.split()[0].casefold() == maker.split()[0].casefold():
        return model
    return " ".join(filter(None, (maker, model))) or None


def _exif_time(sub: dict[int, Any], name: int, fraction: int, offset: int) -> tuple[datetime, int | None] | None:
    time = time_of(sub.get(name))
    if time is None:
        return None
    digits = str(sub.get(fraction, "")).strip("\0 ")
    microsecond = int(digits.ljust(6, "0")[:6]) if digits.isascii() and digits.isdigit() else time[0].microsecond
    ahead = _minutes(sub.get(offset))
    return time[0].replace(microsecond=microsecond), time[1] if ahead is None else ahead


def _property(xmp: str, name: str) -> str | None:
    """A simple property by the prefix that every writer gives it, written as an attribute or as an element."""
    match = re.search(rf"""\b{name}(?:\s*=\s*["']([^"']*)["']|\s*>([^<]*)<)""", xmp)
    return None if match is None else match[1] or match[2]


def _plain(value: object) -> str | None:
    text = value.decode("utf-8", errors="replace") if isinstance(value, bytes) else value
    if not isinstance(text, str):
        return None
    return " ".join(text.replace("\0", " ").split())[:_LONGEST] or None


def _number(value: Any) -> float | None:
    """A positive finite number, the first of several; None for anything else."""
    if isinstance(value, tuple) and value:
        value = value[0]
    with suppress(TypeError, ValueError, ZeroDivisionError, OverflowError):
        number = float(value)
        if math.isfinite(number) and number > 0:
            return number
    return None

"""Convert a cell of an old log to a value, None where it is empty, or raise Skip. Pure; nothing is guessed."""

import ast
import json
import math
import re
import warnings
from collections.abc import Sequence
from datetime import UTC, datetime

from pickroom.core.naming import IMAGE_EXTENSIONS, is_text, stage_of
from pickroom.core.records import CropBox
from pickroom.history import skip_reasons
from pickroom.history.skip_reasons import Skip

# texts of the earlier programs for a missing value
MISSING = frozenset({"", "none", "null", "nan", "na", "n/a"})
MAX_SIDE = 1_000_000  # pixels: a larger size is a damaged number, and would not fit SQLite's integers either
EDGE_TOLERANCE = 0.5  # pixels by which a rounded edge may lie outside its image; it is then the image's edge
FULL_FRAME_TOLERANCE = 0.001  # fraction of the image by which each edge of a full frame may be off

_UTC = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z", re.ASCII)
_STAMP = re.compile(r"\d{8}_\d{6}", re.ASCII)
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_STAGE = re.compile(r"(?:stage)?(1\.5|1|2|3)(?:\.0)?(?:_.*)?", re.ASCII)


def is_missing(text: str) -> bool:
    """Whether a cell has no value: empty, None, null, nan, in upper or lower case."""
    return not text or text.strip().lower() in MISSING


def number(text: str) -> float | None:
    """A finite number, None where the cell has no value; Skip for any other text."""
    if is_missing(text):
        return None
    # float() would also take 1_000, infinity and other scripts' digits
    if not _NUMBER.fullmatch(text.strip()) or not math.isfinite(float(text)):
        raise Skip(skip_reasons.NOT_A_NUMBER)
    return float(text)


def whole(text: str) -> int | None:
    """A whole number (also written `2.0`), None where the cell has no value; Skip for anything else."""
    value = number(text)
    if value is None:
        return None
    if value != int(value):
        raise Skip(skip_reasons.NOT_A_NUMBER)
    return int(value)


def side(text: str) -> int | None:
    """Width or height in pixels; 0 means unknown (LESSONS.md: 7,189 rows of 0x0)."""
    value = whole(text)
    if value is None or value == 0:
        return None
    if not 0 < value <= MAX_SIDE:
        raise Skip(skip_reasons.NOT_A_NUMBER)
    return value


def timestamp(text: str) -> str | None:
    """A time as ISO 8601 UTC ending in Z; None when missing, or not readable as a time.

    Takes ISO 8601 in any form and `YYYYMMDD_HHMMSS`. A time without a zone is UTC: the earlier system's own logs
    write the same stamps with +00:00 in anomaly_cases.csv and historical_crop_log.csv.
    """
    given, text = text, text.strip()
    try:
        # fromisoformat reads 20250101T000000 too, many times faster than strptime
        moment = datetime.fromisoformat(text.replace("_", "T") if _STAMP.fullmatch(text) else text)
        if len(text) < len("20250101T000000"):  # a date alone is not a time: midnight would be invented
            return None
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    # one in that form already keeps its digits of seconds
    return given if _UTC.fullmatch(given) else moment.replace(tzinfo=None).isoformat() + "Z"


def path_list(text: str) -> list[str]:
    """The paths of a JSON list or of a Python list's repr; Skip for anything else."""
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # do not show Python's warning about escapes in Windows paths
                values = ast.literal_eval(text.strip())
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            raise Skip(skip_reasons.NOT_A_LIST) from None
    if not isinstance(values, list | tuple) or not all(isinstance(value, str) for value in values):
        raise Skip(skip_reasons.NOT_A_LIST)
    return list(values)


def image_name(filename: str) -> str:
    """The name itself, when it can be an image's; Skip when it is missing or something else."""
    if filename.rpartition(".")[2].lower() not in IMAGE_EXTENSIONS or filename[0] == ".":
        raise Skip(skip_reasons.NOT_AN_IMAGE if filename.strip() else skip_reasons.NO_FILE_NAME)
    # JSON escapes may hold text that a column cannot store
    if not filename.isprintable() and ("\0" in filename or not is_text(filename)):
        raise Skip(skip_reasons.NOT_TEXT)
    return filename


def names_json(names: Sequence[str]) -> str:
    """File names as the JSON array the tables hold."""
    return json.dumps(list(names), ensure_ascii=False)


def stage(filename: str, text: str = "") -> float | None:
    """The stage in a file's name, else the one a column gives (`1.5`, `stage3_enhanced`), else None."""
    found = stage_of(filename)
    if found is None and (match := _STAGE.fullmatch(text.strip())):
        found = float(match[1])
    return found


def is_full_frame(box: CropBox) -> bool:
    """Whether a box keeps everything."""
    low, high = FULL_FRAME_TOLERANCE, 1 - FULL_FRAME_TOLERANCE
    return box.x1 <= low and box.y1 <= low and box.x2 >= high and box.y2 >= high


def box_of(edges: Sequence[float], width: int | None, height: int | None) -> CropBox | None:
    """A box from its four logged edges: fractions when the largest is at most 1, else pixels (FORMATS.md).

    Args:
        width, height: pixels of the image the box was drawn on, None when unknown.

    Returns:
        None for a box in pixels of an image whose size is unknown.

    Raises:
        Skip: the box is empty, reversed, or lies outside the image.
    """
    x1, y1, x2, y2 = edges
    if max(edges) > 1:
        if width is None or height is None:
            return None
        x1, x2 = _inside(x1, width), _inside(x2, width)
        y1, y2 = _inside(y1, height), _inside(y2, height)
    if min(x1, y1, x2, y2) < 0:
        raise Skip(skip_reasons.OUTSIDE)
    if x1 >= x2 or y1 >= y2:
        raise Skip(skip_reasons.REVERSED)
    return CropBox(x1 + 0.0, y1 + 0.0, x2, y2)  # + 0.0: no minus zero


def _inside(edge: float, size: int) -> float:
    """An edge in pixels as a fraction; Skip when it lies outside by more than rounding explains."""
    if not -EDGE_TOLERANCE <= edge <= size + EDGE_TOLERANCE:
        raise Skip(skip_reasons.OUTSIDE)
    return min(max(edge, 0.0), float(size)) / size

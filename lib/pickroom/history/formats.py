"""The old CSV formats: their identifying columns, and how a row is read (docs/legacy-schemas.md)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar, get_args

from pickroom.core.naming import is_image_name
from pickroom.core.records import MAX_GROUP, CropBox, UserAction
from pickroom.history import skip_reasons, values
from pickroom.history.logged_paths import split_path
from pickroom.history.parsed_rows import AI_UNUSABLE, BAD_BATCH, BAD_DIRECTORY, ParsedRows, Size
from pickroom.history.skip_reasons import Skip

Row = Mapping[str, str]  # column -> cell; a column that the file does not have is missing

EDGES = ("x1", "y1", "x2", "y2")
_BOX = tuple(f"crop_{edge}" for edge in EDGES)
# crop_training_data.csv as the tool that made it wrote it; it also appended such rows under another file's header
TRAINING_COLUMNS = ("timestamp", "project_id", "filename", *_BOX, "width", "height")
_ACTIONS: dict[str, UserAction] = {action: action for action in get_args(UserAction)}
_FLAGS = {"true": True, "1": True, "false": False, "0": False}
_LARGEST = 2**31 - 1  # a batch number beyond this is a damaged number
Number = TypeVar("Number", int, float)


@dataclass(frozen=True, slots=True)
class Format:
    """One old format."""

    name: str
    required: frozenset[str]  # columns without which a file is not of this format
    # adds the contents of a row; raises Skip when it cannot be used
    read: Callable[[Row, int, ParsedRows], None]


def format_of(header: Sequence[str]) -> Format | None:
    """The format with these column names (in lower case, any order); None for an unknown one."""
    columns = set(header)
    return next((known for known in FORMATS if known.required <= columns), None)


def is_training_row(fields: Sequence[str]) -> bool:
    """Whether a row under another header is one of crop_training_data.csv: every field fits that layout."""
    if len(fields) != len(TRAINING_COLUMNS):
        return False
    row = dict(zip(TRAINING_COLUMNS, fields, strict=True))
    try:
        _named_image(row["filename"])
        _size(row, "width", "height")
        numbers = [values.number(row[name]) for name in _BOX]
    except Skip:
        return False
    return None not in numbers and values.timestamp(fields[0]) is not None and bool(fields[1].strip())


def _read_selection(row: Row, line: int, parsed: ParsedRows) -> None:
    """Read one image chosen over others, without sizes."""
    paths = [row["chosen_path"], *values.path_list(row["rejected_paths" if "rejected_paths" in row else "neg_paths"])]
    folders, names = zip(*map(_named_image, paths), strict=True)
    time = parsed.time(row.get("timestamp", ""))
    project = parsed.project(folders, row.get("project", ""), names=names, time=time)
    parsed.add_selection(project, names[0], names[1:], time, line)


def _read_historical_crop(row: Row, line: int, parsed: ParsedRows) -> None:
    """Read a crop without a box: the box is NULL, not a full frame.

    `timestamp` is the moment in its name; the file's own time is when it was cropped.
    """
    folder, filename = _named_image(row["chosen_path"])
    time = parsed.time(row.get("timestamp", ""))
    cropped = values.timestamp(row.get("final_mtime") or row.get("mtime", "")) or time
    column, directory = row.get("project", ""), _folder(row.get("directory", ""))
    project = parsed.project([folder], column, directory, [filename], cropped)
    parsed.add_crop(project, filename, None, (None, None), time, line, stage=row["chosen_stage"])


def _read_training_crop(row: Row, line: int, parsed: ParsedRows) -> None:
    """Read one crop, its image given by project and file name."""
    folder, filename = _named_image(row["filename"])
    time = parsed.time(row.get("timestamp", "") or row.get("mtime", ""))
    project = parsed.project([folder], row.get("project_id", "") or row.get("project", ""), "", [filename], time)
    size = _size(row, "width", "height")
    box = parsed.box([row[name] for name in _BOX], size, needed=True)
    parsed.add_crop(project, filename, box, size, time, line)


def _read_select_crop(row: Row, line: int, parsed: ParsedRows) -> None:
    """Read an image chosen from 1-4 and cropped, in pixels or in fractions."""
    places = [place for place in range(len(row)) if row.get(f"image_{place}_path")]
    named = [_named_image(row[f"image_{place}_path"]) for place in places]
    sizes = [_size(row, f"width_{place}", f"height_{place}") for place in places]
    names = [name for _, name in named]
    stated = values.whole(row.get("image_count", ""))
    if stated is not None and names and stated != len(names):
        raise Skip(skip_reasons.SHIFTED)
    folder, chosen = split_path(row["chosen_path"])
    index = _chosen_index(names, chosen, values.whole(row.get("chosen_index", "")))
    folders = [*(folder for folder, _ in named), folder]
    filename = values.image_name(chosen) if index is None else names[index]
    time = parsed.time(row.get("timestamp", ""))
    directory = _folder(row.get("directory", ""))
    project = parsed.project(folders, row.get("project", ""), directory, [*names, filename], time)
    size: Size = (None, None) if index is None else sizes[index]
    box = parsed.box([row[name] for name in _BOX], size, needed=index is None or len(names) < 2)
    if index is not None and len(names) > 1:
        # without a box the log does not say whether the pick was approved as it is
        action: UserAction | None = None if box is None else "crop"
        parsed.add_pick(project, names, index, action, size, time, line, box, time)
        return
    stage = "" if index is None else row.get(f"image_{places[index]}_stage", "")
    parsed.add_crop(project, filename, box, size, time, line, stage=stage)


def _chosen_index(names: Sequence[str], chosen: str, index: int | None) -> int | None:
    """The chosen image's place among the names; None when the row names no candidates."""
    if not names:
        return None
    if index is None:
        if names.count(chosen) != 1:
            raise Skip(skip_reasons.NO_CHOICE)
        return names.index(chosen)
    if not 0 <= index < len(names):
        raise Skip(skip_reasons.BAD_INDEX)
    if chosen and names[index] != chosen:
        raise Skip(skip_reasons.INDEX_PATH)
    return index


def _read_decision(row: Row, line: int, parsed: ParsedRows) -> None:
    """Read the earlier system's decision on one group, 26 columns, with its AI's recommendation."""
    cells = [row.get(f"image_{place}_filename", "").strip() for place in range(1, MAX_GROUP + 1)]
    while cells and not cells[-1]:  # a gap before a name would move the indexes
        cells.pop()
    named = [_named_image(cell) for cell in cells]
    if len(named) < 2:
        raise Skip(skip_reasons.NO_OTHERS)
    names = [name for _, name in named]
    time = parsed.time(row.get("timestamp", ""))
    project = parsed.project([folder for folder, _ in named], row.get("project_id", ""), "", names, time)
    action = _ACTIONS.get(row["user_action"].strip().lower())
    if action is None:
        raise Skip(skip_reasons.BAD_ACTION)
    ai_index = _within(values.whole, row.get("ai_selected_index", ""), 0, len(names) - 1, AI_UNUSABLE, parsed)
    index = values.whole(row["user_selected_index"])
    if index is None:
        if action != "reject":
            raise Skip(skip_reasons.NO_CHOICE)
        index = ai_index or 0  # the placeholder of a reject (FORMATS.md, selection_match)
    if not 0 <= index < len(names):
        raise Skip(skip_reasons.BAD_INDEX)
    size = _size(row, "image_width", "image_height")
    crop_time = parsed.time(row.get("crop_timestamp", ""))
    edges = [row.get(f"final_crop_{edge}", "") for edge in EDGES]
    box = parsed.box(edges, size, drawn=crop_time is not None and action == "crop")
    confidence = _within(values.number, row.get("ai_confidence", ""), 0, 1, AI_UNUSABLE, parsed)
    ai_box = _advice_box(row, size if ai_index == index else (None, None), parsed)
    parsed.add_pick(
        *(project, names, index, action, size, time, line),
        box=None if action == "reject" else box,
        crop_timestamp=crop_time if box is not None else None,
        group_id=row.get("group_id", "").strip() or None,
        directory=_directory(row.get("directory", ""), parsed),
        batch_number=_within(values.whole, row.get("batch_number", ""), 0, _LARGEST, BAD_BATCH, parsed),
        ai_index=ai_index,
        ai_box=None if ai_index is None else ai_box,
        ai_confidence=confidence,
        crop_match=None if ai_index is None else _FLAGS.get(row.get("crop_match", "").strip().lower()),
    )


def _within(
    read: Callable[[str], Number | None], text: str, least: int, most: int, note: str, parsed: ParsedRows
) -> Number | None:
    """A number of the AI's: where it is invalid, it is noted and unknown, and the row is kept."""
    try:
        value = read(text)
    except Skip:
        parsed.report.notes[note] += 1
        return None
    if value is not None and not least <= value <= most:
        parsed.report.notes[note] += 1
        return None
    return value


def _advice_box(row: Row, size: Size, parsed: ParsedRows) -> CropBox | None:
    """The AI's box; a full frame means "no crop needed", which is NULL. With a damaged box the row is kept."""
    try:
        box = parsed.box([row.get(f"ai_crop_{edge}", "") for edge in EDGES], size)
    except Skip:
        parsed.report.notes[AI_UNUSABLE] += 1
        return None
    return None if box is None or values.is_full_frame(box) else box


def _directory(text: str, parsed: ParsedRows) -> str | None:
    """The folder as FORMATS.md has it, relative to the project's root; no absolute path is stored."""
    folder = text.strip().replace("\\", "/").rstrip("/")
    if values.is_missing(text):
        return None
    if folder.startswith(("/", "~")) or folder[1:2] == ":" or ".." in folder.split("/"):
        parsed.report.notes[BAD_DIRECTORY] += 1
        return None
    return "" if folder == "." else folder


def _named_image(path: str) -> tuple[str, str]:
    """(folder, file name) of a logged path; Skip when it names no image."""
    folder, name = split_path(path)
    return folder, values.image_name(name)


def _size(row: Row, width: str, height: str) -> Size:
    return values.side(row.get(width, "")), values.side(row.get(height, ""))


def _folder(text: str) -> str:
    """A cell with a folder, with `/` between its parts; "" where it has none, or names an image."""
    return "" if values.is_missing(text) or is_image_name(text) else split_path(f"{text}/")[0]


CROP_TRAINING = Format("crop_training_data", frozenset(("filename", *_BOX)), _read_training_crop)
# the first format whose columns a file has counts
FORMATS = (
    Format("select_crop_log", frozenset(("chosen_path", "image_0_path", *_BOX)), _read_select_crop),
    Format(
        "decisions",
        frozenset(("image_1_filename", "image_2_filename", "user_selected_index", "user_action")),
        _read_decision,
    ),
    CROP_TRAINING,
    Format("anomaly_cases", frozenset(("chosen_path", "rejected_paths")), _read_selection),
    Format("selection_only_log", frozenset(("chosen_path", "neg_paths")), _read_selection),
    Format("historical_crop_log", frozenset(("chosen_path", "chosen_stage", "final_mtime")), _read_historical_crop),
    Format("crop_log", frozenset(("chosen_path", "chosen_stage", "mtime")), _read_historical_crop),
)

"""<project>_decisions.csv, 26 columns: the earlier system's decisions, with what its AI had said."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar, get_args

from pickroom.core.records import MAX_GROUP, CropBox, UserAction
from pickroom.history import skip_reasons, values
from pickroom.history.formats.protocol import Convert, Format, cell, places
from pickroom.history.logged_paths import split_path
from pickroom.history.parsed_rows import AI_UNUSABLE, BAD_BATCH, BAD_DIRECTORY, Advice, ParsedRows
from pickroom.history.skip_reasons import Skip

_ACTIONS: dict[str, UserAction] = {action: action for action in get_args(UserAction)}
_FLAGS = {"true": True, "1": True, "false": False, "0": False}
_LARGEST = 2**31 - 1  # a batch number beyond this is a damaged number
Number = TypeVar("Number", int, float)


def _converter(header: Sequence[str], facts: ParsedRows) -> Convert:
    group_at, time_at, project_at, folder_at = places(header, "group_id", "timestamp", "project_id", "directory")
    batch_at, ai_at, confidence_at = places(header, "batch_number", "ai_selected_index", "ai_confidence")
    user_at, action_at, cropped_at = places(header, "user_selected_index", "user_action", "crop_timestamp")
    width_at, height_at, match_at = places(header, "image_width", "image_height", "crop_match")
    images_at = places(header, *(f"image_{place}_filename" for place in range(1, MAX_GROUP + 1)))
    ai_box_at = places(header, *(f"ai_crop_{edge}" for edge in ("x1", "y1", "x2", "y2")))
    box_at = places(header, *(f"final_crop_{edge}" for edge in ("x1", "y1", "x2", "y2")))

    def convert(fields: list[str], line: int) -> None:
        names, folders = _images(fields, images_at)
        project = facts.project(folders, cell(fields, project_at))
        action = _ACTIONS.get(cell(fields, action_at).strip().lower())
        if action is None:
            raise Skip(skip_reasons.BAD_ACTION)
        advice_index = _advice_index(cell(fields, ai_at), len(names), facts)
        index = values.whole(cell(fields, user_at))
        if index is None:
            if action != "reject":
                raise Skip(skip_reasons.NO_CHOICE)
            index = advice_index or 0  # the placeholder of a reject (FORMATS.md, selection_match)
        if not 0 <= index < len(names):
            raise Skip(skip_reasons.BAD_INDEX)
        size = values.side(cell(fields, width_at)), values.side(cell(fields, height_at))
        crop_time = facts.time(cell(fields, cropped_at))
        box = facts.box([cell(fields, p) for p in box_at], *size, drawn=crop_time is not None and action == "crop")
        confidence = _confidence(cell(fields, confidence_at), facts)
        ai_size = size if advice_index == index else (None, None)
        ai_box = _advice_box([cell(fields, place) for place in ai_box_at], ai_size, facts)
        facts.pick(
            project,
            names,
            index,
            action,
            size,
            facts.time(cell(fields, time_at)),
            line,
            box=None if action == "reject" else box,
            crop_timestamp=crop_time if box is not None else None,
            group_id=cell(fields, group_at).strip() or None,
            directory=_directory(cell(fields, folder_at), facts),
            batch_number=_batch(cell(fields, batch_at), facts),
            advice=Advice(advice_index, ai_box, confidence, _FLAGS.get(cell(fields, match_at).strip().lower()))
            if advice_index is not None
            else Advice(confidence=confidence),
        )

    return convert


def _images(fields: Sequence[str], images_at: Sequence[int]) -> tuple[list[str], list[str]]:
    """The names, and the folders of their paths; a gap before a name would move the indexes."""
    texts = [cell(fields, place).strip() for place in images_at]
    while texts and not texts[-1]:
        texts.pop()
    names, folders = [], []
    for text in texts:
        folder, name = split_path(text)
        names.append(values.image_name(name))
        folders.append(folder)
    if len(names) < 2:
        raise Skip(skip_reasons.NO_OTHERS)
    return names, folders


def _advice_index(text: str, count: int, facts: ParsedRows) -> int | None:
    return _within(values.whole, text, 0, count - 1, AI_UNUSABLE, facts)


def _confidence(text: str, facts: ParsedRows) -> float | None:
    return _within(values.number, text, 0, 1, AI_UNUSABLE, facts)


def _within(
    read: Callable[[str], Number | None], text: str, least: int, most: int, note: str, facts: ParsedRows
) -> Number | None:
    """A number that is not the person's decision: noted and unknown where it is none, which does not cost the row."""
    try:
        value = read(text)
    except Skip:
        facts.notes[note] += 1
        return None
    if value is not None and not least <= value <= most:
        facts.notes[note] += 1
        return None
    return value


def _advice_box(texts: Sequence[str], size: tuple[int | None, int | None], facts: ParsedRows) -> CropBox | None:
    """The AI's box; a full frame means "no crop needed", which is NULL. A damaged one does not cost the row."""
    try:
        box = facts.box(texts, *size, drawn=False)
    except Skip:
        facts.notes[AI_UNUSABLE] += 1
        return None
    return None if box is None or values.is_full_frame(box) else box


def _batch(text: str, facts: ParsedRows) -> int | None:
    return _within(values.whole, text, 0, _LARGEST, BAD_BATCH, facts)


def _directory(text: str, facts: ParsedRows) -> str | None:
    """The folder as FORMATS.md has it, relative to the project's root; no absolute path is stored."""
    folder = text.strip().replace("\\", "/").rstrip("/")
    if values.is_missing(text):
        return None
    if folder.startswith(("/", "~")) or folder[1:2] == ":" or ".." in folder.split("/"):
        facts.notes[BAD_DIRECTORY] += 1
        return None
    return "" if folder == "." else folder


DECISIONS = Format(
    "decisions", frozenset(("image_1_filename", "image_2_filename", "user_selected_index", "user_action")), _converter
)

"""crop_training_data.csv: one crop a row, its image by project and file name."""

from __future__ import annotations

from collections.abc import Sequence

from pickroom.history import skip_reasons, values
from pickroom.history.formats.protocol import BOX_COLUMNS, Convert, Format, cell, places
from pickroom.history.logged_paths import split_path
from pickroom.history.parsed_rows import ParsedRows
from pickroom.history.skip_reasons import Skip

# the columns as the tool that made them wrote them; it also appended such rows under another file's header
LAYOUT = ("timestamp", "project_id", "filename", *BOX_COLUMNS, "width", "height")


def _converter(header: Sequence[str], facts: ParsedRows) -> Convert:
    time_at, project_at, other_at, name_at = places(header, "timestamp", "project_id", "project", "filename")
    box_at = places(header, *BOX_COLUMNS)
    width_at, height_at = places(header, "width", "height")

    def convert(fields: list[str], line: int) -> None:
        folder, name = split_path(fields[name_at])
        filename = values.image_name(name)
        project = facts.project([folder], cell(fields, project_at) or cell(fields, other_at))
        size = values.side(cell(fields, width_at)), values.side(cell(fields, height_at))
        edges = [fields[place] for place in box_at]
        box = facts.box(edges, *size, drawn=False)
        if box is None and not _in_pixels(edges):
            raise Skip(skip_reasons.PLACEHOLDER if any(map(values.is_known, edges)) else skip_reasons.NO_BOX)
        facts.crop(project, filename, box, size, facts.time(cell(fields, time_at)), line)

    return convert


def _in_pixels(edges: Sequence[str]) -> bool:
    """Whether the cells hold a box in pixels: the person did crop, even where the size to scale it is lost."""
    found = [number for text in edges if (number := values.number(text)) is not None]
    return len(found) == len(edges) and max(found) > 1


def looks_like(fields: Sequence[str]) -> bool:
    """Whether a row under another header is one of this format: each field is what this layout says."""
    if len(fields) != len(LAYOUT):
        return False
    try:
        values.image_name(split_path(fields[2])[1])
        numbers = [values.number(text) for text in fields[3:7]]
        values.side(fields[7]), values.side(fields[8])
    except Skip:
        return False
    return None not in numbers and values.timestamp(fields[0]) is not None and bool(fields[1].strip())


CROP_TRAINING = Format("crop_training_data", frozenset(("filename", *BOX_COLUMNS)), _converter)

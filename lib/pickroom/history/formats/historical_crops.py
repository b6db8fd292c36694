"""historical_crop_log.csv: that a file was cropped, but not where. The box is NULL, not a full frame."""

from __future__ import annotations

from collections.abc import Sequence

from pickroom.history import values
from pickroom.history.formats.protocol import Convert, Format, cell, folder_cell, places
from pickroom.history.logged_paths import split_path
from pickroom.history.parsed_rows import ParsedRows


def _converter(header: Sequence[str], facts: ParsedRows) -> Convert:
    chosen_at, stage_at, time_at = places(header, "chosen_path", "chosen_stage", "timestamp")
    folder_at, project_at = places(header, "directory", "project")

    def convert(fields: list[str], line: int) -> None:
        folder, name = split_path(fields[chosen_at])
        filename = values.image_name(name)
        project = facts.project([folder], cell(fields, project_at), folder_cell(fields, folder_at))
        moment = facts.time(cell(fields, time_at))
        facts.crop(project, filename, None, (None, None), moment, line, stage=cell(fields, stage_at))

    return convert


HISTORICAL_CROPS = Format("historical_crop_log", frozenset(("chosen_path", "chosen_stage", "final_mtime")), _converter)

"""select_crop_log.csv: an image chosen from 1-4 and cropped, in pixels or in fractions."""

from __future__ import annotations

from collections.abc import Sequence

from pickroom.core.records import UserAction
from pickroom.history import skip_reasons, values
from pickroom.history.formats.protocol import BOX_COLUMNS, Convert, Format, cell, folder_cell, places
from pickroom.history.logged_paths import split_path
from pickroom.history.parsed_rows import ParsedRows
from pickroom.history.skip_reasons import Skip


def _converter(header: Sequence[str], facts: ParsedRows) -> Convert:
    chosen_at, index_at, count_at, time_at = places(header, "chosen_path", "chosen_index", "image_count", "timestamp")
    folder_at, project_at = places(header, "directory", "project")
    box_at = places(header, *BOX_COLUMNS)
    count = sum(f"image_{place}_path" in header for place in range(len(header)))
    images_at = [
        places(header, f"image_{place}_path", f"image_{place}_stage", f"width_{place}", f"height_{place}")
        for place in range(count)
    ]

    def convert(fields: list[str], line: int) -> None:
        folders, names, sizes, stages = [], [], [], []
        for path_at, stage_at, width_at, height_at in images_at:
            path = cell(fields, path_at)
            if not path:
                continue
            folder, name = split_path(path)
            folders.append(folder)
            names.append(values.image_name(name))
            sizes.append((values.side(cell(fields, width_at)), values.side(cell(fields, height_at))))
            stages.append(cell(fields, stage_at))
        stated = values.whole(cell(fields, count_at))
        if stated is not None and names and stated != len(names):
            raise Skip(skip_reasons.SHIFTED)
        folder, chosen = split_path(fields[chosen_at])
        folders.append(folder)
        index = _index(names, chosen, values.whole(cell(fields, index_at)))
        project = facts.project(folders, cell(fields, project_at), folder_cell(fields, folder_at))
        filename = values.image_name(chosen) if index is None else names[index]
        size = (None, None) if index is None else sizes[index]
        edges = [fields[place] for place in box_at]
        box = facts.box(edges, *size, drawn=False)
        moment = facts.time(cell(fields, time_at))
        if index is not None and len(names) > 1:
            # without a box the log does not say whether the pick was approved as it is
            action: UserAction | None = None if box is None else "crop"
            facts.pick(project, names, index, action, size, moment, line, box=box, crop_timestamp=moment)
            return
        if box is None:
            found = [number for text in edges if (number := values.number(text)) is not None]
            if len(found) < len(edges):
                raise Skip(skip_reasons.NO_BOX)
            if max(found) <= 1:
                raise Skip(skip_reasons.PLACEHOLDER)
        facts.crop(project, filename, box, size, moment, line, stage="" if index is None else stages[index])

    return convert


def _index(names: Sequence[str], chosen: str, index: int | None) -> int | None:
    """The chosen image's place among the names; None when the row names no candidates."""
    if not names:
        return None
    if index is None:
        if names.count(chosen) != 1:
            raise Skip(skip_reasons.NO_CHOICE)
        return list(names).index(chosen)
    if not 0 <= index < len(names):
        raise Skip(skip_reasons.BAD_INDEX)
    if chosen and names[index] != chosen:
        raise Skip(skip_reasons.INDEX_PATH)
    return index


SELECT_CROP = Format("select_crop_log", frozenset(("chosen_path", "image_0_path", *BOX_COLUMNS)), _converter)

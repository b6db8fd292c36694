"""selection_only_log.csv and anomaly_cases.csv: one image chosen over others, with no sizes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from pickroom.history.formats.protocol import Convert, Format, cell, places
from pickroom.history.logged_paths import split_path
from pickroom.history.parsed_rows import ParsedRows
from pickroom.history.values import image_name, path_list


def _converter(rejected: str, header: Sequence[str], facts: ParsedRows) -> Convert:
    chosen_at, rejected_at, time_at, project_at = places(header, "chosen_path", rejected, "timestamp", "project")

    def convert(fields: list[str], line: int) -> None:
        folder, name = split_path(fields[chosen_at])
        chosen = image_name(name)
        folders, others = [folder], []
        for path in path_list(fields[rejected_at]):
            folder, name = split_path(path)
            others.append(image_name(name))
            folders.append(folder)
        project = facts.project(folders, cell(fields, project_at))
        facts.selection(project, chosen, others, facts.time(cell(fields, time_at)), line)

    return convert


SELECTION_ONLY = Format("selection_only_log", frozenset(("chosen_path", "neg_paths")), partial(_converter, "neg_paths"))
ANOMALY_CASES = Format(
    "anomaly_cases", frozenset(("chosen_path", "rejected_paths")), partial(_converter, "rejected_paths")
)

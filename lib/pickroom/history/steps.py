"""The steps of notebooks/80_history.ipynb: each prints what it found, and writes only when told to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pickroom.history import anomalies, backfill
from pickroom.history.extraction import read_pair
from pickroom.history.importing import read_logs
from pickroom.history.staging import StagedImport
from pickroom.learn.reading import inspect_all
from pickroom.store.workspace import Workspace

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_DRY = "Nothing was written: set execute = True"


def import_logs(
    workspace: Workspace, files: Sequence[Path | str], project: str | None, execute: bool, **options: Any
) -> None:
    """Import old CSV logs into one `<project>_legacy.db` per project; the options are those of `read_logs`."""
    if not files:
        print('No logs were named: logs = ["select_crop_log.csv"]')
        return
    paths = [Path(file).expanduser() for file in files]
    _import(read_logs(workspace, paths, project, **options), execute)


def compare_folders(
    workspace: Workspace, original: Path | str | None, final: Path | str | None, project: str | None, execute: bool
) -> None:
    """Import picks and crops from two folders, or zips."""
    if original is None or final is None or project is None:
        print('No folders were named: original = "~/raw/anna", final = "~/final/anna"')
        return
    _import(read_pair(workspace, Path(original), Path(final), project), execute)


def _import(read: StagedImport, execute: bool) -> None:
    with read as found:
        _print(found.lines())
        found.require_agreement()
        _print([_written(found.write()) if execute else _DRY])


def fill_in_accepted_crops(workspace: Workspace, project: str | None, execute: bool) -> None:
    """`ai_crop_accepted` of older rows, from where their files lie; of every project with images if none is named."""
    for project_id in _registered(workspace, project):
        opened = workspace.project(project_id)
        if not project and not opened.root.is_dir():
            continue
        planned = backfill.plan(opened)
        _print([f"{project_id}: {line}" for line in planned.lines()])
        if not execute:
            print(_DRY)
            continue
        copy = backfill.apply(opened, planned)
        print(f"Written, after a backup: {copy.name}" if copy else "Nothing to write")


def check_rows(workspace: Workspace, project: str | None) -> None:
    """Check own and imported rows for training; of every project, where none is named."""
    for project_id in _registered(workspace, project):
        for found in inspect_all(workspace.project(project_id)):
            left_out = len(found.excluded_ids | found.error_ids)
            print(f"{project_id}: {found.rows:,} rows, {left_out:,} of them left out of training")
            _print(found.lines)


def find_anomalies(workspace: Workspace, execute: bool = False) -> Figure | None:
    """Count picks of a lower stage by project; writes the cases to `data/training/` if `execute`."""
    summary, cases = anomalies.find(workspace)
    _print(summary.lines())
    _print([_written(anomalies.write(workspace, summary, cases)) if execute else _DRY])
    return anomalies.figure(summary)


def _registered(workspace: Workspace, project: str | None) -> list[str]:
    """The named project, or every one; in a dry run the project may not exist yet."""
    every = workspace.project_ids()
    if project and project not in every:
        print(f"no project is named {project!r} yet")
    return [name for name in every if name == project or not project]


def _print(lines: Sequence[str]) -> None:
    print(*lines, sep="\n", end="\n" * bool(lines))


def _written(paths: Sequence[Path]) -> str:
    return "Written: " + ", ".join(path.name for path in paths) if paths else "Nothing new to write"

"""The tools around the loop, without a browser: the sorter and the folder viewer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from pickroom.cli.console import Home, Json, ProjectName, app, fail_if, project_of, read_text, say, show, some
from pickroom.core.errors import UsageError
from pickroom.core.naming import split
from pickroom.storage.json_records import from_json, parse_lines

if TYPE_CHECKING:
    from pickroom.files.apply_marks import Placement
    from pickroom.sessions.marking.session import BoardSession

Execute = Annotated[bool, typer.Option("--execute", help="Move the files; else only say what would be done.")]
_SHOWN = 20  # images held back that are listed by name


@app.command()
def sort(
    project: ProjectName,
    folder: Annotated[
        list[str] | None, typer.Option(help="Folder of the project; repeatable; else selected and crop_cropped.")
    ] = None,
    by: Annotated[str | None, typer.Option(help="Sort by a field of YAML, caption or PNG text.")] = None,
    assign: Annotated[
        Path | None, typer.Option(help='JSON lines {"filename", "folder"[, "directory"]}; - is stdin.')
    ] = None,
    execute: Execute = False,
    home: Home = None,
    json_output: Json = False,
) -> None:
    """Sort images into named character folders: a dry run first; the grid itself is notebooks/70_sort.ipynb."""
    from pickroom.sessions.sorting.session import SortSession

    if by is not None and assign is not None:
        raise UsageError("--by and --assign exclude each other", doing="sorting", hint="give one of them")
    lines = read_marks(read_text(assign, "reading a file of folders"), "folder") if assign is not None else None
    session = SortSession(project_of(home, project), folder)
    try:
        table: list[dict[str, Any]] = []
        routes: dict[str, str] | None = None
        if by is not None:
            rows, without = session.group_by(by)
            table = [{"value": r.value, "folder": r.folder, "images": len(r.paths)} for r in rows]
            table += [{"value": None, "folder": None, "images": len(without)}] if without else []
            routes = session.routes_by(by)
        elif lines is not None:
            routes = session.assign(_paths(session, lines))
        extra = {"folders": list(session.listing.bases), "by": by, "table": table, "unsorted": len(session.unsorted())}
        words = [f"  {row['images']:>6}  {_said(by or '', row)}" for row in table]
        _finish(session, routes, execute, json_output, extra, words, session.mark_all)
    finally:
        session.close()


@app.command()
def browse(
    project: ProjectName,
    folder: Annotated[list[str] | None, typer.Option(help="Folder of the project; repeatable; else all.")] = None,
    marks: Annotated[
        Path | None, typer.Option(help='JSON lines {"filename", "mark": "crop"|"staging"[, "directory"]}; - is stdin.')
    ] = None,
    execute: Execute = False,
    home: Home = None,
    json_output: Json = False,
) -> None:
    """Mark images for the crop desk or to be set aside: a dry run first; the viewer is notebooks/71_browse.ipynb."""
    from pickroom.sessions.marking.session import BrowseSession, mark_named

    lines = read_marks(read_text(marks, "reading a file of marks"), "mark", mark_named) if marks is not None else None
    session = BrowseSession(project_of(home, project), folder)
    try:
        counts = session.listing.counts
        routes = None if lines is None else _paths(session, lines)
        extra = {"folders": {name or ".": count for name, count in counts.items() if count}}
        words = [f"  {count:>6}  {name}/" for name, count in extra["folders"].items()]
        _finish(session, routes, execute, json_output, extra, words, session.set_marks)
    finally:
        session.close()


def read_marks(text: str, field: str, folder_of: Callable[[str], str] = str) -> list[tuple[str, str | None, str]]:
    """(file name, folder it lies in or None, what is wanted) of each line.

    Raises:
        UsageError: a line is no good; the message gives its number.
    """
    kind = msgspec.defstruct("Mark", [("filename", str), (field, str), ("directory", str | None, None)])

    def read(line: str) -> tuple[str, str | None, str]:
        mark: Any = from_json(kind, line)
        return mark.filename, mark.directory, folder_of(getattr(mark, field))

    try:
        return [mark for _, mark in parse_lines(read, text)]
    except ValueError as error:
        hint = f'nothing was moved; write {{"filename": "a.png", "{field}": "..."}}'
        raise UsageError(str(error), doing="reading marks", hint=hint) from None


def _paths(session: BoardSession, lines: Sequence[tuple[str, str | None, str]]) -> dict[str, str]:
    """Path -> what is wanted; raises UsageError for a name that is missing, ambiguous or given twice."""
    found: dict[str, str] = {}
    for filename, directory, wanted in lines:
        path = session.listing.find(filename, directory)
        if path in found:
            raise UsageError(f"{filename!r} is named twice", doing="reading marks", hint="nothing was moved")
        found[path] = wanted
    return found


def _finish(
    session: BoardSession,
    routes: Mapping[str, str] | None,
    execute: bool,
    as_json: bool,
    extra: dict[str, Any],
    words: list[str],
    mark: Callable[[Mapping[str, str]], object],
) -> None:
    """Say what would be done with `routes` (None: with the marks made in the browser), and do it if asked."""
    placements = session.plan(routes)
    batch, going = None, [p for p in placements if p.held is None]
    held = {p.mark.path: p.held for p in placements if p.held is not None}
    if execute and placements:
        if routes is not None:
            mark(routes)
        result = session.apply()
        batch, held = result.batch, {**held, **result.held, **result.stuck}
        going = [p for p in going if p.mark.path not in held]
    for line in some([f"{path}: {reason}" for path, reason in held.items()], _SHOWN):
        say(line.strip())
    head = session.header()
    done = f"Batch {batch}: {len(going)} moved" if batch else f"{len(going)} would move" if placements else "no mark"
    lines = [head, *words, *_routes(going), f"{done}, {len(held)} held back"]
    if going and not execute:
        lines.append("Nothing has been done. Do it: add --execute")
    values = {
        **extra,
        "planned": [{"filename": p.mark.filename, "directory": p.mark.directory, "to": p.mark.folder} for p in going],
        "held": [_split(path, reason) for path, reason in held.items()],
        "batch": batch,
    }
    show(values, as_json, lines)
    fail_if(execute and held)


def _routes(placements: Sequence[Placement]) -> list[str]:
    counts: dict[str, int] = {}
    for placement in placements:
        counts[placement.mark.folder] = counts.get(placement.mark.folder, 0) + 1
    return [f"  {count:>6}  → {folder}/" for folder, count in sorted(counts.items())]


def _said(field: str, row: dict[str, Any]) -> str:
    if row["value"] is None:
        return f"have no {field}: they stay"
    return f"{row['value'][:60]!r} → {row['folder'] or 'no name can be made of it: they stay'}"


def _split(path: str, reason: str | None) -> dict[str, str | None]:
    directory, filename = split(path)
    return {"filename": filename, "directory": directory, "reason": reason}

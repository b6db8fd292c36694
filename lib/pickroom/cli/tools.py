"""The commands sort, browse and duplicates."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from pickroom.cli import console
from pickroom.cli.console import option
from pickroom.core.errors import UsageError
from pickroom.core.naming import folder_of, split
from pickroom.core.quantities import plural
from pickroom.storage.json_records import from_json, parse_lines
from pickroom.store.workspace import Project

with console.lazily():
    from pickroom.sessions.duplicates import finding, gathering
    from pickroom.sessions.duplicates import session as duplicates_session
    from pickroom.sessions.marking import session as marking
    from pickroom.sessions.sorting import session as sorting
    from pickroom.store import connect
    from pickroom.store import marks as marks_table


Execute = Annotated[bool, typer.Option("--execute", help="Move the files (default: only show what would be done).")]
_SHOWN = 20  # images held back that are listed by name


@console.command(has_json=True)
def sort(
    project: console.ProjectName,
    folder: list[str] | None = option(None, "A folder; repeatable (default: selected and crop_cropped)."),
    by: str | None = option(None, "Sort by a field of YAML, caption or PNG text."),
    assign: Path | None = option(None, 'JSON lines {"filename", "folder"[, "directory"]}; - is stdin.'),
    execute: Execute = False,
) -> None:
    """Sort images into named character folders, without a browser; the grid is in 70_sort.ipynb."""
    if by is not None and assign is not None:
        raise UsageError("--by and --assign exclude each other", doing="sorting", hint="give one of them")
    lines = read_marks(console.read_text(assign, "reading a file of folders"), "folder") if assign is not None else None
    with closing(sorting.SortSession(console.project_of(project), folder)) as session:
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
        _finish(session, routes, execute, extra, words, session.mark_all)


@console.command(has_json=True)
def browse(
    project: console.ProjectName,
    folder: list[str] | None = option(None, "A folder; repeatable (default: all)."),
    marks: Path | None = option(None, 'JSON lines {"filename", "mark": "keep"|"crop"|"staging"[, "directory"]}.'),
    execute: Execute = False,
) -> None:
    """Mark images to keep, crop or set aside, by a file; the viewer is in 71_browse.ipynb."""
    lines = None
    if marks is not None:
        lines = read_marks(console.read_text(marks, "reading a file of marks"), "mark", marking.mark_word)
    with closing(marking.BrowseSession(console.project_of(project), folder)) as session:
        counts = session.listing.counts
        routes = None
        if lines is not None:
            wanted = ((path, marking.destination(path, word)) for path, word in _paths(session, lines).items())
            routes = {path: folder for path, folder in wanted if folder != folder_of(path)}
        extra = {"folders": {name or ".": count for name, count in counts.items() if count}}
        words = [f"  {count:>6}  {name}/" for name, count in extra["folders"].items()]
        _finish(session, routes, execute, extra, words, session.set_marks)


def read_marks(text: str, field: str, folder_of: Callable[[str], str] = str) -> list[tuple[str, str | None, str]]:
    """(file name, folder it lies in or None, what is wanted) of each line.

    Raises:
        UsageError: a line is invalid; the message gives its number.
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


def _paths(session: marking.BoardSession, lines: Sequence[tuple[str, str | None, str]]) -> dict[str, str]:
    """Path -> what is wanted; raises UsageError for a name that is missing, ambiguous or given twice."""
    found: dict[str, str] = {}
    for filename, directory, wanted in lines:
        path = session.listing.find(filename, directory)
        if path in found:
            raise UsageError(f"{filename!r} is named twice", doing="reading marks", hint="nothing was moved")
        found[path] = wanted
    return found


def _finish(
    session: marking.BoardSession,
    routes: Mapping[str, str] | None,
    execute: bool,
    extra: dict[str, Any],
    words: list[str],
    mark: Callable[[Mapping[str, str]], object],
) -> None:
    """Print what would be done with `routes` (None: with the marks made in the browser), and do it if `execute`."""
    placements = session.plan(routes)
    batch, going = None, [p for p in placements if p.held is None]
    held = {p.mark.path: p.held for p in placements if p.held is not None}
    if execute and placements:
        if routes is not None:
            mark(routes)
        result = session.apply()
        batch, held = result.batch, {**held, **result.held, **result.stuck}
        going = [p for p in going if p.mark.path not in held]
    for line in console.some([f"{path}: {reason}" for path, reason in held.items()], _SHOWN):
        console.say(line.strip())
    head = session.header()
    did, would = ("rated", "would be rated") if session.in_place else ("moved", "would move")
    done = f"Batch {batch}: {len(going)} {did}" if batch else f"{len(going)} {would}" if placements else "no mark"
    counts = sorted(Counter(p.mark.folder for p in going).items())
    ways = [f"  {count:>6}  → {session.destination_words(folder)}" for folder, count in counts]
    lines = [head, *words, *ways, f"{done}, {len(held)} held back"]
    if going and not execute:
        lines.append("Nothing has been done. Do it: add --execute")
    values = {
        **extra,
        "planned": [{"filename": p.mark.filename, "directory": p.mark.directory, "to": p.mark.folder} for p in going],
        "held": [
            dict(zip(("directory", "filename"), split(p), strict=True)) | {"reason": why} for p, why in held.items()
        ],
        "batch": batch,
    }
    console.show(lines, values)
    console.fail_if(execute and held)


def _said(field: str, row: dict[str, Any]) -> str:
    if row["value"] is None:
        return f"have no {field}: they stay"
    return f"{row['value'][:60]!r} → {row['folder'] or 'no name can be made of it: they stay'}"


_PAIRS_SHOWN = 40  # pairs listed in words; --json lists them all


@console.command(has_json=True)
def duplicates(
    projects: Annotated[list[str] | None, typer.Argument(metavar="[PROJECT]...", help="Default: all.")] = None,
    cosine: float | None = option(None, "Lowest cosine of the vectors of near duplicates."),
    hash_distance: int | None = option(
        None, "Highest number of differing bits, of 64.", "--hash-distance", metavar="BITS"
    ),
    within_groups: bool = option(False, "Also list near pairs within one group.", "--within-groups"),
    move: bool = option(False, "Set the exact copies of one project aside (add --execute).", "--move"),
    near: bool = option(False, "With --move: also near duplicates, without a look.", "--near"),
    exact: bool = option(False, "Only exact copies, by content; needs no vectors.", "--exact"),
    execute: bool = option(False, "With --move: move the files.", "--execute"),
) -> None:
    """Find duplicate images in all folders of projects; the desk is in 72_duplicates.ipynb."""
    if (near or execute) and not move:
        what = "--near and --execute do nothing by themselves"
        raise UsageError(what, doing="looking for duplicates", hint="add --move")
    if exact and (near or within_groups or cosine is not None or hash_distance is not None):
        what = "--exact leaves near duplicates out, and another option is for them"
        raise UsageError(what, doing="looking for duplicates", hint="leave one of them out")
    thresholds = finding.Thresholds.given(cosine=cosine, bits=hash_distance, within_groups=within_groups, exact=exact)
    chosen = gathering.projects_of(console.workspace_here(), projects or [])
    if move:
        if len(chosen) != 1:
            hint = "across projects duplicates are only reported"
            raise UsageError("--move takes one project", doing="setting duplicates aside", hint=hint)
        _move(chosen[0], thresholds, near, execute)
        return
    with console.progress_bar("Hashing") as progress:
        gathered = gathering.gather(chosen, progress, exact=exact)
    found = finding.find(gathered.copies, thresholds)
    for note in gathered.notes:
        console.say(note)
    kept = set()  # (project, pair of which the user kept both)
    for project in chosen:
        with connect.open_read_only(project.database) as connection:
            kept |= {(project.id, pair) for pair in marks_table.kept_pairs(connection)}
    pairs = [_values(p, not p.across and (p.a.project_id, duplicates_session.kept_key(p)) in kept) for p in found.pairs]
    several = len(chosen) > 1
    count = len(gathered.copies)
    identical = sum(pair.kind == "exact" for pair in found.pairs)
    kinds = [plural(identical, "exact pair"), *([] if exact else [plural(len(pairs) - identical, "near pair")])]
    lines = [f"{plural(count, 'image')}: {', '.join(kinds)}"]
    lines += console.some([_words(pair, several) for pair in pairs], _PAIRS_SHOWN)
    if found.dropped:
        lines.append(f"{found.dropped:,} less alike near pairs were left out: raise --cosine, lower --hash-distance")
    if gathered.left_out:
        lines.append(f"{len(gathered.left_out):,} images not compared, the first: {' '.join(gathered.left_out[0])}")
    values = {
        "pairs": pairs,
        "images": count,
        "dropped": found.dropped,
        "left_out": [{"project": p, "path": path, "reason": reason} for p, path, reason in gathered.left_out],
    }
    console.show(lines, values)


def _move(project: Project, thresholds: finding.Thresholds, near: bool, execute: bool) -> None:
    """Print what would be set aside, marks of the desk included, and do it if asked."""
    with console.progress_bar("Hashing") as progress:
        opened = duplicates_session.DuplicatesSession(project, thresholds=thresholds, progress=progress)
    with closing(opened) as session:
        suggested, held = session.stage_suggested(near=near)
        wanted = {**session.board.marks, **suggested}
        placements = session.plan({path: to for path, to in wanted.items() if path in session.board.layout.places})
        going = [p.mark.path for p in placements if p.held is None]
        held |= {p.mark.path: p.held for p in placements if p.held is not None}
        batch = None
        if execute and going:
            session.set_marks({path: suggested[path] for path in going if path in suggested})
            result = session.apply()
            batch, held = result.batch, {**held, **result.held, **result.stuck}
            going = [path for path in going if path not in held]
        keeps = session.kept_for(going)
    moved = [f"  {path} → delete_staging/ (stays: {keeps.get(path, 'see the desk')})" for path in going]
    lines = console.some(moved, _PAIRS_SHOWN) + console.some(
        [f"  {path} stays: {reason}" for path, reason in held.items()], _PAIRS_SHOWN
    )
    done = f"Batch {batch}: {len(going)} set aside" if batch else f"{len(going)} would be set aside"
    lines.append(f"{done}, {len(held)} held back")
    if going and not execute:
        lines.append("Nothing has been done. Do it: add --execute")
    values = {
        "planned": [{"path": path, "to": "delete_staging", "kept": keeps.get(path)} for path in going],
        "held": [{"path": path, "reason": reason} for path, reason in held.items()],
        "batch": batch,
    }
    console.show(lines, values)
    console.fail_if(execute and held)


def _words(pair: dict[str, Any], several: bool) -> str:
    a, b = (f"{pair[f'{side}_project']}:{pair[side]}" if several else pair[side] for side in "ab")
    kind = "exact     " if pair["kind"] == "exact" else f"near {pair['score']:.3f}"
    said = "of two projects: reported only" if pair["why_a"] is None else f"keep the first: {pair['why_a']}"
    return f"  {kind}  {a}  =  {b}  ({'you kept both' if pair['kept_both'] else said})"


def _values(pair: finding.DuplicatePair, kept_both: bool) -> dict[str, Any]:
    """The four fields of FORMATS.md, `a` being the one to keep, then their evidence."""
    return {
        "a": pair.a.path,
        "b": pair.b.path,
        "kind": pair.kind,
        "score": pair.score,
        "a_project": pair.a.project_id,
        "b_project": pair.b.project_id,
        "bits": pair.bits,
        "cosine": None if pair.cosine is None else round(pair.cosine, 4),
        "why_a": None if pair.across else finding.why(pair.a, pair.b),
        "kept_both": kept_both,
    }

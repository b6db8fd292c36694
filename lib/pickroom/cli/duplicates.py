"""The command that finds duplicates and sets the needless copies aside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pickroom.cli.console import Home, Json, app, fail_if, progress_bar, say, show, some
from pickroom.core.errors import UsageError
from pickroom.core.quantities import plural
from pickroom.store.workspace import Workspace

if TYPE_CHECKING:
    from pickroom.sessions.duplicates.finding import Copy, DuplicatePair, Thresholds
    from pickroom.store.kept_pairs import KeptPair
    from pickroom.store.workspace import Project

_SHOWN = 40  # pairs listed in words; --json lists them all


@app.command()
def duplicates(
    projects: Annotated[list[str] | None, typer.Argument(metavar="[PROJECT]...", help="Else every project.")] = None,
    cosine: Annotated[float | None, typer.Option(help="Near from this cosine of the vectors on.")] = None,
    hash_distance: Annotated[
        int | None,
        typer.Option("--hash-distance", metavar="BITS", help="Near within so many of the hashes' 64 bits."),
    ] = None,
    within_groups: Annotated[
        bool, typer.Option("--within-groups", help="Near pairs inside one group too: these are meant to be alike.")
    ] = False,
    move: Annotated[
        bool, typer.Option("--move", help="Set the exact copies of one project aside: a dry run first.")
    ] = False,
    near: Annotated[bool, typer.Option("--near", help="With --move: near duplicates too, without a look.")] = False,
    execute: Annotated[bool, typer.Option("--execute", help="With --move: move the files.")] = False,
    home: Home = None,
    json_output: Json = False,
) -> None:
    """Find images that are there twice, in any folder of any project; the desk is notebooks/72_duplicates.ipynb."""
    from pickroom.sessions.duplicates.finding import Thresholds, find
    from pickroom.sessions.duplicates.gathering import gather, projects_of

    if (near or execute) and not move:
        raise UsageError(
            "--near and --execute do nothing by themselves", doing="looking for duplicates", hint="add --move"
        )
    try:
        thresholds = Thresholds.given(cosine, hash_distance, within_groups)
    except ValueError as error:
        raise UsageError(str(error), doing="looking for duplicates") from None
    chosen = projects_of(Workspace.find(home), projects or [])
    if move:
        if len(chosen) != 1:
            hint = "across projects duplicates are only reported"
            raise UsageError("--move takes one project", doing="setting duplicates aside", hint=hint)
        _move(chosen[0], thresholds, near, execute, json_output)
        return
    with progress_bar("Hashing") as progress:
        gathered = gather(chosen, progress)
    found = find(gathered.copies, thresholds)
    for note in gathered.notes:
        say(note)
    several = len(chosen) > 1
    count = len(gathered.copies)
    exact = sum(pair.kind == "exact" for pair in found.pairs)
    pairs = plural(exact, "exact pair"), plural(len(found.pairs) - exact, "near pair")
    lines = [f"{plural(count, 'image')}: {', '.join(pairs)}"]
    kept = _kept(chosen)
    lines += some([_words(pair, several, kept) for pair in found.pairs], _SHOWN)
    if found.dropped:
        lines.append(f"{found.dropped:,} less alike near pairs were left out: raise --cosine, lower --hash-distance")
    if gathered.left_out:
        lines.append(f"{len(gathered.left_out):,} images not compared, the first: {' '.join(gathered.left_out[0])}")
    values = {
        "pairs": [_values(pair, kept) for pair in found.pairs],
        "images": count,
        "dropped": found.dropped,
        "left_out": [{"project": p, "path": path, "reason": reason} for p, path, reason in gathered.left_out],
    }
    show(values, json_output, lines)


def _move(project: Project, thresholds: Thresholds, near: bool, execute: bool, json_output: bool) -> None:
    """Say what would be set aside, what was marked at the desk among it; and do it if asked."""
    from pickroom.sessions.duplicates.session import DuplicatesSession

    with progress_bar("Hashing") as progress:
        session = DuplicatesSession(project, thresholds=thresholds, progress=progress)
    try:
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
    finally:
        session.close()
    moved = [f"  {path} → delete_staging/ (stays: {keeps.get(path, 'see the desk')})" for path in going]
    lines = some(moved, _SHOWN) + some([f"  {path} stays: {reason}" for path, reason in held.items()], _SHOWN)
    done = f"Batch {batch}: {len(going)} set aside" if batch else f"{len(going)} would be set aside"
    lines.append(f"{done}, {len(held)} held back")
    if going and not execute:
        lines.append("Nothing has been done. Do it: add --execute")
    values = {
        "planned": [{"path": path, "to": "delete_staging", "kept": keeps.get(path)} for path in going],
        "held": [{"path": path, "reason": reason} for path, reason in held.items()],
        "batch": batch,
    }
    show(values, json_output, lines)
    fail_if(execute and held)


def _name(copy: Copy, several: bool) -> str:
    return f"{copy.project_id}:{copy.path}" if several else copy.path


def _kept(projects: Sequence[Project]) -> dict[str, frozenset[KeptPair]]:
    """Project -> its pairs of which a person said that both stay."""
    from pickroom.store import kept_pairs
    from pickroom.store.connect import open_read_only

    found = {}
    for project in projects:
        with open_read_only(project.database) as connection:
            found[project.id] = kept_pairs.every(connection)
    return found


def _is_kept(pair: DuplicatePair, kept: Mapping[str, frozenset[KeptPair]]) -> bool:
    from pickroom.sessions.duplicates.session import kept_key

    return not pair.across and kept_key(pair) in kept[pair.a.project_id]


def _words(pair: DuplicatePair, several: bool, kept: Mapping[str, frozenset[KeptPair]]) -> str:
    from pickroom.sessions.duplicates.finding import why

    kind = "exact     " if pair.kind == "exact" else f"near {pair.score:.3f}"
    said = "of two projects: reported only" if pair.across else f"keep the first: {why(pair.a, pair.b)}"
    said = "you kept both" if _is_kept(pair, kept) else said
    return f"  {kind}  {_name(pair.a, several)}  =  {_name(pair.b, several)}  ({said})"


def _values(pair: DuplicatePair, kept: Mapping[str, frozenset[KeptPair]]) -> dict[str, Any]:
    """FORMATS.md's four fields, `a` being the one to keep; then what they rest on."""
    from pickroom.sessions.duplicates.finding import why

    return {
        "a": pair.a.path,
        "b": pair.b.path,
        "kind": pair.kind,
        "score": pair.score,
        "a_project": pair.a.project_id,
        "b_project": pair.b.project_id,
        "bits": pair.bits,
        "cosine": None if pair.cosine is None else round(pair.cosine, 4),
        "why_a": None if pair.across else why(pair.a, pair.b),
        "kept_both": _is_kept(pair, kept),
    }

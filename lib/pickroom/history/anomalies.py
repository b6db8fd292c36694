"""Anomalies: picks of a lower stage although a higher one was there, which a ranker by stage gets wrong.

Reads the decisions of projects, their own and imported ones; writes the cases as a CSV in the earlier system's columns,
the rates as JSON, and draws a chart.
"""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pickroom.core.errors import ProjectError, StoreError
from pickroom.core.naming import stage_of
from pickroom.core.quantities import is_formula
from pickroom.integrity.inspection import find_unsound
from pickroom.store import legacy, written_files
from pickroom.store.connect import open_read_only
from pickroom.store.workspace import Workspace, utc_now

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# not `anomaly_cases.csv` and `anomaly_summary.json`, which are the earlier system's files
CASES_FILE, SUMMARY_FILE = "pickroom_anomaly_cases.csv", "pickroom_anomaly_summary.json"
# the earlier system's columns, so that programs that read its file can read this one, `import-csv` too
COLUMNS = (
    *("session_id", "set_id", "project", "chosen_stage", "max_rejected_stage", "chosen_path", "rejected_paths"),
    "timestamp",
)
_LEGEND = "(1<2: stage 1 was picked although stage 2 was in the group)"
# what the machine decided is not what the user decided (DESIGN.md, invariant 11)
_DECIDED = """SELECT d.rowid, d.project_id, d.group_id, d.images, d.user_selected_index, d.timestamp
    FROM ai_decisions AS d LEFT JOIN decision_context AS c USING (group_id)
    WHERE d.user_action <> 'reject' AND c.input IS NOT 'auto'
    ORDER BY d.timestamp, d.group_id"""
_KEEP = "#0072b2"  # the blue of Okabe and Ito's palette, which is safe for colour-blind people


@dataclass(frozen=True, slots=True)
class Pick:
    """One image chosen over others; file names only."""

    project_id: str
    set_id: str  # the group's id, or the log's name and line
    chosen: str
    others: tuple[str, ...]
    timestamp: str | None
    source: str  # the database of its row


# one anomaly: a pick, its stage, and the highest stage that was not picked
Case = tuple[Pick, float, float]


@dataclass(slots=True)
class Rates:
    """Counts of one project."""

    decisions: int = 0  # picks by the user, without rejected groups and automatic decisions
    with_stages: int = 0  # picks whose stages can be compared; the rate is of these
    anomalies: int = 0
    pairs: Counter[str] = field(default_factory=Counter)  # "1<1.5" (chosen, highest rejected) -> anomalies of that kind

    @property
    def rate(self) -> float | None:
        """Anomalies among the picks with stages, in [0, 1]; None without any."""
        return self.anomalies / self.with_stages if self.with_stages else None

    def to_dict(self) -> dict[str, Any]:
        return asdict(self) | {"rate": self.rate, "pairs": dict(sorted(self.pairs.items()))}


@dataclass(frozen=True, slots=True)
class Summary:
    """The anomalies by project, with every project that was asked for."""

    projects: dict[str, Rates]

    @property
    def total(self) -> Rates:
        every = self.projects.values()
        return Rates(
            sum(rates.decisions for rates in every),
            sum(rates.with_stages for rates in every),
            sum(rates.anomalies for rates in every),
            sum((rates.pairs for rates in every), Counter()),
        )

    def to_dict(self) -> dict[str, Any]:
        projects = {name: rates.to_dict() for name, rates in self.projects.items()}
        return {"projects": projects, "total": self.total.to_dict()}

    def lines(self) -> list[str]:
        """One line a project, and one for all of them."""
        rows = [*self.projects.items(), *((("together", self.total),) if len(self.projects) > 1 else ())]
        lines = []
        for name, rates in rows:
            if rates.rate is None:
                lines.append(f"{name}: {rates.decisions:,} picks, none with stages to compare")
                continue
            of, share = f"{rates.anomalies:,} of {rates.with_stages:,} picks with stages", f"{rates.rate:.1%}"
            kinds = ", ".join(f"{count:,} x {pair}" for pair, count in rates.pairs.most_common())
            lines.append(f"{name}: {of} ({share}) chose a lower one" + (f": {kinds}" if kinds else ""))
        return lines + ([_LEGEND] if self.total.pairs else [])


def find(workspace: Workspace, project_ids: Sequence[str] = ()) -> tuple[Summary, list[Case]]:
    """The anomalies of some projects, or of all that are started or have imports.

    Raises:
        ProjectError: a project is neither started nor imported.
        StoreError: a database cannot be read.
    """
    known = sorted({*workspace.project_ids(), *legacy.legacy_project_ids(workspace)})
    for project_id in (one for one in project_ids if one not in known):
        what, hint = f"no project is named {project_id!r}, nor imports of it", ", ".join(known) or "none yet"
        raise ProjectError(what, doing="looking for anomalies", hint=f"known here: {hint}")
    projects: dict[str, Rates] = {}
    cases: list[Case] = []
    for project_id in project_ids or known:
        rates = projects[project_id] = Rates()
        for pick in picks(workspace, project_id):
            rates.decisions += 1
            if (stages := compare(pick)) is None:
                continue
            rates.with_stages += 1
            chosen, highest = stages
            if chosen < highest:
                rates.anomalies += 1
                rates.pairs[f"{chosen:g}<{highest:g}"] += 1
                cases.append((pick, chosen, highest))
    return Summary(projects), cases


def compare(pick: Pick) -> tuple[float, float] | None:
    """(chosen stage, highest rejected stage); None when the names do not say which is higher."""
    chosen = stage_of(pick.chosen)
    others = [stage_of(name) for name in pick.others]
    known = [stage for stage in others if stage is not None]
    if chosen is None or not known or (len(known) < len(others) and max(known) <= chosen):
        return None
    return chosen, max(known)


def picks(workspace: Workspace, project_id: str) -> Iterator[Pick]:
    """Every pick of the user in a project: its own, those in imported decisions, and imported selections."""
    for database in legacy.databases(workspace, project_id):
        with open_read_only(database) as connection:
            unsound = find_unsound(connection)
            for row, owner, group_id, images, index, timestamp in connection.execute(_DECIDED):
                if row not in unsound.decisions:
                    names = json.loads(images)
                    chosen = names.pop(index)
                    yield Pick(owner, group_id, chosen, tuple(names), timestamp, database.name)
            if database != legacy.legacy_path(workspace, project_id):
                continue
            for one in legacy.selections(connection, unsound.rows["legacy_selections"]):
                place = one.source_file if one.source_line is None else f"{one.source_file}:{one.source_line}"
                yield Pick(one.project_id, place, one.chosen, one.others, one.timestamp, database.name)


def write(workspace: Workspace, summary: Summary, cases: Iterable[Case]) -> list[Path]:
    """Write cases and rates to `data/training/`, under free names; returns their paths.

    Raises:
        StoreError: the folder cannot be written to.
    """
    folder = workspace.decisions.parent
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for pick, *stages in cases:
        rejected = json.dumps(pick.others, ensure_ascii=False)
        # a name may look like a formula; written as a path it is plain text for a spreadsheet
        chosen = pick.chosen if _plain(pick.chosen) == pick.chosen else f"./{pick.chosen}"
        said = (_plain(pick.source), _plain(pick.set_id), _plain(pick.project_id))
        writer.writerow(
            (*said, *(f"{stage:g}" for stage in stages), chosen, rejected, pick.timestamp and _plain(pick.timestamp))
        )
    described = json.dumps({"generated_at": utc_now(), **summary.to_dict()}, indent=2) + "\n"
    made = []
    try:
        for name, content in ((CASES_FILE, text.getvalue()), (SUMMARY_FILE, described)):
            made.append(written_files.free_path(workspace, folder / name))
            written_files.write_text(workspace, made[-1], content)
    except OSError as error:
        what, hint = error.strerror or str(error), "is it there, with room?"
        raise StoreError(what, doing="writing anomalies", subject=folder, hint=hint) from error
    return made


def _plain(text: str) -> str:
    """A cell that no spreadsheet reads as a formula (docs/decisions/115)."""
    return f"'{text}" if is_formula(text) or text.startswith("'") else text


def figure(summary: Summary) -> Figure:
    """A bar chart: by project, how often the user chose a lower stage, of the picks with stages."""
    from matplotlib.figure import Figure

    shown = [(name, rates) for name, rates in summary.projects.items() if rates.rate is not None]
    drawn = Figure(figsize=(7, 1.2 + 0.35 * max(len(shown), 1)), layout="constrained")
    axes = drawn.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_xlabel("lower stage chosen, % of picks with stages")
    if not shown:
        axes.set_title("No picks with stages yet", loc="left")
        axes.set_axis_off()
        return drawn
    percents = [100 * (rates.rate or 0) for _, rates in shown]
    bars = axes.barh([name for name, _ in shown], percents, color=_KEEP)
    counts = [f"{rates.anomalies:,} of {rates.with_stages:,}" for _, rates in shown]
    axes.bar_label(bars, [f"{p:.1f} %  ({of})" for p, of in zip(percents, counts, strict=True)], padding=4)
    axes.set_xticks([tick for tick in axes.get_xticks() if 0 <= tick <= 100])
    axes.set_xlim(0, max(*percents, 1) * 1.4)  # room for the labels
    axes.invert_yaxis()
    return drawn

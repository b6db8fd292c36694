"""The training page: trains both models, shows how they do next to their baselines, and a sample side by side."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import cache, partial
from html import escape
from typing import Any

import ipywidgets
from matplotlib.figure import Figure

from pickroom.analysis import figures
from pickroom.analysis.reports.html import picture
from pickroom.app.widgets import desk_html
from pickroom.app.widgets.desk import Home, shown
from pickroom.core.errors import NotYetError, PickroomError
from pickroom.features.sources import FeatureSources
from pickroom.images import thumbnails
from pickroom.learn import evaluation
from pickroom.learn.evaluation import Evaluation, evaluate
from pickroom.learn.models import default_task
from pickroom.learn.progress import Status
from pickroom.learn.recommending import recommend
from pickroom.learn.splits import SplitConfig
from pickroom.learn.training import Trained, train
from pickroom.learn.training_sets import KINDS, Kind
from pickroom.store.workspace import Workspace

_TALL = 180  # CSS pixels of a picture of the sample


def training_page(project_ids: Sequence[str], home: Home = None) -> TrainingPage:
    """The page of these projects in this kernel: a notebook's cells meet on it, whichever of them runs first."""
    return _page(tuple(project_ids), str(home) if home else None)


class TrainingPage:
    """Several projects learned from together; what there is too little for yet is a line in its place."""

    def __init__(self, project_ids: Sequence[str], home: Home = None, show: Callable[[str], None] = print) -> None:
        self.project_ids = list(project_ids)
        self.workspace = Workspace.find(home)
        self.trained: dict[str, Trained] = {}  # kind -> what its last training here made
        self.evaluation: Evaluation | None = None  # of `look`, None before
        self._show, self._phase = show, ""

    @shown
    def train(self, holdout: str | None = None, anomaly_weights: Sequence[float] = ()) -> str:
        """Train both models; each recommends from then on only if it beats the current one and its baselines."""
        return _joined(partial(self._train, kind, holdout, anomaly_weights) for kind in KINDS)

    def _train(self, kind: Kind, holdout: str | None, anomaly_weights: Sequence[float]) -> str:
        task: Any = default_task(kind)
        if kind == "ranker" and anomaly_weights:
            task = replace(task, anomaly_weights=tuple(anomaly_weights))
        self.trained[kind] = train(
            self.workspace, kind, self.project_ids, SplitConfig(holdout=holdout), task, self._tell
        )
        return _paragraph(self.trained[kind].lines)

    @shown
    def recommend(self) -> str:
        """Renew what the deck shows for every undecided group of these projects."""
        opened = [self.workspace.project(project_id) for project_id in self.project_ids]
        return "".join(_paragraph(recommend(project).words.splitlines()) for project in opened)

    @shown
    def look(self, sample: int = 20, seed: int | None = None) -> str:
        """Every version on decisions it was not trained on, then groups side by side: the user's choice, the AI's."""
        self.evaluation = None

        def numbers() -> str:
            self.evaluation = evaluate(self.workspace, self.project_ids, 0)
            return _paragraph(evaluation.evaluation_lines(self.evaluation))

        def sheet() -> str:
            if not sample:
                return ""
            drawn = evaluate(self.workspace, self.project_ids, sample, seed)
            sources = FeatureSources(self.workspace.project(project_id) for project_id in self.project_ids)
            rows = []
            for one in drawn.sample:
                cells = "".join(self._cell(one, place, sources) for place in range(len(one["images"])))
                rows.append(
                    f'<p style="margin: 12px 0 4px">{escape(evaluation.sample_line(one))}</p><div>{cells}</div>'
                )
            return "".join(rows)

        return _joined([numbers, sheet])

    def calibration(self) -> ipywidgets.HTML:
        """How often the current ranker was right, and how sure it was, on rows it was not trained on: a picture."""
        found = self.evaluation.versions if self.evaluation else ()
        rows = [one.metrics.get("calibration", []) for one in found if one.kind == "ranker" and one.current]
        longest: list[dict[str, Any]] = max(rows, key=len, default=[])
        return _picture(figures.calibration(longest) if longest else None, "confidence, and how often it was right")

    def versions(self) -> ipywidgets.HTML:
        """Every version of the ranker on every project, next to "highest stage": a picture."""
        rows = []
        for one in self.evaluation.versions if self.evaluation else ():
            if one.kind == "ranker" and one.metrics:
                overall, baseline = one.metrics["overall"], one.baselines["highest stage"]["overall"]
                rate = {name: overall[name] for name in ("value", "low", "high")}
                row = {"project_id": one.project_id, "version": one.version, **rate, "baseline": baseline["value"]}
                rows.append(row)
        return _picture(figures.versions(rows) if rows else None, "every version of the ranker, by project")

    def _tell(self, status: Status) -> None:
        if status.phase != self._phase:
            self._phase = status.phase
            self._show(status.line)

    def _cell(self, entry: dict[str, Any], place: int, sources: FeatureSources) -> str:
        """One image: blue below it what the user picked, a solid frame what the AI did; boxes drawn to scale."""
        person, ai = place == entry["user_selected_index"], place == entry["ai_selected_index"]
        frame = "outline: 3px solid #222; outline-offset: -3px;" if ai else ""
        boxes = ""
        if person:
            boxes = _box(entry["final_crop_coords"], "solid #1f6fb4") + _box(entry["ai_crop_coords"], "dashed #222")
        said = " and ".join(name for name, true in (("person", person), ("AI", ai)) if true)
        picture = self._picture(entry["project_id"], entry["images"][place], sources)
        colour = "#1f6fb4" if person else "inherit"
        return (
            '<div style="display: inline-block; margin-right: 8px; vertical-align: top">'
            f'<div style="position: relative; {frame}">{picture}{boxes}</div>'
            f'<div style="color: {colour}">{escape(said)}&nbsp;</div></div>'
        )

    def _picture(self, project_id: str, filename: str, sources: FeatureSources) -> str:
        """A preview by its content; a word where the file is nowhere to be found."""
        try:
            path = sources.path(project_id, filename)
            digest = sources.vectors(project_id)
            row = next((n for n, name in enumerate(digest.filenames) if name == filename), None)
            sha256 = digest.content_hashes[row] if row is not None else None
            if path is None or sha256 is None:
                return f"<i>{escape(filename)} is not there</i>"
            data = thumbnails.read(self.workspace.thumbnails, sha256, path)
        except (PickroomError, OSError) as error:
            return f"<i>{escape(str(error))}</i>"
        text = base64.b64encode(data).decode()
        return f'<img src="data:image/jpeg;base64,{text}" alt="{escape(filename)}" style="height: {_TALL}px">'


_page = cache(TrainingPage)  # the pages of this kernel


def _picture(figure: Figure | None, alt: str) -> ipywidgets.HTML:
    if figure is None:
        return ipywidgets.HTML(desk_html.notice("No ranker has been trained on enough decisions to show this yet"))
    return ipywidgets.HTML(picture(figure, alt).html)


def _joined(parts: Iterable[Callable[[], str]]) -> str:
    """Parts of a page; in place of one that there is too little for yet stands the line that says so."""
    found: list[str] = []
    for make in parts:
        try:
            found.append(make())
        except NotYetError as error:
            if (line := desk_html.notice(error.line)) not in found:
                found.append(line)
    return "".join(found)


def _paragraph(lines: Sequence[str]) -> str:
    return f'<pre style="white-space: pre-wrap">{escape(chr(10).join(lines))}</pre>'


def _box(box: Sequence[float] | None, stroke: str) -> str:
    if box is None:
        return ""
    left, top, right, bottom = (f"{100 * edge:.2f}%" for edge in (box[0], box[1], 1 - box[2], 1 - box[3]))
    place = f"left: {left}; top: {top}; right: {right}; bottom: {bottom}"
    return f'<div style="position: absolute; {place}; border: 2px {stroke}; box-sizing: border-box"></div>'

"""The page of the models: how often they are right and against what, their versions, training, a sample of groups."""

import base64
from collections.abc import Sequence
from html import escape
from typing import Any

from pickroom.analysis import figures
from pickroom.analysis.reports.html import beside, picture
from pickroom.app.widgets.page import Page, Part, Work, button, listed, table
from pickroom.core.errors import PickroomError
from pickroom.core.quantities import percent, plural
from pickroom.features.sources import FeatureSources
from pickroom.images import thumbnails
from pickroom.learn import evaluation, progress, retraining
from pickroom.learn.picks.learner import ENOUGH
from pickroom.learn.progress import Background, Status
from pickroom.learn.standing import Standing, standing
from pickroom.store.workspace import Project

SAMPLE = 12  # groups shown side by side
_TALL = 180  # CSS pixels of a picture of the sample
_REASONS = 8  # listed
_YOURS, _AI = "var(--pickroom-shape)", "var(--pickroom-red)"
_HALO = "box-sizing: border-box; box-shadow: 0 0 0 1px white, inset 0 0 0 1px white"  # seen on any picture


class ModelsPage(Page):
    """The models that recommend in one project.

    Attributes:
        agreement, training, versions, weights, sample: the parts.
        found: how the models stand, None before it has been read.
    """

    def __init__(self, project: Project) -> None:
        self.project, self.workspace = project, project.workspace
        self.found: Standing | None = None
        self.train = button("Train", self._train, "primary")
        self.draw_sample = button(f"Show {SAMPLE} groups", self._sample)
        self.agreement = Part("How often the recommendation is right")
        self.training = Part("Training", self.train)
        self.versions = Part("Versions")
        self.weights = Part("What decides")
        self.sample = Part("A sample, side by side", self.draw_sample)
        parts = self.agreement, self.training, self.versions, self.weights, self.sample
        super().__init__(*parts, looking=self.agreement)
        words = "Groups at random that the model had not learned: your pick, and the one that it would have made."
        self.sample.body.value = listed([words])
        self.look()
        if progress.is_running(self.workspace, retraining.NAME):
            self._follow(None)

    def look(self) -> None:
        """Read how the models stand, and show it."""

        def work(_: Work) -> str:
            self.found = standing(self.project)
            self._draw(self.found)
            return ""

        self.agreement.start("Reading the decisions", work, lambda: None)

    def _draw(self, found: Standing) -> None:
        self.agreement.body.value = listed([found.headline])
        if len(found.right) > 1:
            over_time = picture(figures.rolling(found.over_time), "share of right picks over time")
            sure = picture(figures.calibration(found.calibration), "how sure it was, and how often it was right")
            words = "On the right: on the dashed line its confidence is worth what it says."
            self.agreement.body.value += beside(over_time, sure).html + listed([words])
        rows = [
            (rival, f"{groups:,}", f"{value:.3g}", "shown" if value >= ENOUGH else "not shown yet")
            for rival, groups, value in found.bets
        ]
        together = [f"It learns from the decisions in {', '.join(found.projects)}.", *found.left_out]
        self.training.body.value = listed(
            [
                *together,
                "A new version recommends only once it is shown to beat its baselines and the version before it.",
            ]
        )
        compared = table(("compared with", "groups", "e-value", f"better ({ENOUGH:g} is enough)"), rows)
        lines = [(v.name, "recommends" if v.current else "", v.made_at[:10], v.said, v.verdict) for v in found.versions]
        self.versions.body.value = (
            listed([f"What it has learned since: {found.verdict}."])
            + compared
            + table(("version", "", "made", "how good", "why it is used, or not"), lines)
        )
        bars = "".join(_bar(share, name) for name, share in found.weights.items())
        reasons = [(reason, f"{count:,}") for reason, count in list(found.reasons.items())[:_REASONS]]
        self.weights.body.value = (
            f"<table>{bars}</table>" if bars else listed(["No model has learned enough to say."])
        ) + table(("reason given for a recommendation", "groups that wait"), reasons)

    def _train(self) -> None:
        started = self.training.attempt(lambda: retraining.start_retraining(self.project, versions=True))
        if started is not None:
            self._follow(started)

    def _follow(self, started: Background | None) -> None:
        """Show a training that goes on in another process, which outlives the page."""

        def work(work: Work) -> str:
            def show(status: Status) -> None:
                self.training.say(status.line)

            def starting() -> bool:
                work.check()  # the page is left: the training goes on
                return started is not None and started.starting

            last = progress.follow(self.workspace, retraining.NAME, show, starting)
            if last is None or last.state == "failed":
                said = started.words.splitlines() if started is not None else []
                what = last.message if last is not None else said[-1] if said else "it ended without a word"
                raise PickroomError(what, doing="training")
            return " ".join(f"{line.rstrip('.')}." for line in last.message.splitlines())

        def stop() -> None:
            progress.request_stop(self.workspace, retraining.NAME)

        self.training.start("Training", work, self.look, stop)

    def _sample(self) -> None:
        def work(work: Work) -> str:
            found = self.found or standing(self.project)
            drawn = evaluation.evaluate(self.workspace, found.projects, SAMPLE, progress=work.count)
            sources = FeatureSources(self.workspace.project(project_id) for project_id in found.projects)
            rows = []
            for one in drawn.sample:
                cells = "".join(self._cell(one, place, sources) for place in range(len(one["images"])))
                rows.append(f"<p>{escape(evaluation.sample_line(one))}</p><div>{cells}</div>")
            self.sample.body.value = "".join(rows)
            right = sum(entry["selection_match"] for entry in drawn.sample)
            return f"Your pick in {right} of {plural(len(drawn.sample), 'group')}. Blue: yours; dashed red: the AI's."

        self.sample.start("Reading groups", work, lambda: None)

    def _cell(self, entry: dict[str, Any], place: int, sources: FeatureSources) -> str:
        """One image: blue frames the user's pick, dashed red the AI's; crop boxes likewise, drawn to scale."""
        yours, ai = place == entry["user_selected_index"], place == entry["ai_selected_index"]
        colour = _YOURS if yours else _AI if ai else "transparent"
        frame = f"outline: 3px {'solid' if yours else 'dashed'} {colour}; outline-offset: 2px"
        boxes = _box(entry["final_crop_coords"], f"solid {_YOURS}") + _box(entry["ai_crop_coords"], f"dashed {_AI}")
        said = " and ".join(name for name, true in (("yours", yours), ("the AI's", ai)) if true)
        picture = self._picture(entry["project_id"], entry["images"][place], sources)
        return (
            '<div style="display: inline-block; margin: 6px; vertical-align: top">'
            f'<div style="position: relative; {frame}">{picture}{boxes if yours else ""}</div>'
            f"<div>{escape(said)}&nbsp;</div></div>"
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
            data = thumbnails.read_small(self.workspace.thumbnails, sha256, path)
        except (PickroomError, OSError) as error:
            return f"<i>{escape(str(error))}</i>"
        text = base64.b64encode(data).decode()
        return f'<img src="data:image/jpeg;base64,{text}" alt="{escape(filename)}" style="height: {_TALL}px">'


def open_models(project: Project) -> ModelsPage:
    """The page of the models of a project; nothing is trained before a button is pressed."""
    return ModelsPage(project)


def _bar(share: float, name: str) -> str:
    return (
        f'<tr><td class="number">{percent(share)}</td><td class="bar"><div class="share" style="width: {share:.1%}">'
        f"</div></td><td>{escape(name)}</td></tr>"
    )


def _box(box: Sequence[float] | None, stroke: str) -> str:
    if box is None:
        return ""
    left, top, right, bottom = (f"{100 * edge:.2f}%" for edge in (box[0], box[1], 1 - box[2], 1 - box[3]))
    place = f"left: {left}; top: {top}; right: {right}; bottom: {bottom}"
    return f'<div style="position: absolute; {place}; border: 2px {stroke}; {_HALO}"></div>'

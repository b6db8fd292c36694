"""The page of the models: how often they are right and against what, their versions, training, a sample of groups."""

import io

from PIL import Image as PillowImage

from pickroom.analysis import figures
from pickroom.analysis.reports.html import picture, side_by_side
from pickroom.app.widgets.page import Page, Part, Work, button, listed, table
from pickroom.app.widgets.words import escape
from pickroom.core.errors import PickroomError
from pickroom.core.quantities import percent, plural
from pickroom.features.sources import FeatureSources
from pickroom.images import thumbnails
from pickroom.learn import evaluation, progress, retraining
from pickroom.learn.picks.learner import ENOUGH
from pickroom.learn.progress import Background, Status
from pickroom.learn.standing import Standing, standing
from pickroom.store.workspace import Project

SAMPLE = 8  # groups shown side by side
_REASONS = 8  # listed


class ModelsPage(Page):
    """The models that recommend in one project; `found` says how they stand, None before it has been read."""

    def __init__(self, project: Project) -> None:
        self.project, self.workspace = project, project.workspace
        self.found: Standing | None = None
        self._following: Work | None = None
        self.train = button("Train", self._train, "primary")
        self.draw_sample = button(f"Show {SAMPLE} groups", self._sample)
        self.agreement = Part("How often the recommendation is right")
        self.training = Part("Training", self.train)
        self.versions = Part("Versions")
        self.weights = Part("What decides")
        self.sample = Part("A sample, side by side", self.draw_sample)
        parts = self.agreement, self.training, self.versions, self.weights, self.sample
        super().__init__(*parts, looking=self.agreement)
        self.sample.body.value = listed(["Random groups that the model had not learned: your pick, and the model's."])
        self.look()
        if progress.is_running(self.workspace, retraining.NAME):
            self._follow(None)

    def close(self) -> None:
        """Follow no training any more."""
        if self._following is not None:
            self._following.end()
        super().close()

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
            words = "On the right: on the dashed line it is right as often as its confidence."
            self.agreement.body.value += side_by_side(over_time, sure).html + listed([words])
        beats = "A version recommends only once it is shown to beat its baselines and the version before it."
        self.training.body.value = listed(
            [f"It learns from the decisions in {', '.join(found.projects)}.", *found.left_out, beats]
        )
        rows = [
            (rival, f"{groups:,}", f"{value:.3g}", "shown" if value >= ENOUGH else "not shown yet")
            for rival, groups, value in found.bets
        ]
        self.versions.body.value = (
            listed([f"What has been learned so far: {found.verdict}." if found.bets else "No version is judged yet."])
            + table(("compared with", "groups", "e-value", f"better ({ENOUGH:g} is enough)"), rows)
            + table(("version", "", "made", "how good", "why it is used, or not"), found.versions)
        )
        bars = "".join(
            f'<tr><td class="number">{percent(share)}</td><td class="bar"><div class="share" '
            f'style="width: {share:.1%}"></div></td><td>{escape(name)}</td></tr>'
            for name, share in found.weights.items()
        )
        reasons = [(reason, f"{count:,}") for reason, count in list(found.reasons.items())[:_REASONS]]
        self.weights.body.value = (
            f"<table>{bars}</table>" if bars else listed(["No model has learned enough yet."])
        ) + table(("reason of the recommendation", "groups that wait"), reasons)

    def _train(self) -> None:
        started = self.training.attempt(lambda: retraining.start_retraining(self.project, versions=True))
        if started is not None:
            self._follow(started)

    def _follow(self, started: Background | None) -> None:
        """Show a training that goes on in another process, which outlives the page."""

        def work(work: Work) -> str:
            self._following = work

            def show(status: Status) -> None:
                self.training.say(status.line)

            def starting() -> bool:
                work.check()  # the page is left: the training goes on
                return started is not None and started.starting

            last = progress.follow(self.workspace, retraining.NAME, show, starting)
            if last is None or last.state == "failed":
                said = started.words.splitlines() if started is not None else []
                what = last.message if last is not None else said[-1] if said else "it ended without a message"
                raise PickroomError(what, doing="training")
            return " ".join(f"{line.rstrip('.')}." for line in last.message.splitlines())

        self.training.start(
            "Training", work, self.look, lambda _: progress.request_stop(self.workspace, retraining.NAME)
        )

    def _sample(self) -> None:
        def work(work: Work) -> str:
            found = self.found or standing(self.project)
            drawn = evaluation.evaluate(self.workspace, found.projects, SAMPLE, progress=work.count)
            sources = FeatureSources(self.workspace.project(project_id) for project_id in found.projects)
            rows = []
            for one in drawn.sample:
                named = zip(one["images"], one["hashes"], strict=True)
                rows.append({**one, "images": [(one["project_id"], *image) for image in named]})
            sheet = figures.contact_sheet(rows, lambda image: self._preview(sources, *image))
            self.sample.body.value = picture(sheet, "groups side by side").html
            right = sum(entry["selection_match"] for entry in drawn.sample)
            return f"Your pick in {right} of {plural(len(drawn.sample), 'group')}. Blue: yours; dashed red: the AI's."

        self.sample.start("Reading groups", work, lambda: None, Work.end)

    def _preview(
        self, sources: FeatureSources, project_id: str, filename: str, sha256: str | None
    ) -> PillowImage.Image | None:
        """An image by its content; None where it is not there, or cannot be read."""
        path = sources.path(project_id, filename, sha256)
        if path is None or sha256 is None:
            return None
        try:
            return PillowImage.open(io.BytesIO(thumbnails.read(self.workspace.thumbnails, sha256, path)))
        except (PickroomError, OSError):
            return None

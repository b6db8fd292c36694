"""The page of the automation: what may be approved unseen, proposals, their review, apply and undo.

In the sandbox unless the user says otherwise; their own images move only after the project's name was typed.
"""

from collections.abc import Callable
from pathlib import Path

import ipywidgets

from pickroom.app.widgets import desk_html
from pickroom.app.widgets.deck import Deck
from pickroom.app.widgets.desk import Desk, reopen
from pickroom.app.widgets.page import Page, Part, Work, block, button, listed
from pickroom.automation import apply as executor
from pickroom.automation import evidence
from pickroom.automation import sandbox as places
from pickroom.automation.decisions_file import read_decisions
from pickroom.automation.generate import generate, recommend_first
from pickroom.automation.guarantee import RISK_TARGET, RiskTarget, calibrate
from pickroom.automation.metrics import metrics_of
from pickroom.automation.planning import ApplyPlan
from pickroom.automation.sandbox import AutomationTarget
from pickroom.core.errors import PickroomError
from pickroom.core.quantities import plural
from pickroom.files.journal import AUTOMATION
from pickroom.sessions.review.auto_session import FILTERS, AutoSession
from pickroom.sessions.review.session import ReviewSession
from pickroom.sessions.review.view import GroupView
from pickroom.store import decisions, groups, operations
from pickroom.store.connect import open_read_only
from pickroom.store.workspace import Project

ONLY = "only "  # prefix of a filter's name: the pseudo key that its button sends
_STEPS_SHOWN = 24  # of a plan; the command line prints every one


class AutoDeck(Deck):
    """The review deck on the automation's decisions, with its filters as buttons."""

    question = "Write approved_decisions.jsonl?"
    answer = "Write"  # no image moves until it is applied
    choices = (("accept", "Approve"), ("reject", "Leave as it is"), ("keep", "Keep all"), ("skip", "Skip"))
    busy = "Writing the file…"
    session: AutoSession

    def tool_row(self, group: GroupView | None) -> str:
        counts = self.session.counts()
        filters = (
            desk_html.button(f"{ONLY}{name}", f"{text} {counts[name]}", kind="on" if name == self.session.only else "")
            for name, text in FILTERS.items()
        )
        return desk_html.row('<span class="label">Show</span>', *filters)

    def only_looks(self, key: str) -> bool:
        return key.startswith(ONLY) or super().only_looks(key)

    def apply(self, key: str) -> None:
        name = key.removeprefix(ONLY)
        if name == key or name not in FILTERS:
            super().apply(key)
        elif not self.session.asks:
            self.session.show_only(name)


class AutomatePage(Page):
    """The automation of one project; `plan` is what applying would do, as it was shown last, None before.

    Args:
        sandbox: the folder of sandboxes, None for the workspace's own.
        risk: what is guaranteed of groups approved unseen.
    """

    def __init__(self, project: Project, sandbox: Path | str | None = None, risk: RiskTarget = RISK_TARGET) -> None:
        self.project, self.risk = project, risk
        self.sandbox = None if sandbox is None else Path(sandbox)
        self.plan: ApplyPlan | None = None
        self._desk: Desk | None = None
        self._standing: int | None = None  # the batch of the latest apply that stands
        self._confirm = False  # whether the project's name must be typed
        self.own = ipywidgets.RadioButtons(
            options=[("A copy of the project, in its sandbox", False), ("My own images", True)],
            layout=ipywidgets.Layout(width="auto"),
        )
        self.name = ipywidgets.Text(placeholder=f"type {project.id} to allow it", continuous_update=True)
        self.blind = button("Decide groups blind", lambda: self._open(self.unseen, "review", self._blind_deck))
        self.generate = button("Generate", self._generate, "primary")
        self.look = button("Review", lambda: self._open(self.proposals, "auto", self._auto_deck), "primary")
        self.preview = button("Show what Apply does", self._preview)
        self.apply = button("Apply", self._apply, "primary")
        self.undo = button("Undo", self._undo)
        self.where = Part("Copy or own images", self.own, self.name)
        self.unseen = Part("What may be approved unseen", self.blind)
        self.proposals = Part("Proposals", self.generate, self.look)
        self.carried = Part("Apply", self.preview, self.apply)
        self.taken_back = Part("Undo", self.undo)
        self.metrics = Part("Results so far")
        super().__init__(self.where, self.unseen, self.proposals, self.carried, self.taken_back, self.metrics)
        self.own.observe(lambda change: self._moved(), "value")
        self.name.observe(lambda change: self._allow(), "value")
        self.draw()

    def draw(self) -> None:
        """Show how far it is with the images that are decided on."""
        self.plan = None
        target = self._target()
        self._confirm = self.own.value or (target is not None and target.confirm)
        self.name.layout.display = None if self._confirm else "none"
        words = "Nothing of your own images moves: what is applied happens in the copy."
        if self._confirm:
            words = f"Applying moves your own images in {self.project.root}. Undo takes it back."
        self.where.body.value = listed([words])
        self.unseen.attempt(self._draw_unseen)
        self.proposals.attempt(lambda: self._draw_proposals(target))
        self.taken_back.attempt(lambda: self._draw_undo(target))
        self.metrics.attempt(lambda: self._draw_metrics(target))
        self.carried.body.value = listed(["Every step is shown first. Apply does all of them, or none."])
        self.carried.enable(self.preview, target is not None and target.decisions.exists())
        self._allow()

    def close(self) -> None:
        """End the deck's session, too."""
        if self._desk is not None:
            self._desk.close()
        super().close()

    def _target(self) -> AutomationTarget | None:
        """Where it acts; None while the copy does not exist yet, or for a reason in the first part's line."""
        try:
            return self._located()
        except places.NoCopyError:
            return None
        except PickroomError as error:
            self.where.say(error.line, error=True)
            return None

    def _moved(self) -> None:
        self.name.value = ""
        for part in self.parts:
            part.say("")
        self.draw()

    @property
    def _typing(self) -> str:
        return f" Type {self.project.id} at the top before you press the button." if self._confirm else ""

    def _allow(self) -> None:
        """Let Apply and Undo be pressed where nothing is missing for them."""
        ready = not self._confirm or self.name.value.strip() == self.project.id
        some = self.plan is not None and bool(self.plan.items)
        self.apply.description = f"Apply to {plural(len(self.plan.items), 'group')}" if self.plan and some else "Apply"
        self.carried.enable(self.apply, ready and some)
        self.taken_back.enable(self.undo, ready and self._standing is not None)

    def _draw_unseen(self) -> None:
        blind, versions = evidence.blind_now(self.project)
        words = [f"{line[:1].upper()}{line[1:]}." for line in calibrate(blind, self.risk).explanation]
        if not versions:
            words.append("No model recommends here yet, and only blind decisions on what a model recommends count.")
        self.unseen.body.value = listed(words)

    def _draw_proposals(self, target: AutomationTarget | None) -> None:
        words = "Generate proposes a pick and a crop for every undecided group. It moves nothing."
        copying = (self.sandbox or self.project.workspace.sandbox) / self.project.id
        first = [] if self.own.value or target else [f"First it copies the project to {copying}."]
        count = 0
        if target is not None and target.decisions.exists():
            with open_read_only(target.project.database) as connection:
                count = len(groups.waiting_among(connection, read_decisions(target.decisions)))
        look = "Review shows what is proposed, the groups most likely to be overridden first. It moves nothing, either."
        self.proposals.body.value = listed([words, *first, *([look] if count else [])])
        self.look.description = f"Review {plural(count, 'group')}" if count else "Review"
        self.proposals.enable(self.look, count > 0)

    def _draw_undo(self, target: AutomationTarget | None) -> None:
        self._standing, words = None, "There is no apply to undo."
        if target is not None:
            with open_read_only(target.project.database) as connection:
                self._standing = standing = operations.latest_batch(connection, (AUTOMATION,))
                if standing is not None:
                    decided = plural(len(decisions.batch_group_ids(connection, standing)), "group")
                    back = "Undo puts files and choices back; its crops go to delete_staging/."
                    words = f"Batch {standing} decided {decided}. {back}"
        self.taken_back.body.value = listed([f"{words}{self._typing if self._standing is not None else ''}"])

    def _draw_metrics(self, target: AutomationTarget | None) -> None:
        self.metrics.body.value = block(metrics_of(target).lines()) if target is not None else ""
        self.metrics.layout.display = None if target is not None else "none"

    def _generate(self) -> None:
        production = self.own.value

        def work(work: Work) -> str:
            notes = recommend_first(self.project, work.count)
            work.phase("Copying to the sandbox")
            target = places.prepare(self.project, self.sandbox, production=production, progress=work.count)
            made = generate(target, self.risk)
            return "; ".join([f"{plural(len(made.proposals), 'group')}: {made.line}", *notes, *made.notes])

        self.proposals.start("Reading groups", work, self.draw, Work.end)

    def _preview(self) -> None:
        target = self.carried.attempt(self._located)

        def work(work: Work) -> str:
            note = executor.unfinished_note(target)
            self.plan = plan = executor.dry_run(target)
            steps = plan.lines()
            shown = steps[:_STEPS_SHOWN] + [f"… and {len(steps) - _STEPS_SHOWN:,} more"] * (len(steps) > _STEPS_SHOWN)
            lines = [*filter(None, [note]), *plan.summary()]
            self.carried.body.value = listed(lines) + (block(shown) if shown else "")
            return f"Nothing has moved yet.{self._typing}" if steps else "Nothing approved is left to do."

        if target is not None:
            self.carried.start("Looking at the files", work, self._allow)

    def _apply(self) -> None:
        plan = self.plan

        def work(target: AutomationTarget) -> str:
            executor.finish_first(target)
            return executor.apply(target, plan).line

        self._move(self.carried, "Moving files", work)

    def _undo(self) -> None:
        def work(target: AutomationTarget) -> str:
            batch, count = executor.undo_last(target)
            return f"Batch {batch} is undone: {plural(count, 'group')} wait{'s' * (count == 1)} again"

        self._move(self.taken_back, "Putting files back", work)

    def _move(self, part: Part, doing: str, work: Callable[[AutomationTarget], str]) -> None:
        """Move files, the project's own only if its name was typed; the next move asks for it again."""
        typed, self.name.value = self.name.value, ""

        def checked() -> AutomationTarget:
            target = self._located()
            target.require_name(typed)
            return target

        target = part.attempt(checked)
        if target is not None:
            part.start(doing, lambda _: work(target), self.draw)

    def _located(self) -> AutomationTarget:
        return places.locate(self.project, self.sandbox, production=self.own.value)

    def _open(self, part: Part, kind: str, make: Callable[[Project], Desk]) -> None:
        """Show a deck in place of the parts."""
        home = self.project.workspace.root
        self._desk = part.attempt(lambda: reopen(kind, self.project.id, home, make))
        if self._desk is not None:
            back = button("Back to Automate", self._return)
            back.layout.align_self = "flex-start"
            self._desk.children = [back, *self._desk.children]  # within: the images take what height is left
            self.children = [self._style, self._desk]

    def _return(self) -> None:
        if self._desk is not None:
            self._desk.close()
            self._desk = None
        self.children = [self._style, *self.parts]
        self.draw()

    def _auto_deck(self, _: Project) -> Desk:
        return AutoDeck(AutoSession(self._located()))

    def _blind_deck(self, project: Project) -> Desk:
        return Deck(ReviewSession(project, blind=True))

"""A review of one project: the pure state machine, with every key saved and every choice restored.

One session shows one batch of the queue. Several windows may hold sessions on one project: choices are stored
group by group, each key is a transaction of its own, and `refresh` reads what other windows did.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace

from pickroom.automation.order import Order, next_groups
from pickroom.core.errors import StoreError
from pickroom.core.records import Choice, FacePlace, Group, InputKind, Origin, Recommendation
from pickroom.features import faces
from pickroom.features.blocks import largest_faces
from pickroom.files.finalise import FinaliseResult, finalise
from pickroom.groups import rounds
from pickroom.images import metadata
from pickroom.images.metadata import InfoRow
from pickroom.indexing.regrouping import similarity_hint
from pickroom.learn import progress
from pickroom.sessions.keys import REVIEW, normalise
from pickroom.sessions.review import state as machine
from pickroom.sessions.review import view
from pickroom.sessions.review.state import NOTHING, Card, ReviewState
from pickroom.sessions.review.view import DeckView, GroupView, Pace
from pickroom.sessions.session import ProjectSession, latest
from pickroom.store import captures, groups, recommendations, review_state
from pickroom.store.connect import data_version, transaction
from pickroom.store.review_state import ReviewTables, SavedChoice, look_ms, looks_s
from pickroom.store.workspace import Project

BATCH_SIZE = 100  # groups; REVIEW.md


class ReviewSession(ProjectSession):
    """A review that continues where the last session stopped; `press` applies one key.

    The automation's review is this one with other keys and tables. Raises as `ProjectSession`.

    Args:
        batch_size: groups in a batch.
        blind: hide each recommendation until the user has chosen.
        order: the groups most worth a look first, or as the folders hold them (see `automation.order`).
        clock: seconds, rising; for the time spent per group.
    """

    keys = REVIEW
    store: ReviewTables = review_state.REVIEW  # the tables that keep choices, undo log and cursor
    state: ReviewState  # everything on screen

    def __init__(
        self,
        project: Project,
        *,
        batch_size: int = BATCH_SIZE,
        blind: bool = False,
        order: Order = "folder",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.batch_size, self.blind, self.order = batch_size, blind, order
        self.last_result: FinaliseResult | None = None  # what the last finalise did, None before
        self._faces: Mapping[str, FacePlace | None] = {}  # of this project, as the face view was last opened
        self._clock, self._since = clock, clock()  # since the last key that was saved
        super().__init__(project)

    def open(self, recovered: str) -> None:
        self._load(message=recovered)

    def press(self, key: str) -> ReviewState:
        """Apply one key and save what it changed; a confirmed summary finalises and opens the next batch.

        A key that would decide on a group that has changed since it was shown is not applied; the message tells why.

        Raises:
            UsageError: the text is not a key.
            LockedError, StoreError: saving or finalising was refused; the state is as it was.
        """
        pressed = normalise(key)
        command, seen = self.keys.commands.get(pressed), self.group_at(self.state.position)

        def attempt() -> bool:
            if command and command.effect == "decides" and self.group_at(self.state.position) != seen:
                # a second pick would clear the first, and an accept would accept something not shown
                told = "this group has just changed, in another window or by a model: look, and press again"
                self.state = replace(self.state, message=told)
                return True
            after = machine.press(self.state, key, self.keys)
            if after.zoom == "faces" != self.state.zoom:
                after = self._with_faces(after)
            if after.confirmed:
                self._finalise()
                return True
            return self._save(after, pressed)

        self.until_saved(attempt)
        return self.state

    def _with_faces(self, after: ReviewState) -> ReviewState:
        """The view of faces, or why there is nothing to see in it."""
        self._faces = largest_faces(self.project)
        shown = self.group_at(self.state.position)
        hashes = [image.sha256 for image in shown.images] if shown else []
        if any(self._faces.get(digest) for digest in hashes):
            return after
        told = "no face was found in these images"
        if any(digest not in self._faces for digest in hashes):
            first = "" if faces.installed() else "pickroom install faces, then "
            told = f"the faces of these images are not measured yet: {first}pickroom embed {self.project.id}"
        return replace(after, zoom=self.state.zoom, message=told)

    @property
    def asks(self) -> bool:
        return self.state.summary

    def refresh(self) -> bool:
        """Read what other windows chose or finalised since; returns whether anything changed."""
        if data_version(self._connection) == self._seen_version:
            return False
        before, recommended = self.state, self.recommendations
        self._load(message="")
        now, ids = self.state, [card.group_id for card in self.state.cards]
        changed = (now.cards, now.choices, self.recommendations) != (before.cards, before.choices, recommended)
        # new groups alone do not change a summary
        grown = now.choices == before.choices and {card.group_id for card in before.cards} <= set(ids)
        grown &= recommended.items() <= self.recommendations.items()
        here = before.card.group_id if before.card else ""
        self.state = replace(
            now,
            position=ids.index(here) if here in ids else min(now.position, max(len(ids) - 1, 0)),
            zoom=before.zoom,
            info=before.info,
            help=before.help,
            summary=before.summary and (grown or not changed),
        )
        message = self._what_changed(before, recommended) if changed else before.message
        self.state = replace(self.state, message=message)
        return changed

    def _show(self, group_id: str, saved: SavedChoice) -> None:
        """The recommendation shown with a choice stays on screen and is recorded, also where none was shown."""
        decided = saved.choice is not None and saved.choice.decided
        shown = saved.shown if decided else self._offered.get(group_id)
        self.recommendations.pop(group_id, None)
        if shown is not None:
            self.recommendations[group_id] = shown

    def _card(self, group: Group) -> Card:
        # blind: a hidden recommendation can be neither accepted nor toggled
        shown = None if self.is_blind(group.group_id) else self.recommendations.get(group.group_id)
        return Card(group.group_id, len(group.images), shown or NOTHING)

    def _what_changed(self, before: ReviewState, recommended: Mapping[str, Recommendation]) -> str:
        """One line about what changed: a model's new recommendations, or choices made elsewhere."""
        here, there = ({card.group_id for card in state.cards} for state in (self.state, before))
        decided = (there - here) - groups.waiting_among(self._connection, there - here)  # else in another batch now
        chosen = any(self.state.choices.get(g) != before.choices.get(g) for g in here & there)
        new = [g for g in recommended if g in self.recommendations]
        if here - there and not (decided or chosen):
            return before.message or "new groups have joined this batch"
        if decided or chosen or all(self.recommendations[g] == recommended[g] for g in new):
            return "another window has worked on this batch: its choices are shown"
        if all(self.recommendations[g].advice == recommended[g].advice for g in new):
            return before.message  # only the reasons are put otherwise
        return "; ".join(filter(None, ("recommendations were made anew", machine.open_before(self.state))))

    def view(self) -> DeckView:
        """What the deck draws now, in addition to the state."""
        state = self.state
        return DeckView(
            header=view.header(state, pace_of(state, self._saved), self._beyond, self._made, self._learned()),
            progress=state.decided / len(state.cards) if state.cards else float(self._made),
            group=self.group_at(state.position),
            message=state.message,
            summary=self.summary() if state.summary else (),
            next_step="" if self._made else similarity_hint(self.project.id),
        )

    def _learned(self) -> str:
        """How the model does; "" where nothing was learned, or its file is damaged: see `evaluate`."""
        try:
            found = progress.read_summary(self.project.workspace)
        except StoreError:
            return ""
        return " - ".join(filter(None, (found.words, self.project.manifest.notes))) if found else ""

    def group_at(self, position: int) -> GroupView | None:
        """The group at a place of the batch as it would be drawn, None beyond its ends."""
        if not 0 <= position < len(self.groups):
            return None
        group = self.groups[position]
        choice = self.state.choice(self.state.cards[position])
        hidden = self.is_blind(group.group_id) and choice.action == "undecided"
        return self._drawn(group, choice, hidden)

    def next_round(self) -> GroupView | None:
        """Of the burst shown, the round after this one, as if its first image won; None in a last round."""
        card = self.state.card
        if card is None or self.state.choice(card).decided:
            return None
        choice, group = self.state.choice(card), self.groups[self.state.position]
        if len(choice.rounds) + 1 >= rounds.total(card.count):
            return None
        places = card.places(choice)
        further = replace(choice, rounds=rounds.won(choice.rounds, places, places[0]))
        return self._drawn(group, further, self.is_blind(group.group_id))

    def _drawn(self, group: Group, choice: Choice, hidden: bool) -> GroupView:
        saved = self._saved.get(group.group_id, SavedChoice(None))
        return view.group_view(
            *(group, choice, self.recommendations.get(group.group_id)),
            held_reason=saved.held_reason or "",
            hidden=hidden,
            crop_seen=saved.crop_seen,
            captures=self._captures,
            places=self._card(group).places(choice),
            in_place=self.project.manifest.in_place is not None,
            faces=self._faces if self.state.zoom else None,
        )

    def is_blind(self, group_id: str) -> bool:
        """Whether this group's recommendation is hidden until the user has chosen."""
        return self.blind

    def summary(self) -> tuple[str, ...]:
        """What finalising now would do, in words."""
        unseen = {group_id for group_id, saved in self._saved.items() if not saved.crop_seen}
        in_place = self.project.manifest.in_place is not None
        return view.summary(self.groups, self.state, self.recommendations, unseen, in_place=in_place)

    def candidates_info(self) -> list[InfoRow]:
        """Prompt and settings of the candidates shown, side by side."""
        if not self.groups:
            return []
        group, card = self.groups[self.state.position], self.state.cards[self.state.position]
        names = [group.filenames[place] for place in card.places(self.state.choice(card))]
        return metadata.compare([self.project.path(group.directory, name) for name in names])

    def _load(self, message: str) -> None:
        version = data_version(self._connection)  # first: what is written after this is a change at the next key
        with transaction(self._connection, writing=False):
            self._fetch()
            ids = [group.group_id for group in self.groups]
            known = set(ids)
            self._saved = self.store.load(self._connection, ids)
            self._made = bool(self.groups) or groups.count(self._connection) > 0
            undo, redo = self.store.steps(self._connection)
            cursor = self.store.cursor(self._connection)
        self._offered = dict(self.recommendations)
        for group_id, saved in self._saved.items():
            self._show(group_id, saved)
        self.state = ReviewState(
            cards=tuple(map(self._card, self.groups)),
            choices={g: saved.choice for g, saved in self._saved.items() if saved.choice},
            undo=latest(undo, lambda step: {step.from_group, step.to_group} <= known),
            redo=latest(redo, lambda step: {step.from_group, step.to_group} <= known),
            message=message,
        )
        # after a finalise, or when new recommendations have changed the order, there is no place to go back to
        position = ids.index(cursor) if cursor in ids else machine.first_open(self.state)
        self.state = replace(self.state, position=position)
        self._seen_version = version  # only now: rows that cannot be read are told of at every key

    def _fetch(self) -> None:
        """Read the groups of this batch, what is recommended for them, and how many wait beyond it."""
        connection, project_id, size = self._connection, self.project.id, self.batch_size
        self.groups: list[Group]
        if self.order == "folder":
            self.groups = groups.queue(connection, project_id, size)
        else:
            touched = review_state.touched_ids(connection)
            waiting = recommendations.next_waiting(connection, project_id, size, touched)
            ids = next_groups(waiting, touched, size, order=self.order, blind=self.blind, seed=project_id)
            self.groups = groups.load(connection, project_id, ids)
        self.recommendations = recommendations.of_groups(connection, [group.group_id for group in self.groups])
        self._captures = captures.of(connection, (image.sha256 for group in self.groups for image in group.images))
        self._beyond = groups.count_waiting(connection) - len(self.groups)

    def _input(self, group_id: str) -> InputKind:
        """How a choice made here comes about (FORMATS.md, decision_context.input)."""
        return "blind" if self.is_blind(group_id) else "review"

    def _save(self, after: ReviewState, key: str) -> bool:
        """Save what a key changed; False when another window wrote since the last look: then nothing is saved."""
        before, card = self.state, self.state.card
        if card is None or after.undo == before.undo:  # what moves or chooses is a step of the undo log
            self.state = after
            return True
        changed = {g for g in after.choices if after.choices[g] != before.choices.get(g)}
        undone, redone = (self.keys.is_command(key, name) for name in ("undo", "redo"))
        # the origin of the choice that undo or redo restores
        brought_back = before.undo[-1].before_origin if undone else before.redo[-1].after_origin if redone else None
        totals: dict[str, SavedChoice] = {}
        with transaction(self._connection):
            # from here on no other process writes: check whether choices and undo log are still those of this key
            if data_version(self._connection) != self._seen_version:
                return False
            before_s, self._since = self._since, self._clock()
            spent = look_ms(self._since - before_s)
            for group_id in changed | {card.group_id}:
                was = self._saved.get(group_id, SavedChoice(None, input=self._input(group_id)))
                saved = replace(was, milliseconds=spent if group_id == card.group_id else 0)
                # a group that was only passed keeps the origin of its choice and the recommendation shown then
                if group_id in changed:
                    choice = after.choices[group_id]
                    made = Origin(self._input(group_id), self.recommendations.get(group_id))
                    if not (undone or redone):
                        step = replace(after.undo[-1], before_origin=Origin(was.input, was.shown), after_origin=made)
                        after = replace(after, undo=(*after.undo[:-1], step))
                    elif brought_back is not None and choice.decided:
                        made = brought_back
                    saved = replace(saved, choice=choice, shown=made.shown, input=made.input)
                self.store.save_choice(self._connection, group_id, saved)
                totals[group_id] = replace(saved, milliseconds=was.milliseconds + saved.milliseconds)
            if undone or redone:
                self.store.log.mark(self._connection, undone=undone)
            else:
                self.store.log_step(self._connection, after.undo[-1])
            self.store.set_cursor(self._connection, after.cards[after.position].group_id)
        self._saved |= totals
        if undone or redone:
            # another kind of review may have shown something else: show again what was on screen with that choice
            for group_id in changed:
                self._show(group_id, totals[group_id])
            both = zip(after.cards, self.groups, strict=True)
            after = replace(after, cards=tuple(self._card(g) if g.group_id in changed else card for card, g in both))
        self.state = after
        return True

    def _finalise(self) -> None:
        result = finalise(self.project, self._connection, [group.group_id for group in self.groups])
        self.last_result = result
        self._since = self._clock()  # the summary was not the next group
        self._load(message=result.line)


class ManualSession(ReviewSession):
    """The same review without any recommendation: decisions have NULL in every AI field (FORMATS.md, ai_decisions).

    Groups come in folder order, since any other order would use recommendations. A group that was decided with a
    recommendation, here or in another window, keeps it: what was shown is recorded.
    """

    def _fetch(self) -> None:
        super()._fetch()
        self.recommendations = {}


def pace_of(state: ReviewState, saved: Mapping[str, SavedChoice]) -> Pace:
    """The figures over the groups of this batch that are decided; `saved` is group id -> what is saved of it."""
    choices = state.choices
    decided = [card for card in state.cards if card.group_id in choices and choices[card.group_id].decided]
    times = looks_s(saved[card.group_id].milliseconds for card in decided if card.group_id in saved)
    agreed = [
        choices[card.group_id].index == card.recommended.selected_index
        for card in decided
        # recommended by a model, or a simulation of one; agreement with a baseline does not count
        if card.recommended.source != "baseline"
        if None not in (card.recommended.selected_index, choices[card.group_id].index)
    ]
    return Pace(sum(times) / len(times) if times else None, sum(agreed) / len(agreed) if agreed else None)

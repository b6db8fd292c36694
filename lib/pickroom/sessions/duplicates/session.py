"""One pair of duplicates at a time: keys decide which one stays, Shift+Enter sets the others aside as one batch.

Marks, undo log, summary, apply and recovery are those of the boards of thumbnails; only the pairs are added. Keeping
both is a step of the undo log without marks, so that it can be undone; the pair is stored in a table that an apply does
not clear, and is not shown again (docs/decisions/094).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from pickroom.core.naming import STAGING
from pickroom.core.quantities import plural
from pickroom.files import apply_marks
from pickroom.files.journal import DUPLICATES
from pickroom.files.preflight import require_moving
from pickroom.sessions.duplicates.finding import Copy, DuplicatePair, Thresholds, find, to_stage
from pickroom.sessions.duplicates.gathering import FOLDERS, Gathered, Progress, gather
from pickroom.sessions.keys import DUPLICATES as KEYS
from pickroom.sessions.keys import Command
from pickroom.sessions.marking import board as machine
from pickroom.sessions.marking.board import Board, Section
from pickroom.sessions.marking.session import BoardSession
from pickroom.store import marks
from pickroom.store.marks import KeptPair, MarkStep, Side
from pickroom.store.workspace import Project


class DuplicatesSession(BoardSession):
    """A user looking at pairs of one project; pairs with images of others are shown and left alone.

    Pairs of two other projects are not shown. Raises as `ProjectSession`.
    """

    kind = DUPLICATES
    keys = KEYS

    def __init__(
        self,
        project: Project,
        others: Sequence[Project] = (),
        thresholds: Thresholds | None = None,
        progress: Progress | None = None,
    ) -> None:
        require_moving(project, "the duplicates desk")
        thresholds = thresholds or Thresholds()
        # what was compared, with what could not be
        self.gathered: Gathered = gather([project, *others], progress, exact=thresholds.exact)
        found = find(self.gathered.copies, thresholds)
        own = (pair for pair in found.pairs if project.id in (pair.a.project_id, pair.b.project_id))
        self._found, self.dropped = tuple(own), found.dropped  # dropped: near pairs that were too many to keep
        # without those of which an image has vanished since; pairs with an image that waits for its review come last
        self.pairs = self._found
        self.position = 0  # of the pair that is shown, in `pairs`
        self.differences = True  # whether they are drawn
        self._sides = {copy.path: _side(copy) for copy in self.gathered.copies if copy.project_id == project.id}
        self.projects = {one.id: one for one in (project, *others)}
        super().__init__(project, FOLDERS)

    @property
    def pair(self) -> DuplicatePair | None:
        """The pair that is shown, None when there is none."""
        return self.pairs[self.position] if self.pairs else None

    def outcome(self, pair: DuplicatePair) -> str:
        """The decision: "a" or "b" stays, "both", "none" (both are set aside because of other pairs), "" still open."""
        gone = (self._is_marked(pair.a), self._is_marked(pair.b))
        decided = {(False, True): "a", (True, False): "b", (True, True): "none"}.get(gone)
        return decided or ("both" if kept_key(pair) in self._both else "")

    def review_first(self, pair: DuplicatePair) -> str:
        """Why no image of a pair is suggested: one of them waits for its review, and is not set aside before that."""
        if pair.across:
            return ""
        for copy in (pair.b, pair.a):
            reason = self.board.blocked.get(copy.path)
            if reason and (copy is pair.b or reason == apply_marks.IN_A_GROUP):
                return f"review first: {copy.filename}: {reason}"
        return ""

    def header(self) -> str:
        """One line over the pair."""
        if not self.pairs:
            return f"{plural(len(self.gathered.copies), 'image')}, no duplicates"
        exact = sum(pair.kind == "exact" for pair in self.pairs)
        still = sum(not self.outcome(pair) for pair in self.pairs if not pair.across)
        parts = [
            f"Pair {self.position + 1:,} of {len(self.pairs):,}",
            f"{exact:,} exact, {len(self.pairs) - exact:,} near",
            f"{still:,} open",
            f"{len(self.board.marks):,} to set aside",
        ]
        return " · ".join(parts)

    def sections(self) -> Iterable[Section]:
        """The images of this project that are in a pair: what marks may be on."""
        own = dict.fromkeys(c.path for pair in self._found for c in (pair.a, pair.b) if c.project_id == self.project.id)
        yield Section("duplicates", "", tuple(path for path in own if path in self._items))

    def press(self, key: str) -> Board:
        """As every board does; undo and redo also show the pair that they are about."""
        before = self.board
        board = super().press(key)
        if board.redo and len(board.undo) < len(before.undo):
            self._show(board.redo[-1])
        elif before.redo and len(board.redo) < len(before.redo) and board.undo[-1:] == before.redo[-1:]:
            self._show(board.undo[-1])
        return board

    def act(self, key: str, what: Command) -> None:
        """Keep one or both, go to another pair."""
        last, pair = len(self.pairs) - 1, self.pair
        places = {
            "next pair": min(self.position + 1, last),
            "previous pair": max(self.position - 1, 0),
            "first pair": 0,
            "last pair": last,
        }
        if pair is None:
            self.board = replace(self.board, message="there are no duplicates here")
        elif what.name in places:
            self.position = places[what.name]
        elif what.name == "next open":
            later = [*range(self.position + 1, len(self.pairs)), *range(self.position + 1)]
            place = next((i for i in later if not self.pairs[i].across and not self.outcome(self.pairs[i])), None)
            self.position = self.position if place is None else place
            self.board = self.board if place is not None else replace(self.board, message="every pair is decided")
        elif what.name == "differences":
            self.differences = not self.differences
        elif what.name == "suggested for exact":
            going = self._suggested(near=False)
            free = {path: STAGING for path in going if path not in self.board.blocked}
            self._step(key, free)
            held = f", {len(going) - len(free)} held back" if len(free) < len(going) else ""
            self.board = replace(self.board, message=f"{len(free)} exact copies are to be set aside{held}")
        elif pair.across:
            self.board = replace(self.board, message="of two projects: only reported, nothing moves")
        elif what.name == "both":
            if self.outcome(pair) != "both":  # a step even where it clears nothing, so that U can undo it
                changes = tuple((path, self.board.marks.get(path), None) for path in sorted((pair.a.path, pair.b.path)))
                self.board = machine.record(self.board, MarkStep(key, changes))
            self._advance()
        else:
            self._keep(key, pair, {"keep": what.index or 0, "suggested": 0}[what.name])

    def stage_suggested(self, *, near: bool) -> tuple[dict[str, str], dict[str, str]]:
        """(path -> delete_staging, path -> why it is held back) for all suggestions, without showing each pair.

        With `near` for near duplicates too, else for exact ones alone.
        """
        going = self._suggested(near)
        waiting = {path for path, reason in self.board.blocked.items() if reason == apply_marks.IN_A_GROUP}
        held = {p: f"its copy {kept} still waits for its review" for p, kept in going.items() if kept in waiting}
        return {path: STAGING for path in going if path not in held}, held

    def kept_for(self, paths: Sequence[str]) -> dict[str, str]:
        """Path -> the image that is kept in its place, of the pairs found."""
        going = set(paths)
        found: dict[str, str] = {}
        for pair in self._found:
            for goes, stays in ((pair.b, pair.a), (pair.a, pair.b)):
                if goes.path in going and stays.path not in going and not pair.across:
                    found.setdefault(goes.path, stays.path)
        return found

    def lay_out(self) -> None:
        """Leave out the pairs of which an image has gone or changed since; those to be reviewed first come last."""
        shown, self._both = self.pair, marks.kept_pairs(self._connection)
        there = (pair for pair in self._found if self._is_there(pair.a) and self._is_there(pair.b))
        self.pairs = tuple(sorted(there, key=lambda pair: bool(self.review_first(pair))))
        if shown in self.pairs:
            self.position = self.pairs.index(shown)
        self.position = max(0, min(self.position, len(self.pairs) - 1))
        super().lay_out()

    def _is_there(self, copy: Copy) -> bool:
        if copy.project_id != self.project.id:
            return True
        item = self._items.get(copy.path)
        return item is not None and (item.file_size, item.mtime_ns) == (copy.file_size, copy.mtime_ns)

    def _is_marked(self, copy: Copy) -> bool:
        return copy.project_id == self.project.id and copy.path in self.board.marks

    def save_more(self, before: Board) -> None:
        """Keep or forget the pair of a step that says both, in the step's own transaction."""
        undone = len(self.board.undo) < len(before.undo)
        step = before.undo[-1] if undone else self.board.undo[-1]
        sides = [self._sides[path] for path, _, _ in step.changes if path in self._sides]
        says_both = len(step.changes) == len(sides) == 2 and all(after is None for _, _, after in step.changes)
        if says_both:
            (marks.forget_pair if undone else marks.keep_pair)(self._connection, (sides[0], sides[1]))

    def _suggested(self, near: bool) -> dict[str, str]:
        """What to set aside -> what stays for it, of the pairs still open; nothing against a decision that was made."""
        decided = [(pair, self.outcome(pair)) for pair in self.pairs]
        still = [pair for pair, outcome in decided if not outcome and (near or pair.kind == "exact")]
        chosen = {(pair.a if outcome == "a" else pair.b).path for pair, outcome in decided if outcome in ("a", "b")}
        found = to_stage(still, self.project.id)
        return {path: kept for path, kept in found.items() if path not in chosen and kept not in self.board.marks}

    def _keep(self, key: str, pair: DuplicatePair, index: int) -> None:
        """Keep one and set the other aside, as one step; if that is already the case, clear it."""
        stays, goes = (pair.a, pair.b) if index == 0 else (pair.b, pair.a)
        if goes.path in self.board.blocked:
            reason = self.board.blocked[goes.path]
            self.board = replace(self.board, message=f"{goes.filename} stays: {reason}")
            return
        again = self._is_marked(goes) and not self._is_marked(stays)
        wanted = {stays.path: None, goes.path: None if again else STAGING}
        self._step(key, wanted)
        if not again:
            self._advance()

    def _step(self, key: str, wanted: Mapping[str, str | None]) -> None:
        marks = self.board.marks
        changes = tuple((path, marks.get(path), to) for path, to in wanted.items() if marks.get(path) != to)
        if changes:
            self.board = machine.record(self.board, MarkStep(key, changes))

    def _advance(self) -> None:
        self.position = min(self.position + 1, len(self.pairs) - 1)

    def _show(self, step: MarkStep) -> None:
        paths = {path for path, _, _ in step.changes}
        places = (i for i, pair in enumerate(self.pairs) if paths and paths <= {pair.a.path, pair.b.path})
        self.position = next(places, self.position)


def kept_key(pair: DuplicatePair) -> KeptPair:
    """The key of a pair of which both are kept."""
    first, second = sorted((_side(pair.a), _side(pair.b)))
    return first, second


def _side(copy: Copy) -> Side:
    return copy.filename, copy.sha256

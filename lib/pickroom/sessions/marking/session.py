"""A board of thumbnails on one project: the pure machine over what lies in its folders and what is stored of it.

The store is the truth: every key is a transaction of its own, and `refresh` brings in what other windows marked and
which files came or went.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import ClassVar

from pickroom.core.errors import ConflictError
from pickroom.files import apply_marks
from pickroom.files.apply_marks import Placement, PlaceResult
from pickroom.files.undo import recover_if_planned
from pickroom.sessions.marking import board as machine
from pickroom.sessions.marking import listing
from pickroom.sessions.marking.board import Board, Step
from pickroom.sessions.marking.layout import Layout, Section
from pickroom.sessions.marking.listing import Item, Listing
from pickroom.sessions.marking.pictures import Pictures
from pickroom.sessions.review.keys import Command, normalise
from pickroom.store import marks, operations
from pickroom.store.connect import connect, data_version, transaction
from pickroom.store.marks import BoardKind, LoggedMarks, Mark
from pickroom.store.workspace import Project


@dataclass(frozen=True, slots=True)
class Note:
    """What is said under one thumbnail: its name, a few words on the right of it, all of it when the pointer rests.

    Attributes:
        warn: the words are a reason why it was held back.
    """

    label: str
    words: str = ""
    title: str = ""
    warn: bool = False


class BoardSession:
    """A person at a board; keys and clicks are all they do. A room says which keys, folders and words there are.

    Attributes:
        room: the kind of its marks and of its batches.
        keys: what each key does.
        board: everything on screen.
        pictures: thumbnails, and what is written about images.
        last_result: what the last apply did, None before.

    Args:
        folders: relative to the project's root.

    Raises:
        ProjectError, StoreError: the project cannot be opened.
        UsageError: there is no such folder.
    """

    room: ClassVar[BoardKind]
    keys: ClassVar[Mapping[str, Command]]

    def __init__(self, project: Project, folders: Sequence[str]) -> None:
        project.require_root()
        self.project, self.folders = project, tuple(folders)
        self.listing: Listing = listing.look(project, self.folders)
        self.last_result: PlaceResult | None = None
        self.board = Board()
        self.notes_version = 0  # rises whenever what is said under thumbnails may have changed
        self.pictures = Pictures(project)
        self._connection = connect(project.database)
        try:
            message = recover_if_planned(project, self._connection)
            if message:
                self.listing = listing.look(project, self.folders)  # files may have moved
            self._load()
            self.board = replace(self.board, message=message)
        except BaseException:
            self._connection.close()
            raise

    def close(self) -> None:
        self._connection.close()

    # --- what a room adds -------------------------------------------------------------------------------------

    def sections(self) -> Iterable[Section]:
        """What is on the board, from `listing` and `board.marks`."""
        raise NotImplementedError

    def act(self, key: str, what: Command) -> None:
        """A command that only this room has."""

    def save_more(self, before: Board) -> None:
        """What only this room saves, in the transaction of the key that changed marks or undo log since `before`."""

    def note(self, item: Item) -> Note:
        """What is said under an image."""
        held = self.held.get(item.path, "")
        return Note(item.filename, held, f"{item.path}: {held}" if held else item.path, warn=bool(held))

    def header(self) -> str:
        """One line over the board."""
        count, marked = len(self.listing.items), len(self.board.marks)
        folders = len({item.directory for item in self.listing.items})
        parts = [f"{count:,} image{'s' * (count != 1)} in {folders} folder{'s' * (folders != 1)}", f"{marked:,} marked"]
        if self.board.selected:
            parts.append(f"{len(self.board.selected):,} selected")
        if self.listing.left_out:
            parts.append(f"{len(self.listing.left_out)} not shown")
        return " - ".join(parts)

    # --- the person -------------------------------------------------------------------------------------------

    def press(self, key: str) -> Board:
        """Apply one key and save what it changed; Shift+Enter on the summary moves the files.

        Raises:
            UsageError: the text is no key.
            LockedError, StoreError: saving or moving was refused; the board is as it was.
        """
        what = self.keys.get(normalise(key))
        while True:
            self.refresh()
            if what is None:
                self.board = replace(self.board, message=f"{key} does nothing here; ? shows the keys")
                return self.board
            before = self.board
            try:
                self.board = machine.command(before, what)
                if self.board.confirmed:
                    self.apply()
                    return self.board
                if self.board.pending_action is not None:
                    self.board = replace(self.board, pending_action=None)
                    self.act(normalise(key), what)
                if self._save(before):
                    return self.board
            except BaseException:
                self.board = before
                raise
            self.board = before  # another window wrote since the look: look again

    def click(self, place: int, *, extend: bool = False, toggle: bool = False) -> Board:
        """See `board.click`."""
        self.board = machine.click(self.board, place, extend=extend, toggle=toggle)
        return self.board

    def band(self, ranges: Sequence[tuple[int, int]], *, add: bool = False) -> Board:
        """See `board.band`."""
        self.board = machine.band(self.board, ranges, add=add)
        return self.board

    def select_section(self, index: int, *, add: bool = False) -> Board:
        """See `board.select_section`."""
        self.board = machine.select_section(self.board, index, add=add)
        return self.board

    def set_columns(self, columns: int) -> None:
        """How many images are side by side."""
        self.board = replace(self.board, columns=max(1, columns))

    def change(self, act: Callable[[Board], Board]) -> Board:
        """Change the board by a function of it, and save the marks that it changed."""
        while True:
            self.refresh()
            before = self.board
            try:
                self.board = act(before)
                if self._save(before):
                    return self.board
            except BaseException:
                self.board = before
                raise
            self.board = before

    def set_marks(self, wanted: Mapping[str, str], key: str = "file") -> Board:
        """Mark images (path -> folder) as one step, in place of the marks that they have.

        Raises:
            ConflictError: some have gone from the board since it was looked at; nothing is marked.
        """

        def mark(board: Board) -> Board:
            gone = [path for path in wanted if path not in self._items]
            if gone:
                what = f"{len(gone)} of {len(wanted)} images went elsewhere meanwhile"
                hint = "nothing was marked; look again"
                raise ConflictError(what, items=gone, doing="marking images", subject=gone[0], hint=hint)
            return machine.mark(board, key, {p: folder for p, folder in wanted.items() if board.marks.get(p) != folder})

        return self.change(mark)

    def refresh(self) -> bool:
        """Bring in what other windows marked and which files came or went; whether there was anything."""
        stale = listing.stamps(self.project, self.listing.bases, self.listing.items) != self.listing.stamps
        if not stale and data_version(self._connection) == self._seen_version:
            return False
        before = self.board
        if stale:
            self.listing = listing.look(self.project, self.folders)
        self._load()
        changed = (before.marks, before.layout.order) != (self.board.marks, self.board.layout.order)
        if changed:
            told = "files came or went, or another window marked some: look again"
            self.board = replace(self.board, message=told if before.marks or before.summary else "", summary=False)
        return changed

    # --- what is done -----------------------------------------------------------------------------------------

    def waiting(self) -> list[Mark]:
        """The marks of this board's images, as stored; those of images that vanished from its folders too."""
        return [mark for mark in marks.waiting(self._connection, self.room) if self._is_mine(mark)]

    def plan(self) -> list[Placement]:
        """What applying now would do. Changes nothing."""
        batch = operations.next_batch(self._connection)
        return apply_marks.plan(self.project, self._connection, self.room, self.waiting(), batch)

    def plan_for(self, wanted: Mapping[str, str]) -> list[Placement]:
        """What marking these (path -> folder) and applying would do. Changes nothing, marks included."""
        found = [self._mark(path, folder) for path, folder in wanted.items()]
        return apply_marks.plan(
            self.project, self._connection, self.room, found, operations.next_batch(self._connection)
        )

    def summary(self) -> list[tuple[str, str]]:
        """(where, how many) of every route that an apply would take, held back ones last."""
        placements = self.plan()
        going = Counter(p.mark.folder for p in placements if p.held is None)
        held = Counter(p.held for p in placements if p.held is not None)
        lines = [(f"→ {folder}/", f"{count} image{'s' * (count != 1)}") for folder, count in sorted(going.items())]
        lines += [("held back", f"{count}: {reason}") for reason, count in held.most_common()]
        elsewhere = sum(not self._is_mine(mark) for mark in marks.waiting(self._connection, self.room))
        if elsewhere:
            lines.append(("not here", f"{elsewhere} marked in folders that are not shown: they wait"))
        return lines

    def apply(self) -> PlaceResult:
        """Move what is marked on this board, as one batch."""
        result = apply_marks.place(self.project, self._connection, self.room, {mark.path for mark in self.waiting()})
        self.last_result = result
        self.listing = listing.look(self.project, self.folders)
        self._load()
        self.board = replace(self.board, message=result.line, confirmed=False)
        return result

    # --- parts ------------------------------------------------------------------------------------------------

    def lay_out(self) -> None:
        """Build the board's sections again."""
        layout = Layout.of(self.sections())
        if layout.sections != self.board.layout.sections:
            self.board = machine.with_layout(self.board, layout)
        self.notes_version += 1

    def number_of(self, path: str) -> int:
        """The number that stands for an image of the board."""
        return self.pictures.number(self._items[path])

    def _load(self) -> None:
        version = data_version(
            self._connection
        )  # before the rows: what is written after this is a change at the next key
        self._items = {item.path: item for item in self.listing.items}
        self._folders = set(self.listing.counts)
        with transaction(self._connection, writing=False):
            waiting = marks.waiting(self._connection, self.room)
            undo, redo = marks.steps(self._connection, self.room)
            blocked = apply_marks.unavailable_images(self.project, self._connection, list(self._items))
            known = apply_marks.known_hashes(self._connection)
        self.pictures.learn(self.listing.items, known)
        mine = [mark for mark in waiting if self._is_mine(mark)]
        self.held = {mark.path: mark.held_reason for mark in mine if mark.held_reason}
        found = {mark.path: mark.folder for mark in mine}
        self.board = machine.with_marks(self.board, found, self._here(undo), self._here(redo))
        self.board = replace(self.board, blocked=MappingProxyType(blocked))
        self._seen_version = version  # only now: rows that cannot be read are told of at every key
        self.lay_out()

    def _here(self, logged: Sequence[LoggedMarks]) -> list[Step]:
        """The steps that lie on this board; a step of other folders ends what can be undone here."""
        within: list[Step] = []
        for step in reversed(logged):
            if not all(path in self._items for path, _, _ in step.changes):
                break
            within.append(Step(step.key, step.changes))
        return within[::-1]

    def _is_mine(self, mark: Mark) -> bool:
        return mark.path in self._items or mark.directory in self._folders

    def _mark(self, path: str, folder: str) -> Mark:
        item = self._items[path]
        return Mark(item.directory, item.filename, folder, item.file_size, item.mtime_ns)

    def _save(self, before: Board) -> bool:
        """Save the marks that a key changed; False when another window wrote since the look: then nothing is saved."""
        after = self.board
        if after.undo == before.undo:
            return True
        gone = [path for path in before.marks if path not in after.marks]
        new = [self._mark(path, folder) for path, folder in after.marks.items() if before.marks.get(path) != folder]
        with transaction(self._connection):
            if data_version(self._connection) != self._seen_version:
                return False
            marks.clear(self._connection, self.room, gone)
            marks.save(self._connection, self.room, new)
            if len(after.undo) < len(before.undo):
                marks.mark_undone(self._connection, self.room)
            elif before.redo and after.redo == before.redo[:-1] and after.undo[-1] == before.redo[-1]:
                marks.mark_redone(self._connection, self.room)
            else:
                marks.log(self._connection, self.room, LoggedMarks(after.undo[-1].key, after.undo[-1].changes))
            self.save_more(before)
        self.held = {path: why for path, why in self.held.items() if after.marks.get(path) == before.marks.get(path)}
        self.lay_out()
        return True

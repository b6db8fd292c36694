"""A board of thumbnails on one project: the pure state machine on the files of its folders and the stored marks.

The database decides: every key is a transaction of its own, and `refresh` reads what other windows marked and which
files came or went.
"""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import ClassVar, NamedTuple

from pickroom.core.errors import ConflictError
from pickroom.core.naming import CROP, OWNED_FOLDERS, SELECTED, STAGING, folder_of
from pickroom.core.quantities import plural
from pickroom.files import apply_marks
from pickroom.files.apply_marks import Placement, PlaceResult
from pickroom.files.journal import BROWSE
from pickroom.images.scan import ListedImage
from pickroom.sessions.keys import BROWSE as KEYS
from pickroom.sessions.keys import Command, normalise
from pickroom.sessions.marking import board as machine
from pickroom.sessions.marking import images
from pickroom.sessions.marking.board import Board, Layout, Section
from pickroom.sessions.marking.images import RESULTS, BoardImages, Listing
from pickroom.sessions.session import ProjectSession, latest
from pickroom.store import captures, marks, operations
from pickroom.store import images as images_table
from pickroom.store.connect import data_version, transaction
from pickroom.store.images import known_hashes
from pickroom.store.marks import BoardKind, Mark, MarkStep
from pickroom.store.workspace import Project


class Note(NamedTuple):
    """The text under one thumbnail: its name, a few words to the right, and the full text for the pointer."""

    label: str
    words: str = ""
    title: str = ""
    warn: bool = False  # the words are a reason why it was held back


class BoardSession(ProjectSession):
    """A user at a board; keys and clicks are all they do. A tool says which keys, folders and words there are.

    Folders are relative to the project's root. Raises UsageError where there is none, else as `ProjectSession`.
    """

    kind: ClassVar[BoardKind]  # of its marks and of its batches

    def __init__(self, project: Project, folders: Sequence[str]) -> None:
        self.folders = tuple(folders)
        self.last_result: PlaceResult | None = None  # what the last apply did, None before
        # everything on screen; what is active or selected is not stored, and a desk may set it (`board.click`, `band`)
        self.board = Board()
        self.notes_version = 0  # increases whenever the text under thumbnails may have changed
        self.images = BoardImages(project)  # thumbnails, and what is written about images
        super().__init__(project)

    def open(self, recovered: str) -> None:
        self.listing: Listing = images.look(self.project, self.folders)
        self._load()
        self.board = replace(self.board, message=recovered)

    def sections(self) -> Iterable[Section]:
        """What is on the board, from `listing` and `board.marks`."""
        raise NotImplementedError

    def act(self, key: str, what: Command) -> None:
        """Run a command that only this tool has; raises KeyError for an unknown one."""

    def save_more(self, before: Board) -> None:
        """Save what only this tool stores, in the transaction of the key; `before` is the board before it."""

    def note(self, item: ListedImage) -> Note:
        """What is said under an image."""
        held = self.held.get(item.path, "")
        return Note(item.filename, held, f"{item.path}: {held}" if held else item.path, warn=bool(held))

    def header(self) -> str:
        """One line over the board."""
        images = plural(len(self.listing.items), "image")
        folders = plural(len({item.directory for item in self.listing.items}), "folder")
        parts = [f"{images} in {folders}", f"{len(self.board.marks):,} marked"]
        parts += [f"{len(self.board.selected):,} selected"] if self.board.selected else []
        parts += [f"{len(self.listing.left_out)} not shown"] if self.listing.left_out else []
        return " - ".join(parts)

    def press(self, key: str) -> Board:
        """Apply one key and save what it changed; Shift+Enter on the summary moves the files.

        Raises UsageError where the text is not a key; LockedError and StoreError where saving or moving was refused,
        and the board is as it was.
        """
        pressed = normalise(key)
        what = self.keys.commands.get(pressed)

        def apply(board: Board) -> Board:
            if what is None:
                return replace(board, message=f"{key} does nothing here; ? shows the keys")
            self.board = machine.command(board, what)
            if self.board.pending_action is not None:
                self.board = replace(self.board, pending_action=None)
                self.act(pressed, what)
            return self.board

        return self.change(apply)

    def change(self, act: Callable[[Board], Board]) -> Board:
        """Change the board by a function of it, and save the marks that it changed, or apply what it confirmed."""

        def attempt() -> bool:
            before = self.board
            try:
                self.board = act(before)
                if self.board.confirmed:
                    self.apply()
                    return True
                if self._save(before):
                    return True
            except BaseException:
                self.board = before
                raise
            self.board = before
            return False

        self.until_saved(attempt)
        return self.board

    def set_marks(self, wanted: Mapping[str, str], key: str = "file") -> Board:
        """Mark images (path -> folder) as one step, in place of the marks that they have.

        Raises ConflictError where some have gone from the board since it was looked at; nothing is marked then.
        """

        def mark(board: Board) -> Board:
            gone = [path for path in wanted if path not in self._items]
            if gone:
                what = f"{len(gone)} of {len(wanted)} images went elsewhere meanwhile"
                hint = "nothing was marked; look again"
                raise ConflictError(what, items=gone, doing="marking images", subject=gone[0], hint=hint)
            return machine.mark(board, key, {p: folder for p, folder in wanted.items() if board.marks.get(p) != folder})

        return self.change(mark)

    @property
    def asks(self) -> bool:
        return self.board.summary

    def refresh(self) -> bool:
        """Read what other windows marked and which files came or went; returns whether anything changed."""
        stale = images.stamps(self.project, self.listing.bases, self.listing.items) != self.listing.stamps
        if not stale and data_version(self._connection) == self._seen_version:
            return False
        before = self.board
        if stale:
            self.listing = images.look(self.project, self.folders)
        self._load()
        changed = (before.marks, before.layout.order) != (self.board.marks, self.board.layout.order)
        if changed:
            told = "files came or went, or another window marked some: look again"
            self.board = replace(self.board, message=told if before.marks or before.summary else "", summary=False)
        return changed

    def waiting(self) -> list[Mark]:
        """The marks of this board's images, as stored; those of images that vanished from its folders too."""
        return [mark for mark in marks.waiting(self._connection, self.kind) if self._is_mine(mark)]

    def plan(self, wanted: Mapping[str, str] | None = None) -> list[Placement]:
        """What applying now would do, or marking these (path -> folder) and applying. Changes nothing."""
        found = self.waiting() if wanted is None else [self._mark(path, folder) for path, folder in wanted.items()]
        batch = operations.next_batch(self._connection)
        return apply_marks.plan(self.project, self._connection, self.kind, found, batch)

    def summary(self) -> list[tuple[str, str]]:
        """(where, how many) of every route that an apply would take, held back ones last."""
        placements = self.plan()
        going = Counter(p.mark.folder for p in placements if p.held is None)
        held = Counter(p.held for p in placements if p.held is not None)
        lines = [(f"→ {self.destination_words(to)}", plural(count, "image")) for to, count in sorted(going.items())]
        lines += [("held back", f"{count}: {reason}") for reason, count in held.most_common()]
        elsewhere = sum(not self._is_mine(mark) for mark in marks.waiting(self._connection, self.kind))
        if elsewhere:
            lines.append(("not here", f"{elsewhere} marked in folders that are not shown: they wait"))
        return lines

    @property
    def in_place(self) -> bool:
        """Whether images are rated and stay."""
        return self.project.manifest.in_place is not None

    def destination_words(self, folder: str) -> str:
        """Where a mark leads, as `apply_marks.destination_words` says it."""
        return apply_marks.destination_words(folder, self.in_place)

    def apply(self) -> PlaceResult:
        """Move what is marked on this board, as one batch."""
        result = apply_marks.place(self.project, self._connection, self.kind, {mark.path for mark in self.waiting()})
        self.last_result = result
        self.listing = images.look(self.project, self.folders)
        self._load()
        self.board = replace(self.board, message=result.line, confirmed=False)
        return result

    def lay_out(self) -> None:
        """Build the board's sections again."""
        layout = Layout(self.sections())
        if layout.sections != self.board.layout.sections:
            self.board = machine.with_layout(self.board, layout)
        self.notes_version += 1

    def number_of(self, path: str) -> int:
        """The number that stands for an image of the board."""
        return self.images.number(self._items[path])

    def _load(self) -> None:
        version = data_version(self._connection)  # first: what is written after this counts as a change at the next key
        self._items = {item.path: item for item in self.listing.items}
        self._folders = set(self.listing.counts)
        with transaction(self._connection, writing=False):
            waiting = marks.waiting(self._connection, self.kind)
            undo, redo = marks.steps(self._connection, self.kind)
            blocked = apply_marks.unavailable_images(self.project, self._connection, list(self._items))
            known, times = known_hashes(self._connection), captures.times(self._connection)
        self.listing = replace(self.listing, items=self.images.in_time_order(self.listing.items, known, times))
        mine = [mark for mark in waiting if self._is_mine(mark)]
        self.held = {mark.path: mark.held_reason for mark in mine if mark.held_reason}
        self.board = replace(
            self.board,
            marks={mark.path: mark.folder for mark in mine},
            undo=latest(undo, self._is_here),
            redo=latest(redo, self._is_here),
            blocked=blocked,
        )
        self._seen_version = version  # only now, so that unreadable rows are reported at every key
        self.lay_out()

    def _is_here(self, step: MarkStep) -> bool:
        return all(path in self._items for path, _, _ in step.changes)

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
            marks.clear(self._connection, self.kind, gone)
            moved = {mark.path for mark in new if not os.path.lexists(self.project.root / mark.path)}
            marks.save(self._connection, self.kind, new, moved)
            if len(after.undo) < len(before.undo):
                marks.log_of(self.kind).mark(self._connection, undone=True)
            elif before.redo and after.redo == before.redo[:-1] and after.undo[-1] == before.redo[-1]:
                marks.log_of(self.kind).mark(self._connection, undone=False)
            else:
                marks.log(self._connection, self.kind, after.undo[-1])
            self.save_more(before)
        self.held = {path: why for path, why in self.held.items() if after.marks.get(path) == before.marks.get(path)}
        self.lay_out()
        return True


FOLDERS = {"keep": SELECTED, "crop": CROP, "staging": STAGING}  # the names in mark commands and in files of marks


class BrowseSession(BoardSession):
    """A user looking over folders; K, C and X mark, Shift+Enter moves.

    The folders are shown with their sub-folders; None shows the results, then every source. Raises as `BoardSession`.
    """

    kind = BROWSE
    keys = KEYS

    def __init__(self, project: Project, folders: Sequence[str] | None = None) -> None:
        self.singles_only = False  # whether only images in no group that the user has not looked at are shown
        self.singles: dict[str, str] = {}  # path -> why it is in no group
        super().__init__(project, (*RESULTS, "") if folders is None else folders)

    def _load(self) -> None:
        self.singles = images_table.unseen_singles(self._connection)
        super()._load()

    def sections(self) -> Iterable[Section]:
        """One section a folder: those asked for first, each with its sub-folders after it."""
        found: dict[str, list[str]] = {}
        for item in self.listing.items:
            if self.singles_only and item.path not in self.singles:
                continue
            found.setdefault(item.directory, []).append(item.path)
        bases = self.listing.bases

        def rank(folder: str) -> tuple[int, str]:
            inside = (i for i, base in enumerate(bases) if base and f"{folder}/".startswith(f"{base}/"))
            return next(inside, len(bases)), folder

        for folder in sorted(found, key=rank):
            paths = found[folder]
            blocked = [self.board.blocked[path] for path in paths if path in self.board.blocked]
            note = f"{plural(len(blocked), 'image')} cannot be marked: {blocked[0]}" if blocked else ""
            yield Section(folder or "(the project's folder)", folder, tuple(paths), note)

    def act(self, key: str, what: Command) -> None:
        """Mark the targets, or the row; show singles only, or all; go to the next marked image."""
        board = self.board
        if what.name == "singles":
            self.show_singles(not self.singles_only)
        elif what.name == "next marked":
            order = board.layout.order
            later = [*range(board.cursor + 1, len(order)), *range(board.cursor + 1)] if order else []
            place = next((i for i in later if order[i] in board.marks), None)
            found = replace(board, message="nothing is marked here")
            self.board = found if place is None else replace(board, cursor=place, anchor=place)
        else:
            how, _, word = what.name.rpartition(" ")
            paths = {"mark": board.targets, "mark row": board.row}[how]
            self.board = machine.mark(board, key, {path: destination(path, word) for path in paths})

    def header(self) -> str:
        """One line over the board; with the filter on it counts singles."""
        first, *rest = super().header().split(" - ")
        return " - ".join((f"{plural(len(self.singles), 'image')} in no group" if self.singles_only else first, *rest))

    def show_singles(self, only: bool) -> None:
        """Show only the images in no group that the user has not looked at, or every image."""
        self.singles_only = only
        self.lay_out()
        count = plural(len(self.singles), "image")
        told = f"{count} in no group; K keeps, X sets aside" if only else "every image is shown"
        self.board = replace(self.board, message=told, selected=frozenset())

    def note(self, item: ListedImage) -> Note:
        """As on every board; under a single, why it is in no group."""
        note, why = super().note(item), self.singles.get(item.path)
        return note if note.warn or why is None else note._replace(title=f"{item.path}: in no group: {why}")


def mark_word(word: str) -> str:
    """A mark as files of marks write it, one of `FOLDERS`; raises ValueError for another word."""
    if word not in FOLDERS:
        raise ValueError(f'"mark" is {word!r}, not "keep", "crop" or "staging"')
    return word


def destination(path: str, word: str) -> str:
    """Where a mark, one of `FOLDERS`, sends an image; a kept result stays where it is."""
    stays = word == "keep" and path.partition("/")[0] in OWNED_FOLDERS
    return folder_of(path) if stays else FOLDERS[word]

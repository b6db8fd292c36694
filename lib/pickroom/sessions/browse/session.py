"""The folder viewer on one project: every result and every folder of sources on one board."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from pickroom.core.naming import CROP, STAGING
from pickroom.files.handlers import BROWSE
from pickroom.sessions import bindings
from pickroom.sessions.keys import Command
from pickroom.sessions.marking import board as machine
from pickroom.sessions.marking.layout import Section
from pickroom.sessions.marking.listing import RESULTS
from pickroom.sessions.marking.session import BoardSession
from pickroom.store.workspace import Project

FOLDERS = {"crop": CROP, "staging": STAGING}  # as mark commands, and files of marks, name them


class BrowseSession(BoardSession):
    """A user looking over folders; C and X mark, Shift+Enter moves.

    Args:
        folders: relative to the project's root, with their sub-folders; None shows the results, then every source.

    Raises: as `BoardSession`.
    """

    kind = BROWSE
    keys = bindings.BROWSE

    def __init__(self, project: Project, folders: Sequence[str] | None = None) -> None:
        super().__init__(project, (*RESULTS, "") if folders is None else folders)

    def sections(self) -> Iterable[Section]:
        """One section a folder: those asked for first, each with its sub-folders after it."""
        found: dict[str, list[str]] = {}
        for item in self.listing.items:
            found.setdefault(item.directory, []).append(item.path)
        for folder in self._in_order(found):
            paths = found[folder]
            blocked = [self.board.blocked[path] for path in paths if path in self.board.blocked]
            note = f"{len(blocked)} not to be marked: {blocked[0]}" if blocked else ""
            yield Section(folder or "(the project's folder)", folder, tuple(paths), note)

    def _in_order(self, folders: Iterable[str]) -> list[str]:
        bases = self.listing.bases

        def rank(folder: str) -> tuple[int, str]:
            inside = [i for i, base in enumerate(bases) if base and (folder == base or folder.startswith(f"{base}/"))]
            return (inside[0] if inside else len(bases), folder)

        return sorted(folders, key=rank)

    def act(self, key: str, what: Command) -> None:
        """Mark the targets, or the row; clear; go to the next marked image."""
        board = self.board
        if what.name == "clear":
            self.board = machine.unmark(board, key, board.targets)
        elif what.name == "next marked":
            order = board.layout.order
            later = [*range(board.cursor + 1, len(order)), *range(board.cursor + 1)] if order else []
            place = next((i for i in later if order[i] in board.marks), None)
            found = replace(board, message="nothing is marked here")
            self.board = found if place is None else replace(board, cursor=place, anchor=place)
        else:
            how, _, word = what.name.rpartition(" ")
            paths = {"mark": board.targets, "mark row": board.row}[how]
            self.board = machine.mark(board, key, dict.fromkeys(paths, FOLDERS[word]))


def mark_named(word: str) -> str:
    """The folder of a mark as files of marks write it ("crop" or "staging"); raises ValueError for another word."""
    if word not in FOLDERS:
        raise ValueError(f'"mark" is {word!r}, neither "crop" nor "staging"')
    return FOLDERS[word]

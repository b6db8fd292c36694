"""Which key does what in the sorter, in one small file: rebind here. Pure."""

from __future__ import annotations

from pickroom.sessions.marking.keys import BOARD_KEYS, BOARD_LEGEND
from pickroom.sessions.review.keys import Command

# the keys of the folders, in their order; further folders take a click on their button
FOLDER_KEYS = "1234567890qwertyfghjk"

SORT_KEYS: dict[str, Command] = {
    **BOARD_KEYS,
    **{key: Command("mark", i) for i, key in enumerate(FOLDER_KEYS)},
    **{f"Shift+{key}": Command("mark row", i) for i, key in enumerate(FOLDER_KEYS)},
    "a": Command("accept"),
    "Shift+a": Command("accept row"),
    "x": Command("clear"),
    "o": Command("order"),
    "v": Command("hide"),
    "n": Command("name"),
}

SORT_LEGEND: tuple[tuple[str, str], ...] = (
    ("1 … 0  Q …", "send the selection, else the active image, to that folder; again: clear"),
    ("Shift+1 …", "send the whole row"),
    ("A  Shift+A", "do as suggested: the selection or the active image; the row"),
    ("X", "clear the mark"),
    ("N", "name a new folder; -NAME takes an unused one away"),
    ("O", "the most similar to the active image first; again: by name"),
    ("V", "hide what is marked; show it again"),
    *BOARD_LEGEND,
)

"""Which key does what in the folder viewer, in one small file: rebind here. Pure."""

from __future__ import annotations

from pickroom.core.naming import CROP, STAGING
from pickroom.sessions.marking.keys import BOARD_KEYS, BOARD_LEGEND
from pickroom.sessions.review.keys import Command

FOLDERS = (CROP, STAGING)  # what the index of a mark command stands for
WORDS = {CROP: "crop", STAGING: "set aside"}

BROWSE_KEYS: dict[str, Command] = {
    **BOARD_KEYS,
    "c": Command("mark", 0),
    "x": Command("mark", 1),
    "Shift+c": Command("mark row", 0),
    "Shift+x": Command("mark row", 1),
    "k": Command("clear"),
    "m": Command("next marked"),
}

BROWSE_LEGEND: tuple[tuple[str, str], ...] = (
    ("C", "crop: the selection, else the active image, to crop/ for the crop desk; again: clear"),
    ("X", "set aside: to delete_staging/; again: clear"),
    ("Shift+C  Shift+X", "the whole row"),
    ("K", "keep as it is: clear the mark"),
    ("M", "next marked image"),
    *BOARD_LEGEND,
)

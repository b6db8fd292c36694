"""Which key does what at the duplicates desk, in one small file: rebind here. Pure."""

from __future__ import annotations

from pickroom.sessions.review.keys import FIRST_CLICK, WHOLE_SCREEN, Command

DUPLICATES_KEYS: dict[str, Command] = {
    "1": Command("keep", 0),
    "2": Command("keep", 1),
    "a": Command("suggested"),
    "Shift+a": Command("suggested for exact"),
    "b": Command("both"),
    "ArrowRight": Command("next pair"),
    "ArrowDown": Command("next pair"),
    "Enter": Command("next pair"),
    "ArrowLeft": Command("previous pair"),
    "ArrowUp": Command("previous pair"),
    "Home": Command("first pair"),
    "End": Command("last pair"),
    "g": Command("next open"),
    "d": Command("differences"),
    "z": Command("large"),
    "u": Command("undo"),
    "Shift+u": Command("redo"),
    "?": Command("help"),
    "Escape": Command("back"),
    "Shift+Enter": Command("finalise"),
}

DUPLICATES_LEGEND: tuple[tuple[str, str], ...] = (
    ("1 2", "keep that one: the other goes to delete_staging/; again: clear"),
    ("A", "keep the one that is suggested"),
    ("Shift+A", "the same for every exact pair that is still open"),
    ("B", "keep both"),
    ("← ↑ → ↓ Enter", "the pair before, the next pair"),
    ("Home End G", "first, last, next open pair"),
    ("D", "differences on or off"),
    ("Z", "100 %"),
    ("U  Shift+U", "undo the last key that decided, redo"),
    ("Shift+Enter", "apply: a summary first, again moves the files, Esc returns"),
    ("click", f"an image: keep it, the same as its number; {FIRST_CLICK}"),
    ("drag", "at 100 %: move both images in step"),
    WHOLE_SCREEN,
    ("?", "this legend"),
)

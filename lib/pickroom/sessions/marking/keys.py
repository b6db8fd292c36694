"""The keys that every board of thumbnails has, in one small file: rebind here. Pure."""

from __future__ import annotations

from pickroom.sessions.review.keys import FIRST_CLICK, WHOLE_SCREEN, Command

BOARD_KEYS: dict[str, Command] = {
    "ArrowLeft": Command("left"),
    "ArrowRight": Command("right"),
    "ArrowUp": Command("up"),
    "ArrowDown": Command("down"),
    "Home": Command("first"),
    "End": Command("last"),
    "Shift+ArrowLeft": Command("extend left"),
    "Shift+ArrowRight": Command("extend right"),
    "Shift+ArrowUp": Command("extend up"),
    "Shift+ArrowDown": Command("extend down"),
    "Shift+Home": Command("extend first"),
    "Shift+End": Command("extend last"),
    "Space": Command("toggle"),
    "Enter": Command("large"),
    "z": Command("large"),
    "i": Command("info"),
    "[": Command("smaller"),
    "]": Command("larger"),
    "u": Command("undo"),
    "Shift+u": Command("redo"),
    "?": Command("help"),
    "Escape": Command("back"),
    "Shift+Enter": Command("finalise"),
}

# commands whose keys count again while they are held down: they decide nothing
REPEATING = frozenset(f"{extend}{step}" for extend in ("", "extend ") for step in ("left", "right", "up", "down"))

# what the legend shows after a room's own keys: (keys, effect)
BOARD_LEGEND: tuple[tuple[str, str], ...] = (
    ("click", f"an image: make it active; a header: select all of it; {FIRST_CLICK}"),
    ("Shift+click", "select the range from the active image; with Ctrl or ⌘: one more or less"),
    ("drag", "select the images around which it goes; with Shift, Ctrl or ⌘: these too"),
    ("double-click", "the image large; a click closes it"),
    ("wheel", "scroll"),
    ("← ↑ → ↓", "go; with Shift: select on the way"),
    ("Space", "select the active image too, or no longer"),
    ("Enter Z", "the active image large; arrows go on from there"),
    ("I", "what is written about it: YAML, caption, PNG text"),
    ("[ ]", "smaller, larger thumbnails"),
    ("U  Shift+U", "undo the last key that marked, redo"),
    ("Shift+Enter", "apply: a summary first, again moves the files, Esc returns"),
    ("Esc", "close; else select nothing"),
    WHOLE_SCREEN,
    ("?", "this legend"),
)

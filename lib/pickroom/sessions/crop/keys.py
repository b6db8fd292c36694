"""Which key does what on the crop desk, in one small file: rebind here. Pure."""

from __future__ import annotations

from pickroom.sessions.review.keys import FIRST_CLICK, WHOLE_SCREEN, Command

CROP_KEYS: dict[str, Command] = {
    **{digit: Command("activate", i) for i, digit in enumerate("123")},
    "Tab": Command("next image"),
    "Shift+Tab": Command("previous image"),
    "ArrowLeft": Command("left"),
    "ArrowRight": Command("right"),
    "ArrowUp": Command("up"),
    "ArrowDown": Command("down"),
    "Shift+ArrowLeft": Command("far left"),
    "Shift+ArrowRight": Command("far right"),
    "Shift+ArrowUp": Command("far up"),
    "Shift+ArrowDown": Command("far down"),
    "[": Command("smaller"),
    "]": Command("larger"),
    "n": Command("full"),
    "f": Command("free"),
    "p": Command("next ratio"),
    "d": Command("delete"),
    "s": Command("skip"),
    "b": Command("back"),
    "u": Command("undo"),
    "Shift+u": Command("redo"),
    "Shift+a": Command("apply ai"),
    "Enter": Command("submit"),
    "?": Command("help"),
    "Escape": Command("close"),
}

# commands whose keys count again while they are held down
REPEATING = frozenset(
    ("left", "right", "up", "down", "far left", "far right", "far up", "far down", "smaller", "larger")
)

CROP_LEGEND: tuple[tuple[str, str], ...] = (
    ("click", f"an image: make it the active one; {FIRST_CLICK}"),
    ("drag", "outside the box: draw a new one; inside: move it; by an edge or handle: resize it"),
    ("1 2 3  Tab", "choose the active image"),
    ("← ↑ → ↓", "nudge by one pixel; with Shift by ten"),
    ("[ ]", "smaller, larger about the centre"),
    ("N", "full frame"),
    ("F", "free the aspect ratio / keep the image's own again"),
    ("P", "next preset ratio: 1:1, 4:5, 3:2, 16:9, the image's own"),
    ("Enter", "submit the active image: its crop is written, the original kept in crop_originals/"),
    ("D", "send the image to delete_staging/; its pick stays a valid selection"),
    ("S", "skip the page: its images go on waiting"),
    ("B", "back: bring the image submitted last back, with its box"),
    ("U  Shift+U", "undo the last edit of a box, redo"),
    ("Shift+A", "apply all AI crops of crop_auto/; Enter confirms, Esc returns"),
    ("Esc", "close; during a drag: take it back"),
    WHOLE_SCREEN,
    ("?", "this legend"),
)

"""Which key does what, in one small file: rebind here. Pure.

Keys are spelled as FORMATS.md says: letters in lower case, digits, named keys, `Shift+` before them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from pickroom.core.errors import UsageError

NAMED = ("Enter", "Escape", "Tab", "Home", "End", "Space", "ArrowUp", "ArrowDown", "ArrowLeft", "ArrowRight")
_KEY = re.compile(rf"(Shift\+)?([a-z]|[0-9]|{'|'.join(NAMED)})|[?\[\]]")
_SPELLINGS = {"Esc": "Escape", "Up": "ArrowUp", "Down": "ArrowDown", "Left": "ArrowLeft", "Right": "ArrowRight"}


@dataclass(frozen=True, slots=True)
class Command:
    """What a key asks for; `index` is the 0-based image for pick and crop."""

    name: str
    index: int | None = None


# key -> command of the review deck (REVIEW.md, The review deck)
REVIEW_KEYS: dict[str, Command] = {
    **{digit: Command("pick", i) for i, digit in enumerate("1234")},
    **{letter: Command("crop", i) for i, letter in enumerate("qwer")},
    "a": Command("accept"),
    "c": Command("overlay"),
    "x": Command("reject"),
    "k": Command("keep"),
    "s": Command("skip"),
    "Enter": Command("next"),
    "ArrowDown": Command("next"),
    "ArrowRight": Command("next"),
    "ArrowUp": Command("previous"),
    "ArrowLeft": Command("previous"),
    "Home": Command("first"),
    "End": Command("last"),
    "g": Command("next undecided"),
    "z": Command("zoom"),
    "i": Command("info"),
    "?": Command("help"),
    "Escape": Command("back"),
    "u": Command("undo"),
    "Shift+u": Command("redo"),
    "Shift+Enter": Command("finalise"),
}

# a line of every desk's legend: the browser's own key, which no session hears of
WHOLE_SCREEN = ("Shift+Space", "the desk on the whole screen, and back")

# the click that every desk asks for while the keys are elsewhere
FIRST_CLICK = "the first click only gives the desk the keys"

# what the legend shows, in its order: (keys, effect)
REVIEW_LEGEND: tuple[tuple[str, str], ...] = (
    ("1 2 3 4", "pick that image; on the AI's pick with its crop shown, accept the crop too; again: clear"),
    ("Q W E R", "pick that image and send it to the crop desk; again: clear"),
    ("A", "accept the recommendation as shown"),
    ("C", "crop overlay on / off: what you see is what will be recorded"),
    ("X", "reject the whole group"),
    ("K", "keep all: not really a group; never used for training"),
    ("S", "skip: leave undecided"),
    ("Enter ↓ →", "next"),
    ("↑ ←", "previous"),
    ("Home End", "first, last"),
    ("G", "next undecided"),
    ("Z", "zoom to 100 % at the pointer; drag pans; Z or Esc back"),
    ("I", "prompt and settings of the candidates, differences marked"),
    ("U  Shift+U", "undo the last key, redo"),
    ("Shift+Enter", "finalise: a summary first, again does it, Esc returns"),
    ("click", f"an image: the same as its number; {FIRST_CLICK}"),
    ("drag", "at 100 %: move all images of the group in step"),
    WHOLE_SCREEN,
    ("?", "this legend"),
)

# key -> command of the automation's review (REVIEW.md, Automation review): the same commands on other keys
AUTO_KEYS: dict[str, Command] = {
    **{digit: Command("pick", i) for i, digit in enumerate("1234")},
    **{f"Shift+{digit}": Command("crop", i) for i, digit in enumerate("1234")},
    "a": Command("accept"),
    "r": Command("reject"),
    **{
        key: command for key, command in REVIEW_KEYS.items() if command.name not in ("pick", "crop", "accept", "reject")
    },
    "f": Command("filter"),
}

AUTO_LEGEND: tuple[tuple[str, str], ...] = (
    ("A", "approve what is proposed, as shown"),
    ("R", "reject: keep every image where it is, do nothing"),
    ("1 2 3 4", "override: that image instead; again: clear"),
    ("Shift+1-4", "override, and that image needs a crop by hand"),
    ("C", "crop overlay on / off: what you see is what will be done"),
    ("K", "keep all: not really a group; every image to selected/"),
    ("S", "skip: nothing is written"),
    ("F", "which groups: all that wait for you, uncertain, crops, flagged, approved unseen"),
    *REVIEW_LEGEND[7:14],
    ("Shift+Enter", "write approved_decisions.jsonl: a summary first, again does it, Esc returns"),
    *REVIEW_LEGEND[15:17],
    WHOLE_SCREEN,
    ("?", "this legend"),
)


def normalise(key: str) -> str:
    """A key as the tables spell it (`A` -> `a`, `Esc` -> `Escape`, `Shift+A` -> `Shift+a`).

    Raises:
        UsageError: the text is no key.
    """
    text = key.strip()
    shift, text = ("Shift+", text[6:]) if text.startswith("Shift+") else ("", text)
    text = _SPELLINGS.get(text, text)
    if len(text) == 1:
        text = text.lower()
    if text in "?[]" and text:
        shift = ""  # shift only makes the character there
    if not _KEY.fullmatch(shift + text):
        raise UsageError(
            f"{key!r} is no key", doing="reading keys", hint="write letters, digits, Enter, ArrowDown, Shift+Enter, ..."
        )
    return shift + text


def read_keys(text: str) -> list[str]:
    """The keys of a `--keys` file, one a line; empty lines and lines starting with # are passed over.

    Raises:
        UsageError: a line is no key; the message gives its number.
    """
    keys = []
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip() and not line.lstrip().startswith("#"):
            try:
                keys.append(normalise(line))
            except UsageError as error:
                raise UsageError(f"line {number}: {error.what}", doing=error.doing, hint=error.hint) from None
    return keys

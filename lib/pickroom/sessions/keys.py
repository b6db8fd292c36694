"""Keys: their spelling, and the table of bindings that every tool has: rebind here. Pure.

Keys are spelled as FORMATS.md says: letters in lower case, digits, named keys, `Shift+` before them. The help, the
buttons, the desks' checks and docs/REVIEW.md all follow these tables.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain, groupby
from typing import Literal

from pickroom.core.errors import UsageError

NAMED = ("Enter", "Escape", "Tab", "Home", "End", "Space", "ArrowUp", "ArrowDown", "ArrowLeft", "ArrowRight")
_KEY = re.compile(rf"(Shift\+)?([a-z]|[0-9]|{'|'.join(NAMED)})|[?\[\]]")
_SPELLINGS = {"Esc": "Escape", "Up": "ArrowUp", "Down": "ArrowDown", "Left": "ArrowLeft", "Right": "ArrowRight"}
_SHOWN = {"Escape": "Esc", "ArrowUp": "↑", "ArrowDown": "↓", "ArrowLeft": "←", "ArrowRight": "→"}

Effect = Literal["decides", "acts", "repeats", "looks"]


@dataclass(frozen=True, slots=True)
class Command:
    """What a key asks for; `index` is the 0-based image or folder, for commands that name one."""

    name: str
    index: int | None = None


@dataclass(frozen=True, slots=True)
class Binding:
    """One key of a tool; `key` is "" for a line of the help about the mouse."""

    key: str
    command: Command
    help: str  # what it does, in words; neighbours with the same words share one line of the help
    # "decides" is about what is on screen, and refused where that has just changed; so is "acts", which the desk alone
    # checks; "repeats" acts, and counts again while the key is held down; "looks" always counts
    effect: Effect
    shown: str = ""  # how the help spells the keys of this line; "" spells them all


def bind(keys: str, commands: str, help: str, effect: Effect, *, shown: str = "") -> tuple[Binding, ...]:
    """One line of a table.

    Args:
        keys: separated by spaces.
        commands: separated by commas: one for each key, or one for all; with # behind it, it has the key's number.
    """
    names = keys.split()
    wanted = commands.split(", ")
    every = wanted if len(wanted) > 1 else wanted * len(names)
    return tuple(
        Binding(key, Command(name.removesuffix(" #"), number if name.endswith(" #") else None), help, effect, shown)
        for number, (key, name) in enumerate(zip(names, every, strict=True))
    )


def mouse(shown: str, help: str) -> tuple[Binding, ...]:
    """A line of the help that is not about a key of the tool."""
    return (Binding("", Command(""), help, "looks", shown),)


class KeyTable:
    """The bindings of one tool, in the order of its help.

    Attributes:
        commands, effects: key -> command, key -> effect.
        legend: (keys, what they do) of each line of the help.
        repeating: the keys that count again while they are held down.

    Raises:
        ValueError: a key is bound twice, is not spelled as keys are, or has no help.
    """

    def __init__(self, *lines: Iterable[Binding]) -> None:
        self.bindings = tuple(chain(*lines))
        bound = [one for one in self.bindings if one.key]
        self.commands = {one.key: one.command for one in bound}
        self.effects = {one.key: one.effect for one in bound}
        self.repeating = tuple(key for key, effect in self.effects.items() if effect == "repeats")
        wrong = [one.key for one in bound if not _KEY.fullmatch(one.key) or not one.help]
        if wrong or len(self.commands) < len(bound):
            raise ValueError(f"keys bound twice, misspelled or without help: {wrong or sorted(o.key for o in bound)}")
        self.legend = tuple(
            (one[0].shown or " ".join(show_key(b.key) for b in one), text)
            for text, group in groupby(self.bindings, key=lambda binding: binding.help)
            for one in (list(group),)
        )

    def is_command(self, key: str, name: str) -> bool:
        """Whether a key stands for a command."""
        return key in self.commands and self.commands[key].name == name

    def key_of(self, name: str, index: int | None = None) -> str:
        """The first key of a command. Raises KeyError where no key has it."""
        for key, command in self.commands.items():
            if command == Command(name, index):
                return key
        raise KeyError(f"no key is bound to {name} {index}")


def show_key(key: str) -> str:
    """A key as the help and the documentation write it: `ArrowUp` is ↑, `a` is A."""
    shift, plain = ("Shift+", key[6:]) if key.startswith("Shift+") else ("", key)
    return shift + (_SHOWN.get(plain) or (plain.upper() if len(plain) == 1 else plain))


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
        hint = "write letters, digits, Enter, ArrowDown, Shift+Enter, ..."
        raise UsageError(f"{key!r} is no key", doing="reading keys", hint=hint)
    return shift + text


def read_keys(text: str) -> list[str]:
    """The keys of a `--keys` file, one per line; empty lines and lines starting with # are skipped.

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


_FIRST_CLICK = "the first click only gives the desk the keys"
# the browser's own key: no session hears of it
_WHOLE_SCREEN = mouse("Shift+Space", "the desk on the whole screen, and back")
_LAST_LINES = (_WHOLE_SCREEN, bind("?", "help", "this legend", "looks"))

# --- the review deck, and the automation's review on the same deck ------------------------------------------------

_GOING_ROUND = (
    bind("Enter ArrowDown ArrowRight", "next", "next", "looks"),
    bind("ArrowUp ArrowLeft", "previous", "previous", "looks"),
    bind("Home End", "first, last", "first, last", "looks"),
    bind("g", "next undecided", "next undecided", "looks"),
    bind("z Escape", "zoom, back", "zoom to 100 % at the pointer; drag pans; Z or Esc back", "looks", shown="Z"),
    bind("i", "info", "prompt and settings of the candidates, differences marked", "looks"),
    bind("u Shift+u", "undo, redo", "undo the last key, redo", "looks"),
)
_IMAGES = (
    mouse("click", f"an image: the same as its number; {_FIRST_CLICK}"),
    mouse("drag", "at 100 %: move all images of the group in step"),
)

REVIEW = KeyTable(
    bind(
        "1 2 3 4",
        "pick #",
        "pick that image; on the AI's pick with its crop shown, accept the crop too; again: clear",
        "decides",
    ),
    bind("q w e r", "crop #", "pick that image and send it to the crop desk; again: clear", "decides"),
    bind("a", "accept", "accept the recommendation as shown", "decides"),
    bind("c", "overlay", "crop overlay on / off: what you see is what will be recorded", "decides"),
    bind("x", "reject", "reject the whole group", "decides"),
    bind("k", "keep", "keep all: not really a group; never used for training", "decides"),
    bind("s", "skip", "skip: leave undecided", "decides"),
    *_GOING_ROUND,
    bind("Shift+Enter", "finalise", "finalise: a summary first, again does it, Esc returns", "acts"),
    *_IMAGES,
    *_LAST_LINES,
)

AUTOMATION = KeyTable(
    bind("a", "accept", "approve what is proposed, as shown", "decides"),
    bind("r", "reject", "reject: keep every image where it is, do nothing", "decides"),
    bind("1 2 3 4", "pick #", "override: that image instead; again: clear", "decides"),
    bind(
        "Shift+1 Shift+2 Shift+3 Shift+4",
        "crop #",
        "override, and that image needs a crop by hand",
        "decides",
        shown="Shift+1-4",
    ),
    bind("c", "overlay", "crop overlay on / off: what you see is what will be done", "decides"),
    bind("k", "keep", "keep all: not really a group; every image to selected/", "decides"),
    bind("s", "skip", "skip: nothing is written", "decides"),
    bind("f", "filter", "which groups: all that wait for you, uncertain, crops, flagged, approved unseen", "looks"),
    *_GOING_ROUND,
    bind(
        "Shift+Enter", "finalise", "write approved_decisions.jsonl: a summary first, again does it, Esc returns", "acts"
    ),
    *_IMAGES,
    *_LAST_LINES,
)

# --- the crop desk ------------------------------------------------------------------------------------------------

_ARROWS = "ArrowLeft ArrowUp ArrowRight ArrowDown"
_SHIFT_ARROWS = "Shift+ArrowLeft Shift+ArrowUp Shift+ArrowRight Shift+ArrowDown"

CROP = KeyTable(
    mouse("click", f"an image: make it the active one; {_FIRST_CLICK}"),
    mouse("drag", "outside the box: draw a new one; inside: move it; by an edge or handle: resize it"),
    bind("1 2 3", "activate #", "choose the active image", "acts"),
    bind("Tab Shift+Tab", "next image, previous image", "the next image, the previous one", "acts"),
    bind(
        f"{_ARROWS} {_SHIFT_ARROWS}",
        "left, up, right, down, far left, far up, far right, far down",
        "nudge by one pixel; with Shift by ten",
        "repeats",
        shown="← ↑ → ↓",
    ),
    bind("[ ]", "smaller, larger", "smaller, larger about the centre", "repeats"),
    bind("n", "full", "full frame", "acts"),
    bind("f", "free", "free the aspect ratio / keep the image's own again", "acts"),
    bind("p", "next ratio", "next preset ratio: 1:1, 4:5, 3:2, 16:9, the image's own", "acts"),
    bind(
        "Enter",
        "submit",
        "submit the active image: its crop is written, the original kept in crop_originals/",
        "decides",
    ),
    bind("d", "delete", "send the image to delete_staging/; its pick stays a valid selection", "decides"),
    bind("s", "skip", "skip the page: its images go on waiting", "decides"),
    bind("b", "back", "back: bring the image submitted last back, with its box", "decides"),
    bind("u Shift+u", "undo, redo", "undo the last edit of a box, redo", "acts"),
    bind("Shift+a", "apply ai", "apply all AI crops of crop_auto/; Enter confirms, Esc returns", "decides"),
    bind("Escape", "close", "close; during a drag: take it back", "looks"),
    *_LAST_LINES,
)

# --- boards of thumbnails: the folder viewer and the sorter -------------------------------------------------------

_APPLY = bind("Shift+Enter", "finalise", "apply: a summary first, again moves the files, Esc returns", "acts")
_UNDO_MARKS = bind("u Shift+u", "undo, redo", "undo the last key that marked, redo", "looks")

_BOARD = (
    mouse("click", f"an image: make it active; a header: select all of it; {_FIRST_CLICK}"),
    mouse("Shift+click", "select the range from the active image; with Ctrl or ⌘: one more or less"),
    mouse("drag", "select the images around which it goes; with Shift, Ctrl or ⌘: these too"),
    mouse("double-click", "the image large; a click closes it"),
    mouse("wheel", "scroll"),
    bind(
        f"{_ARROWS} {_SHIFT_ARROWS}",
        "left, up, right, down, extend left, extend up, extend right, extend down",
        "go; with Shift: select on the way",
        "repeats",
        shown="← ↑ → ↓",
    ),
    bind(
        "Home End Shift+Home Shift+End",
        "first, last, extend first, extend last",
        "first, last; with Shift: select on the way",
        "acts",
        shown="Home End",
    ),
    bind("Space", "toggle", "select the active image too, or no longer", "acts"),
    bind("Enter z", "large", "the active image large; arrows go on from there", "acts"),
    bind("i", "info", "what is written about it: YAML, caption, PNG text", "looks"),
    bind("[ ]", "smaller, larger", "smaller, larger thumbnails", "looks"),
    _UNDO_MARKS,
    _APPLY,
    bind("Escape", "back", "close; else select nothing", "looks"),
    *_LAST_LINES,
)

BROWSE = KeyTable(
    bind(
        "c",
        "mark crop",
        "crop: the selection, else the active image, to crop/ for the crop desk; again: clear",
        "decides",
    ),
    bind("x", "mark staging", "set aside: to delete_staging/; again: clear", "decides"),
    bind("Shift+c Shift+x", "mark row crop, mark row staging", "the whole row", "decides"),
    bind("k", "clear", "keep as it is: clear the mark", "decides"),
    bind("m", "next marked", "next marked image", "acts"),
    *_BOARD,
)

# the keys of the sorter's folders, in their order; further folders take a click on their button
FOLDER_KEYS = "1234567890qwertyfghjk"

SORT = KeyTable(
    bind(
        " ".join(FOLDER_KEYS),
        "mark #",
        "send the selection, else the active image, to that folder; again: clear",
        "decides",
        shown="1 … 0  Q …",
    ),
    bind(
        " ".join(f"Shift+{key}" for key in FOLDER_KEYS),
        "mark row #",
        "send the whole row",
        "decides",
        shown="Shift+1 …",
    ),
    bind("a Shift+a", "accept, accept row", "do as suggested: the selection or the active image; the row", "decides"),
    bind("x", "clear", "clear the mark", "decides"),
    bind("n", "name", "name a new folder; -NAME takes an unused one away", "looks"),
    bind("o", "order", "the most similar to the active image first; again: by name", "looks"),
    bind("v", "hide", "hide what is marked; show it again", "looks"),
    *_BOARD,
)

# --- the duplicates desk ------------------------------------------------------------------------------------------

DUPLICATES = KeyTable(
    bind("1 2", "keep #", "keep that one: the other goes to delete_staging/; again: clear", "decides"),
    bind("a", "suggested", "keep the one that is suggested", "decides"),
    # it names the pairs that it decides, and says how many: it need not have been pressed on any of them
    bind("Shift+a", "suggested for exact", "the same for every exact pair that is still open", "looks"),
    bind("b", "both", "keep both", "decides"),
    bind(
        f"{_ARROWS} Enter",
        "previous pair, previous pair, next pair, next pair, next pair",
        "the pair before, the next pair",
        "looks",
    ),
    bind("Home End g", "first pair, last pair, next open", "first, last, next open pair", "looks"),
    bind("d", "differences", "differences on or off", "looks"),
    bind("z Escape", "large, back", "100 %; Z or Esc back", "looks", shown="Z"),
    bind("u Shift+u", "undo, redo", "undo the last key that decided, redo", "looks"),
    _APPLY,
    mouse("click", f"an image: keep it, the same as its number; {_FIRST_CLICK}"),
    mouse("drag", "at 100 %: move both images in step"),
    *_LAST_LINES,
)

# heading of docs/REVIEW.md -> table
TOOLS = {
    "The review deck": REVIEW,
    "Automation review": AUTOMATION,
    "The crop desk": CROP,
    "The sorter": SORT,
    "The folder viewer": BROWSE,
    "The duplicates desk": DUPLICATES,
}

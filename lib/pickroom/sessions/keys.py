"""Key bindings: the spelling of keys, and one table of bindings for each tool. Pure.

Keys are spelled as FORMATS.md says: letters in lower case, digits, named keys, `Shift+` before them. The help, the
buttons, the desks' checks and docs/REVIEW.md all follow these tables.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, groupby
from typing import Literal, get_args

from pickroom.core.errors import UsageError

NAMED = ("Enter", "Escape", "Tab", "Home", "End", "Space", "ArrowUp", "ArrowDown", "ArrowLeft", "ArrowRight")
_KEY = re.compile(rf"(Shift\+)?([a-z]|[0-9]|{'|'.join(NAMED)})|[?\[\]]")
_SPELLINGS = {"Esc": "Escape", "Up": "ArrowUp", "Down": "ArrowDown", "Left": "ArrowLeft", "Right": "ArrowRight"}
_SHOWN = {"Escape": "Esc", "ArrowUp": "↑", "ArrowDown": "↓", "ArrowLeft": "←", "ArrowRight": "→"}

Effect = Literal["decides", "acts", "repeats", "looks"]


@dataclass(frozen=True, slots=True)
class Command:
    """A command of a tool and the key that gives it; equal to every command of the same name and index."""

    name: str
    index: int | None = None  # the 0-based image or folder, for commands that need one
    key: str = field(default="", compare=False)  # "" for a line of the help about the mouse
    # what it does, in words; neighbours with the same words share one line of the help
    help: str = field(default="", compare=False)
    # "decides": about the group on screen, and refused where that has just changed; "acts": the same, checked by the
    # desk alone; "repeats": acts, again and again while the key is held down; "looks": always counts
    effect: Effect = field(default="looks", compare=False)
    shown: str = field(default="", compare=False)  # how the help spells the keys of this line; "" spells them all


def bind(keys: str, commands: str, help: str, effect: Effect, *, shown: str = "") -> tuple[Command, ...]:
    """One line of a table.

    Args:
        keys: separated by spaces.
        commands: separated by commas: one for each key, or one for all; with # behind it, it has the key's number.
    """
    names = keys.split()
    wanted = commands.split(", ")
    every = wanted if len(wanted) > 1 else wanted * len(names)
    return tuple(
        Command(name.removesuffix(" #"), number if name.endswith(" #") else None, key, help, effect, shown)
        for number, (key, name) in enumerate(zip(names, every, strict=True))
    )


def mouse(shown: str, help: str) -> tuple[Command, ...]:
    """A line of the help that is not about a key of the tool."""
    return (Command("", help=help, shown=shown),)


class KeyTable:
    """The bindings of one tool, in the order of its help.

    Raises ValueError where a key is bound twice, is not spelled as keys are, or has no help.
    """

    def __init__(self, *lines: Iterable[Command]) -> None:
        self.bindings = tuple(chain(*lines))
        bound = [one for one in self.bindings if one.key]
        self.commands = {one.key: one for one in bound}
        # the keys that count again while they are held down
        self.repeating = tuple(one.key for one in bound if one.effect == "repeats")
        wrong = [one.key for one in bound if not _KEY.fullmatch(one.key) or not one.help]
        if wrong or len(self.commands) < len(bound):
            raise ValueError(f"keys bound twice, misspelled or without help: {wrong or sorted(o.key for o in bound)}")
        self.legend = tuple(  # (keys, what they do) of each line of the help
            (one[0].shown or " ".join(show_key(b.key) for b in one), text)
            for text, group in groupby(self.bindings, key=lambda binding: binding.help)
            for one in (list(group),)
        )

    def is_command(self, key: str, name: str) -> bool:
        """Whether a key stands for a command."""
        return key in self.commands and self.commands[key].name == name

    def key_of(self, name: str, index: int | None = None) -> str:
        """The first key of a command. Raises KeyError where no key has it."""
        if (key := next((k for k, one in self.commands.items() if one == Command(name, index)), None)) is None:
            raise KeyError(f"no key is bound to {name} {index}")
        return key


def show_key(key: str) -> str:
    """A key as the help and the documentation write it: `ArrowUp` is ↑, `a` is A."""
    shift, plain = ("Shift+", key[6:]) if key.startswith("Shift+") else ("", key)
    return shift + (_SHOWN.get(plain) or (plain.upper() if len(plain) == 1 else plain))


def normalise(key: str) -> str:
    """A key as the tables spell it (`A` -> `a`, `Esc` -> `Escape`, `Shift+A` -> `Shift+a`).

    Raises UsageError where the text is not a key.
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
        raise UsageError(f"{key!r} is not a key", doing="reading keys", hint=hint)
    return shift + text


def read_keys(text: str) -> list[str]:
    """The keys of a `--keys` file, one per line; empty lines and lines starting with # are skipped.

    Raises UsageError with the number of a line that is not a key.
    """
    keys = []
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip() and not line.lstrip().startswith("#"):
            try:
                keys.append(normalise(line))
            except UsageError as error:
                raise UsageError(f"line {number}: {error.what}", doing=error.doing, hint=error.hint) from None
    return keys


_decides, _acts, _repeats, _looks = (partial(bind, effect=effect) for effect in get_args(Effect))
_FIRST_CLICK = "the first click only focuses the desk"
_LAST_LINES = (
    mouse("Shift+Space", "the desk on the whole screen, and back"),  # the browser handles it: no session gets it
    _looks("?", "help", "this legend"),
)

# --- the review deck, and the automation's review on the same deck ------------------------------------------------

_GOING_ROUND = (
    _looks("Enter ArrowDown ArrowRight", "next", "next"),
    _looks("ArrowUp ArrowLeft", "previous", "previous"),
    _looks("Home End", "first, last", "first, last"),
    _looks("g", "next undecided", "next undecided"),
    _looks("z Escape", "zoom, back", "zoom to 100 % at the pointer, where a drag pans; Z or Esc returns", shown="Z"),
    _looks("i", "info", "prompt and settings of the candidates, differences marked"),
    _looks("u Shift+u", "undo, redo", "undo the last key, redo"),
)
_IMAGES = (
    mouse("click", f"an image: the same as its number; {_FIRST_CLICK}"),
    mouse("drag", "at 100 %: move all images of the group in step"),
)

REVIEW = KeyTable(
    _decides(
        "1 2 3 4", "pick #", "pick that image; on the AI's pick with its crop shown, accept the crop too; again: clear"
    ),
    _decides("q w e r", "crop #", "pick that image and send it to the crop desk; again: clear"),
    _decides("a", "accept", "accept the recommendation as shown"),
    _decides("c", "overlay", "crop overlay on / off: what you see is what will be recorded"),
    _decides("x", "reject", "reject the whole group"),
    _decides("k", "keep", "keep all: not really a group; never used for training"),
    _decides("s", "skip", "skip: leave undecided"),
    _decides("5 6 7 8", "keep also #", "keep image 1-4 in addition to the pick; again: clear"),
    _decides(
        "Shift+5 Shift+6 Shift+7 Shift+8", "star #", "one star more for image 1-4; after five: none", shown="Shift+5-8"
    ),
    _decides("b", "round before", "in a burst of more than four: back to the previous round"),
    _looks("f", "faces", "the face of every image, all as large; a drag moves them in step, F or Esc returns"),
    *_GOING_ROUND,
    _acts("Shift+Enter", "finalise", "finalise: a summary first, again does it, Esc returns"),
    *_IMAGES,
    *_LAST_LINES,
)

AUTOMATION = KeyTable(
    _decides("a", "accept", "approve what is proposed, as shown"),
    _decides("r", "reject", "reject: keep every image where it is, do nothing"),
    _decides("1 2 3 4", "pick #", "override: that image instead; again: clear"),
    _decides(
        "Shift+1 Shift+2 Shift+3 Shift+4", "crop #", "override, and that image needs a crop by hand", shown="Shift+1-4"
    ),
    _decides("c", "overlay", "crop overlay on / off: what you see is what will be done"),
    _decides("k", "keep", "keep all: not really a group; every image to selected/"),
    _decides("s", "skip", "skip: nothing is written"),
    _looks("f", "filter", "which groups: all that wait for you, uncertain, crops, flagged, approved unseen"),
    *_GOING_ROUND,
    _acts("Shift+Enter", "finalise", "write approved_decisions.jsonl: a summary first, again does it, Esc returns"),
    *_IMAGES,
    *_LAST_LINES,
)

# --- the crop desk ------------------------------------------------------------------------------------------------

_ARROWS = "ArrowLeft ArrowUp ArrowRight ArrowDown"
_SHIFT_ARROWS = "Shift+ArrowLeft Shift+ArrowUp Shift+ArrowRight Shift+ArrowDown"

CROP = KeyTable(
    mouse("click", f"an image: make it the active one; {_FIRST_CLICK}"),
    mouse("drag", "draw a new box from outside it, move it from inside, resize it by an edge or a handle"),
    _acts("1 2 3", "activate #", "choose the active image"),
    _acts("Tab Shift+Tab", "next image, previous image", "the next image, the previous one"),
    _repeats(
        f"{_ARROWS} {_SHIFT_ARROWS}",
        "left, up, right, down, far left, far up, far right, far down",
        "nudge by one pixel; with Shift by ten",
        shown="← ↑ → ↓",
    ),
    _repeats("[ ]", "smaller, larger", "smaller, larger about the centre"),
    _acts("n", "full", "full frame"),
    _acts("f", "free", "free the aspect ratio / keep the image's own again"),
    _acts("p", "next ratio", "next preset ratio: 1:1, 4:5, 3:2, 16:9, the image's own"),
    _decides("Enter", "submit", "submit the active image: its crop is written, the original kept in crop_originals/"),
    _decides("d", "delete", "send the image to delete_staging/; its pick stays a valid selection"),
    _decides("s", "skip", "skip the page: its images still wait"),
    _decides("b", "back", "bring back the image submitted last, with its box"),
    _acts("u Shift+u", "undo, redo", "undo the last edit of a box, redo"),
    _decides("Shift+a", "apply ai", "apply all AI crops of crop_auto/; Enter confirms, Esc returns"),
    _looks("Escape", "close", "close, or take a drag back; with nothing to close, Tab then leaves the desk"),
    *_LAST_LINES,
)

# --- boards of thumbnails: the folder viewer and the sorter -------------------------------------------------------

_APPLY = _acts("Shift+Enter", "finalise", "apply: a summary first, again moves the files, Esc returns")

_BOARD = (
    mouse("click", f"an image: make it active, a header: select all of it; {_FIRST_CLICK}"),
    mouse("Shift+click", "select the range from the active image; with Ctrl or ⌘: one more or less"),
    mouse("drag", "select the images inside; with Shift, Ctrl or ⌘: in addition"),
    mouse("double-click", "the image large; a click closes it"),
    mouse("wheel", "scroll"),
    _repeats(
        f"{_ARROWS} {_SHIFT_ARROWS}",
        "left, up, right, down, extend left, extend up, extend right, extend down",
        "move; with Shift: extend the selection",
        shown="← ↑ → ↓",
    ),
    _acts(
        "Home End Shift+Home Shift+End",
        "first, last, extend first, extend last",
        "first, last; with Shift: extend the selection",
        shown="Home End",
    ),
    _acts("Space", "toggle", "add the active image to the selection, or remove it"),
    _acts("Enter z", "large", "the active image large; arrows show the next ones"),
    _looks("i", "info", "YAML, caption and PNG text of the image"),
    _looks("[ ]", "smaller, larger", "smaller, larger thumbnails"),
    _looks("u Shift+u", "undo, redo", "undo the last key that marked, redo"),
    _APPLY,
    _looks("Escape", "back", "close; else clear the selection"),
    *_LAST_LINES,
)

BROWSE = KeyTable(
    _decides("c", "mark crop", "crop: the selection, else the active image, to crop/ for the crop desk; again: clear"),
    _decides("x", "mark staging", "set aside: to delete_staging/; again: clear"),
    _decides("k", "mark keep", "keep: an image of the sources to selected/; again, or on any other: clear the mark"),
    _decides("Shift+c Shift+x Shift+k", "mark row crop, mark row staging, mark row keep", "the whole row"),
    _looks("n", "singles", "only images in no group that you have not looked at; again: all"),
    _acts("m", "next marked", "next marked image"),
    *_BOARD,
)

# the keys of the sorter's folders, in their order; further folders take a click on their button
FOLDER_KEYS = "1234567890qwertyfghjk"

SORT = KeyTable(
    _decides(
        " ".join(FOLDER_KEYS),
        "mark #",
        "send the selection, else the active image, to that folder; again: clear",
        shown="1 … 0  Q …",
    ),
    _decides(" ".join(f"Shift+{key}" for key in FOLDER_KEYS), "mark row #", "send the whole row", shown="Shift+1 …"),
    _decides("a Shift+a", "accept, accept row", "accept suggestions: selection or active image; the row"),
    _decides("x", "clear", "clear the mark"),
    _looks("n", "name", "name a new folder; -NAME removes an unused one"),
    _looks("o", "order", "the most similar to the active image first; again: by name"),
    _looks("v", "hide", "hide what is marked; show it again"),
    *_BOARD,
)

# --- the duplicates desk ------------------------------------------------------------------------------------------

DUPLICATES = KeyTable(
    _decides("1 2", "keep #", "keep that one: the other goes to delete_staging/; again: clear"),
    _decides("a", "suggested", "keep the one that is suggested"),
    # it decides all such pairs and reports how many, so that it need not be pressed on one of them
    _looks("Shift+a", "suggested for exact", "keep the suggested one of every open exact pair"),
    _decides("b", "both", "keep both"),
    _looks(
        f"{_ARROWS} Enter",
        "previous pair, previous pair, next pair, next pair, next pair",
        "the pair before, the next pair",
    ),
    _looks("Home End g", "first pair, last pair, next open", "first, last, next open pair"),
    _looks("d", "differences", "differences on or off"),
    _looks("z Escape", "large, back", "zoom to 100 %; Z or Esc returns", shown="Z"),
    _looks("u Shift+u", "undo, redo", "undo the last key that decided, redo"),
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

"""Keys: their spelling, and the table of bindings that every tool has (bindings.py holds the tables). Pure.

Keys are spelled as FORMATS.md says: letters in lower case, digits, named keys, `Shift+` before them.
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
    """One key of a tool; `key` is "" for a line of the help about the mouse.

    Attributes:
        help: what it does, in words; neighbours with the same words share one line of the help.
        effect: "decides" is about what is on screen, and refused where that has just changed; so is "acts", which the
            desk alone checks; "repeats" acts, and counts again while the key is held down; "looks" always counts.
        shown: how the help spells the keys of this line; "" spells them all.
    """

    key: str
    command: Command
    help: str
    effect: Effect
    shown: str = ""


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
        commands: key -> command.
        legend: (keys, what they do) of each line of the help.

    Raises:
        ValueError: a key is bound twice, is not spelled as keys are, or has no help.
    """

    def __init__(self, *lines: Iterable[Binding]) -> None:
        self.bindings = tuple(chain(*lines))
        bound = [one for one in self.bindings if one.key]
        self._by_key = {one.key: one for one in bound}
        self.commands = {one.key: one.command for one in bound}
        wrong = [one.key for one in bound if not _KEY.fullmatch(one.key) or not one.help]
        if wrong or len(self.commands) < len(bound):
            raise ValueError(f"keys bound twice, misspelled or without help: {wrong or sorted(o.key for o in bound)}")
        self.legend = tuple(
            (one[0].shown or " ".join(show_key(b.key) for b in one), text)
            for text, group in groupby(self.bindings, key=lambda binding: binding.help)
            for one in (list(group),)
        )

    @property
    def repeating(self) -> tuple[str, ...]:
        """The keys that count again while they are held down."""
        return tuple(key for key, one in self._by_key.items() if one.effect == "repeats")

    def effect(self, key: str) -> Effect | None:
        """The effect of a key, None for one that is not bound."""
        found = self._by_key.get(key)
        return found.effect if found else None

    def is_command(self, key: str, name: str) -> bool:
        """Whether a key stands for a command."""
        found = self.commands.get(key)
        return found is not None and found.name == name

    def key_of(self, name: str, index: int | None = None) -> str:
        """The first key of a command.

        Raises:
            KeyError: no key has it.
        """
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

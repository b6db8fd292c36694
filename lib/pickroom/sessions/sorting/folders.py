"""Names of character folders: what a person types, or a field says, as a folder that every system can have. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from pickroom.core.errors import UsageError
from pickroom.core.naming import OWNED_FOLDERS

LONGEST = 64  # characters
_DEVICES = {"con", "prn", "aux", "nul", *(f"{port}{number}" for port in ("com", "lpt") for number in range(1, 10))}
_UNSAFE = re.compile(r"[^\w .()+&'-]+")  # \w: letters and digits of every script, and _


def folder_name(text: str) -> str:
    """A name as it was typed, without spaces around it.

    Raises:
        UsageError: it cannot be a folder on every system, or would be taken for another thing here.
    """
    name = unicodedata.normalize("NFC", text).strip()
    problem = _problem(name)
    if problem:
        hint = f"up to {LONGEST} letters, digits, spaces and _ - . ( ) + & '"
        raise UsageError(f"{text!r} {problem}", doing="naming a folder", hint=hint)
    return name


def folder_for(value: str) -> str | None:
    """A folder for what a field says: unsafe characters become _; None when nothing usable is left of it."""
    plain = unicodedata.normalize("NFC", " ".join(value.split()))
    name = _UNSAFE.sub("_", plain)[:LONGEST].strip(" ._")
    return None if _problem(name) else name


def same(name: str, known: Iterable[str]) -> str:
    """The known name that a name is but for upper and lower case, else itself: some disks tell them not apart."""
    return next((other for other in known if other.casefold() == name.casefold()), name)


def _problem(name: str) -> str:
    if not name:
        return "is no name"
    if len(name) > LONGEST:
        return f"has {len(name)} characters"
    if unsafe := _UNSAFE.search(name):
        return f"holds {unsafe[0]!r}"
    if name[0] == "." or name[-1] in ". ":
        return "begins or ends with a dot"
    if name.casefold() in OWNED_FOLDERS:
        return "is a folder of Pickroom's own"
    if name.casefold().partition(".")[0] in _DEVICES:
        return "is a device on Windows"
    return ""

"""Character folders: their names, and what is written about images, to filter them or sort them by a field."""

from __future__ import annotations

import os
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from pickroom.core.errors import UsageError
from pickroom.core.naming import OWNED_FOLDERS
from pickroom.sessions.marking.images import ImageTexts
from pickroom.sessions.marking.listing import ListedImage

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


MOST_VALUES = 60  # a field with more is a prompt or a seed: no choice to offer


@dataclass(frozen=True, slots=True)
class GroupRow:
    """One value of a field: the folder that its images would go to (None: no name can be made of it)."""

    value: str
    folder: str | None
    paths: tuple[str, ...]


class Fields:
    """Field -> text of each image, read once and kept as long as file, size and time stay."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._read: dict[ListedImage, dict[str, str]] = {}

    def of(self, items: Sequence[ListedImage]) -> dict[str, dict[str, str]]:
        """Path -> field -> text."""
        missing = [item for item in items if item not in self._read]
        texts = ImageTexts(self.root)
        texts.list_folders([item.path for item in missing])
        with ThreadPoolExecutor(os.cpu_count() or 2) as pool:
            found = pool.map(texts.read, (item.path for item in missing))
            self._read |= dict(zip(missing, found, strict=True))
        return {item.path: self._read[item] for item in items}


def choices(written: Mapping[str, Mapping[str, str]]) -> dict[str, list[tuple[str, int]]]:
    """Field -> its values with how many images have each, the most frequent first; fields that tell images apart only.

    Args:
        written: path -> field -> text.
    """
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for fields in written.values():
        for name, text in fields.items():
            counts[name][text] += 1
    useful = {name: values for name, values in counts.items() if 1 < len(values) <= MOST_VALUES}
    useful = {name: values for name, values in useful.items() if len(values) < sum(values.values())}
    return {name: values.most_common() for name, values in sorted(useful.items())}


def group_by(
    written: Mapping[str, Mapping[str, str]], field: str, known: Iterable[str]
) -> tuple[list[GroupRow], list[str]]:
    """(one row per value, the paths without that field): what sorting by a field would do.

    Args:
        known: folders there are; a value that is one of them but for case goes there.

    Raises:
        UsageError: no image has such a field.
    """
    found: dict[str, list[str]] = defaultdict(list)
    without = []
    for path, fields in written.items():
        if fields.get(field, "").strip():
            found[fields[field]].append(path)
        else:
            without.append(path)
    if not found:
        fields_there = sorted({name for fields in written.values() for name in fields})
        hint = f"fields there: {', '.join(fields_there[:20])}" if fields_there else "nothing is written about them"
        raise UsageError(f"no image has a field {field!r}", doing="grouping by a field", hint=hint)
    names = list(known)
    rows = []
    for value, paths in sorted(found.items(), key=lambda entry: (-len(entry[1]), entry[0])):
        name = folder_for(value)
        if name is not None:
            name = same(name, names)
            names.append(name)
        rows.append(GroupRow(value, name, tuple(paths)))
    return rows, without

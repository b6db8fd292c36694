"""What is written about the images of a board, field by field: for a filter, and for sorting by a field."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from pickroom.core.errors import UsageError
from pickroom.sessions.marking.images import ImageTexts
from pickroom.sessions.marking.listing import ListedImage
from pickroom.sessions.sorting.folders import folder_for, same

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
    """(one row a value, the paths without that field): what sorting by a field would do.

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

"""Which original each final image came from, and which group that one was in."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from pickroom.core.errors import ImageError
from pickroom.groups.stages import group_by_stage
from pickroom.history.sources import Item, Source
from pickroom.storage import atomic

NO_ORIGINAL = "no original of this name or content"
SEVERAL_ORIGINALS = "several originals of this name, none or several of this content"
AGAIN = "the same image again"
TWICE = "its original has several final images"
SEVERAL_FINALS = "several of its group are in FINAL: which was picked is not known"


@dataclass(frozen=True, slots=True)
class Pair:
    """A final image and its original.

    Attributes:
        group: the original's group in stage order, empty when it is in none.
    """

    final: Item
    original: Item
    group: tuple[Item, ...]

    @property
    def index(self) -> int:
        """The original's place in its group."""
        return self.group.index(self.original)


@dataclass(frozen=True, slots=True)
class Pairing:
    """Every final image, paired or not.

    Attributes:
        pairs: by folder and name of the final image; at most one of each group.
        unpaired: the others, each with its reason.
        undecided: how many groups have no final image.
    """

    pairs: tuple[Pair, ...]
    unpaired: tuple[tuple[Item, str], ...]
    undecided: int


def pair(originals: Source, finals: Source) -> Pairing:
    """Pair every final image with its original, by name and, where that is not enough, by content.

    An image is a pick only when no other of its group is among the final ones.
    """
    groups, _ = group_by_stage(originals.items)
    group_of = {id(item): group for group in groups for item in group}
    finder = _Finder(originals, finals)
    by_original: dict[int, list[Pair]] = defaultdict(list)
    unpaired: list[tuple[Item, str]] = []
    for final in sorted(finals.items, key=lambda item: item.path):
        original, reason = finder.original_of(final)
        if original is None:
            unpaired.append((final, reason))
        else:
            group = group_of.get(id(original), ())
            by_original[id(original)].append(Pair(final, original, group))

    by_group: dict[int, list[Pair]] = defaultdict(list)
    for pairs in by_original.values():
        first, *again = pairs
        if again and not finder.all_alike([each.final for each in pairs]):
            unpaired += [(each.final, TWICE) for each in pairs]
        else:
            unpaired += [(each.final, AGAIN) for each in again]
            by_group[id(first.group) if first.group else id(first.original)].append(first)
    kept: list[Pair] = []
    for pairs in by_group.values():
        if len(pairs) == 1:
            kept += pairs
        else:
            unpaired += [(each.final, SEVERAL_FINALS) for each in pairs]
    touched = {id(group_of[original]) for original in by_original if original in group_of}
    return Pairing(
        tuple(sorted(kept, key=lambda each: each.final.path)),
        tuple(sorted(unpaired, key=lambda each: each[0].path)),
        len(groups) - len(touched),
    )


class _Finder:
    """Looks originals up by name; by content only where names do not decide, since that reads whole files."""

    def __init__(self, originals: Source, finals: Source) -> None:
        self._originals, self._finals = originals, finals
        self._hashes: dict[int, str | None] = {}
        self._by_name: dict[str, list[Item]] = defaultdict(list)
        self._by_size: dict[int, list[Item]] = defaultdict(list)
        for item in originals.items:
            self._by_name[item.filename].append(item)
            self._by_size[item.file_size].append(item)

    def original_of(self, final: Item) -> tuple[Item | None, str]:
        """(original, "") or (None, the reason)."""
        named = self._by_name.get(final.filename, [])
        if len(named) == 1:
            return named[0], ""
        candidates = named or self._by_size.get(final.file_size, [])
        alike = [item for item in candidates if self._same(item, final)]
        if len(alike) == 1:
            return alike[0], ""
        return None, SEVERAL_ORIGINALS if named or alike else NO_ORIGINAL

    def all_alike(self, finals: Sequence[Item]) -> bool:
        """Whether several final images are the same bytes."""
        hashes = {self._hash(self._finals, item) for item in finals}
        return len(hashes) == 1 and None not in hashes

    def _same(self, original: Item, final: Item) -> bool:
        if original.file_size != final.file_size:
            return False
        digest = self._hash(self._finals, final)
        return digest is not None and digest == self._hash(self._originals, original)

    def _hash(self, source: Source, item: Item) -> str | None:
        """The content's SHA-256; None for a file that cannot be read, which is the same as no other."""
        if id(item) not in self._hashes:
            try:
                with source.as_file(item) as path:
                    self._hashes[id(item)] = atomic.sha256_of(path)
            except (OSError, ImageError):
                self._hashes[id(item)] = None
        return self._hashes[id(item)]

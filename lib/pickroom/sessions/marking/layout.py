"""Sections of images one under the other, and every image's place in them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Section:
    """Images under one header; `folder` relative to the root, `note` a few words for the header."""

    title: str
    folder: str
    paths: tuple[str, ...]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Layout:
    """Sections one under the other, and every image's place in them, counted through from 0."""

    sections: tuple[Section, ...] = ()
    order: tuple[str, ...] = ()
    starts: tuple[int, ...] = ()
    places: Mapping[str, int] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, sections: Iterable[Section]) -> Layout:
        sections = tuple(sections)
        order = tuple(path for section in sections for path in section.paths)
        starts, total = [], 0
        for section in sections:
            starts.append(total)
            total += len(section.paths)
        return cls(sections, order, tuple(starts), MappingProxyType({path: i for i, path in enumerate(order)}))

    def section_at(self, place: int) -> int:
        """The index of the section that a place lies in; empty sections hold none."""
        return max(i for i, start in enumerate(self.starts) if start <= place and self.sections[i].paths)

    def rows(self, columns: int) -> list[range]:
        """The rows of places on screen, `columns` wide at the most."""
        found = []
        for start, section in zip(self.starts, self.sections, strict=True):
            end = start + len(section.paths)
            found += [range(first, min(first + columns, end)) for first in range(start, end, columns)]
        return found

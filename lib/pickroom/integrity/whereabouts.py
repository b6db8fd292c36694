"""Compare the images in Pickroom's folders with the journal: what nothing explains, what is elsewhere. Pure.

A journal that was lost (SQLite's write-ahead log, after a power cut or a copy without it) leaves files moved and no row
that records it; a database restored from another moment than the files leaves rows whose files lie elsewhere.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any

from pickroom.core.naming import CROP_ORIGINALS, STAGING, filename_of, is_text


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """What a comparison found; paths relative to the project's root, sorted.

    Attributes:
        unexplained: images that no step of the journal and no row put where they lie.
        misplaced: (where the journal has an image, where a file of its name lies instead).
        missing: images that the journal has in a folder, and that are neither there nor found by name. Those in
            delete_staging/ and crop_originals/ are left out: `reclaim`, or the user, lets them go.
        here: every image in Pickroom's folders.
        placed: where the journal has images in these folders, path -> id of the step that leads there.
    """

    unexplained: tuple[str, ...] = ()
    misplaced: tuple[tuple[str, str], ...] = ()
    missing: tuple[str, ...] = ()
    here: Set[str] = frozenset()
    placed: Mapping[str, int] = field(default_factory=dict)

    @property
    def is_sound(self) -> bool:
        """Whether every image lies where something says that it does; one that is missing may have been taken away."""
        return not (self.unexplained or self.misplaced)

    def to_dict(self) -> dict[str, Any]:
        """As `status`, `check` and `doctor` print it with --json."""
        return {
            "unexplained": list(self.unexplained),
            "misplaced": [{"expected": expected, "found": found} for expected, found in self.misplaced],
            "missing": list(self.missing),
        }


def in_words(found: Mapping[str, Any], project_id: str, shown: int = 5) -> list[str]:
    """`Whereabouts.to_dict` as lines, with what to do; of each kind `shown` images are named."""

    def some(paths: Sequence[str]) -> str:
        return ", ".join(paths[:shown]) + (", ..." if len(paths) > shown else "")

    strange, missing = found["unexplained"], found["missing"]
    elsewhere = [f"{one['expected']} (found: {one['found']})" for one in found["misplaced"]]
    lines = []
    if strange:
        what = f"{len(strange)} images lie in Pickroom's folders without a journal step or a row: {some(strange)}"
        lines.append(f"{what} (see where they belong: pickroom recover {project_id} --unexplained)")
    if elsewhere:
        what = f"{len(elsewhere)} images are not where the journal has them: {some(elsewhere)}"
        lines.append(f"{what} (move them there, or restore the backup that belongs to these files)")
    if missing:
        lines.append(f"{len(missing)} images are gone from where the journal has them: {some(missing)}")
    return lines


Move = tuple[int, str, str]  # id of the step, source, destination


def replay(moves: Iterable[Move]) -> dict[str, int]:
    """Path -> the step that led there, where moves, one after the other, leave files."""
    placed: dict[str, int] = {}
    for step, source, destination in moves:
        placed.pop(source, None)
        placed[destination] = step
    return placed


def origins(moves: Iterable[Move]) -> dict[str, str]:
    """Path of `replay` -> where its file lay before any of these moves."""
    found: dict[str, str] = {}
    for _, source, destination in moves:
        found[destination] = found.pop(source, source)
    return found


def compare(
    here: Set[str],
    placed: Mapping[str, int],
    planned: Set[str],
    named: Callable[[], Set[str]],
    lies_at_origin: Callable[[str], str | None],
) -> Whereabouts:
    """Compare the images that lie in Pickroom's folders with the journal and the rows.

    Args:
        here: their paths; placed: where the journal has images in these folders, path -> step (see `replay`).
        planned: both ends of steps that are not yet taken: a file may lie at either.
        named: file names that rows without a journal explain, wherever they lie; only asked for when needed.
        lies_at_origin: a path of `placed` -> where its file lay at first, when one lies there now, else None.
    """
    strange = here - placed.keys() - planned
    if strange:
        explained = named()
        # a name that is not text is in no table, and nothing that Pickroom moves has one
        strange = {path for path in strange if filename_of(path) not in explained and is_text(path)}
    by_name: dict[str, list[str]] = defaultdict(list)
    for path in sorted(strange):
        by_name[filename_of(path)].append(path)
    misplaced, missing = [], []
    for path in sorted(placed.keys() - here - planned):
        may_go = path.partition("/")[0] in (STAGING, CROP_ORIGINALS)
        found = next(iter(by_name.get(filename_of(path), ())), None) or (None if may_go else lies_at_origin(path))
        if found is not None:
            misplaced.append((path, found))
        elif not may_go:
            missing.append(path)
    return Whereabouts(tuple(sorted(strange)), tuple(misplaced), tuple(missing), here, placed)

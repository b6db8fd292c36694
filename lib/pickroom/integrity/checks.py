"""The checks of one row of decisions, each saying in words what is wrong, and what each failure means.

LESSONS.md, Data: 7,189 rows of 0x0 were found three weeks later, 5,431 had their columns shifted, 3,462 were
placeholders.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pickroom.records import MAX_GROUP, MIN_GROUP, CropBox

Purpose = Literal["training", "finishing"]
Level = Literal["error", "excluded"]
Row = Mapping[str, Any]

_ACTIONS = ("approve", "crop", "reject")


@dataclass(slots=True)
class Facts:
    """What the checks of a row are held against."""

    names: frozenset[str]  # the project's id and its aliases
    sha256: dict[str, str | None]  # file name -> content hash, where the scan knows it
    vectors: dict[str, set[str]]  # file name -> content hashes it has a vector of
    waiting: frozenset[str]  # groups whose crop is asked for and not made
    by_machine: frozenset[str]  # groups decided without a person
    cropped_by_machine: frozenset[str]  # groups picked by a person and cropped without one
    default_crops: frozenset[str]  # groups cropped to the default box, which nobody drew
    hits: dict[str, list[tuple[str, str]]] = field(default_factory=dict)  # check -> (group_id, what is wrong)


def _names(row: Row) -> list[Any]:
    """The group's file names, as far as they can be read."""
    try:
        names = json.loads(row["images"])
    except (ValueError, TypeError, RecursionError):
        return []
    return names if isinstance(names, list) else []


def _project(row: Row, facts: Facts) -> str | None:
    return None if row["project_id"] in facts.names else f"a row of project {row['project_id']!r}"


def _ids(row: Row, _: Facts) -> str | None:
    empty = [name for name in ("group_id", "project_id") if not str(row[name] or "").strip()]
    return f"{' and '.join(empty)} empty" if empty else None


def _action(row: Row, _: Facts) -> str | None:
    return None if row["user_action"] in _ACTIONS else f"action {row['user_action']!r}"


def _size(row: Row, _: Facts) -> str | None:
    size = (row["image_width"], row["image_height"])
    return None if all(type(side) is int and side > 0 for side in size) else f"size {size[0]!r} x {size[1]!r}"


def _coordinates(row: Row, _: Facts) -> str | None:
    for name in ("ai_crop_coords", "final_crop_coords"):
        try:
            CropBox.from_json(row[name])
        except (ValueError, TypeError, RecursionError) as error:
            return f"{name}: {error}"
    return None


def _file_names(row: Row, _: Facts) -> str | None:
    names = _names(row)
    if not MIN_GROUP <= len(names) <= MAX_GROUP:
        return f"images {row['images']!r} is no list of {MIN_GROUP} to {MAX_GROUP} names"
    for name in names:
        if not isinstance(name, str) or not name.strip() or name in (".", "..") or "/" in name or "\\" in name:
            return f"{name!r} is no file name"
    return None if len(set(names)) == len(names) else "a file name twice"


def _indexes(row: Row, _: Facts) -> str | None:
    count = len(_names(row))
    for name in ("user_selected_index", "ai_selected_index"):
        index = row[name]
        unknown = index is None and name == "ai_selected_index"
        if not unknown and (type(index) is not int or not 0 <= index < count):
            return f"{name} {index!r} of {count} images"
    return None


def _waiting_crop(row: Row, facts: Facts) -> str | None:
    return "its crop waits to be made" if row["group_id"] in facts.waiting else None


def _vectors(row: Row, facts: Facts) -> str | None:
    def missing(name: object) -> bool:
        has = facts.vectors.get(name, set()) if isinstance(name, str) else set()
        known = facts.sha256.get(name) if isinstance(name, str) else None
        return not has or (known is not None and known not in has)

    without = [str(name) for name in _names(row) if missing(name)]
    return f"no vector of {', '.join(without)}" if without else None


def _machine(row: Row, facts: Facts) -> str | None:
    return "decided without a person" if row["group_id"] in facts.by_machine else None


def _machine_crop(row: Row, facts: Facts) -> str | None:
    return "cropped without a person" if row["group_id"] in facts.cropped_by_machine else None


def _default_crop(row: Row, facts: Facts) -> str | None:
    return "cropped to the default box, which nobody drew" if row["group_id"] in facts.default_crops else None


CHECKS: tuple[tuple[str, Callable[[Row, Facts], str | None] | None], ...] = (
    ("database", None),  # filled from SQLite's own check, before the rows
    ("project", _project),
    ("ids", _ids),
    ("actions", _action),
    ("sizes", _size),
    ("coordinates", _coordinates),
    ("file names", _file_names),
    ("indexes", _indexes),
    ("waiting crops", _waiting_crop),
    ("vectors", _vectors),
    ("machine decisions", _machine),
    ("machine crops", _machine_crop),
    ("default crops", _default_crop),
)
# the pick of such a row is a person's all the same
CROPS_ONLY = frozenset(("machine crops", "default crops"))
# every other check is an error to both
LEVELS: Mapping[str, Mapping[Purpose, Level | None]] = {
    "waiting crops": {"training": "excluded", "finishing": "error"},
    "vectors": {"training": "excluded", "finishing": None},
    "machine decisions": {"training": "excluded", "finishing": None},
    "machine crops": {"training": "excluded", "finishing": None},
    "default crops": {"training": "excluded", "finishing": None},
}

"""Checks of one row of decisions: each returns what is wrong, in words; and the effect of each failure.

LESSONS.md, Data: 7,189 rows of 0x0 were found three weeks later, 5,431 had their columns shifted, 3,462 were
placeholders.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any, Literal

from pickroom.core.naming import is_file_name, is_text, stays_inside
from pickroom.core.records import MAX_GROUP, MIN_GROUP, CropBox

Purpose = Literal["training", "finishing"]
Level = Literal["error", "excluded"]
Row = Mapping[str, Any]

_ACTIONS = ("approve", "crop", "reject")


@dataclass(slots=True)
class ParsedRows:
    """The values that the checks of a row compare with."""

    names: frozenset[str] = frozenset()  # the project's id and its aliases
    # file name -> folder -> content hash, where the scan knows it
    sha256: dict[str, dict[str, str | None]] = field(default_factory=dict)
    vectors: dict[str, set[str | None]] = field(default_factory=dict)  # file name -> content hashes it has a vector of
    groups: dict[str, frozenset[str]] = field(default_factory=dict)  # check of `GROUPS` -> the groups that fail it
    hits: dict[str, list[tuple[str, str]]] = field(default_factory=dict)  # check -> (group_id, what is wrong)


Check = Callable[[Row, ParsedRows], str | None]


@lru_cache(maxsize=1)  # cached, since several checks of one row need them
def _names(text: object) -> list[Any]:
    """The group's file names, as far as they can be read."""
    try:
        names = json.loads(text) if isinstance(text, str) else None
    except (ValueError, RecursionError):
        return []
    return names if isinstance(names, list) else []


def _project(row: Row, facts: ParsedRows) -> str | None:
    if row["project_id"] in facts.names or _ids(row, facts):  # an empty id is not that of another project
        return None
    return f"a row of project {row['project_id']!r}"


def _ids(row: Row, _: ParsedRows) -> str | None:
    empty = [name for name in ("group_id", "project_id") if not str(row[name] or "").strip()]
    if empty:
        return f"{' and '.join(empty)} empty"
    strange = [name for name in ("group_id", "project_id") if not _is_plain_text(row[name])]
    return f"{strange[0]} {row[strange[0]]!r} is not text" if strange else None


def _is_plain_text(value: object) -> bool:
    return isinstance(value, str) and "\0" not in value and is_text(value)


def _values(row: Row, _: ParsedRows) -> str | None:
    """The remaining columns, compared with their types (FORMATS.md, The project database)."""
    for name in ("timestamp", "directory", "crop_timestamp"):
        if not (_is_plain_text(row[name]) or (row[name] is None and name != "timestamp")):
            return f"{name} {row[name]!r} is not text"
    if row["directory"] and not stays_inside(row["directory"]):
        return f"directory {row['directory']!r} leads out of the project"
    confidence = row["ai_confidence"]
    if confidence is not None and not (type(confidence) in (int, float) and 0 <= confidence <= 1):
        return f"ai_confidence {confidence!r} is not a number from 0 to 1"
    if row["batch_number"] is not None and type(row["batch_number"]) is not int:
        return f"batch_number {row['batch_number']!r} is not a whole number"
    for name in ("selection_match", "crop_match", "ai_crop_accepted"):
        if row[name] not in (0, 1, None):
            return f"{name} {row[name]!r} is not 0, 1 or NULL"
    return None


def _action(row: Row, _: ParsedRows) -> str | None:
    return None if row["user_action"] in _ACTIONS else f"action {row['user_action']!r}"


def _size(row: Row, _: ParsedRows) -> str | None:
    size = (row["image_width"], row["image_height"])
    return None if all(type(side) is int and side > 0 for side in size) else f"size {size[0]!r} x {size[1]!r}"


def _coordinates(row: Row, _: ParsedRows) -> str | None:
    return _box(row, "ai_crop_coords") or _box(row, "final_crop_coords")


def _box(row: Row, name: str) -> str | None:
    try:
        CropBox.from_json(row[name])
    except (ValueError, TypeError, RecursionError) as error:
        return f"{name}: {error}"
    return None


def _file_names(row: Row, _: ParsedRows) -> str | None:
    names = _names(row["images"])
    if not MIN_GROUP <= len(names) <= MAX_GROUP:
        return f"images {row['images']!r} is not a list of {MIN_GROUP} to {MAX_GROUP} names"
    wrong = next(filter(None, map(_file_name, names)), None)
    return wrong or (None if len(set(names)) == len(names) else "a file name twice")


def _file_name(name: object) -> str | None:
    return None if is_file_name(name) else f"{name!r} is not a file name"


def _indexes(row: Row, _: ParsedRows) -> str | None:
    count = len(_names(row["images"]))
    for name in ("user_selected_index", "ai_selected_index"):
        index = row[name]
        unknown = index is None and name == "ai_selected_index"
        if not unknown and (type(index) is not int or not 0 <= index < count):
            return f"{name} {index!r} of {count} images"
    return None


def has_vector(name: object, facts: ParsedRows, directory: object = None) -> bool:
    """Whether an image has a vector: of its content, where the scan knows that; `directory` tells equal names apart."""
    has = facts.vectors.get(name, set()) if isinstance(name, str) else set()
    folders = facts.sha256.get(name, {}) if isinstance(name, str) else {}
    known = {folders[directory]} if isinstance(directory, str) and directory in folders else set(folders.values())
    # a vector of the earlier system has no content hash
    return bool(has) and (not known or None in known or bool(known & has) or None in has)


def _vectors(row: Row, facts: ParsedRows) -> str | None:
    without = [str(name) for name in _names(row["images"]) if not has_vector(name, facts, row["directory"])]
    return f"no vector of {', '.join(without)}" if without else None


# checks of the rows of listed groups
GROUPS = {
    "waiting crops": "SELECT group_id FROM incomplete_crops",
    "machine decisions": "SELECT group_id FROM automatic_decisions WHERE input = 'auto'",
    "machine crops": """SELECT group_id FROM automatic_decisions WHERE crop_input = 'apply_ai'
        UNION SELECT group_id FROM final_crops WHERE box_source = 'ai_all'""",
    "default crops": "SELECT group_id FROM final_crops WHERE box_source = 'default'",
}


def _listed(check: str, what: str) -> tuple[str, Check]:
    return check, lambda row, facts: what if row["group_id"] in facts.groups[check] else None


CHECKS: tuple[tuple[str, Check | None], ...] = (
    ("database", None),  # filled from SQLite's own check, before the rows
    ("project", _project),
    ("ids", _ids),
    ("actions", _action),
    ("values", _values),
    ("sizes", _size),
    ("coordinates", _coordinates),
    ("file names", _file_names),
    ("indexes", _indexes),
    ("images", None),  # rows of the other tables of `FAULTS`
    ("crops", None),
    ("comparisons", None),
    ("imported picks", None),  # rows of the tables of `IMPORT_FAULTS`
    ("imported crops", None),
    ("picks to learn from", None),  # imported rows that are sound, and lack something: filled by `inspection`
    ("crops to learn from", None),
    _listed("waiting crops", "its crop waits to be made"),
    ("vectors", _vectors),
    _listed("machine decisions", "decided without a person"),
    _listed("machine crops", "cropped without a person"),
    _listed("default crops", "cropped to the default box, which nobody drew"),
)
# the pick of such a row is the user's
CROPS_ONLY = frozenset(("machine crops", "default crops"))
# where SQLite finds the file damaged, or rows are of another project, no single row can be left out
REFUSING = frozenset(("database", "project"))
# a decision that fails one of these is unsound for every purpose
UNSOUND = ("ids", "actions", "values", "sizes", "coordinates", "file names", "indexes")
# sound rows: left out of training, and nothing to finishing but for a crop that still waits
TRAINING_ONLY = frozenset((*GROUPS, "vectors", "picks to learn from", "crops to learn from"))
_OF_ONE_ROW = tuple((name, check) for name, check in CHECKS if name in UNSOUND and check is not None)
_NO_FACTS = ParsedRows()


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a row is unsound: the first check that it fails, whose row it is (a group or a file), and what is wrong."""

    check: str
    of: str
    what: str

    @property
    def reason(self) -> str:
        """The reason under which the row is counted among those left out."""
        return f"unsound row: {self.check}"


def _decision_fault(row: Row) -> Fault | None:
    found = ((name, check(row, _NO_FACTS)) for name, check in _OF_ONE_ROW)
    return next((Fault(name, str(row["group_id"]), wrong) for name, wrong in found if wrong is not None), None)


def _image_fault(row: Row) -> Fault | None:
    if row["sha256"] is None:  # listed with its reason, and never opened
        return None
    directory, filename, size = row["directory"], row["filename"], (row["width"], row["height"])
    if not is_file_name(filename) or not (directory == "" or (is_text(directory) and stays_inside(directory))):
        return Fault("images", repr(filename), f"{directory!r} and {filename!r} are no folder and file name")
    if not all(side is not None and side > 0 for side in size):
        return Fault("images", filename, f"size {size[0]!r} x {size[1]!r}")
    try:
        datetime.fromisoformat(row["taken_at"] or "2000-01-01")
    except ValueError as error:
        return Fault("images", filename, f"taken_at: {error}")
    return None


def _comparison_fault(row: Row) -> Fault | None:
    wrong = _file_names(row, _NO_FACTS)
    if wrong is None and not 0 <= row["chosen"] < len(_names(row["images"])):
        wrong = f"chosen {row['chosen']!r} of {len(_names(row['images']))} images"
    return None if wrong is None else Fault("comparisons", f"{row['group_id']}, round {row['round']}", wrong)


def _crop_fault(row: Row) -> Fault | None:
    name = row["filename"]
    if wrong := _box(row, "box") or _file_name(name):
        return Fault("crops", name if is_file_name(name) else repr(name), wrong)
    return None


def _imported_pick_fault(row: Row) -> Fault | None:
    names = [row["chosen"], *_names(row["others"])]
    wrong = next(filter(None, map(_file_name, names)), None)
    if wrong is None and (len(names) < MIN_GROUP or len(set(names)) < len(names)):
        wrong = f"{row['chosen']!r} over {row['others']!r} is not a pick"
    return _import_fault("imported picks", place_of(row, "chosen"), row, wrong)


def _imported_crop_fault(row: Row) -> Fault | None:
    wrong = _file_name(row["filename"]) or _box(row, "box")
    if wrong is None and not all(s is None or (type(s) is int and s > 0) for s in (row["width"], row["height"])):
        wrong = f"size {row['width']!r} x {row['height']!r}"
    return _import_fault("imported crops", place_of(row, "filename"), row, wrong)


def _import_fault(check: str, of: str, row: Row, wrong: str | None) -> Fault | None:
    """What is wrong with an imported row, else with the columns that all of them have."""
    try:
        datetime.fromisoformat(row["timestamp"] or "2000-01-01")
    except (ValueError, TypeError):
        wrong = wrong or f"timestamp {row['timestamp']!r} is not a time"
    wrong = wrong or (None if _is_plain_text(row["project_id"]) else f"project_id {row['project_id']!r}")
    return None if wrong is None else Fault(check, of, wrong)


def place_of(row: Row, name: str) -> str:
    """The source of an imported row: its file and line, else its file and the image in column `name`."""
    return f"{row['source_file']}:{row['source_line'] or repr(row[name])}"


# table -> what is wrong with one row of it, None for a sound one; needs nothing but the row
FAULTS: Mapping[str, Callable[[Row], Fault | None]] = {
    "ai_decisions": _decision_fault,
    "images": _image_fault,
    "crops": _crop_fault,
    "comparisons": _comparison_fault,
}
# the same for the tables that only `<project>_legacy.db` has
IMPORT_FAULTS: Mapping[str, Callable[[Row], Fault | None]] = {
    "legacy_selections": _imported_pick_fault,
    "legacy_crops": _imported_crop_fault,
}

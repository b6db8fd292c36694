"""Read a project's decisions as examples: the user's picks and crops, with a reason for every row left out.

The sources are the project's own database and that of its imports (FORMATS.md, `<project>_legacy.db`). Integrity comes
first: unsound and `excluded` rows are left out. Never read as an example: what the machine decided or cropped, groups
kept whole (key K), and a reject as a pick. An image kept in addition to the pick counts neither as winner nor as loser.
The earlier rounds of a burst are examples where its last round is one. Read-only.
"""

import hashlib
import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pickroom.core import naming
from pickroom.core.errors import ConflictError
from pickroom.core.records import MAX_GROUP, MIN_GROUP, CropBox
from pickroom.features.candidates import Candidates
from pickroom.integrity import Inspection, inspect
from pickroom.learn.examples import CropExample, Pick
from pickroom.store import legacy
from pickroom.store.connect import open_read_only, transaction
from pickroom.store.rows import read_any_text
from pickroom.store.workspace import Project

What = Literal["picks", "crops"]

_ROWS = """SELECT d.*, d.rowid AS row_number, c.input, c.crop_input, c.dropped_at,
    min(d.timestamp, coalesce(r.updated_at, d.timestamp)) AS decided_at
FROM ai_decisions AS d
LEFT JOIN decision_context AS c USING (group_id)
LEFT JOIN review_state AS r USING (group_id)
ORDER BY decided_at, d.group_id"""
_IMAGES = """SELECT directory, filename, sha256, width, height, stage FROM images
WHERE sha256 IS NOT NULL ORDER BY filename, directory"""
_MEMBERS = "SELECT group_id, filename FROM group_members"
_KEPT = "SELECT group_id, filename FROM kept_images WHERE kept = 1"
_SEVERAL = "several folders hold a name of it"
_ROUNDS = "SELECT rowid AS row_number, * FROM comparisons ORDER BY group_id, round"


@dataclass(frozen=True, slots=True)
class _Known:
    """The properties of one image in the last scan."""

    sha256: str
    width: int
    height: int
    stage: float | None


class _Scanned:
    """What the last scan knows of a project's images, by folder and name."""

    def __init__(self, rows: Iterable[sqlite3.Row] = ()) -> None:
        self._by_name: dict[str, dict[str, _Known]] = defaultdict(dict)
        for row in rows:
            directory, name, *values = tuple(row)
            self._by_name[name][directory] = _Known(*values)

    def of(self, directory: str | None, name: str) -> _Known | None:
        """The image of a row; by its name alone where only one folder holds it (imports name other folders)."""
        found = self._by_name.get(name, {})
        if len(found) == 1:
            return next(iter(found.values()))
        meant = self._folder(directory, found)
        return None if meant is None else found[meant]

    @staticmethod
    def _folder(directory: str | None, found: Mapping[str, _Known]) -> str | None:
        """The row's own folder, or the one that it names in another program's words; None where it names none."""
        return directory if directory in found else naming.folder_meant(directory, found)

    def is_shared(self, name: str) -> bool:
        """Whether several folders hold the name."""
        return len(self._by_name.get(name, ())) > 1

    def place(self, directory: str | None, names: Sequence[str]) -> str | None:
        """`Candidates.directory` of a row's images; None where its folder does not tell which of several they are."""
        if not any(map(self.is_shared, names)):
            return ""
        if not all(self.of(directory, name) for name in names):
            return None
        return next(self._folder(directory, self._by_name[name]) for name in names if self.is_shared(name))


@dataclass(slots=True)
class Examples:
    """The examples of one project, and the rows left out."""

    project_id: str
    # rows read, of every table; each is in `picks` or `crops`, or counted in `left_out`, or not of the kind
    # asked for (a pick without a crop, where crops were asked for)
    rows: int = 0
    picks: list[Pick] = field(default_factory=list)
    crops: list[CropExample] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)  # reason -> rows


def databases(project: Project) -> list[Path]:
    """The project's own database, and that of its imports where there is one."""
    return legacy.databases(project.workspace, project.id)


def inspect_all(project: Project) -> list[Inspection]:
    """One inspection per database of `databases`, for training; raises StoreError as `inspect` does."""
    return [inspect(project, database=path) for path in databases(project)]


def read_examples(
    project: Project, what: What, others: Sequence[str] = (), inspections: Sequence[Inspection] | None = None
) -> Examples:
    """Every example of one kind that a project's decisions give, in the order they were made.

    Args:
        others: ids of other projects; a row with one of them in its group's id is refused.
        inspections: of `inspect_all`, where they were made already.

    Raises:
        ConflictError: the database is unsound as a whole, or rows of two projects are mixed; it must not be trained on.
        StoreError: a database, or a file of vectors, cannot be read.
    """
    found = Examples(project.id)
    inspections = inspect_all(project) if inspections is None else inspections
    for inspection in inspections:
        inspection.require_sound("making a training set")
    known = _Scanned()
    for path, inspection in zip(databases(project), inspections, strict=True):
        with open_read_only(path) as connection, transaction(connection, writing=False):
            read_any_text(connection)
            if path == project.database:
                known = _Scanned(connection.execute(_IMAGES))
            _read_decisions(found, connection, project, what, inspection, known, others)
            if path != project.database:
                _read_imports(found, connection, what, known, inspection)
    _once_each(found)
    return found


def _read_decisions(
    found: Examples,
    connection: sqlite3.Connection,
    project: Project,
    what: What,
    inspection: Inspection,
    known: _Scanned,
    others: Sequence[str],
) -> None:
    excluded = inspection.excluded_by(what)
    members: dict[str, set[str]] = defaultdict(set)
    for group_id, name in connection.execute(_MEMBERS):
        members[group_id].add(name)
    kept: dict[str, set[str]] = defaultdict(set)
    for group_id, name in connection.execute(_KEPT):
        kept[group_id].add(name)
    rounds: dict[str, list[sqlite3.Row]] = defaultdict(list)
    for row in connection.execute(_ROUNDS).fetchall() if what == "picks" else ():
        rounds[row["group_id"]].append(row)
    unsound = inspection.unsound.rows.get("comparisons", {})
    foreign = tuple(f"{other}_group_" for other in others if other != project.id)
    for row in connection.execute(_ROWS):
        found.rows += 1
        if (fault := inspection.unsound.decisions.get(row["row_number"])) is not None:
            found.left_out[fault.reason] += 1
            continue
        group_id = row["group_id"]
        names = tuple(json.loads(row["images"]))
        if foreign and group_id.startswith(foreign) and not group_id.startswith(f"{project.id}_group_"):
            raise _mixed(project, f"{group_id} is a group of another project")
        own = members.get(group_id, set(names))
        if own != set(names) and not (len(own) > MAX_GROUP and own > set(names)):
            raise _mixed(project, f"{group_id} has the images of another group")
        if row["user_action"] == "reject":
            found.left_out["rejected: no image was picked"] += 1
        elif group_id in excluded:
            found.left_out[f"excluded: {excluded[group_id]}"] += 1
        elif what == "picks":
            blind = row["input"] == "blind"
            picked = (row["user_selected_index"], row["ai_selected_index"], blind, row["decided_at"])
            _take_pick(found, row, row["directory"], *picked, kept, known)
            for one in rounds[group_id]:
                found.rows += 1
                if (fault := unsound.get(one["row_number"])) is not None:
                    found.left_out[fault.reason] += 1
                else:
                    met = (row["directory"], one["chosen"], None, blind, one["made_at"])
                    _take_pick(found, one, *met, kept, known, comparison=True)
        else:
            _take_crop(found, row, names[row["user_selected_index"]], known)


def _take_pick(
    found: Examples,
    row: sqlite3.Row,
    directory: str | None,
    chosen: int,
    recommended: int | None,
    blind: bool,
    at: str,
    kept: Mapping[str, set[str]],
    known: _Scanned,
    *,
    comparison: bool = False,
) -> None:
    names, group_id = json.loads(row["images"]), row["group_id"]
    own = tuple(name for name in names if name == names[chosen] or name not in kept.get(group_id, ()))
    if len(own) < MIN_GROUP:
        found.left_out["every other image was kept too"] += 1
        return
    ai = None if recommended is None or names[recommended] not in own else own.index(names[recommended])
    candidates = _candidates(found, group_id, directory, own, known)
    if candidates is None:
        return
    found.picks.append(Pick(candidates, own.index(names[chosen]), ai, blind, at, comparison))


def _take_crop(found: Examples, row: sqlite3.Row, name: str, known: _Scanned) -> None:
    box = CropBox.from_json(row["final_crop_coords"])
    if box is None and row["dropped_at"] is not None:
        found.left_out["dropped at the crop desk: no box"] += 1
        return
    at = row["crop_timestamp"] if box is not None and row["crop_timestamp"] else row["decided_at"]
    size = (row["image_width"], row["image_height"])
    _add_crop(found, (row["directory"], name), size, row["group_id"], box, at, known)


def _read_imports(
    found: Examples,
    connection: sqlite3.Connection,
    what: What,
    known: _Scanned,
    inspection: Inspection,
) -> None:
    unsound = inspection.unsound.rows[f"legacy_{'selections' if what == 'picks' else 'crops'}"]
    for fault in unsound.values():
        found.rows += 1
        found.left_out[fault.reason] += 1
    if what == "picks":
        for selection in legacy.selections(connection, unsound):
            found.rows += 1
            names = {selection.chosen, *selection.others}
            if not MIN_GROUP <= len(names) <= MAX_GROUP or len(names) != 1 + len(selection.others):
                found.left_out[f"imported: not {MIN_GROUP}-{MAX_GROUP} different images"] += 1
                continue
            # in stage order, which does not depend on the pick
            ordered = tuple(sorted(names, key=lambda name: (_order(name), name)))
            key = hashlib.sha256(json.dumps(ordered).encode()).hexdigest()[:16]
            candidates = _candidates(found, f"{found.project_id}_selection_{key}", None, ordered, known)
            at = selection.timestamp or ""
            if candidates is not None:
                found.picks.append(Pick(candidates, ordered.index(selection.chosen), None, False, at))
        return
    for crop in legacy.crops(connection, unsound):
        found.rows += 1
        if crop.box is None or crop.width is None or crop.height is None:
            found.left_out["imported: no box, or no size"] += 1
            continue
        size = (crop.width, crop.height)
        _add_crop(found, (None, crop.filename), size, None, crop.box, crop.timestamp or "", known)


def _once_each(found: Examples) -> None:
    """Keep the first of each group, and of each cropped image: the project's own rows come before imported ones."""
    picks: dict[tuple[str, frozenset[str]], Pick] = {}
    for pick in found.picks:
        own = pick.candidates
        if picks.setdefault((own.directory, frozenset(own.filenames)), pick) is not pick:
            found.left_out["the same group again"] += 1
    crops: dict[tuple[str, str], CropExample] = {}
    for crop in found.crops:
        if crops.setdefault((crop.directory, crop.filename), crop) is not crop:
            found.left_out["the same image again"] += 1
    found.picks, found.crops = list(picks.values()), list(crops.values())


def _candidates(
    found: Examples, group_id: str, directory: str | None, names: tuple[str, ...], known: _Scanned
) -> Candidates | None:
    """The images of a row; None, and counted, where several folders hold its names and it does not say which."""
    place = known.place(directory, names)
    if place is None:
        found.left_out[_SEVERAL] += 1
        return None
    scanned = [known.of(directory, name) for name in names]
    hashes = tuple(one.sha256 if one is not None else None for one in scanned)
    stages = tuple(map(_stage, names, scanned))
    return Candidates(found.project_id, group_id, names, hashes, stages, place)


def _add_crop(
    found: Examples,
    image: tuple[str | None, str],
    size: tuple[int, int],
    group_id: str | None,
    box: CropBox | None,
    decided_at: str,
    known: _Scanned,
) -> None:
    """Add the crop of one image, given by folder (None: not known) and name."""
    name, place = image[1], known.place(image[0], image[1:])
    if place is None:
        found.left_out[_SEVERAL] += 1
        return
    scanned = known.of(*image)
    # a file of that name and another size is not the frame that the box was drawn in (77 wrong rows, LESSONS.md)
    same = scanned is not None and (scanned.width, scanned.height) == size
    sha256 = scanned.sha256 if scanned is not None and same else None
    stage = _stage(name, scanned)
    found.crops.append(CropExample(found.project_id, name, sha256, *size, stage, group_id, box, decided_at, place))


def _stage(name: str, scanned: _Known | None) -> float | None:
    return scanned.stage if scanned is not None else naming.stage_of(name)


def _order(name: str) -> float:
    stage = naming.stage_of(name)
    return float("inf") if stage is None else stage


def _mixed(project: Project, what: str) -> ConflictError:
    return ConflictError(
        f"two projects are mixed: {what}",
        doing="making a training set",
        subject=project.database,
        hint=f"see the rows: pickroom check {project.id}",
    )

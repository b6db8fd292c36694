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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from pickroom.core import naming
from pickroom.core.errors import ConflictError
from pickroom.core.records import MAX_GROUP, MIN_GROUP, CropBox
from pickroom.features.candidates import Candidates
from pickroom.integrity import Inspection, inspect
from pickroom.integrity.checks import Fault
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
_ROUNDS = "SELECT rowid AS row_number, * FROM comparisons ORDER BY group_id, round"


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


def inspect_all(project: Project) -> list[Inspection]:
    """One inspection per database, the project's own and that of its imports; raises StoreError as `inspect` does."""
    return [inspect(project, database=path) for path in legacy.databases(project.workspace, project.id)]


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
    inspections = inspect_all(project) if inspections is None else inspections
    for inspection in inspections:
        inspection.require_sound("making a training set")
    reader = _Reader(project, what, others)
    for path, inspection in zip(legacy.databases(project.workspace, project.id), inspections, strict=True):
        with open_read_only(path) as connection, transaction(connection, writing=False):
            read_any_text(connection)
            if path == project.database:
                for row in connection.execute(_IMAGES):
                    reader.scanned[row["filename"]][row["directory"]] = row
            reader.read_decisions(connection, inspection)
            if path != project.database:
                reader.read_imports(connection, inspection)
    return reader.once_each()


class _Reader:
    """Reads the decisions of one project into `found`.

    Attributes:
        scanned: name -> folder -> what the last scan knows of the image.
    """

    def __init__(self, project: Project, what: What, others: Sequence[str]) -> None:
        self.project, self.what, self.found = project, what, Examples(project.id)
        self.foreign = tuple(f"{other}_group_" for other in others if other != project.id)
        self.scanned: dict[str, dict[str, sqlite3.Row]] = defaultdict(dict)
        self.kept: dict[str, set[str]] = {}  # group id -> images kept in addition to the pick

    def read_decisions(self, connection: sqlite3.Connection, inspection: Inspection) -> None:
        excluded = inspection.excluded_by(self.what)
        members: dict[str, set[str]] = defaultdict(set)
        self.kept = defaultdict(set)
        for by_group, query in ((members, _MEMBERS), (self.kept, _KEPT)):
            for group_id, name in connection.execute(query):
                by_group[group_id].add(name)
        rounds: dict[str, list[sqlite3.Row]] = defaultdict(list)
        for row in connection.execute(_ROUNDS).fetchall() if self.what == "picks" else ():
            rounds[row["group_id"]].append(row)
        for row in connection.execute(_ROWS):
            if not self._is_sound(row, inspection.unsound.decisions):
                continue
            group_id = row["group_id"]
            names = tuple(json.loads(row["images"]))
            if group_id.startswith(self.foreign) and not group_id.startswith(f"{self.project.id}_group_"):
                raise self._mixed(f"{group_id} is a group of another project")
            own = members.get(group_id, set(names))
            if own != set(names) and not (len(own) > MAX_GROUP and own > set(names)):
                raise self._mixed(f"{group_id} has the images of another group")
            if row["user_action"] == "reject":
                self.found.left_out["rejected: no image was picked"] += 1
            elif group_id in excluded:
                self.found.left_out[f"excluded: {excluded[group_id]}"] += 1
            elif self.what == "picks":
                blind = row["input"] == "blind"
                picked = (row["user_selected_index"], row["ai_selected_index"], blind, row["decided_at"])
                self._take_pick(row, row["directory"], *picked)
                for one in rounds[group_id]:
                    if self._is_sound(one, inspection.unsound.rows.get("comparisons", {})):
                        met = (row["directory"], one["chosen"], None, blind, one["made_at"])
                        self._take_pick(one, *met, comparison=True)
            else:
                box = CropBox.from_json(row["final_crop_coords"])
                if box is None and row["dropped_at"] is not None:
                    self.found.left_out["dropped at the crop desk: no box"] += 1
                    continue
                at = row["crop_timestamp"] if box is not None and row["crop_timestamp"] else row["decided_at"]
                size = (row["image_width"], row["image_height"])
                self._add_crop(row["directory"], names[row["user_selected_index"]], size, group_id, box, at)

    def _is_sound(self, row: sqlite3.Row, faults: Mapping[int, Fault]) -> bool:
        """Count a row; whether it has no fault."""
        self.found.rows += 1
        fault = faults.get(row["row_number"])
        if fault is not None:
            self.found.left_out[fault.reason] += 1
        return fault is None

    def _take_pick(
        self,
        row: sqlite3.Row,
        directory: str | None,
        chosen: int,
        recommended: int | None,
        blind: bool,
        at: str,
        *,
        comparison: bool = False,
    ) -> None:
        names, group_id = json.loads(row["images"]), row["group_id"]
        own = tuple(name for name in names if name == names[chosen] or name not in self.kept.get(group_id, ()))
        if len(own) < MIN_GROUP:
            self.found.left_out["every other image was kept too"] += 1
            return
        ai = None if recommended is None or names[recommended] not in own else own.index(names[recommended])
        if (candidates := self._candidates(group_id, directory, own)) is not None:
            self.found.picks.append(Pick(candidates, own.index(names[chosen]), ai, blind, at, comparison))

    def read_imports(self, connection: sqlite3.Connection, inspection: Inspection) -> None:
        """Read imported picks that are no full decisions, or imported crops."""
        found = self.found
        unsound = inspection.unsound.rows[f"legacy_{'selections' if self.what == 'picks' else 'crops'}"]
        found.rows += len(unsound)
        found.left_out.update(fault.reason for fault in unsound.values())
        for selection in legacy.selections(connection, unsound) if self.what == "picks" else ():
            found.rows += 1
            names = {selection.chosen, *selection.others}
            if not MIN_GROUP <= len(names) <= MAX_GROUP or len(names) != 1 + len(selection.others):
                found.left_out[f"imported: not {MIN_GROUP}-{MAX_GROUP} different images"] += 1
                continue
            # in stage order, which does not depend on the pick
            ordered = tuple(sorted(names, key=lambda name: (_order(name), name)))
            group_id = f"{found.project_id}_selection_{hashlib.sha256(json.dumps(ordered).encode()).hexdigest()[:16]}"
            if (candidates := self._candidates(group_id, None, ordered)) is not None:
                at = selection.timestamp or ""
                found.picks.append(Pick(candidates, ordered.index(selection.chosen), None, False, at))
        for crop in legacy.crops(connection, unsound) if self.what == "crops" else ():
            found.rows += 1
            if crop.box is None or crop.width is None or crop.height is None:
                found.left_out["imported: no box, or no size"] += 1
                continue
            self._add_crop(None, crop.filename, (crop.width, crop.height), None, crop.box, crop.timestamp or "")

    def once_each(self) -> Examples:
        """The first of each group and of each cropped image: the project's own rows come before imported ones."""
        found = self.found
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
        return found

    def _images(self, directory: str | None, names: Sequence[str]) -> tuple[str, list[sqlite3.Row | None]] | None:
        """`Candidates.directory` of a row's images, and what the last scan knows of each.

        An image is meant by its name alone where only one folder holds it (imports name other folders). None, and
        counted, where several do and the row's folder (None: not known) does not tell which.
        """
        held = [self.scanned.get(name, {}) for name in names]
        # the row's own folder, or the one that it names in another program's words
        folders = [
            next(iter(own)) if len(own) == 1 else directory if directory in own else naming.folder_meant(directory, own)
            for own in held
        ]
        known = [own.get(folder) if folder is not None else None for own, folder in zip(held, folders, strict=True)]
        shared = [folder for own, folder in zip(held, folders, strict=True) if len(own) > 1]
        if shared and None in known:
            self.found.left_out["several folders hold a name of it"] += 1
            return None
        return (shared[0] or "" if shared else ""), known

    def _candidates(self, group_id: str, directory: str | None, names: tuple[str, ...]) -> Candidates | None:
        if (images := self._images(directory, names)) is None:
            return None
        place, known = images
        hashes = tuple(one["sha256"] if one is not None else None for one in known)
        return Candidates(self.project.id, group_id, names, hashes, tuple(map(_stage, names, known)), place)

    def _add_crop(
        self,
        directory: str | None,
        name: str,
        size: tuple[int, int],
        group_id: str | None,
        box: CropBox | None,
        decided_at: str,
    ) -> None:
        if (images := self._images(directory, (name,))) is None:
            return
        place, (known,) = images
        # a file of that name and another size is not the frame that the box was drawn in (77 wrong rows, LESSONS.md)
        same = known is not None and (known["width"], known["height"]) == size
        own = (self.project.id, name, known["sha256"] if known is not None and same else None)
        self.found.crops.append(CropExample(*own, *size, _stage(name, known), group_id, box, decided_at, place))

    def _mixed(self, what: str) -> ConflictError:
        return ConflictError(
            f"two projects are mixed: {what}",
            doing="making a training set",
            subject=self.project.database,
            hint=f"see the rows: pickroom check {self.project.id}",
        )


def _stage(name: str, scanned: sqlite3.Row | None) -> float | None:
    return scanned["stage"] if scanned is not None else naming.stage_of(name)


def _order(name: str) -> float:
    stage = naming.stage_of(name)
    return float("inf") if stage is None else stage

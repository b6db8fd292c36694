"""What the user decided about each image, and where the image lies now. Read-only; what the machine did is left out.

Picks are left out where the automation decided alone (DESIGN.md, invariant 11), boxes where `crop --apply-ai` cut
without a look, and where they are the crop desk's unchanged default box. Only the project's own database is
read: of imported logs the images are rarely there.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Sequence, Set
from contextlib import suppress
from dataclasses import dataclass, field

from pickroom.core import naming
from pickroom.core.errors import ConflictError, StoreError
from pickroom.core.naming import extension_of, folder_of, join, mirrored, source_folder
from pickroom.core.records import MAX_GROUP, CropBox, Image
from pickroom.files.routing import Verdict
from pickroom.images.scan import list_images
from pickroom.integrity import inspect
from pickroom.storage import atomic
from pickroom.store import crops, groups, images, operations
from pickroom.store.connect import open_read_only, transaction
from pickroom.store.rows import read_any_text
from pickroom.store.workspace import Project

BY_MACHINE = "decided without a person"
CUT_BY_MACHINE = "crop made without a person: its box is left out"
WITHOUT_ROW = "decision whose row is not there"
DEFAULT_BOX = "cropped to the default box, which nobody drew: it is left out"
NOT_THERE = "not in the project's folder as it was decided on"
REMOVED = "set aside, and removed since"

_DECIDED = """SELECT c.group_id, c.input, c.outcome, c.crop_input, c.dropped_at, c.decided_at, d.images,
    d.user_selected_index, d.user_action, d.final_crop_coords, d.timestamp, d.rowid AS row_id, d.directory
FROM decision_context AS c LEFT JOIN ai_decisions AS d USING (group_id)
UNION ALL
SELECT d.group_id, NULL, d.user_action, NULL, NULL, d.timestamp, d.images,
    d.user_selected_index, d.user_action, d.final_crop_coords, d.timestamp, d.rowid, d.directory
FROM ai_decisions AS d WHERE NOT EXISTS (SELECT 1 FROM decision_context AS c WHERE c.group_id = d.group_id)
ORDER BY 6, 1"""


@dataclass(frozen=True, slots=True)
class Judged:
    """One image of a decided group."""

    project_id: str
    name: str  # tells it from the project's other images: its file name, in a mirrored project with its folder
    group_id: str
    image: Image
    verdict: Verdict
    path: str  # where the file that was decided on lies now, relative to the project's root
    # the user's crop, a fraction of the EXIF-upright image; None where none was drawn or confirmed
    box: CropBox | None = None
    stars: int | None = None  # 1..5, which the user gave; None without
    # the box of a crop that was made, but is not the user's; None where `box` is, or no crop exists
    other_box: CropBox | None = None
    cropped: str | None = None  # where the finished crop lies, relative to the root; None where there is none


@dataclass(frozen=True, slots=True)
class JudgedGroup:
    """One decided group, images in its own order; `decided_at` is ISO 8601 UTC."""

    group_id: str
    decided_at: str
    images: tuple[Judged, ...]

    @property
    def picked(self) -> Judged | None:
        """The image that was picked; None for a group rejected, kept whole, or dropped at the crop desk."""
        return next((judged for judged in self.images if judged.verdict == "picked"), None)


@dataclass(slots=True)
class Choices:
    """A project's groups that the user decided, in the order of the decisions."""

    project: Project
    groups: list[JudgedGroup] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)  # reason -> how many
    lost: list[str] = field(default_factory=list)  # the images that are `NOT_THERE`, by name

    @property
    def images(self) -> list[Judged]:
        return [judged for group in self.groups for judged in group.images]


def read(project: Project) -> Choices:
    """Every choice of the user in one project; unsound rows are left out and counted.

    Raises ConflictError where no row can be relied on, or file operations are unfinished and files are not where the
    rows say; ProjectError where the image folder is not there; StoreError where the database cannot be read.
    """
    inspection = inspect(project, purpose="finishing")
    inspection.require_sound("exporting")
    places = _Places(project)
    found = Choices(project, left_out=inspection.unsound.by_reason)
    with open_read_only(project.database) as connection, transaction(connection, writing=False):
        read_any_text(connection)
        if operations.count_planned(connection):
            raise ConflictError(
                "file operations are unfinished",
                doing=f"exporting {project.id}",
                subject=project.root,
                hint=f"first: pickroom recover {project.id}",
            )
        known: dict[str, dict[str, Image]] = defaultdict(dict)  # name -> folder -> image
        for image in images.readable(connection):
            known[image.filename][image.directory] = image
        members = {group.group_id: group.images for group in groups.every(connection, project.id, sound=True)}
        marks = {(row["group_id"], row["filename"]): row for row in connection.execute("SELECT * FROM kept_images")}
        for row in connection.execute(_DECIDED).fetchall():
            if row["row_id"] in inspection.unsound.decisions:
                continue
            if row["input"] == "auto":
                found.left_out[BY_MACHINE] += 1
                continue
            if row["row_id"] is None and row["outcome"] != "keep":  # only a group kept whole has none
                found.left_out[WITHOUT_ROW] += 1
                continue
            own = members.get(row["group_id"], ())
            if row["row_id"] is not None:
                names = json.loads(row["images"])
                out = [image for image in own if image.filename not in names] if len(own) > MAX_GROUP else []
                of_name = [(known[name].get(row["directory"]), known[name].values()) for name in names]
                met = [one or (next(iter(every)) if len(every) == 1 else None) for one, every in of_name]
                own = (*filter(None, met), *out)  # out: of earlier rounds of a burst
            crop = None
            with suppress(StoreError):  # counted among the unsound rows
                crop = crops.latest(connection, row["group_id"])
            judged = (
                _judge(
                    *(found, row, image, crop, places, marks.get((row["group_id"], image.filename))),
                    elsewhere=known[image.filename].keys() - {image.directory},
                )
                for image in own
            )
            if kept := tuple(item for item in judged if item is not None):
                found.groups.append(JudgedGroup(row["group_id"], row["decided_at"], kept))
    return found


def _judge(
    found: Choices,
    row: sqlite3.Row,
    image: Image,
    crop: crops.Crop | None,
    places: _Places,
    mark: sqlite3.Row | None,
    elsewhere: Set[str],
) -> Judged | None:
    """The image as it was judged; None, and counted, where it is not there. `elsewhere`: other folders of its name."""
    verdict = _verdict(row, image.filename)
    if verdict == "passed over" and mark is not None and mark["kept"]:
        verdict = "kept"
    stars = mark["stars"] if mark is not None and verdict in ("picked", "kept") else None
    path = places.of(image)
    if path is None:
        # delete_staging/ is there to be emptied
        removed = verdict in ("passed over", "rejected") and not places.has(image.filename, elsewhere)
        found.left_out[REMOVED if removed else NOT_THERE] += 1
        found.lost += [] if removed else [image.filename]
        return None
    box, other_box, cropped = None, None, None
    if verdict == "picked" and row["final_crop_coords"] is not None:
        source = crop.box_source if crop is not None else None
        box = CropBox.from_json(row["final_crop_coords"])
        if row["crop_input"] == "apply_ai" or source in ("ai_all", "default"):
            found.left_out[DEFAULT_BOX if source == "default" else CUT_BY_MACHINE] += 1
            box, other_box = None, box
        if crop is not None and extension_of(image.filename) in naming.RAW_EXTENSIONS and crop.sha256 == image.sha256:
            other_box = None  # the RAW file is its own crop, by whatever box its sidecar has
        else:
            cropped = places.crop_of(image, crop, path)
    mirror = found.project.manifest.layout == "mirror"
    name = join(image.directory, image.filename) if mirror else image.filename
    where = path, box, stars, other_box, cropped
    return Judged(found.project.id, name, row["group_id"], image, verdict, *where)


def _verdict(row: sqlite3.Row, filename: str) -> Verdict:
    if row["row_id"] is None:
        return "kept"
    if row["user_action"] == "reject":
        return "rejected"
    if json.loads(row["images"])[row["user_selected_index"]] != filename:
        return "passed over"
    # the crop desk may send the pick after the others: the last word counts
    return "rejected" if row["dropped_at"] is not None else "picked"


class _Places:
    """Where files lie now, by name; a name met twice is told apart by what the scan knew of the content."""

    def __init__(self, project: Project) -> None:
        self._root = project.require_root()
        self._paths: dict[str, list[str]] = defaultdict(list)
        self._stats: dict[str, tuple[int, int]] = {}
        for entry in list_images(project)[0]:
            path = join(entry.directory, entry.filename)
            self._paths[entry.filename].append(path)
            self._stats[path] = (entry.file_size, entry.mtime_ns)

    def has(self, filename: str, elsewhere: Set[str]) -> bool:
        """Whether any file has this name, but those of other folders."""
        return any(source_folder(folder_of(path)) not in elsewhere for path in self._paths.get(filename, ()))

    def of(self, image: Image) -> str | None:
        """The file that was decided on; None when it is gone or holds something else."""
        paths = self._paths.get(image.filename, [])
        if not paths and extension_of(image.filename) in naming.RAW_EXTENSIONS:
            # another program's picture of it is next to it, so the RAW file now counts as a companion
            folders = dict.fromkeys(
                path for own in naming.OWNED_FOLDERS for path in (mirrored(own, image.directory), own)
            )
            return self._holding([join(folder, image.filename) for folder in folders], image.sha256)
        if len(paths) > 1:  # copies in several folders hold the same: its own first, then what moved to a flat folder
            ranks = {"": 1, image.directory: 0}
            paths = sorted(paths, key=lambda path: ranks.get(source_folder(folder_of(path)), 2))
        # like git's index: same size and time is taken as unchanged, else the bytes decide
        same = [path for path in paths if self._stats[path] == (image.file_size, image.mtime_ns)]
        return same[0] if len(same) == 1 else self._holding(paths, image.sha256)

    def crop_of(self, image: Image, crop: crops.Crop | None, original: str) -> str | None:
        """The finished crop, in its folder or where the sorter sent it; None when it is not there unchanged."""
        if crop is None:
            return None
        others = [path for path in self._paths.get(image.filename, ()) if path != original]
        own = [join(folder, image.filename) for folder in (mirrored(naming.CROPPED, image.directory), naming.CROPPED)]
        return self._holding([*own, *others], crop.sha256)

    def _holding(self, paths: Sequence[str], sha256: str) -> str | None:
        for path in paths:
            file = self._root / path
            with suppress(OSError):  # a file that cannot be read is not, as far as anyone can tell, the one decided on
                if file.is_file() and not file.is_symlink() and atomic.sha256_of(file) == sha256:
                    return path
        return None

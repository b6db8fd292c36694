"""The rows of one file as tuples for staging: decisions, selections, crops.

A row that knows 2-4 names, an index, true sizes and a time is a decision; one that knows less is a selection, a
crop, or both (FORMATS.md, `<project>_legacy.db`).
"""

import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pickroom.core import naming
from pickroom.core.geometry import corners_match
from pickroom.core.records import MAX_GROUP, MIN_GROUP, CropBox, UserAction
from pickroom.history import skip_reasons, values
from pickroom.history.assignment import Clues, Key
from pickroom.history.report import FileReport
from pickroom.history.skip_reasons import Skip

Size = tuple[int | None, int | None]  # (width, height) in pixels

# rank of a row about one file's crop; of equal ranks the first row counts (see resolve.sql)
BOXED, FULL_FRAME, NO_COORDINATES = 0, 1, 2

# notes: values that are unknown although the cell is filled
PLACEHOLDER_BOX = "placeholder box (0,0,1,1): unknown"
UNSIZED_BOX = "box in pixels of an image without a size: unknown"
PARTIAL_BOX = "box with a missing number: unknown"
NO_TIME = "no time that can be read: unknown"
AI_UNUSABLE = "AI value that is none (index, confidence or box): unknown"
BAD_BATCH = "batch number that is none: unknown"
BAD_DIRECTORY = "folder that is not relative to the project: unknown"
TRAINING_ROW = "row of crop_training_data.csv under this header"


@dataclass(slots=True)
class ParsedRows:
    """The rows of one file, gathered until a batch is stored."""

    assign: Callable[[Key], str]  # the project of a row by its key; raises Skip without one
    file: int  # the file's number in this import
    report: FileReport
    clues: Clues = field(default_factory=Clues)  # what makes the key of a row
    # staging table -> values of its first columns
    rows: dict[str, list[tuple[Any, ...]]] = field(default_factory=lambda: defaultdict(list))
    projects: set[str] = field(default_factory=set)  # every project met

    def project(self, folders: Iterable[str], *clues: Any, **more: Any) -> str:
        """The row's project, by what `Clues.key` takes.

        Raises:
            Skip: the row has none. While the rows are only counted: always.
        """
        project = self.assign(self.clues.key(folders, *clues, **more))
        self.projects.add(project)
        return project

    def time(self, text: str) -> str | None:
        """A cell's time; noted when the cell is filled without a valid time."""
        moment = values.timestamp(text)
        if moment is None and not values.is_missing(text):
            self.report.notes[NO_TIME] += 1
        return moment

    def box(self, texts: Sequence[str], size: Size, *, drawn: bool = False, needed: bool = False) -> CropBox | None:
        """The box of four cells, None when they have none.

        Args:
            size: of its image; a box in pixels of an unknown size is lost.
            drawn: another cell shows that the user cropped, so that (0,0,1,1) is a full frame.
            needed: the row says nothing without a box, even one that is lost.

        Raises:
            Skip: the cells hold something that is not a box of this image, or no box where it is needed.
        """
        edges = [values.number(text) for text in texts]
        known = [edge for edge in edges if edge is not None]
        if len(known) == len(edges) and (known != [0, 0, 1, 1] or drawn):
            box = values.box_of(known, *size)
            if box is None:
                self.report.notes[UNSIZED_BOX] += 1
            return box
        if known:
            self.report.notes[PARTIAL_BOX if len(known) < len(edges) else PLACEHOLDER_BOX] += 1
        if needed:
            raise Skip(skip_reasons.NO_BOX if len(known) < len(edges) else skip_reasons.PLACEHOLDER)
        return None

    def add_selection(self, project: str, chosen: str, others: Sequence[str], timestamp: str | None, line: int) -> None:
        """Add a pick with only the chosen and the other images.

        Raises:
            Skip: there is no other image, or the chosen image is among the others.
        """
        others = list(dict.fromkeys(others))
        if not others:
            raise Skip(skip_reasons.NO_OTHERS)
        if chosen in others:
            raise Skip(skip_reasons.CHOSEN_REJECTED)
        row = (pick_key(others), project, chosen, values.names_json(others), timestamp, self.file, line)
        self.rows["selections"].append(row)

    def add_crop(
        self,
        project: str,
        filename: str,
        box: CropBox | None,
        size: Size,
        timestamp: str | None,
        line: int,
        *,
        stage: str = "",
        main: bool = True,
    ) -> None:
        """Add one file that was cropped.

        Args:
            box: None where only the fact is known.
            stage: the text of a column, for a file whose name says no stage.
            main: False when the row also has a pick.
        """
        what = (crop_rank(box), main, project, filename, box and box.to_json(), *size, values.stage(filename, stage))
        self.rows["crops"].append((*what, timestamp, self.file, line))

    def add_pick(
        self,
        project: str,
        images: Sequence[str],
        index: int,
        action: UserAction | None,
        size: Size,
        timestamp: str | None,
        line: int,
        box: CropBox | None = None,
        crop_timestamp: str | None = None,
        *,
        group_id: str | None = None,
        directory: str | None = None,
        batch_number: int | None = None,
        ai_index: int | None = None,
        ai_box: CropBox | None = None,
        ai_confidence: float | None = None,
        crop_match: bool | None = None,
    ) -> None:
        """Add what the user did with a group: a decision if enough is known, else a selection and its crop.

        Args:
            action: None when the log does not say whether the pick was approved or cropped.
            size: of the image at `index`.
            line: in the file, or the row's number where it has no lines.
            ai_index, ai_box, ai_confidence: the AI's recommendation; never used as the user's choice.
            crop_match: as it was logged; used where one of the two boxes is unknown.

        Raises:
            Skip: a name comes twice, or what is known is not a pick.
        """
        rejected = action == "reject"
        if len(set(images)) < len(images):
            raise Skip(skip_reasons.NAME_TWICE)
        chosen, others = images[index], [name for place, name in enumerate(images) if place != index]
        if timestamp is None or action is None or None in size or not MIN_GROUP <= len(images) <= MAX_GROUP:
            if rejected:
                raise Skip(skip_reasons.REJECT_UNKNOWN)
            self.add_selection(project, chosen, others, timestamp, line)
            if box is not None:
                self.add_crop(project, chosen, box, size, crop_timestamp or timestamp, line, main=False)
            return
        if group_id is None:  # its second is the decision's; the same content always gets the same id
            content = "\n".join((*images, str(index), timestamp)).encode()
            moment = datetime.fromisoformat(timestamp.removesuffix("Z"))
            group_id = naming.group_id(project, moment, zlib.crc32(content) % 100_000_000)[0]
        if box is not None and ai_box is not None:
            crop_match = corners_match(ai_box, box)
        self.rows["decisions"].append(
            (
                *(pick_key(images if rejected else others), crop_rank(box), None if rejected else chosen),
                *(group_id, timestamp, project),
                *(directory, batch_number, values.names_json(images)),
                *(ai_index, ai_box and ai_box.to_json(), ai_confidence, index, action),
                None,  # ai_crop_accepted: no old log has it
                *(box and box.to_json(), crop_timestamp, *size),
                *(None if ai_index is None or rejected else ai_index == index, None if rejected else crop_match),
                *(self.file, line),
            )
        )


def pick_key(others: Iterable[str]) -> str:
    """The same text for the same images, in whatever order they were listed."""
    return values.names_json(sorted(others))


def crop_rank(box: CropBox | None) -> int:
    """The rank of a row about its file's crop (FORMATS.md: a later crop replaces a full frame)."""
    if box is None:
        return NO_COORDINATES
    return FULL_FRAME if values.is_full_frame(box) else BOXED

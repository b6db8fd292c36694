"""What the rows of one file say, as the tuples that staging stores: picks, picks with all a decision needs, crops.

A row that knows 2-4 names, an index, true sizes and a time is a decision; one that knows less is a selection, a
crop, or both (FORMATS.md, `<project>_legacy.db`). Every tuple carries the 64-bit keys by which repeats are found.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from pickroom.core import naming
from pickroom.core.geometry import corners_match
from pickroom.core.records import MAX_GROUP, MIN_GROUP, CropBox, UserAction
from pickroom.history import skip_reasons, values
from pickroom.history.skip_reasons import Skip

# how strongly a row speaks of one file's crop; of equals the first row counts (see resolve.sql)
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


@dataclass(frozen=True, slots=True)
class Advice:
    """What the AI had said of a logged group; never taken for the person's choice.

    Attributes:
        crop_match: as it was logged; it stands where the two boxes are not both known.
    """

    index: int | None = None
    box: CropBox | None = None
    confidence: float | None = None
    crop_match: bool | None = None


@dataclass(slots=True)
class ParsedRows:
    """The facts of one file, gathered until a batch is stored.

    Attributes:
        assign: the project of a row by the folders of its paths, its project column and its directory column; raises
            Skip without one.
        file: the file's number in this import.
        notes: what was filled in and is unknown all the same, counted.
        projects: every project met.
    """

    assign: Callable[[Iterable[str], str, str], str]
    file: int
    decisions: list[tuple] = field(default_factory=list)
    selections: list[tuple] = field(default_factory=list)
    crops: list[tuple] = field(default_factory=list)
    notes: Counter[str] = field(default_factory=Counter)
    projects: set[str] = field(default_factory=set)

    def drain(self) -> tuple[list[tuple], list[tuple], list[tuple]]:
        """The decisions, selections and crops gathered so far, which are then forgotten here."""
        gathered = self.decisions, self.selections, self.crops
        self.decisions, self.selections, self.crops = [], [], []
        return gathered

    def project(self, folders: Iterable[str], column: str = "", directory: str = "") -> str:
        """The row's project, by the folders of its paths and its columns for the project and the directory.

        Raises:
            Skip: the row has none. While the rows are only counted: always.
        """
        project = self.assign(folders, column, directory)
        self.projects.add(project)
        return project

    def time(self, text: str) -> str | None:
        """A cell's time; noted when the cell is filled and says none."""
        moment = values.timestamp(text)
        if moment is None and not values.is_missing(text):
            self.notes[NO_TIME] += 1
        return moment

    def box(self, texts: Sequence[str], width: int | None, height: int | None, *, drawn: bool) -> CropBox | None:
        """The box of four cells, None when they say none.

        Args:
            drawn: something else in the row says that the person cropped, so that (0,0,1,1) is a full frame.

        Raises:
            Skip: the cells hold something that is no box of this image.
        """
        if not any(texts):
            return None
        edges = [values.number(text) for text in texts]
        known = [edge for edge in edges if edge is not None]
        if len(known) < len(edges):
            if known:
                self.notes[PARTIAL_BOX] += 1
            return None
        if known == [0, 0, 1, 1] and not drawn:
            self.notes[PLACEHOLDER_BOX] += 1
            return None
        box = values.box_of(known, width, height)
        if box is None:
            self.notes[UNSIZED_BOX] += 1
        return box

    def selection(
        self, project: str, chosen: str, others: Sequence[str], timestamp: str | None, line: int | None
    ) -> None:
        """A pick of which no more is known than what was chosen over what.

        Raises:
            Skip: there was nothing to choose from, or the chosen image is also a rejected one.
        """
        if not others:
            raise Skip(skip_reasons.NO_OTHERS)
        if len(others) > 1:
            others = list(dict.fromkeys(others))
        if chosen in others:
            raise Skip(skip_reasons.CHOSEN_REJECTED)
        key = pick_key(project, chosen, others, timestamp)
        self.selections.append((key, project, chosen, values.names_json(others), timestamp, self.file, line))

    def crop(
        self,
        project: str,
        filename: str,
        box: CropBox | None,
        size: tuple[int | None, int | None],
        timestamp: str | None,
        line: int | None,
        *,
        stage: str = "",
        main: bool = True,
    ) -> None:
        """A crop; `main` is False when the row's pick is another fact."""
        key, text = crop_key(project, filename), box.to_json() if box else None
        found = values.stage(filename, stage)
        rank = crop_rank(box)
        self.crops.append((key, rank, main, project, filename, text, *size, found, timestamp, self.file, line))

    def pick(
        self,
        project: str,
        images: Sequence[str],
        index: int,
        action: UserAction | None,
        size: tuple[int | None, int | None],
        timestamp: str | None,
        line: int | None,
        *,
        box: CropBox | None = None,
        crop_timestamp: str | None = None,
        group_id: str | None = None,
        directory: str | None = None,
        batch_number: int | None = None,
        advice: Advice | None = None,
    ) -> None:
        """What the person did with a group: a decision if enough is known, else a selection and its crop.

        Args:
            action: None when the log does not say whether the pick was approved or cropped.
            size: pixels of the image at `index`.

        Raises:
            Skip: a name comes twice, or what is known is no pick.
        """
        if len(set(images)) < len(images):
            raise Skip(skip_reasons.NAME_TWICE)
        chosen, others = images[index], [name for place, name in enumerate(images) if place != index]
        known = action is not None and timestamp is not None and None not in size
        if not known or not MIN_GROUP <= len(images) <= MAX_GROUP:
            if action == "reject":
                raise Skip(skip_reasons.REJECT_UNKNOWN)
            self.selection(project, chosen, others, timestamp, line)
            if box is not None:
                self.crop(project, chosen, box, size, crop_timestamp or timestamp, line, main=False)
            return
        assert timestamp is not None
        advice = advice or Advice()
        pick = None if action == "reject" else chosen
        key = pick_key(project, pick, others if pick else images, timestamp)
        matched = None if advice.index is None or action == "reject" else advice.index == index
        crop_matched = None if action == "reject" else advice.crop_match
        if box is not None and advice.box is not None:
            crop_matched = corners_match(advice.box, box)
        row = (
            group_id or new_group_id(project, images, index, timestamp),
            timestamp,
            project,
            directory,
            batch_number,
            values.names_json(images),
            advice.index,
            advice.box.to_json() if advice.box else None,
            advice.confidence,
            index,
            action,
            None,  # ai_crop_accepted: no old log says it
            box.to_json() if box else None,
            crop_timestamp,
            *size,
            matched,
            crop_matched,
        )
        cropped = crop_key(project, chosen) if box is not None else None
        self.decisions.append((key, cropped, crop_rank(box), pick, *row, self.file, line))


def pick_key(project: str, chosen: str | None, others: Sequence[str], timestamp: str | None) -> int:
    """64 bits that are the same for the same pick, in whatever order the others were listed; None is a reject."""
    return hash((project, chosen, timestamp, values.names_json(sorted(others))))


def crop_key(project: str, filename: str) -> int:
    """64 bits that are the same for crops of the same file."""
    return hash((project, filename))


def crop_rank(box: CropBox | None) -> int:
    """How strongly a row speaks of its file's crop (FORMATS.md: a full frame gives way to a later crop)."""
    if box is None:
        return NO_COORDINATES
    return FULL_FRAME if values.is_full_frame(box) else BOXED


def new_group_id(project: str, images: Sequence[str], index: int, timestamp: str) -> str:
    """An id for a group whose log gives none: the same content always gets the same one.

    Its second is that of the decision; batch and place only keep it apart from others of that second.
    """
    content = "\n".join((*images, str(index), timestamp)).encode()
    place = zlib.crc32(content) % 100_000_000
    return naming.group_id(project, datetime.fromisoformat(timestamp.removesuffix("Z")), place)[0]

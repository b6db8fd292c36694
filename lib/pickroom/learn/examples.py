"""The examples of training: a user's picks and crops. Pure: no files, no SQL."""

from collections.abc import Callable
from dataclasses import dataclass

from pickroom.core.records import CropBox
from pickroom.features.candidates import Candidates

NO_CROP_AREA = 0.98  # LESSONS.md: a box of this share of the image, or more, means "no crop needed"


@dataclass(frozen=True, slots=True)
class Pick:
    """One decision of the user that trains: never input `auto`, never a keep, never a reject.

    Raises:
        ValueError: an index lies outside the group.
    """

    candidates: Candidates
    chosen: int  # index into the candidates of the image the user chose
    recommended: int | None  # index of the AI's pick, shown or hidden; None when there was none
    blind: bool  # the recommendation stayed hidden until the key was pressed
    decided_at: str  # ISO 8601 UTC
    comparison: bool = False  # an earlier round of a burst: it is learned from, and counts in no figure

    def __post_init__(self) -> None:
        for index in (self.chosen, self.recommended):
            if index is not None and not 0 <= index < len(self.candidates.filenames):
                raise ValueError(f"index {index} lies outside group {self.candidates.group_id}")

    @property
    def anomaly(self) -> bool | None:
        """A lower stage chosen though a higher one was there; None when a stage is unknown."""
        known = [stage for stage in self.candidates.stages if stage is not None]
        if len(known) < len(self.candidates.stages):
            return None
        return known[self.chosen] < max(known)

    @property
    def corrected(self) -> bool:
        """Whether the AI had recommended another image."""
        return self.recommended is not None and self.recommended != self.chosen


@dataclass(frozen=True, slots=True)
class UncroppedImage:
    """An image to propose a crop for."""

    project_id: str
    filename: str
    sha256: str | None  # of the uncropped file (hex); None when unknown (imports)
    # width, height: pixels of the EXIF-upright image
    width: int
    height: int
    stage: float | None  # None when unknown, never 0


@dataclass(frozen=True, slots=True)
class CropExample(UncroppedImage):
    """One image whose crop the user decided; never one that `crop --apply-ai` made.

    Attributes:
        group_id: the group it was picked from; None for imports without one.
        box: in fractions of the original; None: the user looked and approved it as it is (no crop needed).
        directory: as in `Candidates`.
    """

    group_id: str | None
    box: CropBox | None
    decided_at: str
    directory: str = ""


Progress = Callable[[int, int, float], None]  # called after each epoch of a fit, from 1 on: (epoch, of, its mean loss)

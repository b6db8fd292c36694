"""The frozen records that all modules share: image, group, recommendation, choice, decision. Pure: no files, no SQL."""

import json
import math
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Literal, Self

MAX_GROUP = 4  # REVIEW.md: keys 1-4; FORMATS.md: JSON array of 2-4 file names
MIN_GROUP = 2

UserAction = Literal["approve", "crop", "reject"]
Action = Literal["undecided", "approve", "crop", "reject", "keep", "skip"]
RecommendationSource = Literal["baseline", "model", "simulated"]
BoxSource = Literal["drawn", "ai", "ai_all", "default"]  # FORMATS.md, Crops
InputKind = Literal["review", "blind", "automation_review", "auto", "import", "history"]
OpKind = Literal["move", "write", "remove", "replace"]
OpState = Literal["planned", "done", "undone", "failed"]
# centre of a face across and down in 0..1 of the image, and the square root of its share of the image's area
FacePlace = tuple[float, float, float]
# of a burst, the rounds before the one on screen: the places in the group of the images met, the winner's first
Rounds = tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class CropBox:
    """A box as fractions of the EXIF-upright image, `0 <= x1 < x2 <= 1`, same for y; stored as given.

    Raises:
        ValueError: a coordinate is not finite, lies outside [0, 1], or the box is empty or reversed.
    """

    # an integer stays an integer: a frozen training set must be written exactly as it was read
    x1: int | float
    y1: int | float
    x2: int | float
    y2: int | float

    def __post_init__(self) -> None:
        values = (self.x1, self.y1, self.x2, self.y2)
        # an integer is finite, even one too large for a float
        if not all(type(v) is int or (isinstance(v, float) and math.isfinite(v)) for v in values):
            raise ValueError(f"box {list(values)!r} has a coordinate that is not a finite number")
        if not (0 <= self.x1 < self.x2 <= 1 and 0 <= self.y1 < self.y2 <= 1):
            raise ValueError(f"box {list(values)!r} must satisfy 0 <= x1 < x2 <= 1 and 0 <= y1 < y2 <= 1")

    @classmethod
    def of(cls, values: object) -> Self:
        """A box from four numbers `[x1, y1, x2, y2]`; raises ValueError on anything else."""
        if not isinstance(values, list | tuple) or len(values) != 4:
            raise ValueError(f"a box is four numbers [x1, y1, x2, y2], not {values!r}")
        return cls(*values)

    @classmethod
    def from_json(cls, text: str | bytes | None) -> Self | None:
        """A box from its JSON text, None from NULL; raises ValueError on anything else."""
        return None if text is None else cls.of(json.loads(text))

    def to_list(self) -> list[float]:
        return [self.x1, self.y1, self.x2, self.y2]

    def to_json(self) -> str:
        return json.dumps(self.to_list())

    @property
    def area(self) -> float:
        """Fraction of the image's area, in (0, 1]."""
        return (self.x2 - self.x1) * (self.y2 - self.y1)


@dataclass(frozen=True, slots=True)
class Image:
    """One image file as the last scan found it. Identity is (project, directory, filename), checked by `sha256`."""

    filename: str
    directory: str  # POSIX path relative to the project's root, "" for the root itself
    # width, height: pixels of the EXIF-upright image
    width: int
    height: int
    stage: float | None  # the number in its name, None when the name has none
    taken_at: datetime | None  # the timestamp in its name (naive), None when the name has none
    sha256: str  # hex digest of the file's bytes
    file_size: int  # bytes; mtime_ns: nanoseconds since the epoch. Together they tell an unchanged file
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class Capture:
    """When and with what an image was taken.

    Attributes:
        captured_at: the camera's clock (naive, to the microsecond); None where nothing says it.
        captured_by: its source: "exif", "xmp" or "png"; None without a time.
        utc_offset: minutes that the clock is ahead of UTC; None where it is not written.
        camera: maker and model ("Canon EOS R6"), None where neither is written.
        serial: the body's serial number, as written.
        exposure_s, aperture, iso: exposure time in seconds, f-number, and sensitivity; None where not written.
        bracketed: the camera says that this is one of an exposure bracket.
    """

    captured_at: datetime | None = None
    captured_by: str | None = None
    utc_offset: int | None = None
    camera: str | None = None
    serial: str | None = None
    exposure_s: float | None = None
    aperture: float | None = None
    iso: int | None = None
    bracketed: bool = False

    @property
    def exposure(self) -> tuple[str, str, str]:
        """Exposure time, aperture and sensitivity as cameras show them; "" where one is not known."""
        seconds = self.exposure_s
        time = "" if seconds is None else f"1/{1 / seconds:.0f} s" if seconds < 0.3 else f"{seconds:g} s"
        return time, f"f/{self.aperture:g}" if self.aperture else "", f"ISO {self.iso}" if self.iso else ""

    @property
    def words(self) -> str:
        """When, by what and how it was taken, in one line; "" where nothing is known."""
        when = f"{self.captured_at:%Y-%m-%d %H:%M:%S}" if self.captured_at else ""
        return " · ".join(filter(None, (when, self.camera, *self.exposure)))


@dataclass(frozen=True, slots=True)
class Ungrouped:
    """An image that is in no group, and why."""

    directory: str
    filename: str
    reason: str


@dataclass(frozen=True, slots=True)
class Group:
    """Images of one folder, in stage order, of which one is to be picked: 2-4, in a burst two or more."""

    group_id: str
    project_id: str
    directory: str
    batch_number: int
    images: tuple[Image, ...]

    @property
    def filenames(self) -> tuple[str, ...]:
        return tuple(image.filename for image in self.images)


@dataclass(frozen=True, slots=True)
class Recommendation:
    """The recommendation of a model, a baseline or a simulation for one group; unknown parts are None."""

    group_id: str
    source: RecommendationSource
    selected_index: int | None  # 0-based place in the group, None when no pick can be offered
    crop: CropBox | None = None  # the box proposed for that image; only from a model or a simulation (never a baseline)
    crop_needed: bool | None = None  # True shows the overlay at once, False means "no crop needed", None unknown
    # confidence, crop_confidence: calibrated probabilities in [0, 1], None when not known
    confidence: float | None = None
    crop_confidence: float | None = None
    # reasons, anomaly_flags: words for the user
    reasons: tuple[str, ...] = ()
    anomaly_flags: tuple[str, ...] = ()
    versions: dict[str, str] = field(default_factory=dict)  # model name -> version, e.g. {"ranker": "v3"}
    ranking: tuple[int, ...] = ()  # of a burst of more than four, every place, the best last; () without a model
    keep_all: bool = False  # an exposure bracket: every image is to be kept

    def to_json(self) -> str:
        return json.dumps({**asdict(self), "crop": self.crop.to_list() if self.crop else None}, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Self:
        values = json.loads(text)
        for name in ("reasons", "anomaly_flags", "ranking"):
            values[name] = tuple(values.get(name, ()))
        return cls(**{**values, "crop": CropBox.of(values["crop"]) if values["crop"] else None})

    @property
    def offered_crop(self) -> CropBox | None:
        """The crop the user is asked about: none when the model says that no crop is needed."""
        return None if self.crop_needed is False else self.crop

    @property
    def advice(self) -> tuple[object, ...]:
        """The recommendation without its texts."""
        sure = (self.confidence, self.crop_confidence)
        offered = (self.selected_index, self.crop, self.crop_needed, self.ranking, self.keep_all)
        return (self.source, *offered, *sure, self.anomaly_flags)


@dataclass(frozen=True, slots=True)
class Choice:
    """What the user chose for one group so far."""

    action: Action = "undecided"
    index: int | None = None  # place in the group
    overlay: bool = False  # the crop overlay's switch (key C)
    rounds: Rounds = ()
    kept: tuple[int, ...] = ()  # places of the images that are kept in addition to the pick, rising
    stars: tuple[tuple[int, int], ...] = ()  # (place, 1..5), by place

    @property
    def decided(self) -> bool:
        """Whether finalise will act on it."""
        return self.action in ("approve", "crop", "reject", "keep")

    @classmethod
    def of(cls, values: dict[str, Any]) -> Self:
        """A choice from its JSON; earlier versions wrote only its first three fields."""
        lists = {name: tuple(map(tuple, values.get(name, ()))) for name in ("rounds", "stars")}
        return cls(values["action"], values["index"], values["overlay"], kept=tuple(values.get("kept", ())), **lists)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a choice was made: the kind of review, and the recommendation on screen."""

    input: InputKind
    shown: Recommendation | None


@dataclass(frozen=True, slots=True)
class ReviewStep:
    """One key of a review that changed something: the place after it, and the choice of its group before and after."""

    key: str
    from_group: str
    to_group: str
    before: Choice
    after: Choice
    # before_origin, after_origin: of these choices, so that undo and redo bring them back as they were made, also in
    # another kind of review; None where the choice stayed, or where the log is too old to know
    before_origin: Origin | None = None
    after_origin: Origin | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """One row of `ai_decisions`, fields in the table's order (FORMATS.md owns their meaning)."""

    group_id: str
    timestamp: str
    project_id: str
    directory: str | None
    batch_number: int | None
    images: tuple[str, ...]
    ai_selected_index: int | None
    ai_crop_coords: CropBox | None
    ai_confidence: float | None
    user_selected_index: int
    user_action: UserAction
    ai_crop_accepted: bool | None
    final_crop_coords: CropBox | None
    crop_timestamp: str | None
    image_width: int
    image_height: int
    selection_match: bool | None
    crop_match: bool | None

    @property
    def picked(self) -> str | None:
        """The file name at `user_selected_index`; None where an older row's index lies beyond its images."""
        return next(iter(self.images[self.user_selected_index :]), None)

    @property
    def own_box(self) -> CropBox | None:
        """The AI's box, where it was proposed for the image that was picked."""
        return self.ai_crop_coords if self.ai_selected_index == self.user_selected_index else None


@dataclass(frozen=True, slots=True)
class FileOp:
    """One step of the journal: a move, or a small text file written, removed or replaced.

    Paths are POSIX, relative to the project's root. `content` is the whole text of a `write` or a `replace`, and of
    the file a `remove` takes away; `content_before` is what a `replace` replaces: so each can be done again or put
    back. `kind` names the part of Pickroom that planned it; the steps of one `unit` happen together or not at all.
    """

    batch: int
    kind: str
    unit: str
    op: OpKind
    source: str | None
    destination: str | None
    sha256: str
    content: str | None = None
    undoes: int | None = None
    id: int | None = None
    state: OpState = "planned"
    error: str | None = None
    content_before: str | None = None

    @property
    def paths(self) -> tuple[str, ...]:
        """Source and destination, as far as the step has them."""
        return tuple(path for path in (self.source, self.destination) if path is not None)

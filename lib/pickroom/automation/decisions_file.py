"""The automation's files (FORMATS.md, Automation files): proposals, approvals, and the guarantee.

No other module reads or writes them. Images are identified by name, never by index. Any program can write these files,
so a damaged or contradictory line makes the whole file unusable.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, NoReturn, Self, TypeVar

import msgspec

from pickroom.automation.guarantee import RISK_TARGET, RiskTarget, approval_confidence, drawn
from pickroom.core.errors import FileOperationError, UsageError
from pickroom.core.naming import is_file_name, is_text, stays_inside
from pickroom.core.records import MAX_GROUP, MIN_GROUP, CropBox, Group, Recommendation, RecommendationSource
from pickroom.groups import baseline
from pickroom.storage import atomic, json_records
from pickroom.storage.json_records import NonEmpty, Probability

DECISIONS, APPROVED = "automation_decisions.jsonl", "approved_decisions.jsonl"
SIMULATED = "simulated"  # the version of simulated recommendations, as older demos had them

Verdict = Literal["approved", "rejected", "overridden"]
By = Literal["person", "auto"]
_DOING = "reading decisions"


@dataclass(frozen=True, slots=True)
class AutomationDecision:
    """One line of automation_decisions.jsonl: the proposal for one undecided group. None: unknown.

    Attributes:
        directory: POSIX path relative to the project's root, "" for the root itself.
        images: file names in stage order. chosen: the name of the pick.
        crop: the box proposed for the pick.
        models: model name -> version, as in `Recommendation.versions`.
        line: its number in the file, from 1; 0 for one that was not read from a file.
    """

    group_id: NonEmpty
    project_id: NonEmpty
    directory: str
    images: tuple[str, ...]
    chosen: str | None = None
    confidence: Probability | None = None
    reason: str = ""
    anomaly_flags: tuple[str, ...] = ()
    needs_crop: bool | None = None
    crop: CropBox | None = None
    crop_confidence: Probability | None = None
    crop_reason: str = ""
    auto_approve: bool = False
    models: Mapping[str, str] = field(default_factory=dict)
    line: int = field(default=0, compare=False)

    def to_json(self) -> str:
        index = None if self.chosen is None else self.images.index(self.chosen)
        first = {"chosen": self.chosen, "index": index, "confidence": self.confidence}
        second = {"needs_crop": self.needs_crop, "crop_coords": self.crop.to_list() if self.crop else None}
        values = {name: getattr(self, name) for name in ("group_id", "project_id", "directory", "images")} | {
            "step1_selection": {**first, "reason": self.reason, "anomaly_flags": self.anomaly_flags},
            "step2_crop": {**second, "confidence": self.crop_confidence, "reason": self.crop_reason},
            "auto_approve": self.auto_approve,
            "models": dict(self.models),
        }
        return json.dumps(values, ensure_ascii=False)

    def __post_init__(self) -> None:
        if not MIN_GROUP <= len(self.images) <= MAX_GROUP or not all(map(is_file_name, self.images)):
            raise ValueError(f"images is not a list of {MIN_GROUP} to {MAX_GROUP} file names: {list(self.images)!r}")
        if len(set(self.images)) < len(self.images):
            raise ValueError("images holds a name twice")
        if self.directory and not (is_text(self.directory) and stays_inside(self.directory)):
            raise ValueError(f"directory {self.directory!r} leads out of the project's folder")
        if self.chosen is not None and self.chosen not in self.images:
            raise ValueError(f"chosen {self.chosen!r} is none of the group's images")
        if self.chosen is None and (self.crop is not None or self.auto_approve):
            raise ValueError("crop_coords or auto_approve without an image that was chosen")

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read one line; raises ValueError saying what is wrong with it."""
        values = json_records.from_json(dict[str, Any], text)
        steps = (values.get("step1_selection"), values.get("step2_crop"))
        pick, crop = (json_records.from_values(dict[str, Any], step) for step in steps)
        flat = {name: pick.get(name) for name in ("chosen", "confidence", "anomaly_flags")} | {
            "reason": pick.get("reason") or "",
            "needs_crop": crop.get("needs_crop"),
            "crop": _box(crop.get("crop_coords")),
            "crop_confidence": crop.get("confidence"),
            "crop_reason": crop.get("reason") or "",
        }
        return json_records.from_values(cls, {"auto_approve": None, "models": None, **values, **flat})

    def recommendation(self, filenames: Sequence[str]) -> Recommendation:
        """The proposal as the recommendation that the deck shows and the database records.

        Args:
            filenames: the group's images in their order; the index follows from the name.
        """
        return Recommendation(
            group_id=self.group_id,
            source=source_of(self.models),
            selected_index=None if self.chosen is None else filenames.index(self.chosen),
            crop=self.crop,
            crop_needed=self.needs_crop,
            confidence=self.confidence,
            crop_confidence=self.crop_confidence,
            reasons=(self.reason,) if self.reason else (),
            anomaly_flags=self.anomaly_flags,
            versions=dict(self.models),
        )


@dataclass(frozen=True, slots=True)
class ApprovedDecision:
    """One line of approved_decisions.jsonl: the answer to one proposal.

    Attributes:
        action: approved as proposed (its crop may be left out); rejected: keep all images, do nothing; overridden.
        final_choice: the name of the image picked; None for a rejected group, and for an overridden one that is no
            group (key K): every image is kept.
        needs_crop: with `crop` the crop is rendered at apply, without it the image goes to the crop desk.
    """

    group_id: NonEmpty
    action: Verdict
    final_choice: str | None
    needs_crop: bool
    crop: CropBox | None
    by: By
    timestamp: str
    line: int = field(default=0, compare=False)

    def to_json(self) -> str:
        values = {name: getattr(self, name) for name in ("group_id", "action", "final_choice", "needs_crop")}
        values["crop_coords"] = self.crop.to_list() if self.crop else None
        return json.dumps({**values, "by": self.by, "timestamp": self.timestamp}, ensure_ascii=False)

    def __post_init__(self) -> None:
        if self.final_choice is not None and not is_file_name(self.final_choice):
            raise ValueError(f"final_choice {self.final_choice!r} is not a file name")
        if self.action == "approved" and self.final_choice is None:
            raise ValueError("approved without a final_choice")
        if self.crop is not None and not self.needs_crop:
            raise ValueError("crop_coords although needs_crop is not true")
        if self.needs_crop and (self.final_choice is None or self.action == "rejected"):
            raise ValueError("needs_crop without an image that was picked")
        datetime.fromisoformat(self.timestamp)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read one line; raises ValueError saying what is wrong with it."""
        values = json_records.from_json(dict[str, Any], text)
        needed, box = values.pop("needs_crop", None), _box(values.pop("crop_coords", None))
        optional = {"final_choice": None, "needs_crop": False if needed is None else needed, "crop": box}
        return json_records.from_values(cls, optional | values)


class Approval(msgspec.Struct, frozen=True, rename={"explanation": "words", "risk": "promise"}):
    """What may be approved unseen: the contents of automation_guarantee.json, next to the decisions.

    Attributes:
        threshold: the least confidence that is approved; None: nothing is.
        versions: of the models that this was calibrated for; no other recommendation is approved unseen.
        seed: of the audit sample.
        explanation: why, a line each.
        by_hand: the user set the threshold: nothing is guaranteed.
        most_cut: the largest share of an image that an unseen crop may cut away, in [0, 1]; None: any.
    """

    threshold: json_records.Probability | None
    versions: dict[str, str]
    seed: str
    explanation: tuple[str, ...]
    risk: RiskTarget = RISK_TARGET
    made_at: str = ""
    by_hand: bool = False
    most_cut: json_records.Probability | None = None

    def approves(self, recommendation: Recommendation) -> bool:
        """Whether this recommendation may be applied unseen, unless its group is in the audit sample."""
        confidence = approval_confidence(recommendation)
        if self.threshold is None or confidence is None or recommendation.versions != self.versions:
            return False
        if self.most_cut is not None and recommendation.crop_needed is True:
            box = recommendation.crop
            return confidence >= self.threshold and box is not None and 1 - box.area <= self.most_cut + 1e-9
        return confidence >= self.threshold

    def drawn(self, group_id: str) -> bool:
        """Whether an approved group is still shown to the user, blind."""
        return drawn(group_id, self.seed)

    def to_json(self) -> str:
        return json.dumps(msgspec.to_builtins(self), indent=1, ensure_ascii=False) + "\n"


def _box(values: object) -> CropBox | None:
    return None if values is None else CropBox.of(values)


Line = TypeVar("Line", AutomationDecision, ApprovedDecision)


def read_decisions(path: Path) -> dict[str, AutomationDecision]:
    """Group id -> its line of automation_decisions.jsonl, in the file's order.

    Raises:
        UsageError: the file is missing or cannot be read, a line is damaged, or two lines name one group.
    """
    return _read(path, AutomationDecision.from_json, hint=_write_anew(path))


def read_approved(path: Path) -> dict[str, ApprovedDecision]:
    """Group id -> its line of approved_decisions.jsonl; none without the file. Raises as `read_decisions`."""
    if not path.exists() and not path.is_symlink():
        return {}
    return _read(path, ApprovedDecision.from_json, hint="mend or remove that line: nothing was done")


def read_approval(path: Path) -> Approval | None:
    """What may be approved unseen after the last generate; None: nothing. Raises UsageError where it is damaged."""
    what, doing = "the file cannot be read", "reading what may be approved unseen"
    return json_records.read(Approval, path, what=what, doing=doing, hint=_write_anew(path), error=UsageError)


def write_lines(path: Path, lines: Iterable[AutomationDecision | ApprovedDecision]) -> None:
    """Replace the file by these lines, completely or not at all; raises FileOperationError when the disk refuses."""
    try:
        atomic.write_text(path, "".join(line.to_json() + "\n" for line in lines))
    except OSError as error:
        hint = "make room on the disk or look at its permissions; what was there before is still there"
        raise FileOperationError(error.strerror or str(error), "writing a file of decisions", [path], hint) from error


def source_of(models: Mapping[str, str]) -> RecommendationSource:
    """Whether a model, the baseline or the demo's simulation made a recommendation, by its versions."""
    if dict(models) == baseline.VERSIONS or not models:
        return "baseline"
    return "simulated" if SIMULATED in models.values() else "model"


def require_matching(
    path: Path, decisions: Iterable[AutomationDecision], groups: Mapping[str, Group], project_id: str
) -> None:
    """Raise UsageError for the first line of the file at `path` that matches no group of this project."""
    for one in decisions:
        group = groups.get(one.group_id)
        if one.project_id != project_id:
            refuse_line(path, one.line, f"it names project {one.project_id!r}")
        if group is None:
            refuse_line(path, one.line, f"it names an unknown group: {one.group_id!r}")
        if set(one.images) != set(group.filenames):
            refuse_line(path, one.line, f"its images are not those of group {one.group_id}")
        if one.directory != group.directory:
            refuse_line(path, one.line, f"its directory {one.directory!r} is not that of group {one.group_id}")


def refuse_line(path: Path, line: int, reason: str) -> NoReturn:
    """Raise the UsageError of one line of a file."""
    raise UsageError(f"line {line}: {reason}", doing=_DOING, subject=path, hint="nothing was done; mend the file")


def _write_anew(path: Path) -> str:
    return f"write it anew: pickroom auto generate {path.parent.name}"  # the folder is the project's


def _read(path: Path, parse: Callable[[str], Line], hint: str) -> dict[str, Line]:
    if path.is_symlink() or not path.is_file():
        what = "this is not a plain file" if path.exists() or path.is_symlink() else "no such file"
        raise UsageError(what, doing=_DOING, subject=path, hint=hint)
    found: dict[str, Line] = {}
    try:
        for number, line in json_records.parse_lines(parse, path.read_bytes().decode()):
            if line.group_id in found:
                earlier = found[line.group_id].line
                raise ValueError(f"line {number}: group {line.group_id} stands in line {earlier} already")
            found[line.group_id] = replace(line, line=number)
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"the file cannot be read ({error})", doing=_DOING, subject=path, hint=hint) from None
    except ValueError as error:
        raise UsageError(str(error), doing=_DOING, subject=path, hint=hint) from None
    return found

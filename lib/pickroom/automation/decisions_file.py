"""The automation's two files of JSON lines (FORMATS.md, Automation files): what is proposed, and what was approved.

Names, never indexes, decide. A line that is damaged, or that contradicts itself, makes the whole file unusable: these
files lie where anybody can write to them, and half a file obeyed is worse than one line of refusal.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Literal, NoReturn, TypeVar

from pickroom.automation import fields
from pickroom.core.errors import FileOperationError, UsageError
from pickroom.core.records import MAX_GROUP, MIN_GROUP, CropBox, Group, Recommendation, RecommendationSource
from pickroom.groups import baseline
from pickroom.storage import atomic

DECISIONS, APPROVED = "automation_decisions.jsonl", "approved_decisions.jsonl"
SIMULATED = "simulated"  # what stands for every version of a recommendation made by `demo --model-like`

Verdict = Literal["approved", "rejected", "overridden"]
By = Literal["person", "auto"]


@dataclass(frozen=True, slots=True)
class Proposal:
    """One line of automation_decisions.jsonl: what is proposed for one undecided group.

    Attributes:
        directory: POSIX path relative to the project's root, "" for the root itself.
        images: file names in stage order, no paths.
        chosen: the name of the pick, None without one; `confidence` in [0, 1], None when not known.
        needs_crop: None when nothing is known of a crop; `crop` is the box proposed for the pick.
        models: model name -> version, as in `Recommendation.versions`.
        line: its number in the file, from 1; 0 for one that was not read from a file.
    """

    group_id: str
    project_id: str
    directory: str
    images: tuple[str, ...]
    chosen: str | None = None
    confidence: float | None = None
    reason: str = ""
    anomaly_flags: tuple[str, ...] = ()
    needs_crop: bool | None = None
    crop: CropBox | None = None
    crop_confidence: float | None = None
    crop_reason: str = ""
    auto_approve: bool = False
    models: Mapping[str, str] = field(default_factory=dict)
    line: int = field(default=0, compare=False)

    def to_json(self) -> str:
        index = None if self.chosen is None else self.images.index(self.chosen)
        first = {"chosen": self.chosen, "index": index, "confidence": self.confidence}
        second = {"needs_crop": self.needs_crop, "crop_coords": self.crop.to_list() if self.crop else None}
        values = {
            "group_id": self.group_id,
            "project_id": self.project_id,
            "directory": self.directory,
            "images": list(self.images),
            "step1_selection": {**first, "reason": self.reason, "anomaly_flags": list(self.anomaly_flags)},
            "step2_crop": {**second, "confidence": self.crop_confidence, "reason": self.crop_reason},
            "auto_approve": self.auto_approve,
            "models": dict(self.models),
        }
        return json.dumps(values, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str, line: int = 0) -> Proposal:
        """Read one line; raises ValueError saying what is wrong with it."""
        values = fields.json_object(text)
        images = values.get("images")
        if not isinstance(images, list) or not MIN_GROUP <= len(images) <= MAX_GROUP:
            raise ValueError(f"images is no list of {MIN_GROUP} to {MAX_GROUP} names")
        names = tuple(fields.plain_name(name) for name in images)
        if len(set(names)) < len(names):
            raise ValueError("images holds a name twice")
        pick, crop = fields.part(values, "step1_selection"), fields.part(values, "step2_crop")
        chosen = pick.get("chosen")
        if chosen is not None and chosen not in names:
            raise ValueError(f"chosen {chosen!r} is none of the group's images")
        box = fields.box(crop.get("crop_coords"))
        if box is not None and chosen is None:
            raise ValueError("a crop without an image that was chosen")
        models = values.get("models")
        if not isinstance(models, dict) or not all(isinstance(version, str) for version in models.values()):
            raise ValueError("models is no object of texts")
        approve = fields.flag(values.get("auto_approve"), "auto_approve")
        if approve and chosen is None:
            raise ValueError("auto_approve without an image that was chosen")
        flags = pick.get("anomaly_flags")
        if not isinstance(flags, list) or not all(isinstance(flag, str) for flag in flags):
            raise ValueError("anomaly_flags is no list of texts")
        return cls(
            group_id=fields.text_of(values, "group_id"),
            project_id=fields.text_of(values, "project_id"),
            directory=fields.directory(values.get("directory")),
            images=names,
            chosen=chosen,
            confidence=fields.share(pick.get("confidence"), "the pick's confidence"),
            reason=fields.words(pick.get("reason")),
            anomaly_flags=tuple(flags),
            needs_crop=None if crop.get("needs_crop") is None else fields.flag(crop["needs_crop"], "needs_crop"),
            crop=box,
            crop_confidence=fields.share(crop.get("confidence"), "the crop's confidence"),
            crop_reason=fields.words(crop.get("reason")),
            auto_approve=approve,
            models=models,
            line=line,
        )

    def recommendation(self, filenames: Sequence[str]) -> Recommendation:
        """What is proposed, as the deck shows it and the database records it.

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

    def mismatch(self, group: Group | None, project_id: str) -> str | None:
        """Why this line does not speak of a group of this project, None when it does."""
        if self.project_id != project_id:
            return f"it names project {self.project_id!r}"
        if group is None:
            return f"it names an unknown group: {self.group_id!r}"
        if set(self.images) != set(group.filenames):
            return f"its images are not those of group {self.group_id}"
        if self.directory != group.directory:
            return f"its directory {self.directory!r} is not that of group {self.group_id}"
        return None


@dataclass(frozen=True, slots=True)
class Approved:
    """One line of approved_decisions.jsonl: what was said of one proposal.

    Attributes:
        action: approved as proposed (its crop may be left out); rejected: keep all images, do nothing; overridden.
        final_choice: the name of the image picked; None for a rejected group, and for an overridden one that is no
            group (key K): every image is kept.
        needs_crop: with `crop` the crop is rendered at apply, without it the image goes to the crop desk.
    """

    group_id: str
    action: Verdict
    final_choice: str | None
    needs_crop: bool
    crop: CropBox | None
    by: By
    timestamp: str
    line: int = field(default=0, compare=False)

    def to_json(self) -> str:
        values = {
            "group_id": self.group_id,
            "action": self.action,
            "final_choice": self.final_choice,
            "needs_crop": self.needs_crop,
            "crop_coords": self.crop.to_list() if self.crop else None,
            "by": self.by,
            "timestamp": self.timestamp,
        }
        return json.dumps(values, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str, line: int = 0) -> Approved:
        """Read one line; raises ValueError saying what is wrong with it."""
        values = fields.json_object(text)
        action, by = values.get("action"), values.get("by")
        if action not in ("approved", "rejected", "overridden"):
            raise ValueError(f"action {action!r} is none of approved, rejected, overridden")
        if by not in ("person", "auto"):
            raise ValueError(f"by {by!r} is neither person nor auto")
        choice = values.get("final_choice")
        if choice is not None:
            fields.plain_name(choice)
        if action == "approved" and choice is None:
            raise ValueError("approved without a final_choice")
        needs_crop = values.get("needs_crop")
        needed = False if needs_crop is None else fields.flag(needs_crop, "needs_crop")
        box = fields.box(values.get("crop_coords"))
        if box is not None and not needed:
            raise ValueError("crop_coords although needs_crop is not true")
        if needed and (choice is None or action == "rejected"):
            raise ValueError("needs_crop without an image that was picked")
        timestamp = fields.text_of(values, "timestamp")
        try:
            datetime.fromisoformat(timestamp)
        except ValueError:
            raise ValueError(f"timestamp {timestamp!r} is no ISO 8601 time") from None
        return cls(fields.text_of(values, "group_id"), action, choice, needed, box, by, timestamp, line)


Line = TypeVar("Line", Proposal, Approved)


def read_proposals(path: Path) -> dict[str, Proposal]:
    """Group id -> its line, in the file's order.

    Raises:
        UsageError: the file is missing or cannot be read, a line is damaged, or two lines speak of one group.
    """
    return _read(path, Proposal.from_json, hint="write it anew: pickroom auto generate PROJECT")


def read_approved(path: Path) -> dict[str, Approved]:
    """Group id -> its line, in the file's order; empty when there is no such file yet. Raises as `read_proposals`."""
    if not path.exists() and not path.is_symlink():
        return {}
    return _read(path, Approved.from_json, hint="mend or remove that line: nothing was done")


def write_lines(path: Path, lines: Iterable[Proposal | Approved]) -> None:
    """Replace the file by these lines, whole or not at all; raises FileOperationError when the disk refuses."""
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


def refuse_line(path: Path, line: int, reason: str, hint: str = "nothing was done; mend the file") -> NoReturn:
    """Say in one line what is wrong with a line of a file."""
    raise UsageError(f"line {line}: {reason}", doing="reading decisions", subject=path, hint=hint)


def _read(path: Path, parse: Callable[[str, int], Line], hint: str) -> dict[str, Line]:
    doing = "reading decisions"
    try:
        if path.is_symlink() or not path.is_file():
            what = "this is no plain file" if path.exists() or path.is_symlink() else "there is no such file"
            raise UsageError(what, doing=doing, subject=path, hint=hint)
        text = path.read_bytes().decode()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"the file cannot be read ({error})", doing=doing, subject=path, hint=hint) from None
    found: dict[str, Line] = {}
    # JSON's own line ends only: a name may hold any other separator
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), start=1):
        if not line.strip():
            continue
        try:
            read = parse(line, number)
        except (ValueError, RecursionError) as error:
            refuse_line(path, number, str(error), hint)
        if read.group_id in found:
            earlier = found[read.group_id].line
            refuse_line(path, number, f"group {read.group_id} stands in line {earlier} already", hint)
        found[read.group_id] = read
    return found

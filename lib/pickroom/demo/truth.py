"""What the hidden reviewer chose: one record for each group, and the file `demo_truth.jsonl` that holds them."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from pickroom.core.errors import ProjectError
from pickroom.core.records import MAX_GROUP, MIN_GROUP, CropBox, UserAction
from pickroom.storage.json_records import from_json, from_values, parse_lines


@dataclass(frozen=True, slots=True)
class Truth:
    """The hidden reviewer's choice for one group."""

    images: tuple[str, ...]  # file names in stage order, no paths
    pick: int  # 0-based into `images`; 0, a placeholder, for a reject (as in `ai_decisions`)
    action: UserAction
    box: CropBox | None = None  # the crop of the picked image; only for the action `crop`

    def __post_init__(self) -> None:
        if not MIN_GROUP <= len(self.images) <= MAX_GROUP or not 0 <= self.pick < len(self.images):
            raise ValueError(f"pick {self.pick} is no index into {MIN_GROUP}-{MAX_GROUP} images: {self.images!r}")
        if (self.box is None) == (self.action == "crop"):
            raise ValueError(f"action {self.action!r} with box {self.box!r}: a box belongs to a crop, and only to it")

    def to_json(self) -> str:
        """One line of the file, without its newline."""
        box = self.box.to_list() if self.box else None
        return json.dumps({"images": list(self.images), "pick": self.pick, "action": self.action, "box": box})

    @classmethod
    def from_json(cls, line: str) -> Self:
        """Read one line; raises ValueError saying what is wrong with it."""
        values = from_json(dict[str, Any], line)
        box = values.get("box")
        return from_values(cls, {**values, "box": None if box is None else CropBox.of(box)})


def lines_of(truths: Iterable[Truth]) -> str:
    """The text of the file, one line per group."""
    return "".join(truth.to_json() + "\n" for truth in truths)


def read_truth(path: Path) -> list[Truth]:
    """The hidden reviewer's choices in group order. Raises ProjectError: the file is missing, unreadable or damaged."""
    try:
        return [truth for _, truth in parse_lines(Truth.from_json, path.read_text(encoding="utf-8"))]
    except (OSError, ValueError) as error:
        what, hint = (
            f"the file cannot be read ({error})",
            "make another demo: pickroom demo demo-2",
        )
        raise ProjectError(what, doing="reading the demo's ground truth", subject=path, hint=hint) from None

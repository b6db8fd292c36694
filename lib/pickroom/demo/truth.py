"""What the hidden reviewer chose: one record a group, and the file `demo_truth.jsonl` that holds them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from pickroom.core.errors import ProjectError
from pickroom.core.records import MAX_GROUP, MIN_GROUP, CropBox, UserAction


@dataclass(frozen=True, slots=True)
class Truth:
    """The hidden reviewer's choice for one group.

    Attributes:
        images: file names in stage order, no paths.
        pick: 0-based into `images`; 0, a placeholder, for a reject (as in `ai_decisions`).
        box: the crop of the picked image; only for the action `crop`.
    """

    images: tuple[str, ...]
    pick: int
    action: UserAction
    box: CropBox | None = None

    def __post_init__(self) -> None:
        if not MIN_GROUP <= len(self.images) <= MAX_GROUP or not all(isinstance(n, str) for n in self.images):
            raise ValueError(f"a group is {MIN_GROUP}-{MAX_GROUP} file names, not {self.images!r}")
        if isinstance(self.pick, bool) or not isinstance(self.pick, int) or not 0 <= self.pick < len(self.images):
            raise ValueError(f"pick {self.pick!r} is no index into {len(self.images)} images")
        if self.action not in ("approve", "crop", "reject"):
            raise ValueError(f"action {self.action!r} is none of approve, crop, reject")
        if (self.box is None) == (self.action == "crop"):
            raise ValueError(f"action {self.action!r} with box {self.box!r}: a box belongs to a crop, and only to it")

    def to_json(self) -> str:
        """One line of the file, without its newline."""
        box = self.box.to_list() if self.box else None
        return json.dumps({"images": list(self.images), "pick": self.pick, "action": self.action, "box": box})

    @classmethod
    def from_json(cls, line: str) -> Self:
        """Read one line; raises ValueError saying what is wrong with it."""
        values: Any = json.loads(line)
        if not isinstance(values, dict) or not isinstance(values.get("images"), list):
            raise ValueError("it is no object with a list of images")
        box = values.get("box")
        if box is not None and not isinstance(box, list):
            raise ValueError(f"box {box!r} is neither null nor four numbers")
        boxed = None if box is None else CropBox.of(box)
        pick: Any = values.get("pick")  # whatever the line holds: the class itself looks at both
        action: Any = values.get("action")
        return cls(tuple(values["images"]), pick, action, boxed)


def lines_of(truths: Iterable[Truth]) -> str:
    """The text of the file, one line per group."""
    return "".join(truth.to_json() + "\n" for truth in truths)


def read_truth(path: Path) -> list[Truth]:
    """The hidden reviewer's choices in group order; blank lines are skipped.

    Raises:
        ProjectError: the file is missing, unreadable or damaged; the line says where.
    """
    doing = "reading the demo's ground truth"
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        hint = "make a demo: pickroom demo"
        raise ProjectError(f"the file cannot be read ({error})", doing=doing, subject=path, hint=hint) from None
    truths = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            truths.append(Truth.from_json(line))
        except (ValueError, RecursionError) as error:
            what = f"line {number} is damaged ({error})"
            hint = "make the demo again in an empty folder"
            raise ProjectError(what, doing=doing, subject=path, hint=hint) from None
    return truths

"""A group of images as features are computed for it. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from pickroom.core.records import MAX_GROUP, MIN_GROUP, Group


@dataclass(frozen=True, slots=True)
class Candidates:
    """A group as features see it, decided or not: 2-4 images of one project, in stage order.

    Raises:
        ValueError: not 2-4 images, a name twice, or fields of different lengths.
    """

    project_id: str
    group_id: str
    filenames: tuple[str, ...]  # names, never paths
    hashes: tuple[str | None, ...]  # sha256 (hex) of each file; None when unknown (imports)
    stages: tuple[float | None, ...]  # the number in each name; None when unknown, never 0
    directory: str = ""  # where several folders of the project hold one of the names, the group's

    def __post_init__(self) -> None:
        if not MIN_GROUP <= len(self.filenames) <= MAX_GROUP:
            raise ValueError(f"group {self.group_id} has {len(self.filenames)} images, not {MIN_GROUP}-{MAX_GROUP}")
        if not len(self.filenames) == len(self.hashes) == len(self.stages):
            raise ValueError(f"group {self.group_id} has names, hashes and stages of different lengths")
        if len(set(self.filenames)) < len(self.filenames):
            raise ValueError(f"group {self.group_id} names one image twice")

    @classmethod
    def of(cls, group: Group) -> Candidates:
        """A group as input of the features."""
        hashes = tuple(image.sha256 for image in group.images)
        stages = tuple(image.stage for image in group.images)
        return cls(group.project_id, group.group_id, group.filenames, hashes, stages)

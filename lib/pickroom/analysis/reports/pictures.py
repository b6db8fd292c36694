"""The pictures of the sheets: previews of a project's images, wherever they lie now."""

import io
from typing import Any

from PIL import Image as PillowImage

from pickroom.analysis.connection import Analysis
from pickroom.analysis.figures import Candidate, CropPicture, Mistake
from pickroom.core.errors import ImageError
from pickroom.core.records import CropBox
from pickroom.images import thumbnails
from pickroom.store.workspace import Project


class ProjectPreviews:
    """Previews by file name; of an image that was cropped, its original's."""

    def __init__(self, project: Project, analysis: Analysis) -> None:
        self.project = project
        rows = analysis.execute(
            "SELECT filename, sha256, path FROM images WHERE project_id = ? AND sha256 IS NOT NULL", [project.id]
        )
        self._places = {name: (sha256, path) for name, sha256, path in rows.fetchall()}

    def preview(self, filename: str) -> PillowImage.Image | None:
        """None when the image is not there, or cannot be read, and has no preview yet."""
        if filename not in self._places:
            return None
        sha256, path = self._places[filename]
        try:
            data = thumbnails.read(self.project.workspace.thumbnails, sha256, self.project.root / path)
        except (ImageError, OSError):
            return None
        return PillowImage.open(io.BytesIO(data))


def mistakes(pictures: ProjectPreviews, rows: list[dict[str, Any]], most: int) -> list[Mistake]:
    """The first `most` rows of the query `mistakes`, with their pictures."""
    return [
        Mistake(
            heading(row["source"], row["ai_confidence"]),
            tuple(_candidate(pictures, row, place) for place in range(len(row["images"]))),
        )
        for row in rows[:most]
    ]


def crops(pictures: ProjectPreviews, rows: list[dict[str, Any]], most: int) -> list[CropPicture]:
    """The crops of most and least overlap, half of each; rows of the view `crops`."""
    ordered = sorted(rows, key=lambda row: (row["iou"] is None, row["iou"], row["filename"]))
    chosen = ordered if len(ordered) <= most else [*ordered[: most // 2], *ordered[-(most - most // 2) :]]
    return [
        CropPicture(
            pictures.preview(row["filename"]),
            "" if row["iou"] is None else f"overlap {row['iou']:.2f}",
            CropBox.of(list(row["box"])),
            CropBox.of(list(row["ai_box"])) if row["ai_box"] is not None else None,
        )
        for row in chosen
    ]


def recommender(source: str) -> str:
    """What recommended, in words: a baseline is no AI."""
    return "the baseline" if source == "baseline" else "the AI"


def heading(source: str, confidence: float | None) -> str:
    """What stands over a mistake: how sure what recommended said it was."""
    if confidence is None and source == "baseline":
        return ""  # a baseline never says
    return "not said how sure" if confidence is None else f"{confidence:.0%} sure".replace("%", " %")


def _candidate(pictures: ProjectPreviews, row: dict[str, Any], place: int) -> Candidate:
    stage = row["stages"][place] if row["stages"] else None
    return Candidate(
        pictures.preview(row["images"][place]),
        f"stage {stage:g}" if stage is not None else f"image {place + 1}",
        by_person=place == row["user_selected_index"],
        recommended_by=recommender(row["source"]) if place == row["ai_selected_index"] else "",
    )

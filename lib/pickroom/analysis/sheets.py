"""Two sheets of pictures: groups in which another image was recommended, and crops drawn over their images.

Pure drawing: whoever asks hands in the pictures.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.patches import Rectangle
from PIL import Image as PillowImage

from pickroom.analysis.figures import KEEP, QUIET, REJECT
from pickroom.core.records import CropBox

_CELL = 1.75  # inches, the side of one picture's place
_ACROSS = 4  # pictures in a row


@dataclass(frozen=True, slots=True)
class Candidate:
    """One image of a group."""

    picture: PillowImage.Image | None  # None when the file is not there any more
    label: str  # e.g. "stage 1.5"
    by_person: bool = False
    recommended_by: str = ""  # "the AI" or what else recommended it; "" for the others


@dataclass(frozen=True, slots=True)
class Mistake:
    """A group in which another image was recommended than taken; `title` e.g. "87 % sure", "" where nothing says it."""

    title: str
    candidates: tuple[Candidate, ...]


@dataclass(frozen=True, slots=True)
class CropPicture:
    """An image with the person's crop, and the AI's where it had one, as fractions of it."""

    picture: PillowImage.Image | None
    title: str
    box: CropBox
    ai_box: CropBox | None


def contact_sheet(mistakes: Sequence[Mistake]) -> Figure:
    """One row a group: the person's pick framed in blue, the recommended one in dashed red."""
    rows = max(len(mistakes), 1)
    figure = Figure(figsize=(_CELL * _ACROSS, (_CELL + 0.5) * rows), layout=_spaced(), facecolor="none")
    if not mistakes:
        return _nothing(figure, "no mistake to show")
    for row, mistake in enumerate(mistakes):
        for column in range(_ACROSS):
            axes = figure.add_subplot(rows, _ACROSS, row * _ACROSS + column + 1)
            axes.set_axis_off()
            if column == 0:
                axes.set_title(mistake.title, loc="left", fontsize=9, color=QUIET)
            if column < len(mistake.candidates):
                _candidate(axes, mistake.candidates[column])
    return figure


def crop_sheet(crops: Sequence[CropPicture]) -> Figure:
    """Each image whole: the person's crop in blue, the AI's in dashed red."""
    rows = max(math.ceil(len(crops) / _ACROSS), 1)
    figure = Figure(figsize=(_CELL * _ACROSS, (_CELL + 0.3) * rows), layout=_spaced(), facecolor="none")
    if not crops:
        return _nothing(figure, "no crop to show")
    for place, crop in enumerate(crops):
        axes = figure.add_subplot(rows, _ACROSS, place + 1)
        axes.set_axis_off()
        axes.set_title(crop.title, fontsize=9, color=QUIET)
        size = _show(axes, crop.picture)
        if crop.ai_box is not None:
            _draw(axes, crop.ai_box, size, REJECT, dashed=True)
        _draw(axes, crop.box, size, KEEP)
    return figure


def _spaced() -> ConstrainedLayoutEngine:
    return ConstrainedLayoutEngine(h_pad=0.08, hspace=0.02)


def _candidate(axes: Axes, candidate: Candidate) -> None:
    size = _show(axes, candidate.picture)
    whole = CropBox(0, 0, 1, 1)
    if candidate.by_person:
        _draw(axes, whole, size, KEEP, width=4)
    if candidate.recommended_by:
        _draw(axes, whole, size, REJECT, dashed=True, width=3)
    who = " · ".join(
        ["yours"] * candidate.by_person + [f"{candidate.recommended_by}'s"] * bool(candidate.recommended_by)
    )
    axes.text(
        0.5,
        -0.03,
        f"{candidate.label}{' · ' if who else ''}{who}",
        transform=axes.transAxes,
        ha="center",
        va="top",
        fontsize=8,
        color=KEEP if candidate.by_person else REJECT if candidate.recommended_by else QUIET,
    )


def _show(axes: Axes, picture: PillowImage.Image | None) -> tuple[int, int]:
    """Put a picture in its place; its size, or that of the empty place."""
    if picture is None:
        axes.set_xlim(0, 100)
        axes.set_ylim(100, 0)
        axes.set_aspect("equal")
        axes.text(50, 50, "not there", ha="center", va="center", color=QUIET, fontsize=8)
        return 100, 100
    small = picture.convert("RGB")
    small.thumbnail((360, 360))
    axes.imshow(small, extent=(0, small.width, small.height, 0), interpolation="antialiased")
    return small.size


def _draw(
    axes: Axes, box: CropBox, size: tuple[int, int], colour: str, *, dashed: bool = False, width: float = 2
) -> None:
    across, down = size
    style = (0, (3, 2)) if dashed else "solid"
    corner, spans = (box.x1 * across, box.y1 * down), ((box.x2 - box.x1) * across, (box.y2 - box.y1) * down)
    axes.add_patch(Rectangle(corner, *spans, fill=False, edgecolor=colour, lw=width, ls=style, clip_on=False))


def _nothing(figure: Figure, words: str) -> Figure:
    figure.set_size_inches(7, 0.8)
    figure.text(0.5, 0.5, words, ha="center", va="center", color=QUIET, fontsize=9)
    return figure

"""What the crop desk shows, as plain records built from the session's state. Pure: the widgets only draw this."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pickroom.core.geometry import to_pixels
from pickroom.core.quantities import plural
from pickroom.core.records import BoxSource, CropBox
from pickroom.sessions.crop.state import CropCard, CropState
from pickroom.sessions.shown import ShownImage

_NOTES: Mapping[BoxSource, str] = {"drawn": "your box", "ai": "the AI's box", "default": "the default box"}


@dataclass(frozen=True, slots=True)
class CropImageView(ShownImage):
    """One image of the page.

    Attributes:
        box: draw it with handles (when active), thirds lines, and everything outside dimmed.
        shape: "own", "free", "1:1", ...
        coordinates: the box in pixels and its share of the image, for the active image's line.
        note: where the box comes from.
        default: it is the default box, where no AI proposed one and nobody has drawn one yet.
        warning: what to know before cropping it, e.g. that no decision will be changed; "" for nothing.
    """

    box: CropBox
    shape: str
    active: bool
    coordinates: str
    note: str
    default: bool
    warning: str


@dataclass(frozen=True, slots=True)
class CropDeskView:
    """What the desk draws, in addition to the state of the session.

    Attributes:
        asked: `message` asks whether the active image's default box is meant.
        confirm: what Enter would do now, where that was asked for; else "".
        problems: images left waiting, each with its reason.
        ai_crops: images that "apply all AI crops" would crop.
    """

    header: str
    images: tuple[CropImageView, ...]
    message: str
    asked: bool
    confirm: str
    problems: tuple[str, ...]
    ai_crops: int


def image_view(card: CropCard, state: CropState, number: int, sha256: str, warning: str) -> CropImageView:
    """One image of the page as drawn; `number` is its 1-based place."""
    box, (width, height) = state.box(card), card.size
    x1, y1, x2, y2 = to_pixels(box, width, height)
    source = state.source(card)
    return CropImageView(
        filename=card.filename,
        directory=card.directory,
        number=number,
        label=f"{width} × {height}",
        sha256=sha256,
        width=width,
        height=height,
        box=box,
        shape=state.shape(card),
        active=number - 1 == state.active,
        coordinates=f"{x2 - x1} × {y2 - y1} px at {x1}, {y1} ({box.area:.0%} of the image)".replace("%", " %"),
        note=_NOTES[source],
        default=source == "default",
        warning=warning,
    )


def header(waiting: int, made: int, problems: int, defaults: int = 0) -> str:
    """E.g. `23 images wait for a crop - 4 made here, 1 to its default box - 1 cannot be cropped yet`."""
    text = f"{plural(waiting, 'image')} wait{'s' if waiting == 1 else ''} for a crop"
    parts = [text if waiting + problems else "No image waits for its crop"]
    if made:
        parts.append(f"{made} made here" + (f", {defaults} to the default box" if defaults else ""))
    if problems:
        parts.append(f"{problems} cannot be cropped yet")
    return " - ".join(parts)

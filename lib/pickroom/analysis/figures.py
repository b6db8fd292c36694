"""Figures from the rows of named queries, and two contact sheets of pictures.

Blue keeps, red rejects; colour-blind safe. The background is transparent, for paper and dark notebooks. Every function
returns a new matplotlib Figure; without rows it shows a line that there is nothing yet.
"""

import io
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator, PercentFormatter
from PIL import Image as PillowImage

from pickroom.core.records import CropBox

Rows = Sequence[Mapping[str, Any]]
# file name, or whatever a row has -> the picture, None where the file is not there
Preview = Callable[[Any], PillowImage.Image | None]

KEEP, REJECT = "#1f6fb4", "#c62f2d"
CROP, WHOLE = "#8ab8de", "#8a8a8a"
INK = "#222222"  # on light colours
QUIET = "#7a7a7a"  # text and axes: readable on paper and on a dark notebook
_GRID = "#80808040"
_SIZE = (7.0, 2.8)  # inches
_HALF = (3.3, 3.0)  # two of them fit side by side on paper
_DPI = 144
_CELL = 1.75  # inches, the side of one picture's place
_ACROSS = 4  # pictures in a row
_WHOLE = CropBox(0, 0, 1, 1)
_NEXT_TO: dict[str, Any] = {"textcoords": "offset points"}  # of an annotation: next to its point


def shares(rows: Rows) -> Figure:
    """Outcomes of finalised groups, one bar per project; rows of `shares`."""
    figure, axes = _figure(height=0.9 + 0.45 * max(len(rows), 1))
    parts = {"kept": (KEEP, "kept"), "cropped": (CROP, "to crop"), "kept_whole": (WHOLE, "kept whole")}
    parts |= {"rejected": (REJECT, "rejected")}
    if not rows:
        return _nothing(figure)
    names = [row["project_id"] for row in rows]
    left = [0.0] * len(rows)
    for column, (colour, label) in parts.items():
        widths = [row[f"{column}_share"] for row in rows]
        axes.barh(names, widths, left=left, color=colour, label=label, height=0.6)
        for place, (start, width) in enumerate(zip(left, widths, strict=True)):
            if width >= 0.06:
                ink = INK if colour == CROP else "white"
                axes.text(start + width / 2, place, f"{width:.0%}", ha="center", va="center", color=ink, fontsize=9)
        left = [start + width for start, width in zip(left, widths, strict=True)]
    axes.set_xlim(0, 1)
    axes.invert_yaxis()
    axes.xaxis.set_visible(False)
    axes.spines[["bottom", "left"]].set_visible(False)
    axes.legend(ncols=4, loc="lower left", bbox_to_anchor=(0, 1), frameon=False, fontsize=9, labelcolor=QUIET)
    return figure


def rolling(rows: Rows) -> Figure:
    """Agreement with recommendations over the last 100 decisions, one line per project; rows of `rolling_100`.

    A tick below marks a new version (for a single project, where rows have it). For rows with a `baseline` a dashed
    line shows it.
    """
    figure, axes = _figure()
    if not rows:
        return _nothing(figure)
    projects = list(dict.fromkeys(row["project_id"] for row in rows))
    for number, project_id in enumerate(projects):
        own = [row for row in rows if row["project_id"] == project_id]
        shade = KEEP if len(projects) == 1 else _shade(number, len(projects))
        places = [row["place"] for row in own]
        axes.plot(places, [row["selection_accuracy"] for row in own], color=shade, lw=1.6)
        if "baseline" in own[0]:
            axes.plot(places, [row["baseline"] for row in own], color=QUIET, lw=1, ls=(0, (4, 3)))
        if len(projects) > 1:
            end = (own[-1]["place"], own[-1]["selection_accuracy"])
            axes.annotate(project_id, end, xytext=(4, 0), color=shade, fontsize=9, va="center", **_NEXT_TO)
    if len(projects) == 1 and "source" in rows[0]:
        _mark_versions(axes, rows)
    compared = "baseline" in rows[0]
    axes.set_xlabel("decisions; dashed: the baseline" if compared else "decisions")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    _percent(axes, "right pick, last 100" if compared else "recommended pick taken, last 100")
    return figure


def calibration(rows: Rows) -> Figure:
    """How often the AI was right, by confidence, with 95 % intervals; rows of `performance_by_confidence`."""
    figure, axes = _figure(*_HALF)
    if not rows:
        return _nothing(figure)
    axes.plot([0, 1], [0, 1], color=QUIET, lw=1, ls=(0, (4, 3)))
    x = [row["mean_confidence"] for row in rows]
    y = [row["selection_accuracy"] for row in rows]
    below = [max(row["selection_accuracy"] - row["selection_low"], 0) for row in rows]
    above = [max(row["selection_high"] - row["selection_accuracy"], 0) for row in rows]
    axes.errorbar(x, y, yerr=[below, above], fmt="o", color=KEEP, ms=6, lw=1.2, capsize=2)
    axes.set_xlim(min(0.5, *x) - 0.05, 1.02)
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.set_xlabel("how sure the AI was")
    _percent(axes, "how often it was right")
    return figure


def normal_and_anomaly(rows: Rows) -> Figure:
    """The recommended picks compared with "highest stage", normal groups and anomalies; one row of `anomaly_rates`."""
    figure, axes = _figure(*_HALF)
    if not rows or rows[0]["normal_accuracy"] is rows[0]["anomaly_accuracy"] is None:
        return _nothing(figure)
    row = rows[0]
    groups = (
        ("highest stage\nis best", row["normal_accuracy"], 1.0 if row["normal_groups"] else None),
        ("a lower stage\nis best", row["anomaly_accuracy"], 0.0 if row["anomaly_groups"] else None),
    )
    for place, (_, ours, baseline) in enumerate(groups):
        axes.bar(place - 0.2, ours or 0, 0.36, color=KEEP, label="recommended" if place == 0 else None)
        axes.bar(place + 0.2, baseline or 0, 0.36, color="#d0d0d0", label='"highest stage"' if place == 0 else None)
        for x, value in ((place - 0.2, ours), (place + 0.2, baseline)):
            text = "none" if value is None else f"{value:.0%}"
            axes.text(x, (value or 0) + 0.02, text, ha="center", va="bottom", fontsize=9, color=QUIET)
    axes.set_xticks([0, 1], [name for name, _, _ in groups])
    _percent(axes, "right pick")
    axes.set_ylim(0, 1.08)
    short = {"fontsize": 8, "handlelength": 1, "columnspacing": 1}  # both names fit over half a page
    axes.legend(ncols=2, frameon=False, labelcolor=QUIET, loc="lower left", bbox_to_anchor=(0, 1), **short)
    return figure


def pace(rows: Rows) -> Figure:
    """Groups per hour, one bar per session; rows of `sessions`."""
    figure, axes = _figure(height=2.3)
    rows = [row for row in rows if row["groups_per_hour"] is not None]
    if not rows:
        return _nothing(figure)
    rates = [row["groups_per_hour"] for row in rows]
    axes.bar(range(1, len(rows) + 1), rates, color=KEEP, width=min(0.7, 0.1 * len(rows)))
    axes.set_xlim(0.4, max(len(rows), 3) + 0.6)
    axes.set_xlabel("session")
    axes.set_ylabel("groups an hour")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return figure


def crop_label(row: Mapping[str, Any]) -> str:
    """Stage and orientation of a row of `crop_error`, in words."""
    stage = "no stage" if row["stage"] is None else f"stage {row['stage']:g}"
    return f"{stage}, {row['orientation'] or 'size unknown'}"


def as_png(figure: Figure) -> bytes:
    """A figure as PNG bytes; the same figure gives the same bytes."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=_DPI, metadata={"Software": None})
    return buffer.getvalue()


def _figure(width: float = _SIZE[0], height: float = _SIZE[1]) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), layout="constrained", facecolor="none")
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_facecolor("none")
    axes.spines[:].set_color(QUIET)
    axes.tick_params(colors=QUIET, labelsize=9)
    for axis in (axes.xaxis, axes.yaxis):
        axis.label.set_fontsize(9)
        axis.label.set_color(QUIET)
    return figure, axes


def _nothing(figure: Figure) -> Figure:
    figure.clear()
    figure.text(0.5, 0.5, "nothing to show yet", ha="center", va="center", color=QUIET)
    return figure


def _percent(axes: Axes, label: str) -> None:
    axes.set_ylim(0, 1.02)
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.set_ylabel(label)
    axes.grid(axis="y", color=_GRID, lw=0.8)
    axes.set_axisbelow(True)


def _mark_versions(axes: Axes, rows: Rows) -> None:
    before = None
    for row in rows:
        version = f"{row['source']}: {row['ranker']}"
        if version != before:
            axes.axvline(row["place"], ymax=0.06, color=QUIET, lw=1)
            axes.annotate(version, (row["place"], 0.0), xytext=(4, 4), color=QUIET, fontsize=8, **_NEXT_TO)
        before = version


def _shade(number: int, count: int) -> tuple[float, float, float]:
    """Blues from dark to light: lines are told apart by their labels, not by hue."""
    light = 0.75 * number / max(count - 1, 1)
    return (0.12 + 0.5 * light, 0.3 + 0.45 * light, 0.55 + 0.3 * light)


# ------------------------------------------------------------------------------------------------ sheets of pictures


def contact_sheet(rows: Rows, preview: Preview) -> Figure:
    """One line per group: the user's pick framed in blue, the recommended one in dashed red; rows of `mistakes`.

    Of rows with `final_crop_coords` and `ai_crop_coords` these boxes are drawn in the pick, likewise.
    """
    figure = _sheet(0.5, len(rows))
    for line, row in enumerate(rows):
        for place in range(_ACROSS):
            axes = figure.add_subplot(len(rows), _ACROSS, line * _ACROSS + place + 1)
            axes.set_axis_off()
            if place == 0:
                sure = how_sure(row.get("source", ""), row["ai_confidence"])
                axes.set_title(sure, loc="left", fontsize=9, color=QUIET)
            if place < len(row["images"]):
                _candidate(axes, row, place, preview)
    return figure


def crop_sheet(rows: Rows, preview: Preview, most: int) -> Figure:
    """Images whole, the user's crop in blue, the AI's in dashed red; rows of the view `crops`.

    Of more than `most` images, half are those with the most overlap, half those with the least.
    """
    ordered = sorted(rows, key=lambda row: (row["iou"] is None, row["iou"], row["filename"]))
    chosen = ordered if len(ordered) <= most else [*ordered[: most // 2], *ordered[-(most - most // 2) :]]
    lines = math.ceil(len(chosen) / _ACROSS)
    figure = _sheet(0.3, lines)
    for place, row in enumerate(chosen):
        axes = figure.add_subplot(lines, _ACROSS, place + 1)
        axes.set_axis_off()
        axes.set_title("" if row["iou"] is None else f"overlap {row['iou']:.2f}", fontsize=9, color=QUIET)
        size = _show(axes, preview(row["filename"]))
        if row["ai_box"] is not None:
            _draw(axes, CropBox.of(list(row["ai_box"])), size, REJECT, dashed=True)
        _draw(axes, CropBox.of(list(row["box"])), size, KEEP)
    return figure


def recommender(source: str) -> str:
    """The source of a recommendation in words: a model or a baseline."""
    return "the baseline" if source == "baseline" else "the AI"


def how_sure(source: str, confidence: float | None) -> str:
    """The confidence of a recommendation in words; a baseline has none."""
    if confidence is None:
        return "" if source == "baseline" else "not said how sure"
    return f"{confidence:.0%} sure".replace("%", " %")


def _sheet(words: float, lines: int) -> Figure:
    """`words`: inches of each line next to its pictures."""
    spaced = ConstrainedLayoutEngine(h_pad=0.08, hspace=0.02)
    return Figure(figsize=(_CELL * _ACROSS, (_CELL + words) * lines), layout=spaced, facecolor="none")


def _candidate(axes: Axes, row: Mapping[str, Any], place: int, preview: Preview) -> None:
    size = _show(axes, preview(row["images"][place]))
    picked, recommended = place == row["user_selected_index"], place == row["ai_selected_index"]
    if picked:
        _draw(axes, _WHOLE, size, KEEP, width=4)
    if recommended:
        _draw(axes, _WHOLE, size, REJECT, dashed=True, width=3)
    for name, colour in (("final_crop_coords", KEEP), ("ai_crop_coords", REJECT)) if picked else ():
        if row.get(name) is not None:
            _draw(axes, CropBox.of(row[name]), size, colour, dashed=colour == REJECT)
    stage = row["stages"][place] if row.get("stages") else None
    words = [f"image {place + 1}" if stage is None else f"stage {stage:g}", *(["yours"] if picked else [])]
    words += [f"{recommender(row.get('source', ''))}'s"] if recommended else []
    colour = KEEP if picked else REJECT if recommended else QUIET
    under: dict[str, Any] = {"transform": axes.transAxes, "ha": "center", "va": "top", "fontsize": 8}
    axes.text(0.5, -0.03, " · ".join(words), color=colour, **under)


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

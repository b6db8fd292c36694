"""Figures and sheets: drawn from rows, said so when there is nothing, and nobody's global state is touched."""

from __future__ import annotations

import subprocess
import sys
from io import BytesIO

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from PIL import Image as PillowImage

from pickroom.analysis import figures
from pickroom.analysis.connection import Analysis
from pickroom.store.workspace import Project

DRAWN = {
    "shares": figures.shares,
    "rolling_100": figures.rolling,
    "performance_by_confidence": figures.calibration,
    "anomaly_rates": figures.normal_and_anomaly,
    "sessions": figures.pace,
}


def pixels(figure: Figure) -> np.ndarray:
    """(height, width, 3) uint8 of a figure as it is saved."""
    return np.asarray(PillowImage.open(BytesIO(figures.as_png(figure))).convert("RGB"))


def share_of(image: np.ndarray, colour: str) -> float:
    """The share of an image's pixels that have a colour, give or take the edges."""
    wanted = np.asarray(to_rgb(colour)) * 255
    return float((np.abs(image - wanted).max(axis=2) < 4).mean())


@pytest.mark.parametrize("query", DRAWN)
def test_figure_of_nothing_says_so(query: str) -> None:
    (text,) = DRAWN[query]([]).texts
    assert text.get_text() == "nothing to show yet"


@pytest.mark.parametrize("query", DRAWN)
def test_figure_is_drawn_from_the_rows_of_its_query(query: str, reviewed: Project, analysis: Analysis) -> None:
    drawn = analysis.rows(query)
    if query == "sessions":  # a file of keys is nobody's pace
        assert {row["groups_per_hour"] for row in drawn} == {None}
        drawn = [{**row, "groups_per_hour": 300.0} for row in drawn]
    image = pixels(DRAWN[query](drawn))
    assert image.std() > 5
    assert share_of(image, figures.KEEP) > 0.001


def test_shares_keep_in_blue_and_reject_in_red(reviewed: Project, analysis: Analysis) -> None:
    (row,) = analysis.rows("shares")
    image = pixels(figures.shares([row]))
    # rather more of it than of the legend's one square: 3 of 6 kept, 1 rejected
    assert share_of(image, figures.KEEP) > 2 * share_of(image, figures.REJECT) > 0.02


def test_kept_and_rejected_are_told_apart_without_colour_vision() -> None:
    def luminance(colour: str) -> float:
        return float(np.dot(to_rgb(colour), (0.2126, 0.7152, 0.0722)))

    def deuteranope(colour: str) -> np.ndarray:
        # Viénot, Brettel and Mollon 1999, for linear RGB
        matrix = np.array([[0.29275, 0.70725, 0.0], [0.29275, 0.70725, 0.0], [-0.02234, 0.02234, 1.0]])
        return matrix @ (np.asarray(to_rgb(colour)) ** 2.2)

    assert np.abs(deuteranope(figures.KEEP) - deuteranope(figures.REJECT)).max() > 0.2
    assert luminance(figures.CROP) > luminance(figures.KEEP) + 0.2


def test_same_rows_give_the_same_bytes(reviewed: Project, analysis: Analysis) -> None:
    rows = analysis.rows("rolling_100")
    assert figures.as_png(figures.rolling(rows)) == figures.as_png(figures.rolling(rows))


def test_nothing_global_is_touched() -> None:
    script = (
        "import sys; from pickroom.analysis import figures; figures.as_png(figures.shares([]));"
        " sys.exit('matplotlib.pyplot' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], timeout=60).returncode == 0


def picture(colour: str) -> PillowImage.Image:
    return PillowImage.new("RGB", (80, 120), colour)


MISTAKE = {
    **{"source": "model", "ai_confidence": 0.87, "user_selected_index": 0, "ai_selected_index": 2},
    **{"images": ["a.png", "b.png", "c.png"], "stages": [1, 2, 3]},
}
PICTURES = {"a.png": picture("#dddddd"), "b.png": picture("#bbbbbb")}


def test_contact_sheet_frames_both_picks() -> None:
    figure = figures.contact_sheet([MISTAKE, {**MISTAKE, "stages": None}], PICTURES.get)
    words = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert {"stage 1 · yours", "stage 3 · the AI's", "image 1 · yours", "image 2", "not there"} <= set(words)
    assert figure.axes[0].get_title(loc="left") == "87 % sure"
    image = pixels(figure)
    assert share_of(image, figures.KEEP) > 0.002
    assert share_of(image, figures.REJECT) > 0.001
    assert share_of(image, "#dddddd") > 0.02


def test_crop_sheet_draws_the_boxes_where_they_are() -> None:
    row = {"filename": "a.png", "iou": 0.1, "box": (0.25, 0.5, 0.75, 1.0), "ai_box": (0.0, 0.0, 0.5, 0.5)}
    figure = figures.crop_sheet([row], PICTURES.get, 12)
    (axes,) = figure.axes
    dashed, solid = axes.patches
    assert solid.get_bbox().extents == pytest.approx((20, 60, 60, 120))
    assert dashed.get_bbox().extents == pytest.approx((0, 0, 40, 60))
    assert dashed.get_linestyle() != solid.get_linestyle()


def test_crop_sheet_has_the_most_and_the_least_overlap() -> None:
    rows = [{"filename": "a.png", "iou": n / 10, "box": (0, 0, 1, 1), "ai_box": None} for n in range(9)]
    titles = [axes.get_title() for axes in figures.crop_sheet(rows, PICTURES.get, 4).axes]
    assert titles == ["overlap 0.00", "overlap 0.10", "overlap 0.70", "overlap 0.80"]

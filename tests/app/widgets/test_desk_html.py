"""The deck's words: complete, and harmless whatever other people wrote into names and prompts."""

from __future__ import annotations

import pytest

from pickroom.app.widgets import desk_html
from pickroom.app.widgets.overlay import Caption, arrange
from pickroom.app.widgets.stage import Viewport
from pickroom.core.records import CropBox, Image
from pickroom.images.metadata import InfoRow
from pickroom.sessions.keys import REVIEW
from pickroom.sessions.review.view import GroupView, ImageView

HOSTILE = "<img src=x onerror=alert(1)>\"'&<script>"
BOX, STAGE, SLOT = CropBox(0.1, 0.1, 0.6, 0.6), Viewport(800, 600), arrange([(800, 600)], 800, 600)


def image(name: str = "a.png", mark: str = "none") -> ImageView:
    return ImageView(name, "", 1, "1 × 1", "sha", 1, 1, mark, False, "", None)  # type: ignore[arg-type]


def group(**fields) -> GroupView:
    values = {"route": "r", "decided": False, "reasons": "", "flags": (), "held_reason": "", **fields}
    return GroupView("g", fields.pop("images", (image(),)), **{k: v for k, v in values.items() if k != "images"})


@pytest.mark.parametrize(
    "html",
    [
        desk_html.header(HOSTILE, 0.5),
        desk_html.lines(group(route=HOSTILE, reasons=HOSTILE, flags=(HOSTILE,), held_reason=HOSTILE), HOSTILE),
        desk_html.lines(None, HOSTILE, error=True),
        desk_html.film_strip(group(strip=((Image(HOSTILE, "", 1, 1, None, None, "sha", 1, 1), "on"),)), {"sha": b"x"}),
        desk_html.info([InfoRow(HOSTILE, (HOSTILE, "b")), InfoRow("same", (HOSTILE, HOSTILE))], [image(HOSTILE)] * 2),
        desk_html.summary(HOSTILE, [(HOSTILE, ""), ("2 groups", HOSTILE)], desk_html.answers(HOSTILE, HOSTILE)),
        desk_html.captions([Caption(HOSTILE, [HOSTILE], flag=HOSTILE, crop=(BOX, HOSTILE))], SLOT, STAGE, zoom=False),
        desk_html.panel(HOSTILE),
        desk_html.notice(HOSTILE),
    ],
)
def test_other_peoples_text_stays_text(html: str):
    assert "<img src=x" not in html and "<script" not in html
    assert "onerror=alert(1)&gt;" in html
    assert 'onerror=alert(1)>"' not in html and "\"'" not in html.replace("&quot;", "").replace("&#x27;", "")


def test_a_message_is_a_sentence_and_a_path_stays_as_it_is():
    assert desk_html.sentence("nothing to undo") == "Nothing to undo"
    assert desk_html.sentence("undone: pick 1") == "Undone: pick 1"
    for name in ("a does nothing", "photo.png stays", "selected/a.png stays", "img_01.png stays"):
        assert desk_html.sentence(name) == name


def test_the_legend_names_every_key():
    legend = desk_html.legend(REVIEW.legend)
    for key in REVIEW.commands:
        shown = {
            "ArrowDown": "↓",
            "ArrowRight": "→",
            "ArrowUp": "↑",
            "ArrowLeft": "←",
            "Escape": "Esc",
            "Shift+u": "Shift+U",
            **{f"Shift+{number}": "Shift+5-8" for number in (5, 6, 7, 8)},
        }
        text = shown.get(key, key.upper() if len(key) == 1 else key)
        assert text in legend, key


def test_the_route_is_said_and_coloured_by_what_happens():
    assert "undecided" in desk_html.lines(group(), "")
    assert "route keep" in desk_html.lines(group(decided=True, images=(image(mark="keep"),)), "")
    assert "route reject" in desk_html.lines(group(decided=True, images=(image(mark="reject"),)), "")


def test_a_group_held_back_says_why_beside_the_message():
    html = desk_html.lines(group(held_reason="a.png changed since the scan"), "undone: x")
    assert "Held back: a.png changed since the scan · Undone: x" in html


def test_an_error_is_never_hidden_by_another_line():
    assert "the disk is full" in desk_html.lines(group(held_reason="held"), "the disk is full", error=True)


def test_differences_are_marked_and_empty_values_shown():
    html = desk_html.info([InfoRow("seed", ("1", "")), InfoRow("steps", ("20", "20"))], [image(), image("b.png")])
    assert html.count('class="differs"') == 1 and "≠ seed" in html and "<td>–</td>" in html
    assert html.count(">20<") == 1 and "b.png" in html
    assert "Nothing is written" in desk_html.info([], [image()])


@pytest.mark.parametrize(("progress", "width"), [(0.0, "0.00%"), (0.125, "12.50%"), (7.0, "100.00%")])
def test_the_bar_is_as_long_as_the_progress(progress: float, width: str):
    assert f"width: {width}" in desk_html.header("h", progress)


def test_words_take_the_lines_that_there_is_room_for():
    slots = arrange([(800, 1200)] * 4, 1600, 800)
    found = desk_html.captions([Caption("t", ["a b-c.jpg"])] * 4, slots, Viewport(1600, 800), zoom=False)
    x, y, w, h = slots[1].box
    style = f"left: {x / 16:.4f}%; top: {(y + h + 5) / 8:.4f}%; width: {w / 16:.4f}%; -webkit-line-clamp: "
    assert style in found
    assert int(found.partition(style)[2][:1]) * 19 <= slots[1].bottom - y - h - 5
    assert "a&nbsp;b-&#8288;c.jpg" in found, "a name stays on one line where it fits"


def test_no_crop_is_under_the_pointer_in_zoomed_images():
    said = [Caption("t", crop=(BOX, "corners"))]
    assert "corners" in desk_html.captions(said, SLOT, STAGE, zoom=False)
    assert "corners" not in desk_html.captions(said, SLOT, STAGE, zoom=True)

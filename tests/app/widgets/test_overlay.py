"""The drawing layer: one batch a drawing, the crop to scale, blue and red where they belong."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from ipycanvas.canvas import _CANVAS_MANAGER, COMMANDS

from pickroom.app.widgets.drawing import draw_group, draw_page, group_caption
from pickroom.app.widgets.overlay import DARK, LIGHT, Overlay, arrange
from pickroom.app.widgets.stage import Viewport
from pickroom.core.records import CropBox
from pickroom.sessions.crop.state import CropCard, CropState, image_view
from pickroom.sessions.review.view import GroupView, ImageView

NAMES = {number: name for name, number in COMMANDS.items()}
STROKE_STYLE = 1
BOX = CropBox(0.1, 0.1, 0.6, 0.6)


@pytest.fixture
def batches(monkeypatch: pytest.MonkeyPatch) -> list[list]:
    """What is sent to the browser's canvas manager, decoded: (command, arguments) each."""
    kept: list[list] = []

    def keep(metadata: dict, buffers: list) -> None:
        commands = json.loads(bytes(buffers[0]))
        kept.append([(NAMES[command[0]], command[1]) for command in commands])

    monkeypatch.setattr(_CANVAS_MANAGER, "send", keep)
    return kept


def view(**fields) -> ImageView:
    values = {"number": 1, "label": "stage 1", "mark": "none", "ai_pick": False, "badge": "", "crop": None, **fields}
    return ImageView(filename="a.png", directory="", sha256="s", width=800, height=600, **values)


def draw(overlay: Overlay, *images: ImageView, zoom: bool = False, viewport: Viewport = Viewport(1000, 500)) -> list:  # noqa: B008
    slots = arrange([(image.width, image.height) for image in images], viewport.width, viewport.height)
    with overlay.drawing(viewport) as pen:
        draw_group(pen, GroupView("g", images, "", False, "", (), ""), slots, zoom=zoom)
    return list(slots)


def colours(batch: list, attribute: int) -> set[str]:
    return {arguments[1] for name, arguments in batch if name == "set" and arguments[0] == attribute}


def test_drawing_is_one_message_that_names_and_clears_its_canvas(batches: list):
    overlay = Overlay()
    draw(overlay, view(), view(number=2))
    draw(overlay, view(), view(number=2))
    assert len(batches) == 2
    for batch in batches:  # also the second one: a page may have been loaded in between
        assert batch[0] == ("switchCanvas", [f"IPY_MODEL_{overlay.canvas.model_id}"])
        assert [name for name, _ in batch[1:3]] == ["resetTransform", "clear"]


def test_the_crop_is_drawn_to_scale_inside_the_letterbox(batches: list):
    box = CropBox(0.25, 0.5, 0.75, 1.0)
    (slot,) = draw(Overlay(), view(ai_pick=True, crop=box))
    x, y, w, h = slot.box
    dashed = next(arguments for name, arguments in batches[0] if name == "strokeRect")
    assert dashed == pytest.approx([x + w / 4, y + h / 2, w / 2, h / 2])
    assert ("fill", ["evenodd"]) in batches[0]


def test_a_zoomed_image_has_no_crop_over_it(batches: list):
    draw(Overlay(), view(ai_pick=True, crop=CropBox(0, 0, 0.5, 0.5)), zoom=True)
    assert "fill" not in [name for name, _ in batches[0]]


def test_a_crop_box_has_a_dark_and_a_light_line(batches: list):
    draw(Overlay(), view(ai_pick=True, crop=BOX))
    card = CropCard("a.png", "crop", (800, 600), BOX, proposed=True)
    for active in (0, 1):
        state = CropState((card,), active=active)
        with Overlay().drawing(Viewport(1000, 500)) as pen:
            draw_page(pen, [image_view(card, state, 1, "s", "")], arrange([(800, 600)], 1000, 500))
    for batch in batches:
        strokes = [arguments[1] for name, arguments in batch if name == "set" and arguments[0] == STROKE_STYLE]
        assert any({dark, light} == {"rgba(0, 0, 0, 0.8)", "#ffffff"} for dark, light in pairwise(strokes))


def test_the_words_under_an_image_say_what_is_chosen():
    caption = group_caption(view(label="stage 1.5 · 768 × 1024", mark="keep"), "dream_xl · seed 7")
    assert (caption.title, caption.mark) == ("✓ keep · stage 1.5 · 768 × 1024", "keep")
    assert caption.quiet == ["dream_xl", "seed 7", "a.png"] and caption.crop is None
    assert group_caption(view(details="Canon EOS R6"), "Canon EOS R6").quiet == ["a.png", "Canon EOS R6"]
    assert group_caption(view(crop=BOX), "").crop == (BOX, "80, 60 – 480, 360 px · 0.100, 0.100 – 0.600, 0.600")


@pytest.mark.parametrize(("dark", "palette"), [(False, LIGHT), (True, DARK)])
def test_blue_keeps_red_rejects_and_the_ai_is_neither(batches: list, dark: bool, palette):
    viewport = Viewport(1000, 500, 1.0, dark)
    overlay = Overlay()
    draw(overlay, view(mark="keep"), viewport=viewport)
    draw(overlay, view(mark="reject"), viewport=viewport)
    draw(overlay, view(ai_pick=True, badge="AI pick 87 %"), viewport=viewport)
    frames = [colours(batch, STROKE_STYLE) for batch in batches]
    assert frames == [{palette.keep}, {palette.reject}, {"rgba(0, 0, 0, 0.8)", palette.ai}]
    texts = [arguments[0] for name, arguments in batches[2] if name == "fillText"]
    assert texts == ["AI pick 87 %"]


def test_sharp_screens_get_more_pixels(batches: list):
    overlay = Overlay()
    draw(overlay, view(), viewport=Viewport(1000, 500, 2.0))
    assert (overlay.canvas.width, overlay.canvas.height) == (2000, 1000)
    assert ("scale", [2.0, 2.0]) in batches[0]


@pytest.mark.parametrize("active", [0, 1])
@pytest.mark.parametrize(("proposed", "drawn", "dashed"), [(False, False, 1), (False, True, 0), (True, False, 0)])
def test_only_a_box_that_nobody_drew_or_proposed_is_dashed(
    batches: list, active: int, proposed: bool, drawn: bool, dashed: int
):
    cards = tuple(
        CropCard(name, "crop", (800, 600), CropBox(0.1, 0, 0.9, 0.8), proposed) for name in ("a.png", "b.png")
    )
    boxes = dict.fromkeys(("a.png", "b.png"), (CropBox(0, 0, 0.5, 0.5), "own")) if drawn else {}
    state = CropState(cards, boxes=boxes, active=active)
    images = [image_view(card, state, number, "s", "") for number, card in enumerate(cards, start=1)]
    with Overlay().drawing(Viewport(1000, 500)) as pen:
        draw_page(pen, images, arrange([(800, 600)] * 2, 1000, 500))
    patterns = [arguments for name, arguments in batches[-1] if name == "setLineDash"]
    assert sum(bool(pattern[0]) for pattern in patterns) == 2 * dashed
    assert patterns[-1] == [[]]  # nothing that is drawn next is dashed by it

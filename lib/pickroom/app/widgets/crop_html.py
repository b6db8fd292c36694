"""The crop desk's words as HTML: header, buttons, lines, the question before all AI crops are applied. Pure.

File names and reasons are other people's text: everything passes through `html.escape`.
"""

from __future__ import annotations

from html import escape

from pickroom.app.widgets.deck_html import button
from pickroom.sessions.crop.state import FREE, OWN, RATIOS
from pickroom.sessions.crop.view import CropDeskView, CropImageView

SHAPE = "shape "  # before the name of a shape: what its button presses, since no keyboard has such a key
SHAPES = (OWN, FREE, *RATIOS)
_KEEPS = {OWN: "keeps the image's shape", FREE: "any shape"} | {ratio: f"keeps {ratio}" for ratio in RATIOS}


def header(view: CropDeskView) -> str:
    """How many wait, and the way to the keys."""
    return f'<div class="top"><span>{escape(view.header)}</span>{button("?", "? keys", kind="plain")}</div>'


def tools(view: CropDeskView) -> str:
    """The row of buttons: the active box's shape, and what is done to the page."""
    active = next((image for image in view.images if image.active), None)
    shapes = "".join(
        button(
            f"{SHAPE}{shape}",
            shape,
            kind="on" if active and active.shape == shape else "",
            enabled=active is not None,
            title=f"The box {_KEEPS[shape]}",
        )
        for shape in SHAPES
    )
    count = len(view.images)
    submit = f"Submit crop {active.number}" if active and count > 1 else "Submit crop"
    actions = (
        button("Shift+a", f"Apply all AI crops ({view.ai_crops})", "⇧A", enabled=view.ai_crops > 0)
        + button("b", "Back", "B", title="Bring the image submitted last back, with its box")
        + button("s", "Skip", "S", enabled=count > 0, title="These images go on waiting")
        + button("Enter", submit, "⏎", kind="main", enabled=count > 0)
    )
    return f'<div class="row"><span class="label">Shape</span>{shapes}<span class="space"></span>{actions}</div>'


def lines(view: CropDeskView, message: str, *, error: bool = False) -> str:
    """Under the images: the active box; its file and the page's warnings; the message; what cannot be cropped."""
    active = next((image for image in view.images if image.active), None)
    warnings = [f"{image.number}: {image.warning}" for image in view.images if image.warning]
    flags = "".join(f'<span class="flag">{escape(warning)}</span>' for warning in warnings)
    path = f"{active.directory}/{active.filename}" if active else ""
    file = f'<div class="line reasons" title="{escape(path)}"><span class="path">{escape(path)}</span>{flags}</div>'
    problems = "".join(_line("problem", problem) for problem in view.problems)
    return (
        _line("route", _box(active) if active else "")
        + file
        + _line("error" if error else "route" if view.asked else "message", message)
        + (f'<div class="problems">{problems}</div>' if problems else "")
    )


def _box(image: CropImageView) -> str:
    return f"{image.number}: {image.coordinates} · {_KEEPS[image.shape]} · {image.note}"


def confirm(question: str) -> str:
    """The panel before all AI crops are applied."""
    return (
        f"<h3>{escape(question)}</h3>"
        "<p>They are recorded as the AI's boxes, not as yours: no model learns from them.</p>"
        f"<p>{button('Enter', 'Apply', kind='main')} <kbd>Enter</kbd> &emsp; "
        f"{button('Escape', 'Return')} <kbd>Esc</kbd></p>"
    )


def _line(kind: str, text: str) -> str:
    """One line, cut off where the room ends: the title has all of it."""
    return f'<div class="line {kind}" title="{escape(text)}">{escape(text)}</div>'

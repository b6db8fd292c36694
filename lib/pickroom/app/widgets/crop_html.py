"""The crop desk's words as HTML: buttons, lines, the question before all AI crops are applied. Pure.

File names and reasons are other people's text: everything passes through `html.escape`.
"""

from __future__ import annotations

from collections.abc import Callable
from html import escape

from pickroom.app.widgets.desk_html import SPACE, answers, button, line, row
from pickroom.sessions.crop.state import FREE, OWN, RATIOS
from pickroom.sessions.crop.view import CropDeskView, CropImageView

SHAPE = "shape "  # before the name of a shape: what its button presses, since no keyboard has such a key
SHAPES = (OWN, FREE, *RATIOS)
_KEEPS = {OWN: "keeps the image's shape", FREE: "any shape"} | {ratio: f"keeps {ratio}" for ratio in RATIOS}


def tools(view: CropDeskView, command: Callable[..., str]) -> str:
    """The row of buttons: the active box's shape, and what is done to the page; `command` is `Desk.button`."""
    active = _active(view)
    shapes = (
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
    return row(
        '<span class="label">Shape</span>',
        *shapes,
        SPACE,
        command("apply ai", f"Apply all AI crops ({view.ai_crops})", enabled=view.ai_crops > 0),
        command("back", "Back", title="Bring the image submitted last back, with its box"),
        command("skip", "Skip", enabled=count > 0, title="These images go on waiting"),
        command("submit", submit, kind="main", enabled=count > 0),
    )


def lines(view: CropDeskView, message: str, *, error: bool = False) -> str:
    """Under the images: the active box; its file and the page's warnings; the message; what cannot be cropped."""
    active = _active(view)
    box = f"{active.number}: {active.coordinates} · {_KEEPS[active.shape]} · {active.note}" if active else ""
    path = escape(f"{active.directory}/{active.filename}") if active else ""
    warnings = [f"{image.number}: {image.warning}" for image in view.images if image.warning]
    flags = "".join(f'<span class="flag">{escape(warning)}</span>' for warning in warnings)
    problems = "".join(line(problem, "problem") for problem in view.problems)
    return (
        line(box, "route")
        + f'<div class="line reasons" title="{path}"><span class="path">{path}</span>{flags}</div>'
        + line(message, "error" if error else "route" if view.asked else "message")
        + (f'<div class="problems">{problems}</div>' if problems else "")
    )


def confirm(question: str) -> str:
    """The panel before all AI crops are applied."""
    note = "<p>They are recorded as the AI's boxes, not as yours: no model learns from them.</p>"
    return f"<h3>{escape(question)}</h3>{note}{answers('Enter', 'Apply')}"


def _active(view: CropDeskView) -> CropImageView | None:
    return next((image for image in view.images if image.active), None)

"""The crop desk without a browser: boxes from a file, or every AI crop at once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import typer

from pickroom.cli.console import Home, ProjectName, app, fail_if, project_of, read_text, say, show
from pickroom.core.errors import UsageError
from pickroom.core.naming import folder_of
from pickroom.core.records import CropBox
from pickroom.storage.json_records import from_json, parse_lines


@app.command()
def crop(
    project: ProjectName,
    boxes: Annotated[
        Path | None,
        typer.Option(help='JSON lines {"filename", "box"} or {"filename", "action": "delete"}; - is stdin.'),
    ] = None,
    apply_ai: Annotated[bool, typer.Option("--apply-ai", help="Crop all of crop_auto/ as the AI proposed.")] = False,
    home: Home = None,
) -> None:
    """Make the crops that wait; the desk itself is notebooks/30_crop.ipynb."""
    from pickroom.files.cropping import Order
    from pickroom.sessions.crop.session import CropSession

    if boxes is not None and apply_ai:
        raise UsageError("--boxes and --apply-ai exclude each other", doing="cropping", hint="give one of them")
    wanted = read_boxes(read_text(boxes, "reading boxes")) if boxes is not None else []
    session = CropSession(project_of(home, project))
    if session.state.message:  # what was recovered or rebuilt as it opened
        say(session.state.message)
    try:
        if not apply_ai and boxes is None:
            shown = session.view()
            problems = "".join(f"\n  {line}" for line in shown.problems)
            show({}, False, f"{shown.header}{problems}\nDraw them in the browser: pickroom lab, then 30_crop.ipynb")
            return
        if apply_ai:
            result = session.apply_ai()
        else:
            # a line names a file, not its folder: it lies in one of the two that wait
            folders = {card.filename: card.directory for card in session.waiting}
            folders |= {Path(path).name: folder_of(path) for path in session.problems}
            result = session.submit([Order(folders.get(name, "crop"), name, box) for name, box in wanted])
    finally:
        session.close()
    for name, reason in {**result.warnings, **result.refused, **result.stuck}.items():
        say(f"{name}: {reason}")
    number = f"Batch {result.batch}: " if result.batch else ""
    stuck = f", {len(result.stuck)} unfinished: run `pickroom recover {project}`" if result.stuck else ""
    show({}, False, f"{number}{len(result.done)} done, {len(result.refused)} refused{stuck}")
    fail_if(result.refused or result.stuck)


def read_boxes(text: str) -> list[tuple[str, CropBox | None]]:
    """(file name, box or None for delete) of each line; raises UsageError naming the first line that is no good."""
    try:
        wanted = [order for _, order in parse_lines(_read_order, text)]
    except ValueError as error:
        hint = 'nothing was cropped; write {"filename": "a.png", "box": [x1, y1, x2, y2]}'
        raise UsageError(str(error), doing="reading boxes", hint=hint) from None
    names = [name for name, _ in wanted]
    twice = next((name for name in names if names.count(name) > 1), None) if len(set(names)) < len(names) else None
    if twice is not None:
        raise UsageError(f"{twice!r} is named twice", doing="reading boxes", hint="nothing was cropped")
    return wanted


class _Order(msgspec.Struct):
    filename: str
    action: Literal["crop", "delete"] = "crop"
    box: Any = msgspec.UNSET


def _read_order(line: str) -> tuple[str, CropBox | None]:
    order = from_json(_Order, line)
    if (order.box is msgspec.UNSET) != (order.action == "delete"):
        raise ValueError('it needs either a "box" or "action": "delete"')
    return order.filename, None if order.action == "delete" else CropBox.of(order.box)

"""The crop desk without a browser: boxes from a file, or every AI crop at once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from pickroom.cli.console import Home, ProjectName, app, fail_if, project_of, read_text, say, show
from pickroom.core.errors import UsageError
from pickroom.core.naming import folder_of
from pickroom.core.records import CropBox


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
            folders = {w.card.filename: w.card.directory for w in session.waiting}
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
    wanted: list[tuple[str, CropBox | None]] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            wanted.append(_read_order(json.loads(line)))
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise UsageError(
                f"line {number} is no order ({error})",
                doing="reading boxes",
                hint='nothing was cropped; write {"filename": "a.png", "box": [x1, y1, x2, y2]}',
            ) from None
    names = [name for name, _ in wanted]
    twice = next((name for name in names if names.count(name) > 1), None) if len(set(names)) < len(names) else None
    if twice is not None:
        raise UsageError(f"{twice!r} is named twice", doing="reading boxes", hint="nothing was cropped")
    return wanted


def _read_order(values: object) -> tuple[str, CropBox | None]:
    if not isinstance(values, dict) or not isinstance(values.get("filename"), str):
        raise ValueError("it names no filename")
    if values.get("action") == "delete" and "box" not in values:
        return values["filename"], None
    if "box" not in values or values.get("action", "crop") != "crop":
        raise ValueError('it has neither a "box" nor "action": "delete"')
    return values["filename"], CropBox.of(values["box"])

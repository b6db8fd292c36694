"""Exports as `pickroom export` asks for them, without the command line."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

from pickroom.exports.formats import FORMATS, Exported, ExportRequest
from pickroom.store.workspace import Project


def export(name: str, projects: Sequence[Project], folder: Path | None, **given: Any) -> Exported:
    """Export in the format of this name, by the options given and the defaults of the others."""
    (chosen,) = (known for known in FORMATS if known.name == name)
    options = {option.name: given.get(option.name, option.default) for option in chosen.options}
    named = [project.id for project in projects]
    progress: Any = lambda title: nullcontext(lambda done, of: None)  # noqa: E731
    request = ExportRequest(projects[0].workspace, projects, named, folder or Path(), options, progress)
    return chosen.export(request)


export_coco = partial(export, "coco")
export_imagefolder = partial(export, "hf")
export_pairs = partial(export, "pairs")

"""The export formats that there are, one row each, and what every one of them is asked and answers."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

from pickroom.store.workspace import Project, Workspace

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """What to export, and where to."""

    workspace: Workspace
    projects: Sequence[Project]  # those to export; `named`: the ids that the user gave, none for all
    named: Sequence[str]
    folder: Path  # DIR, absolute; of no meaning for a format that writes next to the images
    options: Mapping[str, Any]  # every further option by name, "copy" for `--copy`
    progress: Callable[[str], AbstractContextManager[Progress]]  # opens a bar under a title


@dataclass(slots=True)
class Exported:
    """What an export did."""

    values: dict[str, Any]  # the object of `--json`; `lines`: the same in words
    lines: list[str]
    lost: Sequence[str] = ()  # names of images that are not there as they were decided on
    held: int = 0  # how many things that were asked for could not be done
    # those that were read, by project; rows that are left out of them are named
    databases: Mapping[Project, Sequence[Path]] = field(default_factory=dict)


# option of `pickroom export` -> (module in this package, further options that it takes). A module's `export` takes an
# `ExportRequest` and returns an `Exported`
FORMATS: dict[str, tuple[str, tuple[str, ...]]] = {
    "parquet": ("parquet", ()),
    "coco": ("coco", ("copy",)),
    "hf": ("imagefolder", ("copy", "metadata")),
    "pairs": ("pairs", ("copy", "embed")),
    "xmp": ("sidecars", ("execute", "undo", "naming")),
}
# what a further option is unless it is given
DEFAULTS = {"copy": False, "metadata": "jsonl", "embed": False, "execute": False, "undo": False, "naming": "stem"}


def export(name: str, request: ExportRequest) -> Exported:
    """Write one of the formats. Its module is imported here: a page of help needs none of them."""
    exported: Exported = resolve_name(f"pickroom.exports.{FORMATS[name][0]}:export")(request)
    return exported

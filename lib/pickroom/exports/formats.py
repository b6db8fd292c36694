"""The export formats that there are: one row each, from which `pickroom export` makes its options."""

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
    options: Mapping[str, Any]  # the format's further options by name, "copy" for `--copy`
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


@dataclass(frozen=True, slots=True)
class ExportOption:
    """A further option; `choices` are the values it takes, none for a switch. The default is the first, or off."""

    name: str
    help: str
    choices: tuple[str, ...] = ()

    @property
    def default(self) -> str | bool:
        return self.choices[0] if self.choices else False


@dataclass(frozen=True, slots=True)
class ExportFormat:
    """One format."""

    name: str  # of its option, "coco" for `--coco DIR`
    help: str
    module: str  # in this package; its `export` takes an `ExportRequest` and returns an `Exported`
    options: tuple[ExportOption, ...] = ()
    has_folder: bool = True  # whether the option takes a DIR; else it is a switch

    def export(self, request: ExportRequest) -> Exported:
        """Write it. The module is imported here: a page of help needs none of them."""
        exported: Exported = resolve_name(f"pickroom.exports.{self.module}:export")(request)
        return exported


_COPY = ExportOption("copy", "Copy the pictures into DIR (default: link to them).")
FORMATS = (
    ExportFormat("parquet", "Parquet files of all views, with vectors; updates what has changed.", "parquet"),
    ExportFormat("coco", "COCO data set: picks, and your crops as boxes.", "coco", (_COPY,)),
    ExportFormat(
        "hf",
        "Hugging Face imagefolder with metadata.",
        "imagefolder",
        (ExportOption("metadata", "With --hf: the format of the metadata.", ("jsonl", "csv", "parquet")), _COPY),
    ),
    ExportFormat(
        "pairs",
        "Preference pairs in the formats of Pick-a-Pic and HPD v2.",
        "pairs",
        (_COPY, ExportOption("embed", "With --pairs: store the pictures in the Parquet file, too.")),
    ),
    ExportFormat(
        "xmp",
        "Ratings and crops in XMP sidecars (add --execute).",
        "sidecars",
        (
            ExportOption("execute", "With --xmp: write the sidecars (default: only show them)."),
            ExportOption("undo", "With --xmp: undo the latest write."),
            ExportOption(
                "naming",
                "With --xmp. stem: name.xmp (Lightroom, darktable); full: name.ext.xmp (digiKam).",
                ("stem", "full"),
            ),
        ),
        has_folder=False,
    ),
)

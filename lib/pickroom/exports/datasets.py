"""What exports of pictures share: the choices of some projects, their files, their captions, and the result."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from pickroom.core.naming import companions_by_stem, stem_of
from pickroom.exports import choices
from pickroom.exports.choices import Choices, Judged
from pickroom.exports.folder import Writer, check_outside, picture_name, publish
from pickroom.exports.formats import Exported, ExportRequest
from pickroom.images import metadata

# companions and PNG text that hold what the picture was asked to be; the first that is there counts
_CAPTIONS = ("caption", "txt", "prompt")


@dataclass(frozen=True, slots=True)
class Dataset:
    """The choices to export into one folder."""

    request: ExportRequest
    found: Sequence[Choices]

    @classmethod
    def read(cls, request: ExportRequest) -> Self:
        """Read the choices; raises as `check_outside` and `choices.read` do."""
        check_outside(request.target, request.projects)
        return cls(request, [choices.read(project) for project in request.projects])

    @property
    def images(self) -> list[Judged]:
        return [judged for chosen in self.found for judged in chosen.images]

    def files(self, wanted: Sequence[Judged]) -> dict[str, Path]:
        """Name in the folder -> the image file."""
        roots = {chosen.project.id: chosen.project.root for chosen in self.found}
        return {picture_name(judged): roots[judged.project_id] / judged.path for judged in wanted}

    def publish(
        self, kind: str, files: Mapping[str, Path], documents: Mapping[str, Writer], counts: Mapping[str, int]
    ) -> Exported:
        """Fill the folder; raises as `folder.publish` does.

        Args:
            counts: what is in it -> how many.
        """
        folder = self.request.target
        with self.request.progress("Placing pictures") as progress:
            publish(folder, kind, files, documents, copy=self.request.options["copy"], progress=progress)
        left_out: Counter[str] = sum((chosen.left_out for chosen in self.found), Counter())
        lost = [name for chosen in self.found for name in chosen.lost]
        words = ", ".join(f"{count} {what}" for what, count in counts.items())
        return Exported(
            {"folder": str(folder), **counts, "left_out": dict(left_out)},
            [f"{words} in {folder}", *(f"  left out: {count} {reason}" for reason, count in left_out.items())],
            lost=lost,
            held=len(lost),
            databases={project: [project.database] for project in self.request.projects},
        )


def captions(files: Mapping[str, Path]) -> dict[str, str | None]:
    """Name in the folder -> the picture's caption."""
    found: dict[str, str | None] = {}
    companions: dict[Path, Mapping[str, tuple[str, ...]]] = {}
    for name, path in files.items():
        if path.parent not in companions:
            companions[path.parent] = companions_by_stem(os.listdir(path.parent))
        written = metadata.read(path, companions[path.parent].get(stem_of(path.name), ()))
        found[name] = next((written[key] for key in _CAPTIONS if written.get(key)), None)
    return found


def write_json(path: Path, values: object) -> None:
    """Write one JSON document."""
    path.write_text(json.dumps(values) + "\n", encoding="utf-8")


def write_jsonl(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write one JSON object per line."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def write_parquet(path: Path, rows: Sequence[Mapping[str, Any]], columns: Mapping[str, Any]) -> None:
    """Write rows as Parquet. `columns`: name -> pyarrow type, which holds also where a whole column is NULL."""
    import pyarrow
    import pyarrow.parquet

    schema = pyarrow.schema(list(columns.items()))
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist([dict(row) for row in rows], schema), path)

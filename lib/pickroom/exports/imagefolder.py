"""Every decided image as a Hugging Face `imagefolder`: the pictures, and a metadata file with one line a picture.

Source: https://huggingface.co/docs/datasets/image_dataset, ImageFolder: `metadata.jsonl`, `metadata.csv` or
`metadata.parquet` at the root, its column `file_name` the path of a picture relative to it; every picture of the folder
has a line. Load it with `load_dataset("imagefolder", data_dir=DIR)`. Every line has the same keys, unknown is null.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pickroom.core.errors import UsageError
from pickroom.exports.choices import Choices
from pickroom.exports.folder import picture_name

MetadataKind = Literal["jsonl", "csv", "parquet"]
KINDS: tuple[MetadataKind, ...] = ("jsonl", "csv", "parquet")


def rows(found: Sequence[Choices], captions: Mapping[str, str | None]) -> list[dict[str, Any]]:
    """One row a decided image, in the order of the decisions.

    Args:
        captions: name in the folder -> the caption, for those that have one.

    Returns:
        Rows of file_name, text (the caption), verdict, picked, project_id, group_id, stage, width and height (pixels
        of the EXIF-upright image), crop_x1 .. crop_y2 (fractions of it), decided_at.
    """
    made = []
    for group in (group for choices in found for group in choices.groups):
        for judged in group.images:
            box = judged.box.to_list() if judged.box is not None else [None] * 4
            name = picture_name(judged)
            made.append(
                {
                    "file_name": name,
                    "text": captions.get(name),
                    "verdict": judged.verdict,
                    "picked": judged.verdict == "picked",
                    "project_id": judged.project_id,
                    "group_id": judged.group_id,
                    "stage": judged.image.stage,
                    "width": judged.image.width,
                    "height": judged.image.height,
                    **dict(zip(("crop_x1", "crop_y1", "crop_x2", "crop_y2"), box, strict=True)),
                    "decided_at": group.decided_at,
                }
            )
    return made


def write(path: Path, made: Sequence[Mapping[str, Any]], kind: MetadataKind) -> None:
    """Write the metadata file; raises UsageError for an unknown kind, OSError as the disk does."""
    if kind == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in made), encoding="utf-8")
    elif kind == "csv":
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(made[0]) if made else ["file_name"])
            writer.writeheader()
            writer.writerows({**row, "text": _no_formula(row["text"])} for row in made)
    elif kind == "parquet":
        import pyarrow
        import pyarrow.parquet

        pyarrow.parquet.write_table(pyarrow.Table.from_pylist([dict(row) for row in made], _schema()), path)
    else:
        raise UsageError(f"{kind!r} is no kind of metadata", doing="exporting", hint=f"use one of {', '.join(KINDS)}")


def _no_formula(text: str | None) -> str | None:
    """A caption as a cell that no spreadsheet calculates (docs/decisions/115): a space in front means nothing in it."""
    return f" {text}" if text and text[0] in "=+-@\t\r\n" else text


def _schema() -> Any:
    """Types that hold also where a whole column is NULL."""
    import pyarrow

    texts = {name: pyarrow.string() for name in ("file_name", "text", "verdict", "project_id", "group_id")}
    numbers = {name: pyarrow.float64() for name in ("crop_x1", "crop_y1", "crop_x2", "crop_y2")}
    order = {
        **{name: texts[name] for name in ("file_name", "text", "verdict")},
        "picked": pyarrow.bool_(),
        **{name: texts[name] for name in ("project_id", "group_id")},
        "stage": pyarrow.float64(),
        "width": pyarrow.int64(),
        "height": pyarrow.int64(),
        **numbers,
        "decided_at": pyarrow.string(),
    }
    return pyarrow.schema(list(order.items()))

"""Every decided image as a Hugging Face `imagefolder`: the pictures, and a metadata file with one line a picture.

Source: https://huggingface.co/docs/datasets/image_dataset, ImageFolder: `metadata.jsonl`, `metadata.csv` or
`metadata.parquet` at the root, its column `file_name` the path of a picture relative to it; every picture of the folder
has a line. Load it with `load_dataset("imagefolder", data_dir=DIR)`. Every line has the same keys, unknown is null.
"""

import csv
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from pickroom.core.quantities import is_formula
from pickroom.exports.choices import Choices
from pickroom.exports.folder import Dataset, Writer, captions, picture_name, write_jsonl, write_parquet
from pickroom.exports.formats import Exported, ExportRequest

_COLUMNS = {
    **dict.fromkeys(("file_name", "text", "verdict"), "string"),
    "picked": "bool",
    **dict.fromkeys(("project_id", "group_id"), "string"),
    "stage": "double",
    **dict.fromkeys(("width", "height"), "int64"),
    **dict.fromkeys(("crop_x1", "crop_y1", "crop_x2", "crop_y2"), "double"),
    "decided_at": "string",
}


def export(request: ExportRequest) -> Exported:
    """Write `DIR/metadata.<kind>` and `DIR/images/`; raises as `Dataset.read` and `folder.fill` do."""
    dataset = Dataset.read(request)
    files = dataset.files(dataset.images)
    found, unread = captions(files)
    made = rows(dataset.found, found)
    writers: dict[str, Writer] = {
        "jsonl": partial(write_jsonl, rows=made),
        "csv": partial(_write_csv, made=made),
        "parquet": partial(write_parquet, rows=made, columns=_COLUMNS),
    }
    kind = request.options["metadata"]
    counts = {"images": len(made), "picked": sum(row["picked"] for row in made)}
    return dataset.publish("imagefolder", files, {f"metadata.{kind}": writers[kind]}, counts, unread)


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


def _write_csv(path: Path, made: Sequence[Mapping[str, Any]]) -> None:
    """Write CSV in which no caption is a formula (docs/decisions/115): a space in front means nothing in it."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(made[0]) if made else ["file_name"])
        writer.writeheader()
        for row in made:
            text = row["text"]
            writer.writerow({**row, "text": f" {text}" if text and is_formula(text) else text})

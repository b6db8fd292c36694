"""Picks and crops as COCO object detection: one image a picked picture, one annotation a crop.

Source of the fields: https://cocodataset.org/#format-data, Object Detection (info, licenses, images, annotations,
categories; bbox [x, y, width, height] in pixels from the top left corner). A picture without an annotation is one that
the user picked and did not crop.
"""

import hashlib
from functools import partial
from typing import Any

from pickroom import __version__
from pickroom.core.geometry import to_pixels
from pickroom.core.records import CropBox
from pickroom.exports.choices import Judged
from pickroom.exports.folder import Dataset, picture_name, write_json
from pickroom.exports.formats import Exported, ExportRequest

CATEGORY = {"id": 1, "name": "crop", "supercategory": "pickroom"}


def stable_id(*names: str) -> int:
    """A positive number that follows from names alone: the same image has the same id in every export.

    At most 48 bits: of a million images two agree with a probability of 0.2 %.
    """
    # hexadecimal: 48 bits are exact also where a number is a double
    return int(hashlib.sha256("\0".join(names).encode()).hexdigest()[:12], 16) or 1


def export(request: ExportRequest) -> Exported:
    """Write `DIR/annotations.json` and `DIR/images/`; raises as `Dataset.read` and `folder.fill` do.

    Sizes and boxes are those of the EXIF-upright picture.
    """
    dataset = Dataset.read(request)
    picked = [judged for judged in dataset.images if judged.verdict == "picked"]
    made: dict[str, Any] = {
        "info": {
            "description": "Picked images and their crops, in the frame of the EXIF-upright image",
            "version": __version__,
            "contributor": "Pickroom",
        },
        "licenses": [],
        "images": [_image(judged) for judged in picked],
        "annotations": [_annotation(judged, judged.box) for judged in picked if judged.box is not None],
        "categories": [CATEGORY],
    }
    counts = {name: len(made[name]) for name in ("images", "annotations")}
    documents = {"annotations.json": partial(write_json, values=made)}
    return dataset.publish("COCO", dataset.files(picked), documents, counts)


def _image(judged: Judged) -> dict[str, Any]:
    return {
        "id": stable_id(judged.project_id, judged.name),
        "file_name": picture_name(judged),
        "width": judged.image.width,
        "height": judged.image.height,
        "date_captured": judged.image.taken_at.isoformat(sep=" ") if judged.image.taken_at else None,
        "license": None,
        "project_id": judged.project_id,
        "group_id": judged.group_id,
    }


def _annotation(judged: Judged, box: CropBox) -> dict[str, Any]:
    x1, y1, x2, y2 = to_pixels(box, judged.image.width, judged.image.height)
    return {
        "id": stable_id(judged.project_id, judged.name, "crop"),
        "image_id": stable_id(judged.project_id, judged.name),
        "category_id": CATEGORY["id"],
        "bbox": [x1, y1, x2 - x1, y2 - y1],
        "area": (x2 - x1) * (y2 - y1),
        "segmentation": [[x1, y1, x2, y1, x2, y2, x1, y2]],
        "iscrowd": 0,
    }

"""Picks as preference pairs, in the columns that training code of two public data sets reads.

Pick-a-Pic (https://huggingface.co/datasets/yuvalkirstain/pickapic_v1, dataset_info): one row a pair, label_0 and
label_1 of 1.0 and 0.0, jpg_0 and jpg_1 the pictures' bytes, best_image_uid the one preferred. HPD v2
(https://huggingface.co/datasets/ymhao/HPDv2, train.json): `human_preference` [1, 0] or [0, 1] in the order of the
paths; the data set's card calls them `file_path`, loaders of its files `image_path`, so both are there. Its test split
holds a whole ranking of each prompt's images; a pick is not one, and none is made up.

A group of n images gives n - 1 pairs: the pick, and each image passed over. Either may stand first, as the group has
them, so that the place says nothing. Groups rejected or kept whole prefer nothing.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from pickroom.exports.choices import Choices, Judged
from pickroom.exports.coco import stable_id
from pickroom.exports.folder import Dataset, Writer, captions, picture_name, write_json, write_jsonl, write_parquet
from pickroom.exports.formats import Exported, ExportRequest
from pickroom.images import decode

PERSON = 0  # user_id: a workspace is one person's
_ROWS_A_PART = 64  # of Parquet, where bytes are in it: bounds memory
_PICKAPIC_COLUMNS = {
    "are_different": "bool",
    **dict.fromkeys(("best_image_uid", "caption"), "string"),
    "created_at": "time",
    "has_label": "bool",
    **dict.fromkeys(("image_0_uid", "image_0_url", "image_1_uid", "image_1_url"), "string"),
    **dict.fromkeys(("jpg_0", "jpg_1"), "binary"),
    **dict.fromkeys(("label_0", "label_1"), "double"),
    **dict.fromkeys(("model_0", "model_1"), "string"),
    **dict.fromkeys(("ranking_id", "user_id", "num_example_per_prompt"), "int64"),
}
_HPDV2_COLUMNS = {
    "human_preference": "integers",
    "prompt": "string",
    **dict.fromkeys(("image_path", "file_path"), "strings"),
}


def export(request: ExportRequest) -> Exported:
    """Write `DIR/pickapic.*`, `DIR/hpdv2.*` and `DIR/images/`; raises as `Dataset.read` and `folder.fill` do.

    Its option "embed" puts the pictures' bytes into the columns jpg_0 and jpg_1 of the Parquet file.
    """
    dataset = Dataset.read(request)
    groups = [group for choices in dataset.found for group in choices.groups if group.picked]
    files = dataset.files([judged for group in groups for judged in group.images if judged.verdict != "kept"])
    found, unread = captions(files)
    made = pairs(dataset.found, found)
    preferences = [hpdv2_row(row) for row in made]
    embedded = files if request.options["embed"] else {}

    def write_pickapic(path: Path) -> None:
        write_parquet(path, _with_pictures(made, embedded), _PICKAPIC_COLUMNS, rows_a_part=_ROWS_A_PART)

    documents: dict[str, Writer] = {
        "pickapic.parquet": write_pickapic,
        "pickapic.jsonl": partial(write_jsonl, rows=made),
        "hpdv2.parquet": partial(write_parquet, rows=preferences, columns=_HPDV2_COLUMNS),
        "hpdv2.jsonl": partial(write_jsonl, rows=preferences),
        "hpdv2.json": partial(write_json, values=preferences),
    }
    return dataset.publish("pairs", files, documents, {"images": len(files), "pairs": len(made)}, unread)


def pairs(found: Sequence[Choices], captions: Mapping[str, str | None]) -> list[dict[str, Any]]:
    """A row for every pair in Pick-a-Pic's columns, in the order of the decisions, without the pictures' bytes.

    The caption is NULL unless both images have the same one; `captions` is name in the folder -> caption.
    """
    made = []
    for group in (group for choices in found for group in choices.groups):
        pick = group.picked
        others = [judged for judged in group.images if judged.verdict == "passed over"]
        for other in others if pick is not None else ():
            assert pick is not None
            first, second = sorted((pick, other), key=group.images.index)
            names = [picture_name(first), picture_name(second)]
            texts = {captions.get(name) for name in names}
            made.append(
                {
                    "are_different": True,
                    "best_image_uid": picture_name(pick),
                    "caption": texts.pop() if len(texts) == 1 else None,
                    "created_at": group.decided_at,
                    "has_label": True,
                    "image_0_uid": names[0],
                    "image_0_url": names[0],
                    "image_1_uid": names[1],
                    "image_1_url": names[1],
                    "jpg_0": None,
                    "jpg_1": None,
                    "label_0": float(first is pick),
                    "label_1": float(second is pick),
                    "model_0": _stage(first),
                    "model_1": _stage(second),
                    "ranking_id": stable_id(pick.project_id, group.group_id),
                    "user_id": PERSON,
                    "num_example_per_prompt": len(others),
                }
            )
    return made


def hpdv2_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of `pairs` as HPD v2's train split has it."""
    paths = [row["image_0_uid"], row["image_1_uid"]]
    preference = [int(row["label_0"]), int(row["label_1"])]
    return {"human_preference": preference, "prompt": row["caption"], "image_path": paths, "file_path": paths}


def _with_pictures(made: Sequence[Mapping[str, Any]], files: Mapping[str, Path]) -> Iterator[dict[str, Any]]:
    """The rows for Parquet, with the upright pictures as JPEG where `files` (name in the folder -> image) are given.

    Raises ImageError where a picture cannot be read.
    """
    for row in made:
        bytes_of = {
            f"jpg_{side}": decode.encode_jpeg(decode.read_rgb(files[row[f"image_{side}_uid"]]))
            for side in ((0, 1) if files else ())
        }
        yield {**row, "created_at": _time(row["created_at"]), **bytes_of}


def _stage(judged: Judged) -> str | None:
    """What made an image, as far as its name says: its stage stands where Pick-a-Pic names a model."""
    return None if judged.image.stage is None else f"stage{judged.image.stage:g}"


def _time(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:  # an older row may hold anything
        return None

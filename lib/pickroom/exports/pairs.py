"""Picks as preference pairs, in the columns that training code of two public data sets reads.

Pick-a-Pic (https://huggingface.co/datasets/yuvalkirstain/pickapic_v1, dataset_info): one row a pair, label_0 and
label_1 of 1.0 and 0.0, jpg_0 and jpg_1 the pictures' bytes, best_image_uid the one preferred. HPD v2
(https://huggingface.co/datasets/ymhao/HPDv2, train.json): `human_preference` [1, 0] or [0, 1] in the order of the
paths; the data set's card calls them `file_path`, loaders of its files `image_path`, so both are there. Its test split
holds a whole ranking of each prompt's images; a pick is not one, and none is made up.

A group of n images gives n - 1 pairs: the pick, and each image passed over. Either may stand first, as the group has
them, so that the place says nothing. Groups rejected or kept whole prefer nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from pickroom.exports.choices import Choices, Judged
from pickroom.exports.coco import stable_id
from pickroom.exports.folder import Dataset, Writer, captions, picture_name, write_json, write_jsonl, write_parquet
from pickroom.exports.formats import Exported, ExportRequest
from pickroom.images import decode

PICKAPIC, HPDV2 = "pickapic", "hpdv2"
PERSON = 0  # user_id: a workspace is one person's
_ROWS_A_PART = 64  # of Parquet, where bytes are in it: bounds memory


@dataclass(frozen=True, slots=True)
class PreferencePair:
    """A pick and one image passed over, in the group's order; `caption` is NULL unless both have the same one."""

    first: Judged
    second: Judged
    caption: str | None
    decided_at: str
    pairs_of_group: int

    @property
    def label(self) -> int:
        """0 where the first was picked, else 1."""
        return 0 if self.first.verdict == "picked" else 1


def export(request: ExportRequest) -> Exported:
    """Write `DIR/pickapic.*`, `DIR/hpdv2.*` and `DIR/images/`; raises as `Dataset.read` and `folder.fill` do.

    Its option "embed" puts the pictures' bytes into the columns jpg_0 and jpg_1 of the Parquet file.
    """
    dataset = Dataset.read(request)
    groups = [group for choices in dataset.found for group in choices.groups if group.picked]
    files = dataset.files([judged for group in groups for judged in group.images if judged.verdict != "kept"])
    found, unread = captions(files)
    made = pairs(dataset.found, found)
    preferences = [hpdv2_row(pair) for pair in made]
    documents: dict[str, Writer] = {
        f"{PICKAPIC}.parquet": partial(write_pickapic, made=made, files=files if request.options["embed"] else None),
        f"{PICKAPIC}.jsonl": partial(write_jsonl, rows=[pickapic_row(pair) for pair in made]),
        f"{HPDV2}.parquet": lambda path: write_parquet(path, preferences, _hpdv2_columns()),
        f"{HPDV2}.jsonl": partial(write_jsonl, rows=preferences),
        f"{HPDV2}.json": partial(write_json, values=preferences),
    }
    return dataset.publish("pairs", files, documents, {"images": len(files), "pairs": len(made)}, unread)


def pairs(found: Sequence[Choices], captions: Mapping[str, str | None]) -> list[PreferencePair]:
    """Every pair, in the order of the decisions. `captions`: name in the folder -> caption."""
    made = []
    for group in (group for choices in found for group in choices.groups):
        pick = group.picked
        others = [judged for judged in group.images if judged.verdict == "passed over"]
        for other in others if pick is not None else ():
            assert pick is not None
            first, second = sorted((pick, other), key=group.images.index)
            texts = {captions.get(picture_name(first)), captions.get(picture_name(second))}
            caption = texts.pop() if len(texts) == 1 else None
            made.append(PreferencePair(first, second, caption, group.decided_at, len(others)))
    return made


def pickapic_row(pair: PreferencePair) -> dict[str, Any]:
    """One row in Pick-a-Pic's columns, in their order, without the pictures' bytes."""
    first, second = (picture_name(judged) for judged in (pair.first, pair.second))
    labels = (1.0, 0.0) if pair.label == 0 else (0.0, 1.0)
    return {
        "are_different": True,
        "best_image_uid": (first, second)[pair.label],
        "caption": pair.caption,
        "created_at": pair.decided_at,
        "has_label": True,
        "image_0_uid": first,
        "image_0_url": first,
        "image_1_uid": second,
        "image_1_url": second,
        "jpg_0": None,
        "jpg_1": None,
        "label_0": labels[0],
        "label_1": labels[1],
        "model_0": _stage(pair.first),
        "model_1": _stage(pair.second),
        "ranking_id": stable_id(pair.first.project_id, pair.first.group_id),
        "user_id": PERSON,
        "num_example_per_prompt": pair.pairs_of_group,
    }


def hpdv2_row(pair: PreferencePair) -> dict[str, Any]:
    """One row as HPD v2's train split has it."""
    paths = [picture_name(pair.first), picture_name(pair.second)]
    preference = [1, 0] if pair.label == 0 else [0, 1]
    return {"human_preference": preference, "prompt": pair.caption, "image_path": paths, "file_path": paths}


def write_pickapic(path: Path, made: Sequence[PreferencePair], files: Mapping[str, Path] | None) -> None:
    """Pick-a-Pic's Parquet.

    Args:
        files: name in the folder -> image file, to put the upright pictures into jpg_0 and jpg_1 as JPEG; None leaves
            those NULL.

    Raises:
        ImageError: a picture cannot be read.
    """
    import pyarrow
    import pyarrow.parquet

    schema = pyarrow.schema(list(_pickapic_columns().items()))
    with pyarrow.parquet.ParquetWriter(path, schema) as writer:
        for start in range(0, len(made), _ROWS_A_PART):
            rows = [pickapic_row(pair) for pair in made[start : start + _ROWS_A_PART]]
            for row in rows:
                row["created_at"] = _time(row["created_at"])
                if files is not None:
                    row["jpg_0"], row["jpg_1"] = (
                        decode.encode_jpeg(decode.read_rgb(files[row[f"image_{side}_uid"]])) for side in (0, 1)
                    )
            writer.write_table(pyarrow.Table.from_pylist(rows, schema))


def _pickapic_columns() -> dict[str, Any]:
    import pyarrow

    text, flag, number, whole = pyarrow.string(), pyarrow.bool_(), pyarrow.float64(), pyarrow.int64()
    return {
        "are_different": flag,
        **dict.fromkeys(("best_image_uid", "caption"), text),
        "created_at": pyarrow.timestamp("us", "UTC"),
        "has_label": flag,
        **dict.fromkeys(("image_0_uid", "image_0_url", "image_1_uid", "image_1_url"), text),
        **dict.fromkeys(("jpg_0", "jpg_1"), pyarrow.binary()),
        **dict.fromkeys(("label_0", "label_1"), number),
        **dict.fromkeys(("model_0", "model_1"), text),
        **dict.fromkeys(("ranking_id", "user_id", "num_example_per_prompt"), whole),
    }


def _hpdv2_columns() -> dict[str, Any]:
    import pyarrow

    texts = pyarrow.list_(pyarrow.string())
    numbers = pyarrow.list_(pyarrow.int64())
    return {"human_preference": numbers, "prompt": pyarrow.string(), "image_path": texts, "file_path": texts}


def _stage(judged: Judged) -> str | None:
    """What made an image, as far as its name says: its stage stands where Pick-a-Pic names a model."""
    return None if judged.image.stage is None else f"stage{judged.image.stage:g}"


def _time(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:  # an older row may hold anything
        return None

"""COCO, imagefolder and preference pairs, read back as their readers do."""

from __future__ import annotations

import csv
import errno
import io
import json
import os
import signal
from pathlib import Path
from typing import Any

import pyarrow.json
import pyarrow.parquet
import pytest
from PIL import Image as PillowImage

from conftest import read_tree
from exports.conftest import BOX
from pickroom.core.errors import ConflictError, FileOperationError, UsageError
from pickroom.core.geometry import to_pixels
from pickroom.exports import choices, folder
from pickroom.exports.folder import STATE_FILE
from pickroom.store.workspace import Project
from support.exporting import export_coco, export_imagefolder, export_pairs
from support.reviewing import exit_code_of, in_child, obey_permissions

# https://huggingface.co/datasets/yuvalkirstain/pickapic_v1, dataset_info, without the index that pandas left there
PICKAPIC = (
    *("are_different", "best_image_uid", "caption", "created_at", "has_label", "image_0_uid", "image_0_url"),
    *("image_1_uid", "image_1_url", "jpg_0", "jpg_1", "label_0", "label_1", "model_0", "model_1"),
    *("ranking_id", "user_id", "num_example_per_prompt"),
)


def listed(folder: Path) -> set[str]:
    return {path for path in read_tree(folder) if path.startswith("images/")}


def test_coco_as_its_readers_index_it(judged: Project, tmp_path: Path) -> None:
    done = export_coco([judged], tmp_path / "out")
    assert done.values == {
        "folder": str(tmp_path / "out"),
        "images": 2,
        "annotations": 1,
        "left_out": {choices.BY_MACHINE: 1},
    }
    document = json.loads((tmp_path / "out" / "annotations.json").read_text())
    assert set(document) == {"info", "licenses", "images", "annotations", "categories"}
    images = {image["id"]: image for image in document["images"]}
    (annotation,) = document["annotations"]
    assert annotation["category_id"] in {category["id"] for category in document["categories"]}
    image = images[annotation["image_id"]]
    with PillowImage.open(tmp_path / "out" / image["file_name"]) as opened:
        assert opened.size == (image["width"], image["height"])
    x1, y1, x2, y2 = to_pixels(BOX, image["width"], image["height"])
    assert annotation["bbox"] == [x1, y1, x2 - x1, y2 - y1]
    assert (annotation["area"], annotation["iscrowd"]) == ((x2 - x1) * (y2 - y1), 0)
    assert listed(tmp_path / "out") == {image["file_name"] for image in images.values()}


def test_coco_ids_stay_whatever_else_is_exported(judged: Project, tmp_path: Path) -> None:
    def ids(folder: Path) -> dict[str, int]:
        export_coco([judged], folder)
        return {i["file_name"]: i["id"] for i in json.loads((folder / "annotations.json").read_text())["images"]}

    before = ids(tmp_path / "a")
    first = choices.read(judged).images[0]
    (judged.root / first.path).unlink()
    after = ids(tmp_path / "b")
    assert len(after) == len(before) - 1
    assert after.items() <= before.items()


@pytest.mark.parametrize("kind", ["jsonl", "csv", "parquet"])
def test_imagefolder_has_one_metadata_line_per_picture(judged: Project, tmp_path: Path, kind: Any) -> None:
    out = tmp_path / "out"
    export_imagefolder([judged], out, metadata=kind)
    path = out / f"metadata.{kind}"
    if kind == "jsonl":
        rows = pyarrow.json.read_json(path).to_pylist()  # as `datasets` reads it: one schema for all lines
    elif kind == "csv":
        rows = list(csv.DictReader(path.open(newline="")))
    else:
        rows = pyarrow.parquet.read_table(path).to_pylist()
    assert {row["file_name"] for row in rows} == listed(out)
    assert len(rows) == 9
    assert {row["text"] for row in rows} == {"a red kite"}
    (cut,) = [row for row in rows if row["crop_x1"] not in (None, "")]
    assert [float(cut[f"crop_{edge}"]) for edge in ("x1", "y1", "x2", "y2")] == BOX.to_list()
    assert sorted(row["verdict"] for row in rows if str(row["picked"]) == "True") == ["picked", "picked"]


def test_formula_like_captions_are_quoted_in_tables_only(judged: Project, tmp_path: Path) -> None:
    for path in judged.root.rglob("*.caption"):
        path.write_text("=HYPERLINK(1)")
    export_imagefolder([judged], tmp_path / "a", metadata="csv")
    export_imagefolder([judged], tmp_path / "b")
    with (tmp_path / "a" / "metadata.csv").open(newline="") as file:
        assert {row["text"] for row in csv.DictReader(file)} == {" =HYPERLINK(1)"}
    assert {json.loads(line)["text"] for line in (tmp_path / "b" / "metadata.jsonl").open()} == {"=HYPERLINK(1)"}


def test_captions_of_code_pages_are_read_and_others_named(judged: Project, tmp_path: Path) -> None:
    (lost, *_) = (judged.root / "selected").glob("*.caption")
    others = [path for path in judged.root.rglob("*.caption") if path != lost]
    lost.write_bytes(b"caf\x81")
    for path, encoding in zip(others, 9 * ("utf-16", "cp1252", "utf-8-sig"), strict=False):
        path.write_bytes("a café by the sea".encode(encoding))
    done = export_imagefolder([judged], tmp_path)
    texts = {row["file_name"]: row["text"] for row in map(json.loads, (tmp_path / "metadata.jsonl").open())}
    name = f"images/p/{lost.stem}.png"
    assert texts.pop(name) is None and set(texts.values()) == {"a café by the sea"}
    assert done.values["unread_captions"] == {name: "its caption is not text in a known encoding"}
    assert "  exported as null: 1 caption that cannot be read" in done.lines and any(
        name in line for line in done.lines
    )
    assert "unread_captions" in export_pairs([judged], tmp_path / "pairs").values


def test_pairs_as_pick_a_pic_has_them(judged: Project, tmp_path: Path) -> None:
    done = export_pairs([judged], tmp_path, embed=True)
    assert (done.values["images"], done.values["pairs"]) == (5, 3)
    rows = pyarrow.parquet.read_table(tmp_path / "pickapic.parquet").to_pylist()
    assert tuple(rows[0]) == PICKAPIC
    for row in rows:
        assert row["has_label"] and {row["label_0"], row["label_1"]} == {0.0, 1.0}
        best = row["image_0_uid"] if row["label_0"] == 1.0 else row["image_1_uid"]
        assert best == row["best_image_uid"]
        for side in (0, 1):
            with (
                PillowImage.open(io.BytesIO(row[f"jpg_{side}"])) as seen,
                PillowImage.open(tmp_path / row[f"image_{side}_url"]) as file,
            ):
                assert (seen.format, seen.size) == ("JPEG", file.size)
    # a pick in the middle of three stands second, then first: its place tells nothing
    assert [row["label_0"] for row in rows if row["num_example_per_prompt"] == 2] == [0.0, 1.0]
    lines = [json.loads(line) for line in (tmp_path / "pickapic.jsonl").open()]
    assert [tuple(line) for line in lines] == [PICKAPIC] * 3
    assert [line["best_image_uid"] for line in lines] == [row["best_image_uid"] for row in rows]


def test_pairs_as_hpd_v2_has_them(judged: Project, tmp_path: Path) -> None:
    export_pairs([judged], tmp_path)
    rows = json.loads((tmp_path / "hpdv2.json").read_text())
    assert rows == [json.loads(line) for line in (tmp_path / "hpdv2.jsonl").open()]
    assert rows == pyarrow.parquet.read_table(tmp_path / "hpdv2.parquet").to_pylist()
    picked = {Path(i.path).name for i in choices.read(judged).images if i.verdict == "picked"}
    for row in rows:
        assert row["image_path"] == row["file_path"]
        assert row["prompt"] == "a red kite"
        assert Path(row["image_path"][row["human_preference"].index(1)]).name in picked
        assert Path(row["image_path"][row["human_preference"].index(0)]).name not in picked
    assert pyarrow.parquet.read_table(tmp_path / "pickapic.parquet")["jpg_0"].null_count == 3


def test_captions_that_differ_are_no_prompt_of_the_pair(judged: Project, tmp_path: Path) -> None:
    for path in judged.root.rglob("*.caption"):
        path.write_text(path.stem)
    export_pairs([judged], tmp_path)
    assert [row["prompt"] for row in json.loads((tmp_path / "hpdv2.json").read_text())] == [None] * 3


def test_links_or_copies_and_the_project_stays_as_it_was(judged: Project, tmp_path: Path) -> None:
    before = read_tree(judged.root)
    export_coco([judged], tmp_path / "links")
    export_coco([judged], tmp_path / "copies", copy=True)
    assert {path.is_symlink() for path in (tmp_path / "links").rglob("*.png")} == {True}
    assert {path.is_symlink() for path in (tmp_path / "copies").rglob("*.png")} == {False}
    assert read_tree(tmp_path / "links" / "images") == read_tree(tmp_path / "copies" / "images")
    export_coco([judged], tmp_path / "links", copy=True)  # the other way in the same folder
    assert {path.is_symlink() for path in (tmp_path / "links").rglob("*.png")} == {False}
    assert read_tree(judged.root) == before


@pytest.mark.parametrize("code", [errno.EPERM, errno.ENOSYS, errno.ENOTSUP])
def test_a_disk_without_links_is_told_to_take_copies(
    judged: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "symlink", refused)
    with pytest.raises(FileOperationError, match=r"the disk has no symbolic links .*\(copy the pictures: --copy\)"):
        export_coco([judged], tmp_path / "out")
    monkeypatch.setattr(os, "utime", refused)  # nor has it times
    export_coco([judged], tmp_path / "out", copy=True)
    assert len(listed(tmp_path / "out")) == 2


def test_second_export_removes_stale_files_and_keeps_others(judged: Project, tmp_path: Path) -> None:
    export_imagefolder([judged], tmp_path / "out")
    (tmp_path / "out" / "notes.txt").write_text("mine")
    gone = choices.read(judged).images[0]
    (judged.root / gone.path).unlink()
    export_imagefolder([judged], tmp_path / "out", metadata="csv")
    rows = list(csv.DictReader((tmp_path / "out" / "metadata.csv").open(newline="")))
    assert {row["file_name"] for row in rows} == listed(tmp_path / "out")
    assert not (tmp_path / "out" / "metadata.jsonl").exists()
    assert (tmp_path / "out" / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("copy", [True, False], ids=["copies", "links"])
def test_leftovers_of_a_killed_export_go_with_the_next(judged: Project, tmp_path: Path, copy: bool) -> None:
    out = tmp_path / "out"

    def die() -> None:
        real, seen = os.replace, []

        def replace(*paths: Path) -> None:
            seen.append(paths)
            if len(seen) == 2:  # the first is the list of what is about to be made
                os.kill(os.getpid(), signal.SIGKILL)
            real(*paths)

        os.replace = replace
        export_imagefolder([judged], out, copy=copy)

    assert exit_code_of(die) == -signal.SIGKILL
    assert list(out.glob(".pickroom-export-*")) != []
    export_imagefolder([judged], out, copy=copy)
    assert [path.name for path in out.iterdir() if path.name.startswith(".")] == [folder.STATE_FILE]


def test_files_of_others_and_other_kinds_are_not_replaced(judged: Project, tmp_path: Path) -> None:
    (tmp_path / "annotations.json").write_text("mine")
    with pytest.raises(ConflictError, match="not made by an export"):
        export_coco([judged], tmp_path)
    assert list(tmp_path.glob("images/p")) == []
    export_imagefolder([judged], tmp_path / "out")
    with pytest.raises(ConflictError, match="holds an export to imagefolder"):
        export_coco([judged], tmp_path / "out")
    with pytest.raises(UsageError, match="lies in the images of project p"):
        export_coco([judged], judged.root / "coco")


@pytest.mark.parametrize("copy", [False, True])
def test_files_that_were_changed_since_are_kept(judged: Project, tmp_path: Path, copy: bool) -> None:
    export_coco([judged], tmp_path, copy=copy)
    export_coco([judged], tmp_path, copy=copy)
    picture = tmp_path / min(listed(tmp_path))
    for changed in (tmp_path / "annotations.json", picture):
        before = changed.read_bytes()
        changed.unlink()
        changed.write_text("mine")
        with pytest.raises(ConflictError, match="changed since, the first"):
            export_coco([judged], tmp_path, copy=copy)
        assert changed.read_text() == "mine"
        changed.unlink()
        changed.write_bytes(before)
        if changed != picture:
            export_coco([judged], tmp_path, copy=copy)


def test_an_outdated_file_that_was_changed_is_not_removed(judged: Project, tmp_path: Path) -> None:
    export_imagefolder([judged], tmp_path)
    (tmp_path / "metadata.jsonl").write_text("mine")
    export_imagefolder([judged], tmp_path, metadata="csv")
    assert (tmp_path / "metadata.jsonl").read_text() == "mine"
    assert "metadata.jsonl" not in json.loads((tmp_path / STATE_FILE).read_text())["files"]


def test_a_folder_of_an_older_export_is_brought_up_to_date(judged: Project, tmp_path: Path) -> None:
    export_coco([judged], tmp_path)
    state = json.loads((tmp_path / STATE_FILE).read_text())
    (tmp_path / STATE_FILE).write_text(json.dumps({**state, "files": list(state["files"])}))
    (tmp_path / "annotations.json").write_text("of an older version")
    export_coco([judged], tmp_path)
    assert json.loads((tmp_path / "annotations.json").read_text())["images"]


def test_closed_folder_gives_one_line_and_rerun_completes_export(judged: Project, tmp_path: Path) -> None:
    def attempt() -> str:
        obey_permissions()
        with pytest.raises(FileOperationError) as refused:
            export_coco([judged], out)
        return refused.value.line

    out = tmp_path / "out"
    (out / "images").mkdir(parents=True, mode=0o500)
    assert in_child(attempt).endswith("(make room, or give another folder, and run it again)")
    (out / "images").chmod(0o700)
    assert export_coco([judged], out).values["images"] == 2

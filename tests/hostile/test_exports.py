"""Hostile things where exports write: other programs' sidecars, folders with something in the way, records of an enemy.
What is refused stays as it was to the byte, what is written can be taken back, and nothing lands anywhere else.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest

from conftest import read_tree
from hostile.guard import attempt, survive
from hostile.mutations import TEXTS, damaged, json_bytes, value
from hostile.packets import hostile_packet
from pickroom.core.errors import ConflictError, PickroomError, UsageError
from pickroom.exports import parquet, sidecars
from pickroom.exports.choices import Choices
from pickroom.exports.folder import STATE_FILE
from pickroom.store.workspace import Project
from support.exporting import export_coco, export_imagefolder, export_pairs
from support.reviewing import FINALISE, in_child, review

CASES = 15


@pytest.fixture
def judged(make_project: Callable[..., Project], tmp_path: Path) -> Project:
    """Two groups decided, one rejected and one undecided; next to it a folder that nothing may touch."""
    project = make_project([(1, 2), (1, 1.5, 2), (1, 2), (1, 2)])
    review(project, "1", "2", "x", *FINALISE)
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret.xmp").write_text("secret")
    return project


class Ground:
    """The folders of a project and the one next to it as they were; `same` says whether they still are."""

    def __init__(self, project: Project, tmp_path: Path) -> None:
        self.project, self.tmp_path = project, tmp_path
        self.outside = tmp_path / "outside"
        self.kept = self._all()

    def _all(self) -> list[Any]:
        names = sorted(path.name for path in self.outside.rglob("*"))
        return [names, read_tree(self.outside), read_tree(self.project.root)]

    def same(self) -> bool:
        return self._all() == self.kept

    def ways_out(self) -> list[str]:
        secret = self.outside / "secret.xmp"
        return [str(secret), os.path.relpath(secret, self.project.root), f"a/../../{secret.parent.name}/{secret.name}"]


def test_sidecars_of_other_programs_survive_a_write_and_its_undo(judged: Project, tmp_path: Path) -> None:
    names = [item.path for item in sidecars.plan(_choices(judged))]
    ground = Ground(judged, tmp_path)

    def case(rng: random.Random) -> str:
        laid = {}
        for name in rng.sample(names, 3):
            path = judged.root / name
            kind = rng.randrange(8)
            if kind == 0:
                path.symlink_to(rng.choice((ground.outside / "secret.xmp", "loop.xmp", path.name)))
            elif kind == 1:
                os.mkfifo(path)
            elif kind == 2:
                path.mkdir()
            else:
                path.write_bytes(laid.setdefault(name, hostile_packet(rng)))
        before = {name: read for name in laid if (read := (judged.root / name).read_bytes()) is not None}
        planned, _, record = sidecars.write(judged)
        held = {item.path for item in planned if item.held is not None}
        assert all((judged.root / name).read_bytes() == before[name] for name in held & set(before))
        assert all(item.held.isprintable() for item in planned if item.held is not None)
        assert record is not None
        undone = sidecars.undo(judged)
        assert not undone.held
        assert {name: (judged.root / name).read_bytes() for name in before} == before
        for name in names:
            path = judged.root / name
            if path.is_dir() and not path.is_symlink():
                path.rmdir()
            else:
                path.unlink(missing_ok=True)
        assert ground.same()
        return "held" if held else "merged"

    tally = survive("exports/sidecars", CASES, case)
    assert tally.outcomes["held"]


def _choices(project: Project) -> Choices:
    from pickroom.exports import choices

    return choices.read(project)


def test_hostile_record_undoes_nothing_that_was_not_written(judged: Project, tmp_path: Path) -> None:
    ground = Ground(judged, tmp_path)
    _, _, record = sidecars.write(judged)
    assert record is not None
    lines = [json.loads(line) for line in record.read_text().splitlines()]
    written = {path: path.read_bytes() for path in judged.root.rglob("*.xmp")}
    secret = hashlib.sha256(b"secret").hexdigest()
    image = next(judged.root.rglob("*.png"))
    shown = image.relative_to(judged.root).as_posix()
    ways = [(way, secret) for way in ground.ways_out()]
    ways += [(shown, hashlib.sha256(image.read_bytes()).hexdigest())]  # an image is not a sidecar

    def case(rng: random.Random) -> str:
        for old in record.parent.glob("xmp-*"):
            old.unlink()
        for path, content in written.items():
            path.write_bytes(content)
        made = [dict(line) for line in lines]
        for _ in range(rng.randint(0, 2)):
            way, sha256 = rng.choice(ways)
            made.insert(0, {"path": way, "before": rng.choice((None, "gone")), "after_sha256": sha256})
        texts = [json_bytes(rng, line) if rng.random() < 0.2 else json.dumps(line).encode() for line in made]
        data = b"\n".join(texts) + b"\n"
        record.write_bytes(damaged(rng, data) if rng.random() < 0.2 else data)
        outcome = attempt(sidecars.undo, judged)
        assert (ground.outside / "secret.xmp").read_bytes() == b"secret"
        assert {k: v for k, v in read_tree(judged.root).items() if not k.endswith(".xmp")} == ground.kept[2]
        if outcome == "refused":
            assert {path: path.read_bytes() for path in written} == written
        return outcome

    tally = survive("exports/record", CASES * 2, case)
    assert tally.outcomes["taken"] and tally.outcomes["refused"]


@pytest.mark.parametrize("number", range(3))
def test_a_record_that_leads_out_is_refused(judged: Project, tmp_path: Path, number: int) -> None:
    ground = Ground(judged, tmp_path)
    _, _, record = sidecars.write(judged)
    assert record is not None
    line = {"path": ground.ways_out()[number], "before": None, "after_sha256": hashlib.sha256(b"secret").hexdigest()}
    record.write_text(json.dumps(line) + "\n" + record.read_text())
    with pytest.raises(UsageError, match="it names"):
        sidecars.undo(judged)
    assert (ground.outside / "secret.xmp").read_text() == "secret"


EXPORTS: dict[str, Callable[[Project, Path, random.Random], object]] = {
    "coco": lambda project, folder, rng: export_coco([project], folder, copy=rng.random() < 0.5),
    "imagefolder": lambda project, folder, rng: export_imagefolder(
        [project], folder, metadata=rng.choice(("jsonl", "csv", "parquet")), copy=rng.random() < 0.5
    ),
    "pairs": lambda project, folder, rng: export_pairs([project], folder, copy=True, embed=rng.random() < 0.3),
}
DOCUMENTS = ("annotations.json", "metadata.jsonl", "metadata.csv", "metadata.parquet", "pickapic.jsonl", "hpdv2.json")


@pytest.mark.parametrize("kind", EXPORTS)
def test_hostile_things_in_the_way_of_an_export_are_not_followed(judged: Project, tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "out"
    images = [path for path in judged.root.rglob("*.png")]
    listed = [f"images/p/{path.name}" for path in images]
    for path in images:
        path.with_suffix(".caption").write_text("a red kite")
    ground = Ground(judged, tmp_path)

    def case(rng: random.Random) -> str:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for path in images:
            text = rng.choice((*TEXTS, "a red kite", "\0", "\r=1+1", "\u2028", "x" * 70_000))
            path.with_suffix(".caption").write_bytes(text.encode(errors="surrogatepass"))
        captions = read_tree(judged.root)
        for _ in range(rng.randint(0, 2)):
            _put_in_the_way(rng, folder, ground, listed, kind)
        before = {name: sha for name, sha in read_tree(folder).items() if not (folder / name).is_symlink()}
        outcome = attempt(EXPORTS[kind], judged, folder, rng)
        assert read_tree(judged.root) == captions
        assert [sorted(p.name for p in ground.outside.rglob("*")), read_tree(ground.outside)] == ground.kept[:2]
        assert not list(folder.rglob("*.pickroom-partial"))
        if outcome == "taken":
            _read_back(folder)
        else:  # a file that no export made is there as it was
            mine = {name: sha for name, sha in before.items() if name.startswith("mine")}
            assert {name: sha for name, sha in read_tree(folder).items() if name.startswith("mine")} == mine
        return outcome

    tally = survive(f"exports/{kind}", CASES, case)
    assert tally.outcomes["taken"] and tally.outcomes["refused"]


def _put_in_the_way(rng: random.Random, folder: Path, ground: Ground, listed: list[str], kind: str) -> None:
    place = folder / rng.choice(("images", "images/p", *DOCUMENTS, STATE_FILE, *listed[:3], "mine.txt"))
    what = rng.randrange(6)
    if what == 0 or place.name == STATE_FILE:
        names = [*listed, *DOCUMENTS, *ground.ways_out(), "images", "", ".", STATE_FILE, "images/p/secret.xmp"]
        state = {"kind": rng.choice((kind, "COCO")), "files": rng.choice((rng.sample(names, 9), value(rng)))}
        state_file = folder / STATE_FILE
        if rng.random() < 0.2 and not state_file.exists():
            os.mkfifo(state_file)
        elif not state_file.exists():
            state_file.write_bytes(json_bytes(rng, state) if rng.random() < 0.5 else json.dumps(state).encode())
        return
    if os.path.lexists(place) or not place.parent.is_dir():
        if place.parent.name not in ("images", "p") or os.path.lexists(folder / "images"):
            return
        place.parent.mkdir(parents=True)
    if what in (1, 2):
        place.symlink_to(rng.choice((ground.outside, ground.outside / "secret.xmp", "/dev/zero", "loop")))
    elif what == 3:
        os.mkfifo(place)
    elif what == 4:
        place.mkdir()
    else:
        place.write_text("mine")


def _read_back(folder: Path) -> None:
    """Every document of an export as its readers take it, each picture that it names there."""
    names: list[str] = []
    for path in folder.iterdir():
        if not path.is_file() or path.name not in (*DOCUMENTS, "pickapic.parquet", "hpdv2.parquet"):
            continue
        if path.is_symlink() or path.read_bytes() == b"mine":
            continue  # of another export's name
        if path.suffix == ".jsonl":
            rows = [json.loads(line) for line in path.read_text().split("\n") if line]
        elif path.suffix == ".csv":
            rows = list(csv.DictReader(path.open(newline="")))
            assert not [row for row in rows if row["text"][:1] in tuple("=+-@\t\r\n")]
        elif path.suffix == ".parquet":
            rows = pyarrow.parquet.read_table(path).to_pylist()
        else:
            found = json.loads(path.read_text())
            rows = found["images"] if isinstance(found, dict) else found
        names += [row[key] for row in rows for key in ("file_name", "image_0_uid", "image_1_uid") if key in row]
    assert names and all((folder / name).is_file() and name.startswith("images/p/") for name in names)


def test_a_link_among_the_folders_of_an_export_is_not_followed(judged: Project, tmp_path: Path) -> None:
    ground, folder = Ground(judged, tmp_path), tmp_path / "out"
    folder.mkdir()
    (folder / "images").symlink_to(ground.outside)
    with pytest.raises(ConflictError, match="is a link"):
        export_coco([judged], folder)
    # nor is what a list of an enemy's calls outdated
    (folder / STATE_FILE).write_text(json.dumps({"kind": "COCO", "files": ["images/secret.xmp"]}))
    with pytest.raises(ConflictError, match="is a link"):
        export_coco([judged], folder)
    assert ground.same()


@pytest.mark.parametrize("state", ['{"kind": "COCO", "files": 5}', "[" * 100_000, "\xff", "null", '{"files": []}'])
def test_a_damaged_list_of_an_export_makes_nothing_ours(judged: Project, tmp_path: Path, state: str) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / STATE_FILE).write_bytes(state.encode("latin-1"))
    (folder / "mine.txt").write_text("mine")
    export_coco([judged], folder)
    assert (folder / "mine.txt").read_text() == "mine" and (folder / "annotations.json").is_file()


@pytest.mark.parametrize("kind", ["coco", "parquet"])
def test_a_pipe_for_the_list_of_an_export_is_not_waited_for(judged: Project, tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    os.mkfifo(folder / (STATE_FILE if kind == "coco" else parquet.STATE_FILE))
    assert in_child(_export, judged, folder, kind) == ("refused" if kind == "coco" else "taken")


def _export(project: Project, folder: Path, kind: str) -> str:
    try:
        if kind == "coco":
            export_coco([project], folder)
        else:
            parquet.write_partitions(project.workspace, folder, [project.id])
    except PickroomError:
        return "refused"
    return "taken"


def test_parquet_export_does_not_follow_links_in_its_folder(judged: Project, tmp_path: Path) -> None:
    ground, folder = Ground(judged, tmp_path), tmp_path / "out"
    folder.mkdir()
    for table in parquet.TABLES:
        (folder / table).symlink_to(ground.outside)
    with pytest.raises(PickroomError, match="is a link"):
        parquet.write_partitions(judged.workspace, folder, [judged.id])
    assert ground.same()

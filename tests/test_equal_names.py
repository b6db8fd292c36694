"""Two cards with equal file names, from start to finish: an image is known by its folder and its name."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest

from conftest import read_tree, write_image, write_series
from history.logs import DECISIONS, SELECTION, decision, run_import, selection, write_log
from pickroom.automation import sandbox
from pickroom.core.naming import is_image_name
from pickroom.core.records import CropBox
from pickroom.exports import choices
from pickroom.features.store import load_vectors
from pickroom.files.cropping import Order
from pickroom.history.vectors import import_cache
from pickroom.indexing import projects
from pickroom.integrity import whereabouts
from pickroom.learn.reading import read_examples
from pickroom.sessions.crop.session import CropSession
from pickroom.store.connect import connect
from pickroom.store.workspace import Project, Workspace
from support.commands import run_command
from support.photographs import take
from support.reviewing import FINALISE, queue, review, rows

CARDS = ("DCIM/100", "DCIM/101")
BOX = [0.125, 0.25, 0.75, 0.875]


def shoot_cards(folder: Path, shots: int = 4) -> None:
    """Two bursts of two on each card, IMG_0001.JPG and so on, each with a companion."""
    for card, name in enumerate(CARDS):
        for number in range(shots):
            path = folder / name / f"IMG_{number + 1:04d}.JPG"
            path.parent.mkdir(parents=True, exist_ok=True)
            take(path, card * 10 + number // 2, 1000 * card + 100 * (number // 2) + number % 2)
            path.with_suffix(".yaml").write_text(f"of: {name} {number}")


@pytest.fixture
def cards(workspace: Workspace, images_folder: Path) -> Project:
    shoot_cards(images_folder)
    return projects.start(workspace, "p", images_folder)[0]


def command(project: Project, *arguments: str, stdin: str = "", code: int = 0) -> str:
    done = run_command(*arguments, "--home", str(project.workspace.root), stdin=stdin, patience_s=120)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


def images_in(project: Project) -> set[str]:
    return {path for path in read_tree(project.root) if is_image_name(Path(path).name)}


def test_two_cards_go_from_start_to_finish_unflattened(workspace: Workspace, images_folder: Path) -> None:
    shoot_cards(images_folder)
    before = read_tree(images_folder)
    made = json.loads(
        run_command("start", "p", "--images", str(images_folder), "--json", "--home", str(workspace.root)).stdout
    )
    assert (made["layout"], made["ungrouped"], made["images"]) == ("mirror", [], 8)
    assert [group["directory"] for group in made["groups"]] == ["DCIM/100"] * 2 + ["DCIM/101"] * 2
    project = workspace.project("p")
    command(project, "embed", "p")
    command(project, "recommend", "p")
    vectors = load_vectors(workspace.project("p"))
    assert sorted(zip(vectors.directories, vectors.filenames, strict=True)) == [
        (card, f"IMG_{number:04d}.JPG") for card in CARDS for number in range(1, 5)
    ]

    keys = "\n".join(("1", "w", "1", "w", *FINALISE))
    command(project, "review", "p", "--keys", "-", stdin=keys)
    moved = read_tree(images_folder)
    assert {path for path in moved if path.endswith("JPG")} == {
        f"{top}/{card}/IMG_{number:04d}.JPG"
        for card in CARDS
        for number, top in enumerate(("selected", "delete_staging", "delete_staging", "crop"), start=1)
    }
    assert all(f"{path.removesuffix('JPG')}yaml" in moved for path in moved if path.endswith("JPG"))
    for card in CARDS:
        said = json.loads((images_folder / f"crop/{card}/IMG_0004.decision").read_text())
        assert (said["directory"], said["filename"]) == (card, "IMG_0004.JPG")

    # a bare name is one of two
    line = {"filename": "IMG_0004.JPG", "box": BOX}
    command(project, "crop", "p", "--boxes", "-", stdin=json.dumps(line), code=2)
    lines = [json.dumps({**line, "directory": card}) for card in CARDS]
    command(project, "crop", "p", "--boxes", "-", stdin="\n".join(lines))
    cropped = images_in(project)
    assert {path for path in cropped if path.startswith("crop")} == {
        f"{top}/{card}/IMG_0004.JPG" for top in ("crop_cropped", "crop_originals") for card in CARDS
    }
    made_crops = rows(project, "SELECT directory, filename, group_id FROM crops ORDER BY 1")
    assert [(row["directory"], row["filename"]) for row in made_crops] == [(card, "IMG_0004.JPG") for card in CARDS]
    assert rows(project, "SELECT count(*) AS n FROM ai_decisions WHERE final_crop_coords IS NOT NULL") == [{"n": 2}]

    # back to the beginning, and forward again
    command(project, "undo", "p", "--batch", "2")
    assert {path for path in images_in(project) if path.startswith(("crop/", "delete_staging/"))} == {
        f"{top}/{card}/{name}"
        for card in CARDS
        for top, name in (
            ("crop", "IMG_0004.JPG"),
            ("delete_staging", "IMG_0004.undone-2.jpg"),
            ("delete_staging", "IMG_0002.JPG"),
            ("delete_staging", "IMG_0003.JPG"),
        )
    }
    command(project, "crop", "p", "--boxes", "-", stdin="\n".join(lines))
    command(project, "check", "p")
    assert whereabouts(project).is_sound

    for option in ("--coco", "--hf", "--pairs", "--parquet"):
        command(project, "export", "p", option, str(workspace.root / option.strip("-")))
    coco = json.loads((workspace.root / "coco/annotations.json").read_text())
    names = [f"images/p/{card}/IMG_{number:04d}.JPG" for card in CARDS for number in (1, 4)]
    assert sorted(image["file_name"] for image in coco["images"]) == names
    assert len({image["id"] for image in coco["images"]}) == 4
    assert all((workspace.root / "coco" / name).exists() for name in names)
    lines = (workspace.root / "hf/metadata.jsonl").read_text().splitlines()
    assert len({json.loads(line)["file_name"] for line in lines}) == 8
    pairs = pyarrow.parquet.read_table(workspace.root / "pairs/pickapic.parquet").to_pylist()
    assert len({(pair["image_0_uid"], pair["image_1_uid"]) for pair in pairs}) == 4
    for table in ("images", "crops"):
        found = pyarrow.parquet.read_table(workspace.root / f"parquet/{table}/project_id=p/data.parquet").to_pylist()
        assert {row["directory"] for row in found} == set(CARDS)
    finished = read_tree(images_folder)
    command(project, "export", "p", "--xmp", "--execute")
    assert {f"selected/{card}/IMG_0001.xmp" for card in CARDS} <= set(read_tree(images_folder))
    command(project, "export", "p", "--xmp", "--undo")
    assert read_tree(images_folder) == finished

    command(project, "finish", "p", "--execute")
    assert read_tree(images_folder) == finished
    assert {path for path in images_in(project) if "undone" not in path} == cropped
    assert set(before.values()) <= set(finished.values())


def test_undo_of_a_mirrored_finalise_leaves_nothing_behind(cards: Project) -> None:
    before = read_tree(cards.root)
    review(cards, "1", "2", "w", "x", *FINALISE)
    assert not any((cards.root / "DCIM/101").iterdir())
    session = review(cards)
    assert session.project.is_mirrored
    command(cards, "undo", "p", "--batch", "1")
    assert read_tree(cards.root) == before
    made = {path.name for path in cards.root.iterdir() if path.is_dir() and any(path.iterdir())}
    assert made == {"DCIM"}
    review(cards, *FINALISE)  # the choices came back: the same again
    assert [row["directory"] for row in rows(cards, "SELECT directory FROM ai_decisions ORDER BY group_id")] == [
        *(CARDS[0], CARDS[0]),
        *(CARDS[1], CARDS[1]),
    ]


def test_desk_submits_and_takes_back_equal_names(cards: Project) -> None:
    review(cards, "q", "1", "q", "1", *FINALISE)
    with closing(CropSession(cards)) as session:
        assert [(card.directory, card.filename) for card in session.waiting] == [
            (f"crop/{card}", "IMG_0001.JPG") for card in CARDS
        ]
        result = session.submit([Order(card.directory, card.filename, CropBox(*BOX)) for card in session.waiting])
        assert result.done == [f"{card}/IMG_0001.JPG" for card in CARDS]
        session.press("b")
        assert len(session.waiting) == 2
        assert set(session.state.boxes) == {f"{card}/IMG_0001.JPG" for card in CARDS}
        session.press("d")
    (dropped,) = rows(cards, "SELECT group_id FROM decision_context WHERE dropped_at IS NOT NULL")
    assert rows(cards, "SELECT directory FROM ai_decisions WHERE group_id = ?", dropped["group_id"]) == [
        {"directory": CARDS[0]}
    ]
    command(cards, "undo", "p", "--batch", "3")
    assert rows(cards, "SELECT group_id FROM decision_context WHERE dropped_at IS NOT NULL") == []


def test_lost_sidecars_of_equal_names_are_written_again(cards: Project) -> None:
    review(cards, "q", "1", "q", "1", *FINALISE)
    sidecars = {card: cards.root / f"crop/{card}/IMG_0001.decision" for card in CARDS}
    before = {card: path.read_text() for card, path in sidecars.items()}
    for path in sidecars.values():
        path.unlink()
    command(cards, "check", "p", "--repair")
    assert {card: path.read_text() for card, path in sidecars.items()} == before


def test_marks_of_equal_names_need_their_folder(cards: Project) -> None:
    line = {"filename": "IMG_0001.JPG", "mark": "keep"}
    write_image(cards.root / "DCIM/100/alone.png", 7)
    write_image(cards.root / "DCIM/101/alone.png", 8)
    projects.rescan(cards)
    line = {"filename": "alone.png", "mark": "keep"}
    command(cards, "browse", "p", "--marks", "-", "--execute", stdin=json.dumps(line), code=2)
    lines = [json.dumps({**line, "directory": card}) for card in CARDS]
    command(cards, "browse", "p", "--marks", "-", "--execute", stdin="\n".join(lines))
    assert {f"selected/{card}/alone.png" for card in CARDS} <= images_in(cards)
    sort = [json.dumps({"filename": "alone.png", "directory": f"selected/{card}", "folder": "anna"}) for card in CARDS]
    command(cards, "sort", "p", "--assign", "-", "--execute", stdin="\n".join(sort))
    assert {f"selected/anna/{card}/alone.png" for card in CARDS} <= images_in(cards)
    sort = [line.replace("selected/", "selected/anna/").replace('"anna"', '"bo"') for line in sort]
    command(cards, "sort", "p", "--assign", "-", "--execute", stdin="\n".join(sort))
    assert {f"selected/bo/{card}/alone.png" for card in CARDS} <= images_in(cards)


def test_each_card_is_an_example_of_its_own(cards: Project) -> None:
    review(cards, "1", "2", "1", "2", *FINALISE)
    command(cards, "embed", "p")
    found = read_examples(cards, "picks")
    assert (len(found.picks), sum(found.left_out.values())) == (4, 0)
    assert [pick.candidates.directory for pick in found.picks] == [CARDS[0], CARDS[0], CARDS[1], CARDS[1]]
    assert len({digest for pick in found.picks for digest in pick.candidates.hashes}) == 8


def test_exported_paths_of_copies_are_each_their_own(workspace: Workspace, images_folder: Path) -> None:
    for card in CARDS:  # the same files on both: whose is whose only the folder tells
        write_series(images_folder / card, [(1, 2)])
    project = projects.start(workspace, "p", images_folder)[0]
    review(project, "1", "x", *FINALISE)
    judged = {(one.image.directory, one.verdict, one.path) for one in choices.read(project).images}
    first, second = sorted({row["filename"] for row in rows(project, "SELECT filename FROM images")})
    assert judged == {
        (CARDS[0], "picked", f"selected/{CARDS[0]}/{first}"),
        (CARDS[0], "passed over", f"delete_staging/{CARDS[0]}/{second}"),
        (CARDS[1], "rejected", f"delete_staging/{CARDS[1]}/{first}"),
        (CARDS[1], "rejected", f"delete_staging/{CARDS[1]}/{second}"),
    }
    told = json.loads(command(project, "sql", "SELECT directory, filename, path FROM images", "--json"))
    assert {(row[0], row[2]) for row in told["rows"]} == {(one[0], one[2]) for one in judged}


def test_imported_rows_decide_the_card_that_they_name(cards: Project, tmp_path: Path) -> None:
    log = write_log(tmp_path / "s.csv", SELECTION, [selection("IMG_0001.JPG", ["IMG_0002.JPG"])])
    told = command(cards, "import-csv", str(log), "--project", "p", "--execute", "--json")
    assert json.loads(told)["unclear"] == {"p": 2}
    report = projects.rescan(cards)
    (note,) = report.notes
    assert len(report.groups) == 4
    assert note.startswith("2 groups may have been decided in an import: several folders hold its names")
    fields = {"image_1_filename": "IMG_0003.JPG", "image_2_filename": "IMG_0004.JPG", "directory": f"old/{CARDS[1]}"}
    log = write_log(tmp_path / "d.csv", DECISIONS, [decision(project_id="p", **fields)])
    run_import(cards.workspace, log, project="p")
    assert [(group.directory, group.filenames[0]) for group in queue(cards)] == [
        *((CARDS[0], "IMG_0001.JPG"), (CARDS[0], "IMG_0003.JPG")),
        (CARDS[1], "IMG_0001.JPG"),
    ]
    command(cards, "embed", "p")
    found = read_examples(cards.workspace.project("p"), "picks")
    assert [pick.candidates.directory for pick in found.picks] == [CARDS[1]]
    assert dict(found.left_out) == {"several folders hold a name of it": 1}


def test_imported_vectors_go_to_the_card_of_their_path(cards: Project, tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    (folder / "embeddings").mkdir(parents=True)
    lines = [f"/old/p/{card}/IMG_0001.JPG" for card in CARDS] + ["/old/p/IMG_0002.JPG"]
    for number in range(len(lines)):
        np.save(folder / "embeddings" / f"{number}.npy", np.full(512, number, np.float32))
    written = [{"image_path": path, "embedding_file": f"embeddings/{n}.npy"} for n, path in enumerate(lines)]
    (folder / "old.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in written))
    report = import_cache(cards, folder / "old.jsonl")
    assert dict(report.skipped) == {"several folders hold its name, and its path does not say which": 1}
    vectors = load_vectors(cards.workspace.project("p"))
    assert list(zip(vectors.directories, vectors.matrix[:, 0], strict=True)) == [(CARDS[0], 0), (CARDS[1], 1)]


def test_strange_images_return_to_the_card_of_their_folder(cards: Project) -> None:
    before = images_in(cards)
    review(cards, "1", "1", "1", "1", *FINALISE)
    with closing(connect(cards.database)) as connection:  # the journal was lost, the moves were not
        for table in ("file_operations", "ai_decisions", "decision_context"):
            connection.execute(f"DELETE FROM {table}")
    assert len(whereabouts(cards).unexplained) == 8
    command(cards, "recover", "p", "--unexplained", "--execute")
    assert images_in(cards) == before


def test_image_moved_by_hand_is_looked_for_in_its_folder(cards: Project) -> None:
    review(cards, "1", "1", "1", "1", *FINALISE)
    (cards.root / f"selected/{CARDS[0]}/IMG_0001.JPG").unlink()
    moved = cards.root / f"crop/{CARDS[1]}/IMG_0001.JPG"
    moved.parent.mkdir(parents=True)
    (cards.root / f"selected/{CARDS[1]}/IMG_0001.JPG").rename(moved)
    found = whereabouts(cards)
    assert found.misplaced == ((f"selected/{CARDS[1]}/IMG_0001.JPG", f"crop/{CARDS[1]}/IMG_0001.JPG"),)
    assert found.missing == (f"selected/{CARDS[0]}/IMG_0001.JPG",)


def test_sandbox_of_two_cards_is_mirrored_too(workspace: Workspace, images_folder: Path) -> None:
    write_series(images_folder / "one", [(1, 2)])
    project = projects.start(workspace, "p", images_folder)[0]
    sandbox.prepare(project)
    write_series(images_folder / "two", [(1, 2)])
    projects.rescan(project)
    assert sandbox.locate(workspace.project("p")).project.is_mirrored


def test_mirror_can_be_asked_for(workspace: Workspace, images_folder: Path) -> None:
    write_series(images_folder / "day", [(1, 2)])
    project, report = projects.start(workspace, "p", images_folder, mirror=True)
    assert (report.layout, report.notes, workspace.project("p").manifest.layout) == ("mirror", (), "mirror")
    review(project, "1", *FINALISE)
    assert {Path(path).parent.as_posix() for path in images_in(project)} == {"selected/day", "delete_staging/day"}


def test_flat_project_that_becomes_mirrored_keeps_both_places(workspace: Workspace, images_folder: Path) -> None:
    write_series(images_folder / "one", [(1, 2), (1, 2)])
    project = projects.start(workspace, "p", images_folder)[0]
    review(project, "q", *FINALISE)
    flat = images_in(project)
    write_series(images_folder / "two", [(1, 2), (1, 2)])
    report = projects.rescan(project)
    assert (report.layout, len(report.groups)) == ("mirror", 3)
    review(project, "1", "q", "1", *FINALISE)
    with closing(CropSession(project)) as session:
        orders = [Order(card.directory, card.filename, CropBox(*BOX)) for card in session.waiting]
        assert [order.directory for order in orders] == ["crop", "crop/two"]
        assert session.submit(orders).done == [order.unit for order in orders]
    # of the two of one name each completed its own group
    crops = rows(
        project, "SELECT k.directory, d.directory AS of FROM crops AS k JOIN ai_decisions AS d USING (group_id)"
    )
    assert crops == [{"directory": "", "of": "one"}, {"directory": "two", "of": "two"}]
    with closing(connect(project.database)) as connection:
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    command(project, "check", "p")
    assert {path for path in flat if path.startswith("delete_staging/")} <= images_in(project)
    assert queue(project) == []

"""FORMATS.md, Exit codes: 1 when something that was asked for was held back or could not be finished."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from cli.test_cli import Ran, pickroom, project  # noqa: F401 (fixtures)
from conftest import write_image, write_series
from pickroom.indexing import projects
from pickroom.store.workspace import Project, Workspace

Run = Callable[..., Ran]
EMBED = ("embed", "p", "--encoder", "bundled", "--no-regions", "--json")
HEADER = "session_id,set_id,chosen_path,neg_paths,timestamp"
ROW = '1,1,a_stage1_generated.png,"[""a_stage2_upscaled.png""]",2025-08-03T06:00:00Z'


def test_start_with_skipped_files_is_done(
    pickroom: Run,  # noqa: F811 (the fixture)
    images_folder: Path,
) -> None:
    write_series(images_folder, [(1, 2)])
    (images_folder / "broken.png").write_bytes(b"\x89PNG\r\n")
    ran = pickroom("start", "p", "--images", images_folder, "--json")
    assert (ran.code, [one["filename"] for one in ran.json["ungrouped"]]) == (0, ["broken.png"])
    assert pickroom("groups", "p").code == 0


def test_start_that_could_not_rename_a_duplicate_says_so(
    pickroom: Run,  # noqa: F811 (the fixture)
    images_folder: Path,
) -> None:
    for folder in ("anna", "bea"):  # with the folder in front the name is too long
        write_image(images_folder / folder / f"{'n' * 248}.png", seed=len(folder))
    ran = pickroom("start", "p", "--images", images_folder, "--rename-duplicates")
    assert (ran.code, "2 images were not renamed" in ran.out, "lies in anna/ and in bea/" in ran.out) == (1, True, True)


def test_image_that_cannot_be_embedded_ends_with_one(
    pickroom: Run,  # noqa: F811 (the fixture)
    project: Project,  # noqa: F811 (the fixture)
) -> None:
    broken = project.root / "anna" / "broken.png"
    broken.write_bytes(b"\x89PNG\r\n")
    for _ in range(2):  # what an earlier run could not read was asked for again
        ran = pickroom(*EMBED)
        assert (ran.code, [one["filename"] for one in ran.json["errors"]]) == (1, ["broken.png"])
    broken.unlink()
    assert pickroom(*EMBED).code == 0


@pytest.mark.parametrize(
    ("lines", "code"),
    [
        ([ROW], 0),
        ([ROW, "1,1,,,"], 0),
        ([ROW, ROW], 0),
        (["1,1,,,", "2,2,notes.txt,[],"], 1),
        ([], 0),
    ],
    ids=["all", "some", "a row twice", "none", "no row"],
)
def test_import_of_which_no_row_is_usable_ends_with_one(
    pickroom: Run,  # noqa: F811 (the fixture)
    workspace: Workspace,
    tmp_path: Path,
    lines: list[str],
    code: int,
) -> None:
    log = tmp_path / "log.csv"
    log.write_text("\n".join((HEADER, *lines, "")))
    for arguments in ((), ("--execute",), ("--execute",)):  # what is known already was imported
        assert pickroom("import-csv", log, "--project", "p", *arguments).code == code


def test_history_of_which_nothing_is_usable_ends_with_one(
    pickroom: Run,  # noqa: F811 (the fixture)
    workspace: Workspace,
    tmp_path: Path,
) -> None:
    write_series(tmp_path / "before", [(1, 2)])
    (picked,) = list((tmp_path / "before").glob("*stage2*.png"))
    write_image(tmp_path / "after" / "unrelated.png", seed=99)
    assert pickroom("import-folders", tmp_path / "before", tmp_path / "after", "--project", "p").code == 1
    shutil.copy(picked, tmp_path / "after")
    assert pickroom("import-folders", tmp_path / "before", tmp_path / "after", "--project", "p").code == 0


def test_sql_that_leaves_a_project_out_answers_and_ends_with_one(
    pickroom: Run,  # noqa: F811 (the fixture)
    project: Project,  # noqa: F811 (the fixture)
    tmp_path: Path,
) -> None:
    write_series(tmp_path / "others", [(1, 2)])
    other, _ = projects.start(project.workspace, "other", tmp_path / "others")
    query = ("sql", "SELECT DISTINCT project_id FROM groups ORDER BY 1", "--json")
    assert pickroom(*query).code == 0
    other.database.write_bytes(b"no database" * 1000)
    ran = pickroom(*query)
    assert (ran.code, ran.json["rows"], "other: left out" in ran.err) == (1, [["p"]], True)


def test_recommend_by_a_damaged_model_ends_with_one(
    pickroom: Run,  # noqa: F811 (the fixture)
    project: Project,  # noqa: F811 (the fixture)
) -> None:
    assert pickroom("recommend", "p").code == 0
    models = project.workspace.models
    models.mkdir(parents=True)
    (models / "ranker_v1.pt").write_bytes(b"no weights")
    (models / "ranker_v1_metadata.json").write_text("{}")
    (models / "ranker_current.json").write_text('{"version": 1}')
    ran = pickroom("recommend", "p", "--json")
    assert (ran.code, ran.json["groups"], len(ran.json["faults"])) == (1, 3, 1)

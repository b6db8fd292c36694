"""The command line: exit codes, one JSON object on stdout, one line on stderr when something is wrong."""

from __future__ import annotations

import io
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from conftest import read_tree, write_image, write_series
from pickroom import __version__, cli
from pickroom.cli.console import NO_PROJECT
from pickroom.core.errors import FileOperationError
from pickroom.core.records import FileOp
from pickroom.files import moves
from pickroom.files.preflight import project_lock
from pickroom.store import connect as store
from pickroom.store.connect import connect, transaction
from pickroom.store.workspace import Project, Workspace
from support.damaged import write_truncated

FINALISE = "Shift+Enter\nShift+Enter\n"


@dataclass(frozen=True)
class Ran:
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """The one JSON object on stdout, and nothing else there."""
        values = json.loads(self.out)
        assert isinstance(values, dict)
        assert self.out.count("\n") == 1
        return values

    @property
    def line(self) -> str:
        """The one line of a failure, and nothing on stdout."""
        assert self.out == ""
        assert self.err.count("\n") == 1, self.err
        assert self.err.startswith("pickroom: ")
        return self.err


@pytest.fixture
def pickroom(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Ran]:
    """Run a command in this process, in the test's workspace: `pickroom("status", "p", "--json")`."""
    monkeypatch.setenv("PICKROOM_HOME", str(workspace.root))

    def run(*arguments: object, stdin: str = "") -> Ran:
        monkeypatch.setattr(sys, "argv", ["pickroom", *map(str, arguments)])
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        capsys.readouterr()
        try:
            cli.main()
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
        said = capsys.readouterr()
        return Ran(code, said.out, said.err)

    return run


@pytest.fixture
def project(make_project: Callable[..., Project]) -> Project:
    """Project `p`: three groups in a folder `anna`."""
    return make_project([(1, 2), (1, 1.5, 2), (1, 2)], folder="anna")


def tree(folder: Path) -> dict[str, str]:
    """Every file but the lock, and what SQLite lays next to a database while it is read."""
    passing = (".lock", ".db-wal", ".db-shm")
    return {path: sha for path, sha in read_tree(folder).items() if not path.endswith(passing)}


def alone(*arguments: object, home: Path, **options: Any) -> Ran:
    """Run a command in a process of its own."""
    command = [sys.executable, "-m", "pickroom.cli", *map(str, arguments)]
    environment = {**os.environ, "PICKROOM_HOME": str(home)}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, **options)
    return Ran(ended.returncode, ended.stdout, ended.stderr)


# ------------------------------------------------------------------------------------------------ what it prints


def test_json_of_groups_has_its_shape(pickroom: Callable[..., Ran], project: Project) -> None:
    write_image(project.root / "holiday.jpg")
    ran = pickroom("groups", "p", "--json")
    found = ran.json
    assert ran.code == 0
    assert found["images"] == 8
    assert [sorted(group) for group in found["groups"]] == [["burst_id", "directory", "group_id", "images", "kind"]] * 3
    assert [len(group["images"]) for group in found["groups"]] == [2, 3, 2]
    (alone_,) = found["ungrouped"]
    assert (alone_["filename"], alone_["reason"]) == ("holiday.jpg", "no stage in its name")
    assert sum(len(g["images"]) for g in found["groups"]) + len(found["ungrouped"]) == found["images"]


def test_json_of_start_says_what_was_found(pickroom: Callable[..., Ran], images_folder: Path) -> None:
    write_series(images_folder, [(1, 2)])
    ran = pickroom("start", "p", "--images", images_folder, "--json")
    assert (ran.code, ran.json["project_id"], ran.json["images"], len(ran.json["groups"])) == (0, "p", 2, 1)


def test_json_of_status_is_one_project_or_all(pickroom: Callable[..., Ran], project: Project) -> None:
    one = pickroom("status", "p", "--json").json
    assert (one["project_id"], one["waiting"], one["groups"]) == ("p", 3, 3)
    assert pickroom("status", "--json").json == {"projects": [one]}


def test_json_of_no_project_is_an_empty_list(pickroom: Callable[..., Ran], workspace: Workspace) -> None:
    ran = pickroom("status", "--json")
    assert (ran.code, ran.json) == (0, {"projects": []})
    assert not workspace.root.exists()


def test_json_holds_any_name_in_plain_ascii(pickroom: Callable[..., Ran], images_folder: Path) -> None:
    write_image(images_folder / "kä\nse\x1b[31m.png")
    write_image(images_folder / "b\udcff.png")
    ran = pickroom("start", "p", "--images", images_folder, "--json")
    assert ran.out.isascii()
    assert [item["filename"] for item in ran.json["ungrouped"]] == ["b\udcff.png", "kä\nse\x1b[31m.png"]


def test_words_show_odd_names_on_their_own_line(pickroom: Callable[..., Ran], images_folder: Path) -> None:
    write_image(images_folder / "kä\nse\x1b[31m.png")
    write_image(images_folder / "b\udcff.png")
    ran = pickroom("start", "p", "--images", images_folder)
    assert "\x1b" not in ran.out
    assert r"./k\xe4\nse\x1b[31m.png: no stage in its name" in ran.out
    assert r"b\udcff.png: name is not valid UTF-8: rename it" in ran.out


def test_start_in_words_counts_and_says_what_next(pickroom: Callable[..., Ran], images_folder: Path) -> None:
    write_series(images_folder, [(1, 2), (1, 1.5, 2)])
    write_truncated(images_folder / "bad.png")
    ran = pickroom("start", "p", "--images", images_folder, "--title", "Anna")
    assert ran.code == 0
    first, bad, hint = ran.out.splitlines()
    assert first == "Project p: 6 images = 5 in 2 groups + 1 ungrouped"
    assert bad == "  ./bad.png: truncated"
    assert hint == "Review it: pickroom app p"


def test_duplicate_names_are_renamed_on_demand_and_said(pickroom: Callable[..., Ran], images_folder: Path) -> None:
    write_series(images_folder / "a", [(1, 2)])
    write_series(images_folder / "b", [(1, 2)])
    ran = pickroom("start", "p", "--images", images_folder, "--rename-duplicates")
    assert ran.code == 0
    assert "4 images = 4 in 2 groups + 0 ungrouped" in ran.out
    assert ran.out.count("  renamed ") == 4
    assert all(Path(path).name.startswith(f"{Path(path).parent}_") for path in read_tree(images_folder))


def test_status_in_words_says_what_is_unfinished(pickroom: Callable[..., Ran], project: Project) -> None:
    pickroom("review", "p", "--keys", "-", stdin="q\n2\n" + FINALISE)
    shutil.rmtree(project.root)
    ran = pickroom("status")
    assert ran.code == 0
    assert "p (active): 1 of 3 groups wait; decided: 1 approve, 1 crop" in ran.out
    assert "NOT THERE: pickroom relocate" in ran.out
    assert "1 crop waits: " in ran.out
    assert "batch 1 (" in ran.out


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le"])
def test_files_with_a_byte_order_mark_are_read(
    pickroom: Callable[..., Ran], project: Project, tmp_path: Path, encoding: str
) -> None:
    (tmp_path / "keys").write_bytes(("q\r\n" + FINALISE).encode(encoding))
    ran = pickroom("review", "p", "--keys", tmp_path / "keys")
    assert (ran.code, ran.err.startswith("Batch 1:")) == (0, True)
    (waiting,) = [path for path in (project.root / "crop").iterdir() if path.suffix == ".png"]
    (tmp_path / "boxes").write_bytes(json.dumps({"filename": waiting.name, "box": [0, 0, 0.5, 0.5]}).encode(encoding))
    assert pickroom("crop", "p", "--boxes", tmp_path / "boxes").code == 0
    assert (project.root / "crop_cropped" / waiting.name).exists()
    (tmp_path / "keys").write_bytes(b"\xe9\n")
    ran = pickroom("review", "p", "--keys", tmp_path / "keys")
    assert ran.code == 2 and "it is not UTF-8" in ran.err and "save it as UTF-8" in ran.err


def test_status_without_a_project_says_how_to_start(pickroom: Callable[..., Ran]) -> None:
    ran = pickroom("status")
    assert (ran.code, ran.out) == (0, f"{NO_PROJECT}\n")


def test_status_of_all_goes_on_past_a_damaged_one(pickroom: Callable[..., Ran], project: Project) -> None:
    (project.workspace.manifests / "broken.json").write_text("{")
    ran = pickroom("status", "--json")
    assert ran.code == 1
    broken, whole = ran.json["projects"]
    assert (broken["project_id"], whole["project_id"]) == ("broken", "p")
    assert "damaged" in broken["error"]
    assert ran.err.count("\n") == 1


def test_relocate_says_where_the_images_are_now(pickroom: Callable[..., Ran], project: Project, tmp_path: Path) -> None:
    project.root.rename(tmp_path / "moved")
    ran = pickroom("relocate", "p", tmp_path / "moved")
    assert (ran.code, ran.out) == (0, f"Project p now has its images in {tmp_path / 'moved'}\n")


def test_names_without_stages_lead_to_the_next_command(
    pickroom: Callable[..., Ran], workspace: Workspace, images_folder: Path
) -> None:
    write_image(images_folder / "IMG_0001.jpg")
    said = "roup the images by how they look: pickroom index p"
    assert said in pickroom("start", "p", "--images", images_folder).out
    assert said in pickroom("status", "p").out
    assert said in pickroom("groups", "p").out
    assert said not in pickroom("groups", "p", "--json").out


# ------------------------------------------------------------------------------------------------ the review


def test_keys_of_a_file_are_pressed_and_finalised(
    pickroom: Callable[..., Ran], project: Project, tmp_path: Path
) -> None:
    (tmp_path / "keys").write_text("# two picks, one reject\n2\n3\nx\n" + FINALISE)
    ran = pickroom("review", "p", "--keys", tmp_path / "keys")
    assert ran.code == 0
    assert ran.out == "No group is waiting: every group is decided\n"
    assert ran.err == "Batch 1: 2 picked, 1 rejected · undo: pickroom undo p --batch 1\n"
    assert sorted(path.name for path in project.root.iterdir() if any(path.iterdir())) == ["delete_staging", "selected"]


def test_keys_without_a_finalise_are_kept_for_the_next_day(pickroom: Callable[..., Ran], project: Project) -> None:
    before = read_tree(project.root)
    first = pickroom("review", "p", "--keys", "-", stdin="2\n")
    second = pickroom("review", "p")
    assert first.out.startswith("Group 2 of 3 - reviewed 1 (33 %)")
    assert second.out.startswith("Group 2 of 3 - reviewed 1 (33 %)")
    assert "20_review.ipynb" in second.out
    assert read_tree(project.root) == before


def test_blind_review_shows_no_agreement_of_what_was_hidden(pickroom: Callable[..., Ran], project: Project) -> None:
    ran = pickroom("review", "p", "--blind", "--keys", "-", stdin="2\n")
    assert "agreement" not in ran.out


def test_group_held_back_says_why_on_stderr(pickroom: Callable[..., Ran], project: Project) -> None:
    next((project.root / "anna").glob("*stage1_*.png")).unlink()
    held = pickroom("review", "p", "--keys", "-", stdin="1\n1\n1\n" + FINALISE)
    assert "has vanished since the scan" in held.err
    assert "Batch 1: 2 picked; 1 held back" in held.err
    assert held.code == 1
    assert pickroom("review", "p", "--keys", "-", stdin="s\n" + FINALISE).code == 0  # a skipped group is not unfinished


def test_batch_is_undone_and_everything_is_back(pickroom: Callable[..., Ran], project: Project) -> None:
    before = read_tree(project.root)
    pickroom("review", "p", "--keys", "-", stdin="2\nq\nx\n" + FINALISE)
    assert read_tree(project.root) != before
    ran = pickroom("undo", "p", "--batch", 1)
    assert (ran.code, ran.out) == (0, "Batch 1 of p is undone: 3 groups wait again\n")
    assert read_tree(project.root) == before
    assert pickroom("status", "p", "--json").json["decided"] == {}


def test_undo_says_what_kind_of_thing_is_back(pickroom: Callable[..., Ran], project: Project) -> None:
    pickroom("review", "p", "--keys", "-", stdin="q\nq\n1\n" + FINALISE)
    cropped, dropped = sorted(path.name for path in (project.root / "crop").glob("*.png"))
    orders = [{"filename": cropped, "box": [0, 0, 0.5, 1]}, {"filename": dropped, "action": "delete"}]
    assert pickroom("crop", "p", "--boxes", "-", stdin="\n".join(map(json.dumps, orders))).code == 0
    (picked,) = (path.name for path in (project.root / "selected").glob("*.png"))
    mark = json.dumps({"filename": picked, "mark": "crop"})
    assert pickroom("browse", "p", "--marks", "-", "--execute", stdin=mark).code == 0
    back = "Batch 3 of p is undone: 1 image is back, and its mark waits again\n"
    assert pickroom("undo", "p", "--batch", 3).out == back
    back = "Batch 2 of p is undone: 1 crop is taken back; 1 image waits for its crop again\n"
    assert pickroom("undo", "p", "--batch", 2).out == back


def test_undo_that_fails_says_so_first(
    pickroom: Callable[..., Ran], project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    pickroom("review", "p", "--keys", "-", stdin="2\nx\n" + FINALISE)
    execute, refused = moves.execute, [True, True]

    def refuse(root: Path, op: FileOp, *, verify: bool = False) -> None:
        if refused:
            refused.pop()
            raise FileOperationError("no", "moving a file", [root])
        execute(root, op, verify=verify)

    monkeypatch.setattr(moves, "execute", refuse)
    ran = pickroom("undo", "p", "--batch", 1)
    assert (ran.code, ran.out) == (1, "Batch 1 of p is not undone: 2 could not be taken back\n")
    assert ran.err.count(": no while moving a file: ") == 2
    refused.append(True)
    ran = pickroom("undo", "p", "--batch", 1)
    assert (ran.code, ran.out) == (
        1,
        "Batch 1 of p is undone in part: 1 could not be taken back; 1 group waits again\n",
    )
    assert pickroom("undo", "p", "--batch", 1).out == "Batch 1 of p is undone: 1 group waits again\n"


def test_recover_with_nothing_to_do_says_so(pickroom: Callable[..., Ran], project: Project) -> None:
    ran = pickroom("recover", "p")
    assert (ran.code, ran.out) == (0, "Recovered p: 0 units finished, 0 put back\n")


def interrupted(project: Project) -> list[Path]:
    """The places of a group of which one file has been moved, and is gone, the others not yet."""
    with closing(connect(project.database)) as connection, transaction(connection):
        connection.execute("UPDATE file_operations SET state = 'planned', finished_at = NULL")
        moved = connection.execute("SELECT source, destination FROM file_operations ORDER BY id").fetchall()
    (project.root / moved[0]["destination"]).unlink()
    for row in moved[1:]:
        (project.root / row["destination"]).rename(project.root / row["source"])
    (project.root / "selected" / "another.png").touch()
    return [project.root / row["source"] for row in moved]


def test_recover_names_the_way_out_of_a_lost_file(pickroom: Callable[..., Ran], project: Project) -> None:
    pickroom("review", "p", "--keys", "-", stdin="1\n" + FINALISE)
    lost, *others = interrupted(project)
    before = read_tree(project.root)
    ran = pickroom("recover", "p")
    assert (ran.code, ran.out) == (1, "Recovered p: 0 units finished, 0 put back\n")
    assert f"in neither place while moving a file: {lost}" in ran.err
    assert "gone for good: pickroom recover p --give-up" in ran.err
    dry = pickroom("recover", "p", "--give-up")
    assert dry.code == 0 and dry.out.startswith("1 of p would be closed\nNothing has been done.")
    assert f"anna/{lost.name} is in neither place" in dry.err
    assert read_tree(project.root) == before and pickroom("recover", "p").code == 1
    done = pickroom("recover", "p", "--give-up", "--execute")
    assert (done.code, done.out) == (0, "1 of p closed: what was there of them is back in its place\n")
    assert all(path.exists() for path in others)
    status = pickroom("status", "p", "--json").json
    assert (status["planned_operations"], status["waiting"], status["decided"]) == (0, 3, {})
    assert pickroom("recover", "p").code == 0


def test_giving_up_needs_the_images_to_be_there(pickroom: Callable[..., Ran], project: Project) -> None:
    pickroom("review", "p", "--keys", "-", stdin="1\n" + FINALISE)
    interrupted(project)
    project.root.rename(project.root.with_name("away"))
    project.root.mkdir()  # a mount point without its disk
    for more in ((), ("--execute",)):
        ran = pickroom("recover", "p", "--give-up", *more)
        assert ran.code == 1 and "none of the project's images are in this folder" in ran.line
    assert pickroom("recover", "p").code == 1
    assert list(project.root.iterdir()) == []


# ------------------------------------------------------------------------------------------------ wrong use


@pytest.mark.parametrize(
    "arguments",
    [
        ("start",),
        ("start", "p"),
        ("undo", "p"),
        ("undo", "p", "--batch", "one"),
        ("relocate", "p"),
        ("nonsense",),
        ("status", "--nonsense"),
        ("groups", "p", "--gap", "long"),
        ("demo", "--groups", "0"),
    ],
    ids=" ".join,
)
def test_wrong_arguments_are_one_line_and_exit_2(pickroom: Callable[..., Ran], arguments: tuple[str, ...]) -> None:
    ran = pickroom(*arguments)
    assert ran.code == 2
    assert re.search(r"see: pickroom (\w+ )?--help\)$", ran.line)


@pytest.mark.parametrize(
    "arguments",
    [
        ("status", "nobody"),
        ("status", "nobody", "--json"),
        ("groups", "nobody"),
        ("groups", "nobody", "--json"),
        ("review", "nobody"),
        ("recover", "nobody"),
        ("undo", "nobody", "--batch", "1"),
        ("relocate", "nobody", "."),
        ("crop", "nobody"),
    ],
    ids=" ".join,
)
def test_unknown_project_is_one_line_and_exits_2(
    pickroom: Callable[..., Ran], project: Project, arguments: tuple[str, ...]
) -> None:
    before = read_tree(project.workspace.root)
    ran = pickroom(*arguments)
    assert ran.code == 2
    assert "no project is named 'nobody'" in ran.line
    assert "projects here: p" in ran.line
    assert read_tree(project.workspace.root) == before


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("start", "p", "--images", "good"), "is there already"),
        (("start", "q", "--images", "gone"), "does not exist"),
        (("start", "q", "--images", "empty"), "holds no images"),
        (("start", "q", "--images", "good/file.txt"), "a file, not a folder"),
        (("start", "../q", "--images", "good"), "cannot be a project's name"),
        (("start", "q_legacy", "--images", "good"), "cannot be a project's name"),
        (("groups", "p", "--by", "colour"), "'colour'"),
        (("groups", "p", "--gap", "0"), "gap of 0 minutes"),
        (("groups", "p", "--gap", "-3"), "gap of -3 minutes"),
        (("groups", "p", "--gap", "nan"), "gap of nan minutes"),
        (("groups", "p", "--gap", "inf"), "gap of inf minutes"),
        (("groups", "p", "--gap", "1e300"), "gap of 1e+300 minutes"),
        (("review", "p", "--keys", "gone"), "cannot read the file"),
        (("review", "p", "--keys", "good"), "cannot read the file"),
        (("review", "p", "--keys", "bad.keys"), "line 2: 'Return' is not a key"),
        (("review", "p", "--keys", "bytes.keys"), "cannot read the file"),
        (("undo", "p", "--batch", "7"), "no batch has the number 7"),
        (("relocate", "p", "gone"), "does not exist"),
        (("relocate", "p", "good/file.txt"), "a file, not a folder"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_wrong_values_are_one_line_exit_2_and_change_nothing(
    pickroom: Callable[..., Ran],
    project: Project,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    says: str,
) -> None:
    write_series(tmp_path / "good", [(1, 2)])
    (tmp_path / "good" / "file.txt").write_text("x")
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad.keys").write_text("a\nReturn\n")
    (tmp_path / "bytes.keys").write_bytes(b"\xff\xf0")
    monkeypatch.chdir(tmp_path)
    before = tree(tmp_path)
    ran = pickroom(*arguments)
    assert ran.code == 2
    assert says in ran.line
    assert tree(tmp_path) == before


def test_one_wrong_line_in_a_key_file_presses_no_keys(pickroom: Callable[..., Ran], project: Project) -> None:
    assert pickroom("review", "p", "--keys", "-", stdin="x\nx\nReturn\n").code == 2
    assert pickroom("review", "p").out.startswith("Group 1 of 3 - reviewed 0")


def test_relocating_to_a_strangers_folder_is_refused_with_1(
    pickroom: Callable[..., Ran], project: Project, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    ran = pickroom("relocate", "p", tmp_path / "empty")
    assert ran.code == 1
    assert "none of the project's images" in ran.line


# ------------------------------------------------------------------------------------------------ trouble


@pytest.mark.parametrize("command", [("status", "p"), ("groups", "p", "--json"), ("review", "p"), ("recover", "p")])
@pytest.mark.parametrize(
    ("harm", "says", "code"),
    [
        pytest.param(
            lambda p: p.database.write_bytes(b"my notes\n" * 1000), "not a database", 1, id="no database at all"
        ),
        pytest.param(lambda p: set_version(p, 999), "update pickroom", 1, id="a newer one"),
        pytest.param(lambda p: p.manifest_file.write_text("{"), "the manifest is damaged", 2, id="a damaged manifest"),
    ],
)
def test_trouble_with_the_projects_files_is_one_line(
    pickroom: Callable[..., Ran],
    project: Project,
    command: tuple[str, ...],
    harm: Callable[[Project], object],
    says: str,
    code: int,
) -> None:
    harm(project)
    ran = pickroom(*command)
    assert ran.code == code
    assert says in ran.line


def set_version(project: Project, version: int) -> None:
    connection = connect(project.database)
    connection.execute(f"PRAGMA user_version = {version}")
    connection.close()


@pytest.mark.parametrize("command", [("groups", "p"), ("review", "p"), ("recover", "p"), ("undo", "p", "--batch", "1")])
def test_image_folder_that_is_not_there_is_one_line(
    pickroom: Callable[..., Ran], project: Project, command: tuple[str, ...]
) -> None:
    shutil.rmtree(project.root)
    ran = pickroom(*command)
    assert ran.code == 2
    assert f"the image folder is not there while opening project p: {project.root}" in ran.line


@pytest.mark.parametrize("command", [("groups", "p"), ("recover", "p"), ("undo", "p", "--batch", "1")])
def test_project_at_work_elsewhere_is_one_line(
    pickroom: Callable[..., Ran], project: Project, command: tuple[str, ...]
) -> None:
    with project_lock(project, "finalising"):
        ran = pickroom(*command)
    assert ran.code == 1
    assert "(finalising) is at work on project p" in ran.line


def test_database_that_another_program_keeps_is_one_line(
    pickroom: Callable[..., Ran], project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "BUSY_TIMEOUT_S", 0)
    other = connect(project.database)
    with transaction(other):
        ran = pickroom("groups", "p")
    other.close()
    assert ran.code == 1
    assert "database is locked" in ran.line
    assert "try again" in ran.line


def test_home_that_is_a_file_is_one_line(pickroom: Callable[..., Ran], images_folder: Path, tmp_path: Path) -> None:
    write_series(images_folder, [(1, 2)])
    (tmp_path / "file").write_text("x")
    ran = pickroom("start", "p", "--images", images_folder, "--home", tmp_path / "file")
    assert ran.code in (1, 2)
    assert str(tmp_path / "file") in ran.line


@pytest.mark.parametrize("limit", [0, 1000, 60_000])
def test_disk_that_takes_no_more_is_one_line_and_no_half_project(
    workspace: Workspace, images_folder: Path, limit: int
) -> None:
    write_series(images_folder, [(1, 1.5, 2)] * 3)
    before = read_tree(images_folder)

    def cap() -> None:
        # a file that would grow beyond this is refused, as on a full disk
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    ran = alone("start", "p", "--images", images_folder, home=workspace.root, preexec_fn=cap)
    assert ran.code == 1
    assert "Traceback" not in ran.line
    assert workspace.project_ids() == []
    assert read_tree(images_folder) == before


# ------------------------------------------------------------------------------------------------ the real process


def test_version_and_help_are_said_and_exit_0(tmp_path: Path) -> None:
    assert alone("--version", home=tmp_path) == Ran(0, f"pickroom {__version__}\n", "")
    shown = alone("--help", home=tmp_path)
    assert shown.code == 0
    for command in ("start", "groups", "status", "relocate", "review", "recover", "undo", "demo", "lab", "crop"):
        assert f" {command} " in shown.out


def test_real_process_ends_with_its_code_and_no_traceback(tmp_path: Path) -> None:
    ran = alone("groups", "nobody", "--json", home=tmp_path)
    assert ran.code == 2
    assert "no project is named 'nobody'" in ran.line


def test_real_process_prints_json_alone_on_stdout(workspace: Workspace, images_folder: Path) -> None:
    write_series(images_folder, [(1, 2)])
    ran = alone("start", "p", "--images", images_folder, "--json", home=workspace.root)
    assert (ran.code, ran.json["images"]) == (0, 2)


def test_reader_that_goes_away_is_no_traceback(workspace: Workspace) -> None:
    command = f"{sys.executable} -m pickroom.cli status | true"
    environment = {**os.environ, "PICKROOM_HOME": str(workspace.root)}
    ended = subprocess.run(["sh", "-c", command], env=environment, capture_output=True, text=True, timeout=60)
    assert "Traceback" not in ended.stderr


def test_help_answers_without_the_heavy_imports() -> None:
    script = "import sys, pickroom.cli; print([m for m in ('torch', 'pandas', 'numpy', 'PIL') if m in sys.modules])"
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert ended.stdout == "[]\n"

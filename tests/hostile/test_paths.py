"""No text leads out of a project's folder: every field that becomes a path, tried with every way out that is known.

field                                       where it is checked
------------------------------------------  -----------------------------------------------------------------
project id (arguments, notebooks, rows)     naming.is_project_id, by Workspace.project and given_project
manifest: root, encoder                     Manifest.from_json: an absolute path; an encoder's id
decisions: directory, images, chosen        AutomationDecision itself, then require_matching
approvals: final_choice                     ApprovedDecision itself, then the group's own names
journal: source, destination                moves.execute, by naming.stays_inside
groups, images, marks: directory, folder    what they plan is journalled: moves.execute
sidecar: filename                           sidecars.read: the image's own name, or it is not obeyed
boxes and marks files: filename, directory  cropping._check; Listing.find: only what a walk has met
folders of the folder viewer                marking.listing.checked
character folders, values of a field        sorting.fields.folder_name and folder_for
CSV and legacy logs: every path             logged_paths.split_path: a file name and a project, never opened
legacy cache: embedding_file                embeddings.legacy._places: below the cache's own folder
zips of a history: member names             history.pairing.ImageSource: unpacked under a name of our own
archive: names of databases                 reporting.archive.verified: plain names
models: name, version                       learn.checkpoints: names are the program's own, versions whole numbers
"""

from __future__ import annotations

import json
import sqlite3
import zipfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from conftest import read_tree, write_image
from hostile.guard import attempt
from pickroom.analysis.reports import archive
from pickroom.automation.decisions_file import ApprovedDecision, AutomationDecision
from pickroom.core.errors import PickroomError, ProjectError, StoreError, UsageError
from pickroom.core.naming import is_project_id, stays_inside
from pickroom.core.records import CropBox, FileOp
from pickroom.files import cropping, journal, moves
from pickroom.files.preflight import moving_files
from pickroom.history.logged_paths import split_path
from pickroom.history.pairing import open_source
from pickroom.learn import checkpoints
from pickroom.sessions.crop.session import CropSession
from pickroom.sessions.marking.images import checked
from pickroom.sessions.sorting.suggest import folder_for, folder_name
from pickroom.store import operations
from pickroom.store.connect import connect, transaction
from pickroom.store.workspace import Project, Workspace
from support.boards import browse, sort
from support.reviewing import FINALISE, review

WAYS_OUT = (
    "..",
    "../outside/secret.png",
    "selected/../../outside/secret.png",
    "./../outside/secret.png",
    "/etc/passwd",
    "//etc/passwd",
    "a//../../outside",
    "..\\outside\\secret.png",
    "a\0b",
    "../" * 40 + "etc/passwd",
    ".",
    "",
)


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    folder = tmp_path / "outside"
    write_image(folder / "secret.png", seed=99)
    return folder


@pytest.mark.parametrize("way", WAYS_OUT)
def test_a_way_out_is_no_name_no_folder_and_no_project(workspace: Workspace, way: str) -> None:
    assert not is_project_id(way)
    with pytest.raises(ProjectError):
        workspace.project(way)
    if "\\" in way:  # a name like any other, where "\\" parts no folders
        assert AutomationDecision("g", "p", way, (way, "b.png")).directory == way and "/" not in way
        assert ApprovedDecision("g", "overridden", way, False, None, "person", "2026-01-02").final_choice == way
    else:
        with pytest.raises(ValueError, match="file names"):
            AutomationDecision("g", "p", "", (way, "b.png"))
        with pytest.raises(ValueError, match="not a file name"):
            ApprovedDecision("g", "overridden", way, False, None, "person", "2026-01-02")
        if way:  # the root itself
            with pytest.raises(ValueError, match="leads out"):
                AutomationDecision("g", "p", way, ("a.png", "b.png"))
    _, name = split_path(way)
    assert "/" not in name and name not in (".", "..")
    with pytest.raises(UsageError):
        folder_name(way)
    made = folder_for(way)
    assert made is None or (not {"/", "\\", "\0"} & set(made) and made not in (".", ".."))
    if "\\" not in way:  # a character like any other to this system
        assert not stays_inside(way)


@pytest.mark.parametrize("op", ["move", "write", "remove", "replace"])
@pytest.mark.parametrize("way", [way for way in WAYS_OUT if "\\" not in way])
def test_no_step_of_the_journal_is_taken_or_put_back_outside(tmp_path: Path, outside: Path, op: str, way: str) -> None:
    root = tmp_path / "images"
    write_image(root / "a.png")
    before = read_tree(tmp_path)
    lacks = operations._LACKS[op]
    for source, destination in (("a.png", way), (way, "b.png")):
        if (op in ("write", "replace") and source == way) or (op == "remove" and destination == way):
            continue
        texts = {"source": source, "destination": destination, "content": "text", "content_before": "before"}
        given = {name: None if name in lacks else text for name, text in texts.items()}
        step = FileOp(1, "review", "g", op, sha256="0" * 64, **given)  # type: ignore[arg-type]
        with pytest.raises(PickroomError, match="leads out of the project's folder"):
            moves.execute(root, step)
        moves.rollback(root, step)
    assert read_tree(tmp_path) == before


def test_a_journal_written_by_an_enemy_moves_nothing_out_or_in(
    make_project: Callable[..., Project], outside: Path, tmp_path: Path
) -> None:
    project = make_project([(1, 2), (1, 2)])
    image = next(project.root.glob("*.png")).name
    before = read_tree(tmp_path / "images") | read_tree(outside)
    (outside / ".x.pickroom-partial").write_bytes(b"theirs")
    with closing(connect(project.database)) as connection:
        with transaction(connection):
            for number, way in enumerate(("../outside/new.png", "/tmp/../" + str(outside / "new.png"))):
                step = FileOp(number + 1, "rename", f"u{number}", "move", image, way, "0" * 64)
                back = FileOp(number + 1, "rename", f"v{number}", "move", "../outside/secret.png", "s.png", "0" * 64)
                text = FileOp(number + 1, "rename", f"w{number}", "write", None, way, "0" * 64, "text")
                operations.plan(connection, [step, back, text])
        with moving_files(project, "recovering") as folder:
            outcome = journal.run_planned(folder, connection, verify=True)
        assert len(outcome.failed) == 6 and not outcome.stuck and not outcome.done
        assert all("leads out" in reason for reason in outcome.failed.values())
        assert operations.count_planned(connection) == 0
    assert (outside / ".x.pickroom-partial").read_bytes() == b"theirs"  # nor is anything swept away there
    (outside / ".x.pickroom-partial").unlink()
    assert read_tree(tmp_path / "images") | read_tree(outside) == before


def test_step_of_unknown_kind_stops_all_before_it_begins(make_project: Callable[..., Project]) -> None:
    project = make_project([(1, 2)])
    name = next(project.root.glob("*.png")).name
    before = read_tree(project.root)
    with closing(connect(project.database)) as connection:
        with transaction(connection):
            operations.plan(connection, [FileOp(1, "rename", "u", "move", name, "x.png", before[name])])
            operations.plan(connection, [FileOp(1, "mining", "v", "move", "x.png", "y.png", before[name])])
        unknown = pytest.raises(StoreError, match="unknown kind, 'mining'")
        with moving_files(project, "recovering") as folder, unknown:
            journal.run_planned(folder, connection)
    assert read_tree(project.root) == before


def test_marks_and_groups_that_lead_out_are_held_back(
    make_project: Callable[..., Project], outside: Path, tmp_path: Path
) -> None:
    project = make_project([(1, 2), (1, 2)])
    before = read_tree(project.root) | read_tree(outside)
    with closing(sqlite3.connect(project.database, isolation_level=None)) as connection:
        connection.execute("PRAGMA foreign_keys = OFF")
        info = (outside / "secret.png").stat()
        for directory, folder in (("../outside", "selected"), ("..", "crop"), ("", "../outside")):
            connection.execute(
                "INSERT INTO image_marks VALUES ('browse', ?, 'secret.png', ?, ?, ?, NULL, NULL, 'now')",
                (directory, folder, info.st_size, info.st_mtime_ns),
            )
        connection.execute("UPDATE group_members SET directory = '../outside'")
        connection.execute("UPDATE images SET directory = '../outside'")
        connection.execute("UPDATE groups SET directory = '../outside'")
    attempt(browse, project, "Shift+Enter", "Shift+Enter")
    attempt(review, project, "1", "1", *FINALISE)
    assert read_tree(project.root) | read_tree(outside) == before


@pytest.mark.parametrize("way", ["../outside", "/etc", "..", "selected/../../outside"])
def test_folders_given_by_hand_stay_inside(make_project: Callable[..., Project], outside: Path, way: str) -> None:
    project = make_project([(1, 2)])
    with pytest.raises(UsageError, match="relative to the project's"):
        checked(project, way)
    with pytest.raises(UsageError):
        sort(project, names=(way,))


@pytest.mark.parametrize("name", [*WAYS_OUT, "../images/x.png", "crop/../../outside/secret.png"])
def test_orders_to_crop_name_only_what_waits(make_project: Callable[..., Project], outside: Path, name: str) -> None:
    project = make_project([(1, 2)])
    before = read_tree(project.root) | read_tree(outside)
    session = CropSession(project)
    try:
        for directory in ("crop", "../outside", ".", "/", "", "crop/../../outside", "crop/", "crop//outside"):
            order = cropping.Order(directory, name, CropBox(0.1, 0.1, 0.9, 0.9))
            result = session.submit([order])
            assert list(result.refused) == [order.unit] and not result.done
    finally:
        session.close()
    assert {k: v for k, v in read_tree(project.root).items()} | read_tree(outside) == before


def test_members_of_a_zip_are_unpacked_under_our_own_names(tmp_path: Path, outside: Path) -> None:
    image = (outside / "secret.png").read_bytes()
    with zipfile.ZipFile(tmp_path / "history.zip", "w") as packed:
        for way in ("../../evil.png", "/abs/evil.png", "..\\..\\evil2.png", "C:\\evil3.png", "a/../../evil4.png"):
            packed.writestr(way, image)
        link = zipfile.ZipInfo("link.png")
        link.external_attr = 0o120777 << 16
        packed.writestr(link, "../outside/secret.png")
    before = read_tree(tmp_path)
    source = open_source(tmp_path / "history.zip")
    try:
        for item in source.items:
            with source.as_file(item) as path:
                assert path.parent.name.startswith("pickroom-zip-") and path.name == "image.png"
                assert not path.is_symlink()
    finally:
        source.close()
    assert len(source.items) == 6 and read_tree(tmp_path) == before


def test_versions_of_models_and_names_in_archives_are_plain(
    make_project: Callable[..., Project], outside: Path
) -> None:
    project = make_project([(1, 2)])
    models = project.workspace.models
    models.mkdir(parents=True)
    for version in ("../../outside/secret", "/etc/passwd", ["1"], {"a": 1}, 1.5, True):
        (models / "ranker_current.json").write_text(json.dumps({"version": version}))
        with pytest.raises(StoreError):
            checkpoints.load_current(project.workspace, "ranker")
    folder = archive.archive_folder(project)
    folder.mkdir(parents=True)
    finished = project.with_manifest(status="finished", finished_at="2025-09-10T00:00:00Z")
    for name in ("../../../outside/secret.png", str(outside / "secret.png")):
        digest = read_tree(outside)["secret.png"]
        summary = {"finished_at": finished.manifest.finished_at, "databases": {name: digest}}
        (folder / "summary.json").write_text(json.dumps(summary))
        with pytest.raises(ProjectError, match="not a plain name"):
            archive.verified(finished)

"""Where everything lies, and the manifest: the one file that says where a project's images are."""

from __future__ import annotations

import json
import multiprocessing
import re
from dataclasses import replace
from pathlib import Path

import pytest
from platformdirs import user_data_path

from conftest import read_tree
from pickroom.core.errors import ProjectError
from pickroom.store.workspace import Manifest, Project, Workspace, utc_now

MANIFEST_FIELDS = [
    "schema_version",
    "project_id",
    "aliases",
    "title",
    "status",
    "root",
    "decisions_db",
    "created_at",
    "finished_at",
    "image_count",
    "group_count",
    "allowed_extensions",
    "encoder",
    "notes",
    "layout",
    "in_place",
]


def saved_project(workspace: Workspace, root: Path, project_id: str = "p") -> Project:
    project = workspace.planned(project_id, root)
    workspace.save_new(project)
    return project


def test_home_given_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PICKROOM_HOME", str(tmp_path / "other"))
    assert Workspace.find(tmp_path / "given").root == tmp_path / "given"


def test_environment_comes_before_the_folders_around(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data/projects").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PICKROOM_HOME", str(tmp_path / "named"))
    assert Workspace.find().root == tmp_path / "named"


def test_nearest_parent_with_projects_comes_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in ("data/projects", "inner/data/projects", "inner/deep/er"):
        (tmp_path / folder).mkdir(parents=True)
    monkeypatch.delenv("PICKROOM_HOME", raising=False)
    monkeypatch.chdir(tmp_path / "inner/deep/er")
    assert Workspace.find().root == tmp_path / "inner"


def test_parent_with_data_alone_is_no_workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in ("data/projects", "inner/data"):
        (tmp_path / folder).mkdir(parents=True)
    monkeypatch.delenv("PICKROOM_HOME", raising=False)
    monkeypatch.chdir(tmp_path / "inner/data")
    assert Workspace.find().root == tmp_path


def test_user_data_folder_comes_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PICKROOM_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))
    monkeypatch.chdir("/")
    assert Workspace.find().root == user_data_path("pickroom")
    assert Workspace.find().root.is_relative_to(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_home_may_be_relative_or_start_with_a_tilde(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    assert Workspace.find("here").root == tmp_path / "here"
    assert Workspace.find("~/pictures").root == tmp_path / "me/pictures"


def test_finding_a_workspace_makes_nothing(tmp_path: Path) -> None:
    Workspace.find(tmp_path / "home").project_ids()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("manifests", "data/projects"),
        ("decisions", "data/training/ai_training_decisions"),
        ("embeddings", "data/ai_data/embeddings"),
        ("thumbnails", "data/ai_data/cache/thumbnails"),
        ("processed_log", "data/ai_data/cache/processed_images.jsonl"),
        ("models", "data/ai_data/models"),
        ("logs", "data/ai_data/logs"),
        ("summaries", "data/daily_summaries"),
        ("notebooks", "notebooks"),
        ("sandbox", "sandbox"),
        ("reports", "reports"),
        ("archives", "archives"),
    ],
)
def test_workspace_folder_lies_where_other_programs_look(workspace: Workspace, name: str, place: str) -> None:
    assert getattr(workspace, name) == workspace.root / place


def test_four_folders_of_the_workspace_are_no_sources(workspace: Workspace) -> None:
    assert workspace.own_folders == {workspace.root / name for name in ("data", "sandbox", "reports", "archives")}


def test_project_files_lie_where_other_programs_look(workspace: Workspace, tmp_path: Path) -> None:
    project = workspace.planned("p", tmp_path)
    assert project.manifest_file == workspace.root / "data/projects/p.json"
    assert project.database == workspace.root / "data/training/ai_training_decisions/p.db"
    assert project.manifest.decisions_db == "data/training/ai_training_decisions/p.db"
    assert project.path("anna", "a.png") == tmp_path / "anna/a.png"
    assert project.path("", "a.png") == project.path(None, "a.png") == tmp_path / "a.png"


def test_manifest_has_exactly_its_fields_in_their_order(workspace: Workspace, tmp_path: Path) -> None:
    saved_project(workspace, tmp_path / "images")
    values = json.loads((workspace.manifests / "p.json").read_text(encoding="utf-8"))
    assert list(values) == MANIFEST_FIELDS
    assert values["schema_version"] == 1
    assert (values["project_id"], values["title"], values["status"]) == ("p", "p", "active")


def test_root_is_the_only_absolute_path_in_the_manifest(workspace: Workspace, tmp_path: Path) -> None:
    saved_project(workspace, tmp_path / "images")
    values = json.loads((workspace.manifests / "p.json").read_text(encoding="utf-8"))
    assert values.pop("root") == str(tmp_path / "images")
    assert str(tmp_path) not in json.dumps(values)


def test_manifest_comes_back_as_it_was_written(workspace: Workspace, tmp_path: Path) -> None:
    project = saved_project(workspace, tmp_path)
    changed = project.with_manifest(title="Anna\n2", aliases=("mojo", "ä"), finished_at=utc_now(), status="finished")
    assert workspace.project("p") == changed
    assert replace(changed.manifest) == Manifest.from_json(changed.manifest.to_json())


def test_manifest_with_only_what_is_needed_is_read(workspace: Workspace) -> None:
    workspace.manifests.mkdir(parents=True)
    (workspace.manifests / "p.json").write_text('{"project_id": "p", "root": "/images", "later_field": 1}')
    manifest = workspace.project("p").manifest
    assert (manifest.title, manifest.status, manifest.aliases) == ("p", "active", ())
    assert "png" in manifest.allowed_extensions


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "damaged"),
        ("{", "damaged"),
        ('{"project_id": "p"}', "'root'"),
        ('{"project_id": "p", "root": ""}', "its root ''"),
        ('{"project_id": "p", "root": 5}', "'root'"),
        ('{"project_id": "p", "root": "/i", "aliases": "mojo"}', "'aliases'"),
        ('{"project_id": "p", "root": "/i", "allowed_extensions": [1]}', "'allowed_extensions[0]'"),
        ('{"project_id": "p", "root": "/i", "status": "lost"}', "'lost'"),
        ('{"project_id": "q", "root": "/i"}', "names project 'q'"),
        (b"\xff\xfe", "damaged"),
    ],
)
def test_damaged_manifest_is_one_line_that_names_the_file(workspace: Workspace, text: str | bytes, says: str) -> None:
    workspace.manifests.mkdir(parents=True)
    path = workspace.manifests / "p.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ProjectError, match=re.escape(says)) as caught:
        workspace.project("p")
    assert str(path) in caught.value.line


def test_newer_manifest_schema_is_refused_and_left_unchanged(workspace: Workspace, tmp_path: Path) -> None:
    path = saved_project(workspace, tmp_path).manifest_file
    # its other fields may mean anything by then: they are not judged
    path.write_text(json.dumps({**json.loads(path.read_text()), "schema_version": 99, "status": "resting"}))
    before = path.read_bytes()
    with pytest.raises(ProjectError, match=r"schema 99, this program knows up to 1 .*opening project p") as caught:
        workspace.project("p")
    assert caught.value.line.endswith(f"{path} (update pickroom)")
    assert path.read_bytes() == before


@pytest.mark.parametrize("place", ["data/p.db", "../p.db", "/elsewhere/p.db", "", "\0"])
def test_manifest_that_names_another_database_is_refused(workspace: Workspace, tmp_path: Path, place: str) -> None:
    path = saved_project(workspace, tmp_path).manifest_file
    path.write_text(json.dumps({**json.loads(path.read_text()), "decisions_db": place}))
    with pytest.raises(ProjectError, match="names another database") as caught:
        workspace.project("p")
    assert str(path) in caught.value.line and "data/training/ai_training_decisions/p.db" in caught.value.hint


def test_unknown_project_is_one_line_that_lists_the_known_ones(workspace: Workspace, tmp_path: Path) -> None:
    saved_project(workspace, tmp_path, "anna")
    with pytest.raises(ProjectError, match="did you mean anna"):
        workspace.project("ana")
    with pytest.raises(
        ProjectError, match=r"no project is named 'bob'.*projects here: anna, in a notebook project = \"anna\"; "
    ):
        workspace.project("bob")
    saved_project(workspace, tmp_path, "clara")
    with pytest.raises(ProjectError, match=r"named 'bob'.*projects here: anna, clara; .*pickroom start bob"):
        workspace.project("bob")


@pytest.mark.parametrize("project_id", ["", "../p", "a b", "p_legacy"])
def test_invalid_project_id_is_refused_before_reading_files(workspace: Workspace, project_id: str) -> None:
    with pytest.raises(ProjectError, match="cannot be a project's name"):
        workspace.project(project_id)


def test_projects_are_listed_by_id_and_other_files_passed_over(workspace: Workspace, tmp_path: Path) -> None:
    for project_id in ("b", "a"):
        saved_project(workspace, tmp_path / project_id, project_id)
    for other in ("c.txt", "p_legacy.json", ".hidden.json"):
        (workspace.manifests / other).write_text("{}")
    assert workspace.project_ids() == ["a", "b"]
    assert [project.id for project in workspace.projects()] == ["a", "b"]


def test_new_project_never_replaces_a_manifest(workspace: Workspace, tmp_path: Path) -> None:
    saved_project(workspace, tmp_path / "first")
    before = read_tree(workspace.root)
    with pytest.raises(ProjectError, match="there already"):
        saved_project(workspace, tmp_path / "second")
    assert read_tree(workspace.root) == before


def test_image_folder_that_is_gone_is_one_line_with_a_way_out(workspace: Workspace, tmp_path: Path) -> None:
    project = workspace.planned("p", tmp_path / "unplugged")
    with pytest.raises(ProjectError, match=r"not there.*pickroom relocate p"):
        project.require_root()


def test_times_are_utc_in_iso_8601_ending_in_z() -> None:
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", utc_now())


def test_a_change_keeps_what_others_have_changed_since(workspace: Workspace, tmp_path: Path) -> None:
    opened = saved_project(workspace, tmp_path)
    opened.with_manifest(encoder="openclip-1")
    finished = opened.with_manifest(status="finished")  # opened long before, as `finish` is
    assert (finished.manifest.encoder, finished.manifest.status) == ("openclip-1", "finished")
    assert workspace.project("p") == finished


def test_two_processes_that_change_a_manifest_lose_nothing(workspace: Workspace, tmp_path: Path) -> None:
    project = saved_project(workspace, tmp_path)
    fork = multiprocessing.get_context("fork")
    fields = ("notes", "title", "encoder")
    workers = [fork.Process(target=_change, args=(project, field)) for field in fields]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    manifest = workspace.project("p").manifest
    assert [getattr(manifest, field) for field in fields] == ["49", "49", "49"]


def _change(project: Project, field: str) -> None:
    for number in range(50):
        changed = project.with_manifest(**{field: str(number)})
        assert getattr(changed.manifest, field) == str(number)

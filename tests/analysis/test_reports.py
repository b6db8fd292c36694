"""From a demo to a finished project: every number of the report counted again, the archive read back, refusals."""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
import sys
import zipfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

import pytest

from conftest import read_tree
from pickroom import cli
from pickroom.analysis import figures
from pickroom.analysis.connection import connect
from pickroom.analysis.reports import archive, finish, render
from pickroom.analysis.reports.html import Number, words
from pickroom.analysis.reports.sections import Report
from pickroom.core.errors import FileOperationError, LockedError, StoreError
from pickroom.demo.plan import DemoConfig
from pickroom.files.batch import undo_batch
from pickroom.files.preflight import project_lock
from pickroom.storage.atomic import sha256_of
from pickroom.store import connect as store
from pickroom.store.workspace import Project, Workspace
from support.analysing import change, crop, write_model, write_vectors
from support.recounting import numbers, same
from support.reviewing import FINALISE, fill, in_child, review, rows, small_disk
from support.simulated import start_simulated

KEYS = "a 1 2 q a w a x a k a 1 a s".split()  # noqa: SIM905 (as a file of keys has them)
# digits that are words: definitions, not figures
DEFINED = ("95 %", "overlap ≥\u00a0.85", "corners within 5\u00a0%")


@pytest.fixture(scope="module")
def decided(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A demo of 14 small groups, reviewed in two sessions on two days, its crops still to be made."""
    workspace = Workspace(tmp_path_factory.mktemp("report"))
    project = start_simulated(workspace, DemoConfig(groups=14, seed=1, long_side=96, anomaly_rate=0.2))
    review(project, *KEYS, *FINALISE)
    spread = "UPDATE {} SET {} = strftime('%Y-%m-%dT%H:%M:%fZ', {}, '-' || ({}) || ' seconds')"
    after = "(SELECT count(*) FROM review_state AS later WHERE later.rowid > review_state.rowid)"
    change(project, spread.format("review_state", "updated_at", "updated_at", f"{after} * 11 + ({after} > 5) * 90000"))
    change(project, "UPDATE decision_context SET milliseconds = 900 + 350 * (rowid % 5)")
    return project


@pytest.fixture(scope="module")
def ready(decided: Project) -> Project:
    """The same with every crop made: those that wait for a hand, then those of the AI."""
    before = list(rows(decided, "SELECT * FROM incomplete_crops"))
    assert len(before) >= 2
    for row in before:
        name = json.loads(row["images"])[row["user_selected_index"]]
        by_hand = row["user_action"] == "crop"
        box = (0.1, 0.0, 0.85, 0.75) if by_hand else tuple(json.loads(row["ai_crop_coords"]))
        crop(decided, "crop" if by_hand else "crop_auto", name, box, box_source="drawn" if by_hand else "ai_all")
    return decided


@pytest.fixture(scope="module")
def finished(ready: Project, tmp_path_factory: pytest.TempPathFactory) -> finish.Finished:
    """A copy of the ready project, finished; the ready one stays for the other tests."""
    project = copy_of(ready, tmp_path_factory.mktemp("finished"))
    write_vectors(project, "small", [("another.png", "its content", [1.0])], 1)
    write_model(project.workspace, "ranker_v1", {"metrics": {"normal_top1": 0.9}})
    return finish.execute(project)


def copy_of(project: Project, home: Path) -> Project:
    """A project of its own, images and all, in another home."""
    shutil.copytree(project.workspace.root, home, dirs_exist_ok=True)
    return replace(project, workspace=Workspace(home)).with_manifest(root=str(home / project.root.name))


@dataclass(frozen=True)
class Page:
    """What a report says: its figures by name (exact value, words), its plain text, its addresses."""

    figures: dict[str, tuple[str, str]]
    text: str
    addresses: list[str]


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.figures: dict[str, tuple[str, str]] = {}
        self.text: list[str] = []
        self.addresses: list[str] = []
        self._within: list[tuple[str, str]] = []  # (tag, what its text is)
        self._named = ("", "")

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attributes}
        self.addresses += [given[name] for name in ("src", "href") if name in given]
        if tag in ("img", "meta", "br", "link", "input"):
            return
        kind = "text"
        if "data-figure" in given:
            kind, self._named = "figure", (given["data-figure"], given["data-value"])
            assert self._named[0] not in self.figures or self.figures[self._named[0]][0] == self._named[1]
        elif given.get("class") == "own" or tag in ("style", "title"):
            kind = "own"
        self._within.append((tag, kind))

    def handle_endtag(self, tag: str) -> None:
        while self._within and self._within.pop()[0] != tag:
            pass

    def handle_data(self, data: str) -> None:
        kinds = {kind for _, kind in self._within}
        if "figure" in kinds:
            self.figures[self._named[0]] = (self._named[1], data)
        elif "own" not in kinds:
            self.text.append(data)


def read_page(path: Path) -> Page:
    reader = _Reader()
    reader.feed(path.read_text(encoding="utf-8"))
    return Page(reader.figures, " ".join(reader.text), reader.addresses)


def value_of(text: str) -> object:
    """A figure's exact value from its text."""
    if text == "":
        return None
    return datetime.fromisoformat(text) if "-" in text[1:] and ":" in text else float(text)


# ------------------------------------------------------------------------------------------------ the report


def test_every_number_of_the_report_is_counted_again(finished: finish.Finished) -> None:
    (page,) = [read_page(path) for path in finished.pages]
    counted = numbers(finished.project)
    assert len(page.figures) > 60
    assert set(page.figures) <= set(counted), set(page.figures) - set(counted)
    wrong = {
        name: (counted[name], exact)
        for name, (exact, _) in page.figures.items()
        if not same(counted[name], value_of(exact))
    }
    assert wrong == {}
    for section in ("input_output", "shares", "pace", "sessions", "time_saved", "performance_by_model", "crop_error"):
        assert any(name.startswith(f"{section}.") for name in page.figures), section
    # two sessions, a hand crop and an AI crop, a mistake: the report is about something
    assert counted["pace.sessions"] == 2
    assert counted["mistakes.total"] >= 1 and counted["time_saved.crops_taken"] >= 1


def test_no_number_stands_outside_the_figures(finished: finish.Finished) -> None:
    (page,) = [read_page(path) for path in finished.pages]
    text = page.text
    for definition in DEFINED:
        text = text.replace(definition, "")
    assert re.findall(r"\S*\d\S*", text) == []


def test_what_is_shown_is_the_exact_value_in_words(finished: finish.Finished) -> None:
    (page,) = [read_page(path) for path in finished.pages]
    for name, (exact, shown) in page.figures.items():
        number = value_of(exact)
        if number is None:
            assert shown == "–"
        elif isinstance(number, float) and shown.endswith(" %"):
            assert float(shown[:-2]) == pytest.approx(number * 100, abs=0.0501), name
        elif isinstance(number, float) and re.fullmatch(r"-?[\d,]+", shown):
            assert int(shown.replace(",", "")) == pytest.approx(number, abs=0.501), name


def test_the_page_needs_nothing_else(finished: finish.Finished) -> None:
    import nbformat

    (path,) = finished.pages
    page, source = read_page(path), path.read_text(encoding="utf-8")
    assert path == finished.project.workspace.root / "reports" / "demo" / "report.html"
    assert [address[:40] for address in page.addresses if not address.startswith(("data:image/png;base64,", "#"))] == []
    assert "<script" not in source and "url(" not in source and "@import" not in source
    assert str(finished.project.workspace.root) not in source
    assert source.count("<img") >= 4
    notebook = nbformat.read(path.with_suffix(".ipynb"), as_version=4)
    assert "widgets" not in notebook.metadata
    assert str(finished.project.workspace.root) not in json.dumps(notebook)


def test_a_project_without_a_decision_has_a_report(make_project: Callable[..., Project]) -> None:
    project = make_project([(1, 2)])
    with Report.open(project.id, project.workspace.root) as report:
        parts = [
            report.heading,
            report.overview,
            report.work,
            report.agreement,
            report.mistakes,
            report.crops,
            report.health,
        ]
        html = "".join(part().html for part in parts)
    assert "Nothing decided yet" in html and "no crop by hand yet" in html


def test_a_baseline_is_not_called_the_ai(make_project: Callable[..., Project]) -> None:
    project = make_project([(1, 2), (1, 2), (1, 2)])
    review(project, "1", "2", *FINALISE)
    with Report.open(project.id, project.workspace.root) as report:
        page = report.agreement().html + report.mistakes().html
        assert "the baseline (highest stage)" in page and "the AI" not in page
        assert "groups you took another image than the baseline (highest stage); the latest are these." in page
        assert "No time was spent that could be measured" in report.work().html
        assert "groups are undecided" in report.health().html
    change(project, "UPDATE decision_context SET source = 'model' WHERE rowid = 1")
    with Report.open(project.id, project.workspace.root) as report:
        assert "pick of the AI or the baseline (highest stage) taken" in report.agreement().html


@pytest.mark.parametrize(
    ("source", "confidence", "heading"),
    [("baseline", None, ""), ("model", None, "not said how sure"), ("model", 0.87, "87 % sure")],
)
def test_only_a_model_is_asked_how_sure_it_was(source: str, confidence: float | None, heading: str) -> None:
    assert figures.how_sure(source, confidence) == heading


def test_a_crop_that_was_taken_back_is_known_to_the_program(ready: Project, tmp_path: Path) -> None:
    project = copy_of(ready, tmp_path)
    (latest,) = rows(project, "SELECT max(batch) AS batch FROM crops")
    with closing(store.connect(project.database)) as connection:
        undo_batch(project, connection, latest["batch"])
    assert list((project.root / "delete_staging").glob("*.undone-*"))
    (project.root / "delete_staging" / "stranger.png").write_bytes(b"not scanned")
    with connect(project.workspace) as analysis:
        found = {row["what"]: row["times"] for row in analysis.rows("data_health", project.id)}
    assert found["image that no scan has met"] == 1


def test_a_failing_cell_is_shown_and_the_project_is_not_finished(
    ready: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import nbformat

    project = copy_of(ready, tmp_path)
    source = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(t) for t in ("one = 1", "two = one / 0\nthree = 3")]
    )
    source.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    template = tmp_path / "failing.ipynb"
    nbformat.write(source, template)
    monkeypatch.setattr(render, "templates", lambda workspace: [template])
    before = project.manifest_file.read_bytes()
    monkeypatch.setattr(sys, "argv", ["pickroom", "finish", "demo", "--execute", "--home", str(tmp_path)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    told = capsys.readouterr().err
    assert ended.value.code == 1
    assert "  | two = one / 0\n  | three = 3\n" in told
    assert "failed: ZeroDivisionError: division by zero while reporting on demo" in told.splitlines()[-1]
    assert project.manifest_file.read_bytes() == before
    assert not (tmp_path / "archives").exists()
    assert [path.name for path in (tmp_path / "reports" / "demo").iterdir()] == ["failing.failed.ipynb"]


def test_a_report_that_the_user_changed_is_kept(
    make_project: Callable[..., Project], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import nbformat

    project = make_project([(1, 2)])
    source = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("print(1)")])
    source.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(source, tmp_path / "small.ipynb")
    monkeypatch.setattr(render, "templates", lambda workspace: [tmp_path / "small.ipynb"])
    folder = render.report_folder(project)
    folder.mkdir(parents=True)
    (folder / "small.html").write_text("mine")
    (folder / "small.failed.ipynb").write_text("mine too")
    assert render.run(project) == [folder / "small-2.html"]
    assert render.report_path(project, "small.html") == folder / "small-2.html"  # as the next run replaces
    assert render.report_path(project, "small.ipynb") == folder / "small.ipynb"
    (folder / "small.ipynb").write_text("opened and saved by me")
    assert render.report_path(project, "small.ipynb") == folder / "small-2.ipynb"
    assert [(folder / name).read_text() for name in ("small.html", "small.failed.ipynb")] == ["mine", "mine too"]


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        (1234567, "count", "1,234,567"),
        (0.12345, "share", "12.3 %"),
        (0.5, "score", "0.500"),
        (325.4, "rate", "325"),
        (0.25, "seconds", "0.25 s"),
        (59.96, "seconds", "60.0 s"),
        (3599.9, "seconds", "1 h 0 min"),
        (7500, "seconds", "2 h 5 min"),
        (-95, "seconds", "-1 min 35 s"),
        (None, "share", "–"),
        (datetime(2025, 8, 3, 6, 54), "moment", "2025-08-03 06:54"),
        (datetime(2025, 8, 3, 6, 54), "day", "2025-08-03"),
    ],
)
def test_numbers_in_words(value: object, unit: str, shown: str) -> None:
    assert words(value, unit) == shown  # type: ignore[arg-type]
    assert f">{shown}<" in Number("a.b", value, unit).html  # type: ignore[arg-type]


# ------------------------------------------------------------------------------------------------ the archive


def test_the_archive_holds_what_it_should(finished: finish.Finished) -> None:
    project, folder = finished.project, finished.archive
    assert folder == project.workspace.root / "archives" / "demo"
    assert sorted(path.name for path in folder.iterdir()) == [
        "deliverables.json",
        "deliverables.zip",
        "demo.db",
        "demo.json",
        "models",
        "summary.json",
        "vectors.json",
    ]
    (vectors,) = json.loads((folder / "vectors.json").read_text())
    assert vectors["name"] == "small/demo/part-0.parquet"
    assert vectors["sha256"] == sha256_of(project.workspace.embeddings / vectors["name"])
    assert json.loads((folder / "models" / "ranker_v1_metadata.json").read_text()) == {"metrics": {"normal_top1": 0.9}}
    with closing(sqlite3.connect(folder / "demo.db")) as copy, closing(sqlite3.connect(project.database)) as own:
        for table in ("ai_decisions", "decision_context", "file_operations", "images"):
            query = f"SELECT * FROM {table} ORDER BY 1, 2"
            assert copy.execute(query).fetchall() == own.execute(query).fetchall()
    manifest = json.loads((folder / "demo.json").read_text())
    assert manifest == json.loads(project.manifest_file.read_text())
    assert manifest["status"] == "finished" and manifest["finished_at"].endswith("Z")
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["finished_at"] == manifest["finished_at"]
    assert summary["undecided_groups"] == rows(project, "SELECT count(*) AS n FROM groups")[0]["n"] - sum(
        row["n"] for row in rows(project, "SELECT count(*) AS n FROM decision_context")
    )
    assert summary["database_rows"]["ai_decisions"] == len(rows(project, "SELECT * FROM ai_decisions"))
    (flow,) = summary["input_output"]
    counted = numbers(project)
    assert {
        f"input_output.{k}": v for k, v in flow.items() if f"input_output.{k}" in counted
    }.items() <= counted.items()


def test_the_zip_holds_the_pictures_and_nothing_else(finished: finish.Finished) -> None:
    project, folder = finished.project, finished.archive
    on_disk = {
        path.relative_to(project.root).as_posix(): sha256_of(path)
        for name in ("selected", "crop_cropped")
        for path in (project.root / name).iterdir()
        if path.suffix in (".png", ".jpg") and not path.name.startswith(".")
    }
    listed = json.loads((folder / "deliverables.json").read_text())
    assert {entry["name"]: entry["sha256"] for entry in listed} == on_disk
    with zipfile.ZipFile(folder / "deliverables.zip") as packed:
        assert packed.testzip() is None
        assert set(packed.namelist()) == set(on_disk)
        assert all(info.compress_type == zipfile.ZIP_STORED for info in packed.infolist())
    assert any(path.suffix == ".yaml" for path in (project.root / "selected").iterdir())  # left behind, on purpose


def test_finishing_moves_and_changes_no_image(ready: Project, finished: finish.Finished) -> None:
    assert read_tree(finished.project.root) == read_tree(ready.root)


def test_finishing_again_keeps_the_earlier_archive(
    finished: finish.Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = copy_of(finished.project, tmp_path)
    monkeypatch.setattr(render, "run", lambda project: [])
    before = read_tree(tmp_path / "archives" / "demo")
    assert any("it was finished on" in line for line in finish.plan(project).lines)
    finish.execute(project)
    names = sorted(path.name for path in (tmp_path / "archives").iterdir())
    assert len(names) == 2 and re.fullmatch(r"demo-\d{8}T\d{6}Z", names[1])
    assert read_tree(tmp_path / "archives" / names[1]) == before


def test_a_picture_from_the_far_future_is_packed(ready: Project, tmp_path: Path) -> None:
    project = copy_of(ready, tmp_path)
    picture, later = next(iter((project.root / "selected").glob("*.png"))), datetime(2150, 1, 1, tzinfo=UTC).timestamp()
    os.utime(picture, (later, later))
    folder = archive.write(project, {})
    with zipfile.ZipFile(folder / "deliverables.zip") as packed:
        assert packed.getinfo(f"selected/{picture.name}").date_time[0] == 2107


def test_a_full_disk_leaves_the_project_unfinished(
    ready: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = copy_of(ready, tmp_path / "home")
    monkeypatch.setattr(render, "run", lambda project: [])
    with small_disk(tmp_path, "4m") as disk:
        (project.workspace.root / "archives").symlink_to(disk)
        plan = finish.plan(project)
        monkeypatch.setattr(finish, "plan", lambda project, **options: plan)  # it fills up after the look
        fill(disk)
        with pytest.raises(StoreError, match=r"database or disk is full while copying the database"):
            finish.execute(project)
        assert [path.name for path in disk.iterdir()] == [".filler"]
    assert json.loads(project.manifest_file.read_text())["status"] == "active"


def test_a_folder_that_goes_during_the_reports_finishes_nothing(
    ready: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = copy_of(ready, tmp_path)

    def go(project: Project) -> list[Path]:
        (project.root / "selected").rename(tmp_path / "away")
        return []

    monkeypatch.setattr(render, "run", go)
    with pytest.raises(FileOperationError, match="the folder is gone"):
        finish.execute(project)
    assert json.loads(project.manifest_file.read_text())["status"] == "active"


def test_a_picture_that_changes_while_it_is_packed_is_found(
    ready: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = copy_of(ready, tmp_path)

    def spoil(done: int, of: int) -> None:
        if done == of:
            with next((project.root / "selected").glob("*.*g")).open("ab") as file:
                file.write(b"x")

    monkeypatch.setattr(render, "run", lambda project: [])
    with pytest.raises(FileOperationError, match="differs from the one on disk"):
        finish.execute(project, spoil)
    assert not archive.archive_folder(project).exists()
    assert project.manifest_file.read_bytes() == ready.manifest_file.read_bytes().replace(
        str(ready.root).encode(), str(project.root).encode()
    )


# ------------------------------------------------------------------------------------------------ refusals


def test_dry_run_and_finish_name_obstacles_and_move_nothing(
    decided: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    project = copy_of(decided, tmp_path)
    change(project, "UPDATE ai_decisions SET image_width = 0 WHERE user_action = 'reject'")
    change(
        project,
        """INSERT INTO file_operations (batch, kind, unit, op, source, destination, sha256, planned_at)
        VALUES (9, 'review', 'g', 'move', 'places/left.png', 'selected/left.png', 'x', '2025-08-03T06:00:00Z')""",
    )
    if not rows(project, "SELECT * FROM incomplete_crops"):  # another test of this module has made them
        change(project, "UPDATE ai_decisions SET final_crop_coords = NULL")
    before = read_tree(tmp_path)
    waiting = [
        json.loads(r["images"])[r["user_selected_index"]] for r in rows(project, "SELECT * FROM incomplete_crops")
    ]
    for arguments, code in ((("finish", "demo"), 1), (("finish", "demo", "--execute"), 1)):
        monkeypatch.setattr(sys, "argv", ["pickroom", *arguments, "--home", str(tmp_path)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        captured = capsys.readouterr()
        told = captured.out + captured.err
        assert ended.value.code == code
        assert f"crops wait to be made: {len(waiting)} (" in told and "pickroom crop demo" in told
        assert any(name in told for name in waiting)
        assert "file operations are unfinished: 1 (places/left.png) - pickroom recover demo" in told
        assert "sizes" in told or "--execute" in arguments  # left out, and no obstacle
    assert "pickroom: 2 things must be done first while finishing demo" in captured.err
    changed = {name for name, digest in read_tree(tmp_path).items() if before.get(name) != digest}
    assert {name for name in changed if not name.startswith("data/")} == set()


def test_the_dry_run_of_a_ready_project_says_what_would_happen(ready: Project) -> None:
    plan = finish.plan(ready)
    assert plan.blockers == ()
    counted = numbers(ready)
    assert plan.undecided == counted["input_output.undecided"] > 0
    assert "  1 group is undecided and stays as it is" in plan.lines
    assert "  report: reports/demo/report.html" in plan.lines
    assert any(line.startswith("  archive: archives/demo/ with the database and ") for line in plan.lines)
    beside = [path for path in (ready.root / "selected").iterdir() if path.suffix in (".yaml", ".caption")]
    told = r"  (\d+) files that belong to pictures \(captions and the like\) stay next to them"
    (companions,) = [int(match[1]) for line in plan.lines if (match := re.fullmatch(told, line))]
    assert 0 < len(beside) <= companions
    assert not any("not delivered" in line for line in plan.lines)


def test_files_that_belong_to_no_picture_are_named(ready: Project, tmp_path: Path) -> None:
    project = copy_of(ready, tmp_path)
    (project.root / "selected" / "notes.txt").write_text("mine\n")
    assert "  not delivered, no pictures: 1 (selected/notes.txt)" in finish.plan(project).lines


def test_nothing_is_finished_while_files_move(ready: Project) -> None:
    def hold_and_finish() -> str:
        with project_lock(ready, "finalising"), pytest.raises(LockedError) as refused:
            finish.execute(ready)
        return refused.value.line

    assert "is at work on project demo while finishing" in in_child(hold_and_finish)


def test_the_user_may_add_and_replace_report_notebooks(workspace: Workspace) -> None:
    (packaged,) = render.templates(workspace)
    own = workspace.notebooks / "reports"
    own.mkdir(parents=True)
    for name in ("another.ipynb", packaged.name, ".hidden.ipynb"):
        (own / name).write_text("{}")
    assert render.templates(workspace) == [own / "another.ipynb", own / packaged.name]

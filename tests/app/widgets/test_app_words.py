"""The app's text refers to no notebook, and to no command for something that a page does."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import pickroom
from conftest import write_image
from pickroom.app.widgets import words
from pickroom.app.widgets.app import PAGES, App, AppPlace
from pickroom.app.widgets.desk import Desk
from pickroom.app.widgets.grid_desk import GridDesk
from pickroom.app.widgets.page import Page as Parts
from pickroom.indexing import projects
from pickroom.sessions.crop.session import CropSession
from pickroom.store.workspace import Project, Workspace
from support.reviewing import FINALISE, review

Make = Callable[..., Project]

# command -> why the app's text may name it: no page does it
ALLOWED = {
    "auto": "a step of the automation that has no page of its own in a sandbox elsewhere",
    "check": "looks at every row and file of a project; its findings are a terminal's",
    "doctor": "looks at the machine",
    "start": "with --no-in-place: no page switches whether images move",
    "restore": "puts a database in place of one that no window may have open",
    "reclaim": "deletes for good, and has its own question",
    "install": "changes the installation",
    "evaluate": "compares versions of a model; the page Models has its figures",
    "recover": "with --give-up or --unexplained: files are gone, or nothing explains them",
    "embed": "with --change-encoder, --encoder or --verify: chooses or checks an encoder",
}
# these print in a terminal or in a notebook's cell
ELSEWHERE = ("cli", "analysis", "demo", "maintenance", "exports", "history", "notebooks")
OF_NOTEBOOKS = ("app/widgets/start_page.py", "app/lab.py", "app/server/app_server.py", "indexing/report.py")
_COMMAND = re.compile(r"pickroom ([a-z]+)|(\w+\.ipynb|\b\d0_[a-z]+)")


@pytest.fixture(autouse=True)
def _in_the_app(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(words, "in_app", True)


def texts_of(tree: ast.AST) -> Iterator[str]:
    """Every text of a module but its docstrings, with `p` for what is filled in."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    skipped = {
        id(part)
        for node in ast.walk(tree)
        for part in (
            ast.walk(node.body[0])
            if isinstance(node, documented) and node.body and isinstance(node.body[0], ast.Expr)
            else node.values
            if isinstance(node, ast.JoinedStr)
            else ()
        )
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(part.value if isinstance(part, ast.Constant) else "p" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in skipped:
            yield node.value


def test_every_message_names_only_commands_that_no_page_does() -> None:
    root, wrong, met = Path(pickroom.__file__).parent, [], set()
    for path in sorted(root.rglob("*.py")):
        name = path.relative_to(root).as_posix()
        if name.startswith(ELSEWHERE) or name in OF_NOTEBOOKS or name == "app/widgets/words.py":
            continue
        for text in texts_of(ast.parse(path.read_text(encoding="utf-8"))):
            for command, notebook in _COMMAND.findall(words.shown(text)):
                met.add(command)
                if notebook or command not in ALLOWED:
                    wrong.append((name, words.shown(text)))
    assert not wrong
    assert met - {""} <= ALLOWED.keys()


@pytest.mark.parametrize(
    ("said", "in_the_app"),
    [
        ("1 unfinished: run `pickroom recover p`", "1 unfinished: open this page again, it finishes them"),
        ("finish it: pickroom recover p", "finish it: open this page again"),
        ("if it is gone: pickroom recover p --give-up", "if it is gone: pickroom recover p --give-up"),
        ("Batch 3: 2 approve · 1 waits in 30_crop", "Batch 3: 2 approve · 1 waits for a crop"),
        ("undo: pickroom undo p-1 --batch 3", "undo: batch 3 on the page Reports"),
        ("no vectors (pickroom embed p)", "no vectors (press Look for new images on the page Projects)"),
        ("pickroom embed p --encoder bundled --change-encoder", "pickroom embed p --encoder bundled --change-encoder"),
        ("or in the folder where its images are now: pickroom relocate p . --home '/a b'", f"or {words._FOLDER}"),
    ],
)
def test_a_message_names_what_the_page_has(said: str, in_the_app: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert words.shown(said) == in_the_app
    monkeypatch.setattr(words, "in_app", False)
    assert words.shown(said) == said


def new(make: Make) -> Project:
    return make([(1, 2)] * 3)


def only_singles(make: Make) -> Project:
    project = make([(1,)])
    write_image(project.root / "plain.png", seed=3)
    projects.rescan(project)
    return project


def decided(make: Make) -> Project:
    project = make([(1, 2)] * 3)
    review(project, "1", "q", "x", *FINALISE)
    return project


def changed(make: Make) -> Project:
    """A choice whose image changed after the scan: finalising holds it back, with the reason."""
    project = make([(1, 2)] * 2)
    for path in project.root.rglob("*.png"):
        write_image(path, seed=77)
    review(project, "1", "1", *FINALISE)
    return project


def cropped(make: Make) -> Project:
    project = decided(make)
    session = CropSession(project)
    session.press("n")
    session.press("Enter")
    session.close()
    return project


def away(make: Make) -> Project:
    project = new(make)
    project.root.rename(project.root.with_name("away"))
    return project


def said_by(app: App) -> str:
    """All text of the app's widgets, and what the grid says of its images."""
    found, widgets = [], [app]
    while widgets:
        widget = widgets.pop()
        widgets += getattr(widget, "children", ())
        found += [str(getattr(widget, name)) for name in ("html", "value", "description") if hasattr(widget, name)]
        if isinstance(widget, GridDesk):
            found += [str(row) for row in widget.texts(range(50))]
    return "\n".join(found)


@pytest.mark.parametrize("state", [new, only_singles, decided, changed, cropped, away])
def test_no_page_refers_to_a_notebook_or_a_command(state: Callable[[Make], Project], make_project: Make) -> None:
    project = state(make_project)
    app = App(project.workspace, AppPlace())
    try:
        found = [("projects", said_by(app))]
        for desk in PAGES:
            app.go(AppPlace(project.id, desk).query())
            if isinstance(app.here, Parts):
                app.here.settle()
            found.append((desk, said_by(app)))
            for key in ("1", "?", "Escape", "Escape", *FINALISE) if isinstance(app.here, Desk) else ():
                app.here.key_pressed(key, app.here.token())
                found.append((f"{desk} {key}", said_by(app)))
        app.go(AppPlace("nobody").query())
        found.append(("nobody", said_by(app)))
    finally:
        app.close()
    named = re.compile(r"[^\s>]*\.ipynb|pickroom [a-z]+[^<]*|\b\d0_[a-z]+")
    assert [(where, text) for where, page in found for text in named.findall(page)] == []


def test_an_empty_workspace_is_told_what_to_press(workspace: Workspace) -> None:
    app = App(workspace, AppPlace())
    try:
        assert "pickroom " not in said_by(app) and "Add a folder…" in said_by(app)
    finally:
        app.close()

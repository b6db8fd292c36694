"""The picking app's page in the kernel: places, cards, what opens and what is closed."""

from __future__ import annotations

import json
import re
import sqlite3
import threading
from collections.abc import Callable
from dataclasses import replace
from html import unescape
from pathlib import Path
from urllib.parse import parse_qs

import pytest
from hypothesis import given
from hypothesis import strategies as st

import pickroom
from pickroom.app.widgets import app as picking
from pickroom.app.widgets.app import App, AppPlace, open_app
from pickroom.app.widgets.deck import CropDesk, Deck
from pickroom.app.widgets.desk import Desk
from pickroom.app.widgets.grid_desk import BrowseDesk
from pickroom.app.widgets.links import IndexingLine, indexing_line, window_lock
from pickroom.app.widgets.page import Page as Parts
from pickroom.app.widgets.projects_page import Card
from pickroom.core.errors import ProjectError
from pickroom.core.records import Choice
from pickroom.indexing import opening, projects
from pickroom.learn import progress
from pickroom.learn.progress import Status
from pickroom.storage.locking import SharedLock
from pickroom.store import review_state
from pickroom.store.connect import connect
from pickroom.store.review_state import SavedChoice
from pickroom.store.workspace import Project, Workspace
from support.photographs import take
from support.reviewing import FINALISE, in_child, obey_permissions, queue, review

Make = Callable[..., Project]


@pytest.fixture
def project(make_project: Make) -> Project:
    return make_project([(1, 2)] * 4)


@given(st.text(max_size=20), st.sampled_from(list(picking.PAGES)), st.sampled_from(["light", "dark"]))
def test_a_place_comes_back_from_its_query(project: str, desk: str, theme: str) -> None:
    place = AppPlace(project, desk if project else "review", theme)
    assert AppPlace.of(place.query()) == place


@given(st.text(max_size=60))
def test_any_query_is_a_place(query: str) -> None:
    place = AppPlace.of(query)
    assert place.desk in picking.PAGES and place.theme in ("light", "dark")


def test_a_card_says_what_waits(project: Project) -> None:
    review(project, "1", "q", *FINALISE)
    card = picking.look_at(project.workspace, project.id)
    assert (card.waiting, card.groups, card.crops, card.singles, card.problem) == (2, 4, 1, 0, "")
    assert len(card.pictures) == 2 and card.pictures[0].startswith(b"\xff\xd8")
    page = picking.cards([card], lambda name, page: f"{name}/{page}")
    assert "2 of 4 groups wait" in page and f'data-go="{project.id}/crop">Crop 1 image<' in page
    # the picture and the title open the review, as its button does
    assert page.count(f'data-go="{project.id}/review"') == 3


def test_a_card_leads_to_images_in_no_group(project: Project) -> None:
    take(project.root / "alone.jpg", 0, 0)
    projects.rescan(project)
    card = picking.look_at(project.workspace, project.id)
    page = picking.cards([card], AppPlace().to)
    query = re.search(r'data-go="([^"]*)">1 image in no group<', page)
    assert card.singles == 1 and query
    app = App(project.workspace, AppPlace.of(unescape(query[1])))
    try:
        assert isinstance(app.here, BrowseDesk) and app.here.session.board.layout.order == ("alone.jpg",)
        app.here.key_pressed("n", app.here.token())
        assert parse_qs(app.bar.query) == {"project": [project.id], "desk": ["browse"]}
    finally:
        app.close()


def test_a_card_on_which_nothing_waits_says_so(project: Project) -> None:
    review(project, *["1"] * 4, *FINALISE)
    page = picking.cards([picking.look_at(project.workspace, project.id)], AppPlace().to)
    assert "0 of 4 groups wait · nothing waits" in page and ">Crop" not in page


def test_a_card_of_a_project_that_cannot_be_opened_says_why(project: Project) -> None:
    project.root.rename(project.root.with_name("away"))
    card = picking.look_at(project.workspace, project.id)
    page = picking.cards([card, Card("<b>", title="<i>")], lambda name, page: "")
    assert "the image folder is not there" in page and ">Choose its folder…<" in page.partition("</section>")[0]
    assert "<i>" not in page


def test_a_project_finds_its_folder_again_in_the_page(project: Project) -> None:
    away = project.root.rename(project.root.with_name("away"))
    app = App(project.workspace, AppPlace(project.id))
    try:
        assert "the image folder is not there" in app.here.html
        app.go(AppPlace().to(project.id, "folder"))
        assert f"Where are the images of {project.id}?" in app.here.html
        assert f'data-go="open:{away.parent}"' in app.here.html  # it begins where the folder was
        app.go(AppPlace(project.id, folder=str(away)).query())
        app.go(f"open:{away}")
        assert isinstance(app.here, Deck) and project.workspace.project(project.id).root == away
        finish_reading(project.workspace)
    finally:
        app.close()


def test_a_project_without_images_is_given_its_folder(workspace: Workspace, images_folder: Path) -> None:
    projects.register(workspace, "old")
    take(images_folder / "IMG_1.jpg", 0, 0)
    take(images_folder / "IMG_2.jpg", 0, 1)
    app = App(workspace, AppPlace("old"))
    try:
        assert "it was registered without images" in app.here.html and "Choose its folder…" in app.here.html
        app.go(AppPlace("old", folder=str(images_folder)).query())
        app.go(f"open:{images_folder}")
        assert isinstance(app.here, Deck) and app.place.project == "old"
        finish_reading(workspace)
    finally:
        app.close()
    assert len(queue(workspace.project("old"))) == 1


def test_new_images_are_looked_for_when_asked(project: Project) -> None:
    take(project.root / "IMG_1.jpg", 0, 0)
    take(project.root / "IMG_2.jpg", 0, 1)
    app = App(project.workspace, AppPlace())
    try:
        app.go("read:nobody")
        assert "no project is named" in app.here.html
        assert progress.read_status(project.workspace, opening.job_name("nobody")) is None
        app.go(f"read:{project.id}")
        assert isinstance(app.here, Deck)
        finish_reading(project.workspace)
    finally:
        app.close()
    assert len(queue(project)) == 5


def test_every_page_opens_and_leaving_it_ends_its_session(project: Project) -> None:
    app = App(project.workspace, AppPlace())
    try:
        for desk, page in picking.PAGES.items():
            app.go(AppPlace(project.id, desk).query())
            assert f"aria-current=page>{page.label}<" in app.bar.html
            opened = app.here
            assert isinstance(opened, Desk | Parts)
            app.go("")
            assert opened.comm is None
            if isinstance(opened, Desk):
                with pytest.raises(sqlite3.ProgrammingError, match="closed database"):
                    opened.session._connection.execute("SELECT 1")
    finally:
        app.close()


def test_a_page_with_nothing_to_do_leads_to_one_that_has(project: Project) -> None:
    app = App(project.workspace, AppPlace(project.id, "sort"))
    try:
        assert app.next.html.startswith("<span>Only picked and cropped images are sorted, and there is none yet.<")
        assert "desk=review" in app.next.html and ">Review 4 groups<" in app.next.html
        app.go(AppPlace(project.id).query())
        assert app.next.html == ""
        for key in ("1", "1", "1", "q", *FINALISE):
            app.here.key_pressed(key, app.here.token())
        assert app.next.html.startswith("<span>No group waits.<") and ">Crop 1 image<" in app.next.html
    finally:
        app.close()


def test_opening_a_desk_closes_the_previous_one(project: Project) -> None:
    app = App(project.workspace, AppPlace())
    try:
        assert "4 of 4 groups wait" in app.here.html and app.bar.query == ""
        app.go(AppPlace(project.id).query())
        deck = app.here
        assert isinstance(deck, Deck) and app.content.children == (deck,)
        assert parse_qs(app.bar.query) == {"project": [project.id], "desk": ["review"]}
        app.go(AppPlace(project.id, "crop", "dark").query())
        assert isinstance(app.here, CropDesk) and "theme=dark" in app.bar.query
        with pytest.raises(sqlite3.ProgrammingError, match="closed database"):
            deck.session.press("1")
        app.go("project=nobody")
        assert "no project is named" in app.here.html and "nobody" in app.here.html
        app.go("")
        assert "4 of 4 groups wait" in app.here.html
    finally:
        app.close()


def test_the_page_opens_where_its_address_says(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    connection = connect(project.database)
    review_state.REVIEW.save_choice(connection, queue(project)[0].group_id, SavedChoice(Choice("approve", 0)))
    connection.close()
    monkeypatch.setenv("QUERY_STRING", f"project={project.id}&token=secret")
    app = open_app(project.workspace.root)
    try:
        assert "reviewed 1" in app.here.header.value and "secret" not in app.bar.query
    finally:
        app.close()


def test_another_window_on_the_project_is_named(project: Project) -> None:
    other = SharedLock(window_lock(project.workspace, project.id))
    line, told = IndexingLine(project.workspace, lambda: None), threading.Event()
    line.observe(lambda change: told.set() if "another window" in change["new"] else None, "html")
    line.follow(project.id)
    assert told.wait(60)
    line.follow("")
    other.close()


def test_nothing_yet(workspace: Workspace) -> None:
    app = App(workspace, AppPlace())
    assert "No project yet" in app.here.html
    app.close()


def test_the_page_that_is_served_is_one_call_without_outputs() -> None:
    page = json.loads((Path(pickroom.__file__).parent / "app/server/picking/pick.ipynb").read_text(encoding="utf-8"))
    (cell,) = page["cells"]
    assert "".join(cell["source"]).split() == ["from", "pickroom.app.widgets.app", "import", "open_app", "open_app()"]
    assert cell["outputs"] == [] and "widgets" not in page["metadata"]


def test_the_server_is_refused_without_a_project_of_that_name(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    app_server = pytest.importorskip("pickroom.app.server.app_server")
    monkeypatch.setenv("PICKROOM_HOME", "")
    with pytest.raises(ProjectError, match="no project is named 'nobody'"):
        app_server.run(workspace, "nobody", browser=False)


@pytest.mark.parametrize("content", ["", "their own"])
def test_a_token_that_was_left_empty_is_a_random_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str
) -> None:
    from pickroom.app.server.jupyter import OwnToken

    (tmp_path / "token").write_text(content)
    monkeypatch.delenv("JUPYTER_TOKEN", raising=False)
    monkeypatch.setenv("JUPYTER_TOKEN_FILE", str(tmp_path / "token"))
    assert OwnToken().token == content or (not content and len(OwnToken().token) == 48)
    assert len(OwnToken(token="").token) == 48 and OwnToken(token="given").token == "given"


def test_the_kernels_of_the_servers_print_errors_only() -> None:
    from pickroom.app.server.jupyter import QuietKernelManager

    command = QuietKernelManager(kernel_name="python3").format_kernel_cmd()
    assert "ipykernel_launcher" in command and command[-1] == "--IPKernelApp.log_level=40"


def test_a_folder_that_may_not_be_listed_is_its_cards_problem(project: Project) -> None:
    def problem() -> str:
        obey_permissions()
        return picking.look_at(project.workspace, project.id).problem

    folder = project.root / "crop"
    folder.mkdir(exist_ok=True)
    folder.chmod(0)
    assert in_child(problem) == f"Permission denied: {folder}"
    folder.chmod(0o700)


def test_a_folder_is_chosen_and_becomes_a_project(workspace: Workspace, images_folder: Path) -> None:
    take(images_folder / "IMG_1.jpg", 0, 0)
    take(images_folder / "IMG_2.jpg", 0, 1)
    (images_folder / "<b>").mkdir()
    (images_folder / ".hidden").mkdir()
    app = App(workspace, AppPlace())
    try:
        assert "No project yet" in app.here.html
        app.go(AppPlace(folder=str(images_folder)).query())
        assert "2 images in it and those of its folders" in app.here.html
        assert "&lt;b&gt;" in app.here.html and "hidden" not in app.here.html
        assert parse_qs(app.bar.query) == {"folder": [str(images_folder)]}
        app.go(f"open:{images_folder}")
        assert isinstance(app.here, Deck) and app.place.project == images_folder.name
        finish_reading(workspace)
        app.go(AppPlace(folder=str(images_folder / "gone")).query())
        assert "No such file or directory" in app.here.html and "Go up" in app.here.html
    finally:
        app.close()


def finish_reading(workspace: Workspace) -> None:
    """Wait for the background's work on the only project."""
    name = opening.job_name(workspace.project_ids()[0])
    progress.follow(workspace, name, lambda status: None, lambda: progress.read_status(workspace, name) is None)


def test_the_line_says_how_far_the_background_is() -> None:
    running = Status("index_p", ("p",), 1, phase="embedding", done=30, of=120)
    assert "Embedding: 30 of 120 images<" in indexing_line(running, 0) and "25.0%" in indexing_line(running, 0)
    assert "30 of 120 images · 3 a second · 30 s left" in indexing_line(running, 3)
    assert "Paused" in indexing_line(replace(running, state="stopped"), 0)
    assert "Reading stopped: &lt;b&gt;" in indexing_line(replace(running, state="failed", message="<b>"), 0)
    assert indexing_line(replace(running, state="done"), 0) == ""


def test_new_groups_join_only_between_two_keys(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    app = App(project.workspace, AppPlace(project.id))
    try:
        deck = app.here
        assert isinstance(deck, Deck)
        refresh, free = deck.session.refresh, list[bool]()

        def watched() -> bool:
            key = threading.Thread(target=lambda: free.append(deck.surface.lock.acquire(blocking=False)))
            key.start()
            key.join()
            return refresh()

        monkeypatch.setattr(deck.session, "refresh", watched)
        take(project.root / "IMG_1.jpg", 0, 0)
        take(project.root / "IMG_2.jpg", 0, 1)
        projects.rescan(project)
        app._new_images()
        assert len(deck.session.state.cards) == 5
        assert free == [False], "a key could have been applied in the middle of it"
        app.go("")
        app._new_images()  # a deck that was left is not touched any more
        assert len(free) == 1
    finally:
        app.close()

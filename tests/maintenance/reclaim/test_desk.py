"""The page that frees the disk, without a browser: what its buttons do and refuse, and failures as one line."""

from __future__ import annotations

from pathlib import Path

from conftest import read_tree
from pickroom.app.widgets.reports_page import ReclaimDesk, open_reclaim, sizes
from pickroom.maintenance.reclaim.planning import ReclaimItem, ReclaimPlan, plan
from pickroom.store.workspace import Project

WAIT_S = 30


def opened(project: Project, *project_ids: str) -> ReclaimDesk:
    (desk,) = open_reclaim(project_ids, project.workspace.root).parts
    assert isinstance(desk, ReclaimDesk)
    wait(desk)
    return desk


def wait(desk: ReclaimDesk) -> None:
    """Until what was begun has ended."""
    assert desk.thread is not None
    desk.thread.join(WAIT_S)
    assert not desk.thread.is_alive()


def test_cell_deletes_nothing_and_typed_word_enables_the_button(project: Project) -> None:
    before = read_tree(project.root)
    desk = opened(project)
    assert "can come back" in desk.body.value and not desk.trash.disabled
    for word, closed in (("", True), ("DELETE", True), ("delete ", False), ("deleted", True)):
        desk.word.value = word
        assert desk.hard.disabled is closed
    desk.hard.click()  # a click that came late
    assert read_tree(project.root) == before
    desk.trash.click()
    assert desk.trash.description == "Move them now" and desk.back.layout.display is None
    desk.back.click()
    assert "Nothing was moved" in desk.line.value and read_tree(project.root) == before


def test_for_good_after_the_word_and_what_is_left_is_shown(project: Project, tmp_path: Path) -> None:
    desk = opened(project, "demo")
    count = len(plan(project.workspace).items)
    desk.word.value = "delete"
    desk.hard.click()
    wait(desk)
    assert f"Deleted for good: {count} items" in desk.line.value
    assert "Nothing can come back" in desk.body.value and desk.trash.disabled and desk.word.value == ""
    assert not (tmp_path / "share").exists()


def test_change_since_the_look_is_refused_and_looked_at_again(project: Project) -> None:
    desk = opened(project)
    archived = project.workspace.root / "archives" / project.id / "deliverables.zip"
    content = bytearray(archived.read_bytes())
    content[len(content) // 2] ^= 0xFF
    archived.write_bytes(content)
    before = read_tree(project.root)
    desk.trash.click()
    desk.trash.click()
    wait(desk)
    assert 'class="error"' in desk.line.value and "look again" in desk.line.value
    assert "its archive proves nothing" in desk.body.value and desk.trash.disabled
    assert read_tree(project.root) == before


def test_wrong_input_is_one_line(project: Project) -> None:
    desk = opened(project, "nobody")
    assert "no project is named" in desk.line.value and 'class="error"' in desk.line.value
    assert desk.trash.disabled and not desk.again.disabled


def test_other_peoples_text_is_escaped() -> None:
    kept = ReclaimItem("staged", "p", Path("a.png"), 10, None, "Bad CRC-32 for file '<b>bold</b>'")
    shown = sizes(ReclaimPlan((), (kept,)))
    assert "&lt;b&gt;bold" in shown and "<b>" not in shown
    assert "No project has anything" in sizes(ReclaimPlan((), ()))


def test_another_look_asks_again(project: Project) -> None:
    desk = opened(project)
    before = read_tree(project.root)
    desk.trash.click()
    assert desk.trash.description == "Move them now"
    desk.again.click()  # what would go may be more by now
    wait(desk)
    assert desk.trash.description == "Move into the trash…"
    desk.trash.click()
    assert read_tree(project.root) == before

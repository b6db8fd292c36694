"""The log of groups approved unseen is completed by the command that comes after a kill."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pickroom.automation import apply, sandbox
from pickroom.automation.decisions_file import ApprovedDecision, read_approved, write_lines
from pickroom.automation.generate import generate
from pickroom.automation.sandbox import AutomationTarget
from pickroom.store.workspace import Project
from support.automating import cover, groups_of, person, proposed, review


@pytest.fixture
def killed(make_project: Callable[..., Project]) -> tuple[AutomationTarget, dict[str, ApprovedDecision]]:
    """An apply killed after its last step, before approved_decisions.jsonl was written; what it would have held."""
    place = proposed(make_project([(1, 2)] * 4))
    cover(place, 0.8, drawn=False)
    review(place, "1", "Shift+Enter", "Shift+Enter", only="unseen")
    before = read_approved(place.approved)
    apply.apply(place)
    whole = read_approved(place.approved)
    assert [line.by for line in whole.values()] == ["person", "auto", "auto", "auto"]
    write_lines(place.approved, before.values())
    return place, whole


COMMANDS: dict[str, Callable[[AutomationTarget], object]] = {
    "recover": lambda place: apply.complete_logs(place.origin),
    "apply": apply.apply,
    "apply from the command line": apply.finish_first,
    "undo": apply.undo_last,
}


@pytest.mark.parametrize("command", COMMANDS)
def test_the_log_is_completed_by_the_next_command(
    killed: tuple[AutomationTarget, dict[str, ApprovedDecision]], command: str
) -> None:
    place, whole = killed
    COMMANDS[command](place)
    assert read_approved(place.approved) == whole


def test_generate_completes_the_log_before_its_decisions_go(
    killed: tuple[AutomationTarget, dict[str, ApprovedDecision]],
) -> None:
    place, whole = killed
    generate(place)
    assert read_approved(place.approved) == whole


def test_a_log_that_is_whole_is_not_written_again(killed: tuple[AutomationTarget, dict[str, ApprovedDecision]]) -> None:
    place, whole = killed
    apply.apply(place)
    before = place.approved.stat()
    apply.complete_logs(place.origin)
    assert place.approved.stat().st_ino == before.st_ino and read_approved(place.approved) == whole


def test_a_line_by_the_user_is_never_replaced(killed: tuple[AutomationTarget, dict[str, ApprovedDecision]]) -> None:
    place, _ = killed
    unseen = groups_of(place)[1]
    said = person(unseen.group_id, "rejected")
    write_lines(place.approved, [said])
    apply.apply(place)
    assert read_approved(place.approved)[unseen.group_id] == said


def test_another_copy_completes_no_log_of_this_one(
    killed: tuple[AutomationTarget, dict[str, ApprovedDecision]],
) -> None:
    place, _ = killed
    place.decisions.write_text("")
    apply.complete_logs(place.origin)
    assert [line.by for line in read_approved(sandbox.locate(place.origin).approved).values()] == ["person"]

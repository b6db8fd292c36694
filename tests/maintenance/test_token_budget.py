"""A language model that a person plugs in: its budget is kept on disk, across processes, crashes and days."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from pickroom import cli
from pickroom.core.errors import StoreError, UsageError
from pickroom.maintenance.token_budget import Answer, TokenLedger, audit
from pickroom.store.workspace import Project, Workspace

TODAY, TOMORROW = "2026-11-21T10:00:00.000000Z", "2026-11-22T00:00:00.000000Z"
QUESTIONS = [[Path(f"{name}.png")] for name in "abcde"]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Workspace(tmp_path).planned("p", tmp_path / "images")


def ledger_of(project: Project, now: str = TODAY, **options: int) -> TokenLedger:
    return TokenLedger(project.workspace, clock=lambda: now, **options)


def costing(tokens: int) -> object:
    return lambda images: Answer(f"{images[0].stem} is fine", tokens)


def test_everything_is_asked_while_tokens_last(project: Project) -> None:
    report = audit(project, QUESTIONS, costing(1_000), ledger_of(project))
    assert [text for _, text in report.answers] == [f"{name} is fine" for name in "abcde"]
    assert (report.waiting, report.warnings) == ((), ())
    assert ledger_of(project).spent() == 5_000


def test_the_call_that_crosses_the_limit_is_the_last(project: Project) -> None:
    report = audit(project, QUESTIONS, costing(4_000), ledger_of(project))
    assert len(report.answers) == 3, "4,000 and 8,000 are below 10,000; 12,000 is above"
    assert report.waiting == ((Path("d.png"),), (Path("e.png"),))
    assert "paused: 12,000 tokens" in report.warnings[-1]


def test_at_the_limit_it_warns_and_above_it_pauses(project: Project) -> None:
    report = audit(project, QUESTIONS, costing(5_000), ledger_of(project))
    assert len(report.answers) == 3
    assert "is reached" in report.warnings[0]
    assert "paused" in report.warnings[1]


def test_another_day_has_its_own_budget(project: Project) -> None:
    audit(project, QUESTIONS, costing(6_000), ledger_of(project))
    report = audit(project, QUESTIONS[2:], costing(10), ledger_of(project, TOMORROW))
    assert len(report.answers) == 3


def test_projects_share_the_budget(project: Project) -> None:
    ledger_of(project).record("another project", 10_001)
    assert audit(project, QUESTIONS, costing(1), ledger_of(project)).answers == ()


def test_what_was_answered_is_paid_when_the_auditor_fails(project: Project) -> None:
    def failing(images):
        if images[0].stem == "c":
            raise ValueError("no answer")
        return Answer("fine", 7)

    with pytest.raises(StoreError, match=r"the auditor failed: ValueError: no answer .*c\.png \(2 were answered"):
        audit(project, QUESTIONS, failing, ledger_of(project))
    assert ledger_of(project).spent() == 14


def test_many_at_once_lose_no_line(project: Project) -> None:
    ledger = ledger_of(project)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: ledger.record(f"call {n}", 1), range(200)))
    assert ledger.spent() == 200


def test_a_torn_last_line_costs_only_itself(project: Project) -> None:
    ledger = ledger_of(project)
    ledger.record("a", 3)
    with ledger.path.open("a") as file:
        file.write('{"timestamp": "2026-11-21T10:0')
    assert ledger.spent() == 3
    ledger.record("b", 4)
    assert ledger.spent() == 7
    assert [json.loads(line)["what"] for line in ledger.path.read_text().splitlines()] == ["a", "b"]


@pytest.mark.parametrize("line", ["nonsense", '{"tokens": 5}', '{"timestamp": "2026-11-21", "tokens": -5}', "[]"])
def test_a_damaged_line_is_named(project: Project, line: str) -> None:
    ledger = ledger_of(project)
    ledger.record("a", 3)
    with ledger.path.open("a") as file:
        file.write(line + "\n")
    with pytest.raises(StoreError, match=r"line 2: .*token_ledger\.jsonl"):
        ledger.spent()


@pytest.mark.parametrize("tokens", [-1, 1.5, True, None])
def test_a_cost_is_a_whole_number(project: Project, tokens: object) -> None:
    with pytest.raises(UsageError, match="cost of"):
        ledger_of(project).record("a", tokens)  # type: ignore[arg-type]


def test_a_limit_below_zero_is_refused(project: Project) -> None:
    with pytest.raises(UsageError, match="daily limit of -1"):
        ledger_of(project, daily_limit=-1)


def test_command_says_what_is_spent_and_left(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    TokenLedger(project.workspace).record("p: a.png", 1_500)
    with pytest.MonkeyPatch.context() as patch:
        for arguments in (["--json"], ["--limit", "1000"]):
            patch.setattr("sys.argv", ["pickroom", "tokens", *arguments, "--home", str(project.workspace.root)])
            with suppress(SystemExit):
                cli.main()
    first, second = capsys.readouterr().out.splitlines()
    assert json.loads(first)["spent"] == 1_500 and json.loads(first)["daily_limit"] == 10_000
    assert second.startswith("1,500 of 1,000 tokens spent today (UTC), 0 left")

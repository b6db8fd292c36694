"""What reports, status and headers say of projects where the condition of a sentence does not hold."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from contextlib import closing
from html import unescape

import pytest

from pickroom.analysis.reports import finish
from pickroom.analysis.reports.sections import Report
from pickroom.app.widgets import app
from pickroom.app.widgets.start_page import open_start
from pickroom.automation.guarantee import BlindDecision, calibrate
from pickroom.automation.metrics import Outcome, measure
from pickroom.cli.doctor import workspaces
from pickroom.cli.project import status_words
from pickroom.files.batch import undo_batch
from pickroom.indexing import projects
from pickroom.learn.recommending import recommend as recommend_all
from pickroom.sessions.review.session import ManualSession, ReviewSession
from pickroom.store.connect import connect
from pickroom.store.workspace import Project
from support.analysing import change, crop
from support.reviewing import FINALISE, queue, recommend, review

BOX = (0.1, 0.1, 0.8, 0.8)
SECTIONS = ("heading", "overview", "work", "agreement", "mistakes", "crops", "health")
Make = Callable[..., Project]


def new(make: Make) -> Project:
    return make([(1, 2), (1, 2)])


def one_image(make: Make) -> Project:
    return make([(1,)])


def unaided(make: Make) -> Project:
    """Picked without a recommendation."""
    project = make([(1, 2), (1, 2), (1, 2)])
    session = ManualSession(project)
    for key in ("2", "1", "2", *FINALISE):
        session.press(key)
    session.close()
    return project


def only_rejected(make: Make) -> Project:
    project = make([(1, 2), (1, 2)])
    recommend(project, queue(project)[0], 1)
    review(project, "x", "x", *FINALISE)
    return project


def only_automatic(make: Make) -> Project:
    project = make([(1, 2), (1, 2)])
    for group in queue(project):
        recommend(project, group, 1)
    review(project, "a", "a", *FINALISE)
    change(project, "UPDATE decision_context SET input = 'auto'")
    return project


def only_imported(make: Make) -> Project:
    """Decisions without a time, a context or a recommendation, as an import leaves them."""
    project = unaided(make)
    change(project, "UPDATE decision_context SET input = 'import', milliseconds = NULL, source = NULL")
    return project


def baseline(make: Make) -> Project:
    """Every pick is another one than the baseline's."""
    project = make([(1, 2), (1, 2), (1, 2)])
    review(project, "1", "1", *FINALISE)
    return project


def all_taken(make: Make) -> Project:
    project = make([(1, 2), (1, 2)])
    recommend(project, queue(project)[0], 1)
    review(project, "a", *FINALISE)
    return project


def undone(make: Make) -> Project:
    """Everything was decided and finished, and then taken back."""
    project = all_taken(make).with_manifest(status="finished", finished_at="2026-01-02T03:04:05Z")
    with closing(connect(project.database)) as connection:
        undo_batch(project, connection, 1)
    return project.workspace.project(project.id)


def finished(make: Make) -> Project:
    return all_taken(make).with_manifest(status="finished", finished_at="2026-01-02T03:04:05Z")


def one_crop(make: Make) -> Project:
    """One crop by hand where none was proposed, one that waits."""
    project = make([(1, 2), (1, 2), (1, 2)])
    first = queue(project)[0].filenames[1]
    review(project, "w", "w", *FINALISE)
    crop(project, "crop", first, BOX)
    return project


def no_folder(make: Make) -> Project:
    project = all_taken(make)
    shutil.rmtree(project.root)
    return project


def pauses(make: Make) -> Project:
    """Eight groups of four seconds, with lunch before the fifth; an earlier version wrote 300 s for it."""
    project = make([(1, 2)] * 8)
    for group in queue(project):
        recommend(project, group, 1)
    review(project, *"aaaaaaaa", *FINALISE)
    at = "strftime('%Y-%m-%dT%H:%M:%fZ', '2026-01-02', '+' || (rowid * 4 + (rowid > 4) * {}) || ' seconds')"
    change(project, f"UPDATE review_state SET updated_at = {at.format(200)}")
    change(project, f"UPDATE ai_decisions SET timestamp = {at.format(200)}")
    change(project, "UPDATE decision_context SET milliseconds = CASE rowid WHEN 5 THEN 300000 ELSE 4000 END")
    return project


def only_pauses(make: Make) -> Project:
    project = pauses(make)
    change(project, "UPDATE decision_context SET milliseconds = 300000")
    at = "strftime('%Y-%m-%dT%H:%M:%fZ', '2026-01-02', '+' || (rowid * 200) || ' seconds')"
    change(project, f"UPDATE review_state SET updated_at = {at}; UPDATE ai_decisions SET timestamp = {at}")
    return project


def report_of(project: Project) -> dict[str, str]:
    with Report.open(project.id, project.workspace.root) as report:
        pages = {name: getattr(report, name)().html for name in SECTIONS}
    return {name: plain(page) for name, page in pages.items()}


def plain(page: str) -> str:
    """The words of a page, pictures by their description."""
    page = re.sub(r'<img alt="([^"]*)"[^>]*>', r"\1 ", page)
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", page)).split()).replace(" .", ".").replace(" ,", ",")


def said(project: Project) -> dict[str, str]:
    """Every surface that tells of one project, by its name."""
    found = report_of(project)
    found["status"] = status_words(projects.status(project))
    found["start"] = plain(open_start(project.id, home=project.workspace.root).value)
    found["doctor"] = workspaces.project(project.workspace, project.id).line
    card = app.look_at(project.workspace, project.id)
    found["card"] = plain(app.cards([card], lambda project_id, desk: ""))
    if project.root.is_dir():
        found["finish"] = "\n".join(finish.plan(project).lines)
        session = ReviewSession(project)
        found["deck"] = session.view().header
        session.close()
        found["recommend"] = recommend_all(project).words
    return found


# state -> (surface, what it must say, what it must not say)
SAYS: dict[Callable[[Make], Project], list[tuple[str, str, str]]] = {
    new: [
        ("heading", "Nothing decided yet.", "Decided from"),
        ("agreement", "no image picked where one was recommended", "95 %"),
        ("mistakes", "no image picked where one was recommended", "every recommended pick was taken"),
        ("health", "2 of 2 groups are undecided", ""),
        ("status", "2 of 2 groups wait; decided: none", "that were picked:"),
        ("finish", "nothing has been decided in it", "it was finished on"),
        ("deck", "reviewed 0 (0 %)", "left"),
    ],
    one_image: [
        ("status", "no group yet", "0 of 0"),
        ("status", "in no group: 1 image", "1 images"),
        ("card", "no group yet", "0 of 0"),
        ("start", "no group", "0 of 0"),
        ("overview", "0 groups undecided", "–"),
        ("deck", "No group yet", "every group is decided"),
        ("finish", "0 pictures", "groups are undecided"),
        ("finish", "1 image in no group: you have not looked at", "1 images"),
        ("card", "1 image in no group", "nothing waits"),
        ("recommend", "0 undecided groups", "by the baseline"),
    ],
    unaided: [
        ("agreement", "no image picked where one was recommended", "AI"),
        ("agreement", "groups with known stages number", "taken"),
        ("mistakes", "no image picked where one was recommended", "every recommended pick was taken"),
        ("status", "0 of 3 groups wait; decided: 3 approve", "that were picked:"),
        ("deck", "No group is waiting: every group is decided", ""),
        ("finish", "can be finished", "undecided"),
        ("overview", "groups decided", "without a person"),
    ],
    only_rejected: [
        ("agreement", "no image picked where one was recommended", "highest stage"),
        ("mistakes", "no image picked where one was recommended", "every recommended pick was taken"),
        ("status", "decided: 2 reject", "that were picked:"),
        ("crops", "no crop by hand yet", "Blue"),
        ("finish", "can be finished", "nothing has been decided"),
    ],
    only_automatic: [
        ("heading", "No group was decided by a person.", "Nothing decided yet"),
        ("work", "no session yet", "No time was spent"),
        ("agreement", "no image picked where one was recommended", "taken"),
        ("mistakes", "no image picked where one was recommended", "every recommended pick was taken"),
        ("overview", "Decided without a person, and in no accuracy: 2 of these groups", ""),
        ("status", "decided: 2 approve", "that were picked:"),
    ],
    only_imported: [
        ("agreement", "no image picked where one was recommended", "AI"),
        ("mistakes", "no image picked where one was recommended", "every recommended pick was taken"),
        ("work", "No time was spent that could be measured", "groups an hour"),
    ],
    baseline: [
        ("mistakes", "In 2 of the groups you took another image than the baseline (highest stage)", "the AI"),
        ("agreement", "right in 0.0 % of the groups with known stages ( 2 ), and in no anomaly", "the AI"),
        ("status", "recommended images that were picked: 0 %", ""),
        ("health", "1 of 3 groups are undecided", ""),
        ("crops", "no crop by hand yet", "Blue"),
    ],
    all_taken: [
        ("heading", "Decided on ", "Decided from"),
        ("mistakes", "(every recommended pick was taken)", "no image picked"),
        ("agreement", "right in 100.0 % of the groups with known stages ( 1 ).", "anomaly."),
        ("status", "(active): 1 of 2 groups wait", "left undecided"),
        ("finish", "1 group is undecided and stays as it is", "it was finished on"),
    ],
    undone: [
        ("status", "(active): 2 of 2 groups wait; decided: none", "finished"),
        ("status", "batch 1", "that were picked:"),
        ("doctor", "active", "finished"),
        ("heading", "Nothing decided yet.", "Decided from"),
        ("mistakes", "no image picked where one was recommended", "every recommended pick was taken"),
        ("finish", "it was finished on 2026-01-02T03:04:05Z", "1 group is"),
        ("work", "no session yet", "groups an hour"),
    ],
    finished: [("status", "(finished): 1 of 2 groups were left undecided", "wait")],
    one_crop: [
        ("status", "1 crop waits: ", "1 crops"),
        ("health", "Crops that wait to be made: 1.", ""),
        ("crops", "Blue is the crop made by hand.", "AI had proposed for that image"),
        ("card", "Crop 1 image", "1 images"),
        ("finish", "cannot be finished yet", "can be finished"),
    ],
    no_folder: [
        ("health", "The image folder is not there: its files were not checked.", "every file is where it should be"),
        ("status", "NOT THERE", ""),
        ("doctor", "its image folder is not there", "active"),
    ],
    pauses: [
        ("work", "28.0 s time at work", "min"),
        ("work", "900 groups an hour", ""),
        ("work", "not enough yet", "300"),
    ],
    only_pauses: [("work", "No time was spent that could be measured", "groups an hour")],
}


@pytest.mark.parametrize("state", SAYS, ids=lambda state: state.__name__)
def test_a_sentence_is_said_only_where_it_is_true(make_project: Make, state: Callable[[Make], Project]) -> None:
    found = said(state(make_project))
    wrong = [(where, text, found[where]) for where, text, _ in SAYS[state] if text not in found[where]]
    assert not wrong
    wrong = [(where, text, found[where]) for where, _, text in SAYS[state] if text and text in found[where]]
    assert not wrong
    for where, text in found.items():
        assert not re.search(r"\b(nan|NaN|NaT|None|inf)\b|\b0 of 0\b", text), (where, text)
        if where in ("overview", "work"):
            continue  # numbers with labels, no sentences
        assert not re.search(r"(?<!of )(?<![\d,.])\b1 (groups|images|crops|files|pictures|operations)\b", text), (
            where,
            text,
        )


def test_header_leaves_out_baselines_and_pauses(make_project: Make) -> None:
    project = make_project([(1, 2)] * 4)
    now = iter([0.0, 4.0, 2000.0, 2006.0, 2010.0, 2010.0, 2010.0])
    session = ReviewSession(project, clock=lambda: next(now))
    for key in "111":  # never the highest stage, which is the baseline's
        session.press(key)
    assert session.view().header == "Group 4 of 4 - reviewed 3 (75 %) - 5.0 s/group - under a minute left"
    session.press("1")
    assert session.view().header == "Group 4 of 4 - reviewed 4 (100 %) - 4.7 s/group"
    session.close()


def test_the_automation_says_nothing_of_no_decisions() -> None:
    nothing = calibrate([]).explanation
    assert "nothing was decided blind yet" in nothing[1] and "none was met yet" in nothing[2]
    baselines = calibrate([BlindDecision(None, False, False)] * 80).explanation
    assert baselines[0].endswith("had a model's confidence without a warning")
    assert not any("of the 0" in line or "0 of 0" in line for line in (*nothing, *baselines))


def test_metrics_of_no_proposal_name_no_time() -> None:
    assert "time saved: not known before a proposal is decided on" in measure([], 4.0).lines()
    one = measure([Outcome("approved", 0.9, seconds=300.0)], 4.0).lines()
    assert one[0].startswith("1 proposal looked at") and "time saved: not known before a proposal is decided on" in one

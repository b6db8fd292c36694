"""What was kept in addition to a pick, and stars, in exports and SQL; a burst goes out whole."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from pickroom.analysis.connection import connect as connect_analysis
from pickroom.analysis.queries import read_sql
from pickroom.exports import choices, sidecars
from pickroom.files import xmp
from pickroom.indexing import projects
from pickroom.integrity.inspection import inspect
from pickroom.sessions.review.session import ReviewSession
from pickroom.store.workspace import Project, Workspace
from support.analysing import change
from support.photographs import shoot
from support.reviewing import FINALISE, queue, review

STARS = (xmp.XMP, "Rating")


@pytest.fixture
def burst(tmp_path: Path) -> Project:
    """A burst of seven: image 1 kept in addition with two stars in the first round, image 7 picked with four."""
    shoot(tmp_path / "card", bursts=1, shots=7)
    project = projects.start(Workspace(tmp_path / "home"), "p", tmp_path / "card")[0]
    review(project, "5", "Shift+5", "Shift+5", "2", *4 * ["Shift+8"], "Shift+6", "4", *FINALISE)
    return project


def test_verdicts_of_a_burst_are_of_all_its_images(burst: Project) -> None:
    (group,) = choices.read(burst).groups
    said = {judged.image.filename[6:8]: (judged.verdict, judged.stars) for judged in group.images}
    passed = dict.fromkeys(("01", "02", "03", "04", "05"), ("passed over", None))
    assert said == {"00": ("kept", 2), **passed, "06": ("picked", 4)}


def test_xmp_has_the_stars_and_undo_takes_them_back(burst: Project) -> None:
    planned = {item.image[6:8]: item for item in sidecars.plan(choices.read(burst))}
    written = {
        name: xmp.properties(item.after.encode(), {STARS: ""})[STARS] for name, item in planned.items() if item.after
    }
    assert written == {"00": "2", "06": "4", **dict.fromkeys(("01", "02", "03", "04", "05"), "1")}


def test_sql_has_rounds_kept_images_and_stars(burst: Project) -> None:
    with connect_analysis(burst.workspace) as analysis:

        def ask(query: str) -> list[tuple]:
            return analysis.execute(query).fetchall()

        names = [f"IMG_000{number}.jpg" for number in range(4)]
        assert ask("SELECT round, images, picked FROM comparisons") == [(1, names, names[1])]
        kept = ask("SELECT filename, kept_also, stars FROM images WHERE kept_also OR stars > 0 ORDER BY 1")
        assert kept == [("IMG_0000.jpg", True, 2), ("IMG_0004.jpg", False, 1), ("IMG_0006.jpg", False, 4)]
        assert ask("SELECT kind, burst_id = group_id, len(images) FROM groups") == [("burst", True, 7)]
        assert ask("SELECT outcome, images, kept_also FROM outcomes") == [("approve", 7, 1)]
        (totals,) = analysis.execute(read_sql("input_output")).dicts()
        assert (totals["picked"], totals["set_aside"]) == (2, 5)
        assert ask("SELECT total_decisions FROM ai_performance") == [(1,)]


def test_check_reports_a_comparison_that_no_program_wrote(burst: Project) -> None:
    assert inspect(burst).unsound.count == 0
    change(burst, 'UPDATE comparisons SET images = \'["IMG_0001.jpg", "../b.jpg"]\', chosen = 0')
    (line,) = inspect(burst).unsound.lines
    assert line.startswith("comparisons: p_group_") and "is not a file name" in line
    with connect_analysis(burst.workspace) as analysis:
        assert analysis.execute("SELECT count(*) FROM comparisons").fetchall() == [(0,)]
        assert analysis.execute("SELECT failed_check FROM unsound_rows").fetchall() == [("comparisons",)]


def test_an_undone_burst_opens_in_the_round_it_was_decided_in(burst: Project) -> None:
    from pickroom.files.batch import undo_batch
    from pickroom.store.connect import connect

    with closing(connect(burst.database)) as connection:
        undo_batch(burst, connection, 1)
    with closing(ReviewSession(burst)) as session:
        shown = session.group_at(0)
        assert shown is not None and shown.round_words == "Round 2 of 2"
        assert [image.mark for image in shown.images] == ["reject", "reject", "reject", "keep"]
        assert (
            "2 of earlier rounds → delete_staging/" in shown.route and "1 of earlier rounds → selected/" in shown.route
        )
    assert len(queue(burst)) == 1

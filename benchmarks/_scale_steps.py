"""What `scale.py` measures, one function a step: each runs in a process of its own and returns its seconds.

Imports are no part of the seconds: they are the same at every size. What a step does not measure it does before.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from _scale_files import SIDE, decide, give_confidence
from pickroom.store.workspace import Project, Workspace

PROJECT = "scale"
QUERIES = ("performance_by_project", "pace")
LEFT = 200  # groups that still wait near the end of a project
FINALISED = 100  # groups of a batch
_PREFETCHED = 4  # groups whose previews are read at once: the one shown and those behind it


Took = tuple[float, float]  # seconds by the clock, and of the processor


def seconds(run: Callable[[], object]) -> Took:
    """Of one call, all its threads together."""
    clock, cpu = time.perf_counter(), time.process_time()
    run()
    return time.perf_counter() - clock, time.process_time() - cpu


def scan(home: Path) -> Took:
    from pickroom.indexing import projects

    return seconds(lambda: projects.start(Workspace(home), PROJECT, home / "images"))


def scan_undecoded(home: Path) -> Took:
    """A first scan that decodes and shrinks nothing: it hashes each file, and all else is as ever."""
    from pickroom.core.naming import parse_name
    from pickroom.core.records import Capture, Image
    from pickroom.images import scan as scanning
    from pickroom.indexing import projects
    from pickroom.storage import atomic

    def hash_only(root: Path, _previews: Path, entry: scanning.ListedImage) -> scanning._Read:
        name = parse_name(entry.filename)
        sha256 = atomic.sha256_of(root / entry.directory / entry.filename)
        shown = (entry.filename, entry.directory, SIDE, SIDE, name.stage, name.taken_at)
        return scanning._Read(Image(*shown, sha256, entry.file_size, entry.mtime_ns), Capture(), "")

    scanning._examine = hash_only
    return seconds(lambda: projects.start(Workspace(home), PROJECT, home / "images"))


def scan_again(home: Path) -> Took:
    from pickroom.indexing import projects

    project = _project(home)
    return seconds(lambda: projects.rescan(project))


def group(home: Path) -> Took:
    from pickroom.groups.stages import group_by_stage
    from pickroom.store import images
    from pickroom.store.connect import open_read_only

    with open_read_only(_project(home).database) as connection:
        known = images.readable(connection)
    return seconds(lambda: group_by_stage(known))


def recommend(home: Path) -> Took:
    from pickroom.learn.recommending import recommend

    project = _project(home)
    return seconds(lambda: recommend(project))


def open_deck(home: Path) -> Took:
    """As the notebook opens it: the groups most worth a look first. The first call of a process, not a warm one."""
    from pickroom.app.widgets.deck import Deck
    from pickroom.sessions.review.session import ReviewSession

    project = _project(home)

    def run() -> None:
        session = ReviewSession(project, order="worth")
        Deck(session)
        for position in range(_PREFETCHED):
            shown = session.group_at(position)
            for image in shown.images if shown else ():
                session.picture(image, "preview")
        session.close()

    return seconds(run)


def press(home: Path) -> Took:
    """One key, saved, after another window has pressed one: the slowest key there is."""
    from pickroom.sessions.review.session import ReviewSession

    project = _project(home)
    with closing(ReviewSession(project, order="worth")) as one, closing(ReviewSession(project, order="worth")) as other:
        other.press("k")
        took = seconds(lambda: one.press("ArrowDown"))
        other.press("z")
    return took


def finalise(home: Path) -> Took:
    from pickroom.sessions.review.session import ReviewSession

    with closing(ReviewSession(_project(home), order="worth")) as session:
        for _ in range(min(FINALISED, len(session.groups))):
            session.press("2")
        session.press("Shift+Enter")
        took = seconds(lambda: session.press("Shift+Enter"))
        assert session.last_result is not None and not session.last_result.held, session.last_result
    return took


def undo(home: Path) -> Took:
    """The last batch taken back."""
    from pickroom.files.batch import undo_batch
    from pickroom.store import operations
    from pickroom.store.connect import connect

    project = _project(home)
    with closing(connect(project.database)) as connection:
        batch = operations.latest_batch(connection, ["review"])
        assert batch is not None
        return seconds(lambda: undo_batch(project, connection, batch))


def status(home: Path) -> Took:
    from pickroom.indexing import projects

    project = _project(home)
    return seconds(lambda: projects.status(project))


def check(home: Path) -> Took:
    from pickroom import integrity

    project = _project(home)

    def run() -> None:
        found = integrity.inspect(project, purpose="finishing")
        assert not found.errors, found.errors

    return seconds(run)


def query(home: Path) -> Took:
    """The first: every view of the project is copied."""
    from pickroom.analysis.connection import connect

    workspace = Workspace(home)

    def run() -> None:
        with connect(workspace) as analysis:
            for name in QUERIES:
                assert analysis.rows(name)

    return seconds(run)


def query_again(home: Path) -> Took:
    return query(home)


def backup(home: Path) -> Took:
    from pickroom.maintenance.backup.writing import write

    return seconds(lambda: write(Workspace(home), home))


def make_model_like(home: Path) -> Took:
    """No measurement: what a model would say of every group is stored."""
    return seconds(lambda: give_confidence(_project(home)))


def make_decided(home: Path) -> Took:
    """No measurement: nearly all of it is decided."""
    project = _project(home)
    return seconds(lambda: decide(project, leave=LEFT))


# in this order: the words of the table, None where nothing is measured
STEPS: dict[str, tuple[str | None, Callable[[Path], Took]]] = {
    "scan": ("scan, first", scan),
    "scan_again": ("scan, again", scan_again),
    "group": ("group by stages", group),
    "recommend": ("recommend (baseline)", recommend),
    "make_model_like": (None, make_model_like),
    "open_deck": ("open a deck", open_deck),
    "press": ("a key, after another window's", press),
    "finalise": (f"finalise {FINALISED} groups", finalise),
    "make_decided": (None, make_decided),
    "open_late": ("open a deck, nearly all decided", open_deck),
    "finalise_late": ("finalise, nearly all decided", finalise),
    "undo": ("undo that batch", undo),
    "status": ("status", status),
    "check": ("check", check),
    "query": ("named queries, first", query),
    "query_again": ("named queries, again", query_again),
    "backup": ("backup", backup),
    "scan_late": ("scan, nearly all decided", scan_again),
}

UNDECODED = ("scan, first, undecoded", scan_undecoded)  # in place of the first step


def _project(home: Path) -> Project:
    return Workspace(home).project(PROJECT)

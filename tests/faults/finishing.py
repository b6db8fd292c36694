"""`finish` killed: it moves no image; the manifest's word and the archive must be whole, or as before."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import sqlite3
import zipfile
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from faults.census import state_of
from faults.launcher import Plan
from faults.scenarios import FINISH, Stage, stage, template

LAST = 12  # steps, from the first of the archive to the end


@dataclass
class Unfinished:
    """What became of one kill of `finish`: the step before which it died, and what is not as it was promised."""

    step: str
    problems: list[str] = field(default_factory=list)
    name: str = FINISH.name


def begin(folder: Path, *, reports: bool) -> tuple[Path, int]:
    """(template, steps of an undisturbed finish)."""
    made = folder / f"finish-{reports}"
    template(made, FINISH)
    done = stage(made, folder / "run", FINISH).run(plan=Plan(reports=reports))
    assert done.code == 0, done.said
    return made, done.count


def kill_finish(made: Path, folder: Path, plan: Plan) -> Unfinished:
    """Kill a finish where a plan says, look at what it left, and finish again."""
    tried = stage(made, folder / "run", FINISH)
    before = state_of(tried.project)
    run = tried.run(plan=plan)
    found = Unfinished(run.step)
    if not run.killed:
        found.problems.append(f"it ended with {run.code}: {run.said}")
    found.problems += tried.census().lines
    found.problems += [] if state_of(tried.project) == before else ["rows have changed"]
    status = json.loads(tried.project.manifest_file.read_text())["status"]
    archive = tried.home / "archives" / "p"
    if status == "finished" or archive.exists():
        found.problems += what_is_wrong_with(archive, tried)
    again = tried.run(plan=Plan(reports=plan.reports))
    if again.code != 0 or json.loads(tried.project.manifest_file.read_text())["status"] != "finished":
        found.problems.append(f"it cannot be finished any more: {again.said}")
    found.problems += what_is_wrong_with(archive, tried) + tried.census().lines
    found.problems += [f"left over: {path.name}" for path in archive.parent.glob(".*")]
    shutil.rmtree(tried.folder)
    return found


def what_is_wrong_with(archive: Path, tried: Stage) -> list[str]:
    """An archive holds every picture as it is on disk, and a database that is whole."""
    try:
        with zipfile.ZipFile(archive / "deliverables.zip") as pictures:
            held = {name: hashlib.sha256(pictures.read(name)).hexdigest() for name in pictures.namelist()}
        with closing(sqlite3.connect(f"{(archive / 'p.db').as_uri()}?mode=ro", uri=True)) as connection:
            sound = [row[0] for row in connection.execute("PRAGMA integrity_check")]
        listed = {entry["name"]: entry["sha256"] for entry in json.loads((archive / "deliverables.json").read_text())}
        json.loads((archive / "summary.json").read_text())
    except (OSError, ValueError, KeyError, sqlite3.Error, zipfile.BadZipFile) as error:
        return [f"the archive is not whole: {error}"]
    wanted = {
        p: h for p, h in tried.before.items() if p.startswith(("selected/", "crop_cropped/")) and p.endswith("png")
    }
    found = [] if held == listed == wanted else ["the archive's pictures are not those on disk"]
    return found + ([] if sound == ["ok"] else [f"the archive's database: {sound[0]}"])


def kill_finishes(folder: Path, rng: random.Random, whole: int) -> list[Unfinished]:
    """The last steps, from the archive on, each once without the reports; and so many kills anywhere, with them."""
    found = []
    for reports in (False, True):
        made, count = begin(folder, reports=reports)
        steps = range(max(1, count - LAST), count + 1) if not reports else [rng.randint(1, count) for _ in range(whole)]
        found += [kill_finish(made, folder, Plan(kill_at=step, reports=reports)) for step in steps]
    return found

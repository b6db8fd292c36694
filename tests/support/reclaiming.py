"""What the tests of reclaiming share: a finished project, the way out of the trash."""

from __future__ import annotations

import configparser
import urllib.parse
from collections.abc import Sequence
from pathlib import Path

import pytest

from pickroom.analysis.reports import finish, render
from pickroom.demo.plan import DemoConfig
from pickroom.sessions.crop.session import CropSession
from pickroom.store.workspace import Project, Workspace
from support.analysing import write_vectors
from support.reviewing import FINALISE, review, rows
from support.simulated import start_simulated

KEYS = "a 1 2 q a x".split()  # noqa: SIM905 (as a file of keys has them)


def finished_project(workspace: Workspace, keys: Sequence[str] = KEYS, encoder: str = "own") -> Project:
    """A finished project: photographs reviewed, its crops made, originals archived, vectors stored."""
    project = start_simulated(workspace, DemoConfig(groups=len(keys), seed=4, long_side=96))
    review(project, *keys, *FINALISE)
    session = CropSession(project)
    while session.view().images:
        session.press("Enter")
    session.close()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(render, "run", lambda project: [])  # the report has its own tests
        finished = finish.execute(project, originals=True).project
    return with_vectors(finished, encoder) if encoder else finished


def with_vectors(project: Project, encoder: str) -> Project:
    """The project with a vector of every image by an encoder, which becomes its own."""
    known = [(row["filename"], row["sha256"]) for row in rows(project, "SELECT filename, sha256 FROM images")]
    write_vectors(project, encoder, [(name, sha256, [1.0, 0.0]) for name, sha256 in known], 2)
    return project.with_manifest(encoder=encoder)


def out_of_the_trash(share: Path) -> None:
    """Put everything back where it came from, as the freedesktop.org trash specification says it is written down."""
    for info in sorted((share / "Trash" / "info").iterdir()):
        entry = configparser.ConfigParser(interpolation=None)
        entry.read(info)
        path = share / urllib.parse.unquote(entry["Trash Info"]["Path"])  # relative to it, or absolute
        trashed = share / "Trash" / "files" / info.stem
        if trashed.exists():  # a kill between the two leaves a note of what had not been moved yet
            trashed.rename(path)
        info.unlink()

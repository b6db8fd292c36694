"""A finished project with something to reclaim, and a trash of the test's own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pickroom.store.workspace import Project, Workspace
from support.reclaiming import finished_project
from support.reviewing import copy_of


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Six groups reviewed, their crops made, originals archived."""
    return finished_project(Workspace(tmp_path_factory.mktemp("reclaim")))


@pytest.fixture
def project(built: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    use_trash(monkeypatch, tmp_path / "share")
    return copy_of(built, tmp_path).with_manifest(status="finished")


def use_trash(patch: pytest.MonkeyPatch, share: Path) -> None:
    """The trash of a Linux desktop lies there for this test; send2trash reads the variable when it is imported."""
    share.parent.mkdir(parents=True, exist_ok=True)
    patch.setenv("HOME", str(share.parent))  # what lies on the disk of one's home goes into the trash there
    patch.setenv("XDG_DATA_HOME", str(share))
    from send2trash import plat_other

    patch.setattr(plat_other, "XDG_DATA_HOME", os.fsencode(share))
    patch.setattr(plat_other, "HOMETRASH_B", os.fsencode(share / "Trash"))

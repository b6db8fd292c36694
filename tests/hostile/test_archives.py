"""Hostile archives of finished projects: `reclaim` deletes what they are proved to hold, so none may prove too much."""

from __future__ import annotations

import io
import json
import random
import shutil
import zipfile
from pathlib import Path

import pytest

from hostile.guard import attempt, survive
from hostile.mutations import damaged, json_bytes
from pickroom.analysis.reports import archive
from pickroom.core.errors import ProjectError
from pickroom.store.workspace import Workspace
from support.reclaiming import finished_project

CASES = 25


def test_a_hostile_archive_proves_nothing_or_what_is_in_it(workspace: Workspace, tmp_path: Path) -> None:
    project = finished_project(workspace)
    folder = archive.archive_folder(project)
    sound = archive.verified(project)
    kept = shutil.copytree(folder, tmp_path / "kept")
    zips = [path.name for path in kept.glob("*.zip")]
    assert zips and any(sound.values())

    def case(rng: random.Random) -> str:
        shutil.rmtree(folder)
        shutil.copytree(kept, folder)
        path = rng.choice([path for path in folder.iterdir() if path.is_file()])
        if path.suffix == ".json":
            path.write_bytes(json_bytes(rng, json.loads(path.read_bytes())))
        elif path.suffix == ".zip" and rng.random() < 0.5:
            path.write_bytes(damaged(rng, packed_again(path, rng)))
        else:
            path.write_bytes(damaged(rng, path.read_bytes()))
        found: list[dict[str, frozenset[str]]] = []
        outcome = attempt(lambda: found.append(archive.verified(project)))
        for one in found:
            assert all(one[bundle] <= sound[bundle] for bundle in one)
        return outcome

    tally = survive("archives/files", CASES, case)
    assert tally.outcomes["refused"]


def test_damaged_lzma_archive_gives_one_line(workspace: Workspace) -> None:
    project = finished_project(workspace)
    path = next(archive.archive_folder(project).glob("*.zip"))
    buffer = io.BytesIO()
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(buffer, "w", zipfile.ZIP_LZMA) as target:
        name = source.namelist()[0]
        target.writestr(name, source.read(name))
        start = target.getinfo(name).header_offset + 30 + len(name.encode()) + 40  # within what is packed
    data = bytearray(buffer.getvalue())
    data[start : start + 40] = b"\xff" * 40
    path.write_bytes(data)
    assert attempt(archive.verified, project) == "refused"


def packed_again(path: Path, rng: random.Random) -> bytes:
    """The same files, packed in one of the ways that a zip knows."""
    buffer = io.BytesIO()
    method = rng.choice((zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA))
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(buffer, "w", method) as target:
        for name in source.namelist():
            target.writestr(name, source.read(name))
    return buffer.getvalue()


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, 99])
def test_an_archive_that_cannot_be_unpacked_is_one_line(workspace: Workspace, method: int) -> None:
    project = finished_project(workspace)
    path = next(archive.archive_folder(project).glob("*.zip"))
    data = bytearray(path.read_bytes())
    for mark, at in ((b"PK\x01\x02", 10), (b"PK\x03\x04", 8)):  # the method, in both headers (APPNOTE 4.3.7, 4.3.12)
        place = data.index(mark) + at
        data[place : place + 2] = method.to_bytes(2, "little")
    path.write_bytes(data)
    with pytest.raises(ProjectError, match="verifying an archive"):
        archive.verified(project)

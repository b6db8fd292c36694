"""Comparisons kept: made once, found again by content, made anew when anything differs, never of other files."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from conftest import SCANNED_AT
from pickroom.features import consistency_store
from pickroom.features.candidates import Candidates
from pickroom.features.consistency import NAMES, ConsistencyConfig
from pickroom.features.consistency_store import DIFFERENT_SHAPES, FoundConsistency, consistency_of
from pickroom.features.sources import FeatureSources
from pickroom.indexing import projects
from pickroom.store.workspace import Project, Workspace
from support.learning import write_groups
from support.reviewing import queue

CONFIG = ConsistencyConfig()


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Three groups of three small images."""
    write_groups(tmp_path / "images", 3)
    return projects.start(Workspace(tmp_path / "home"), "p", tmp_path / "images", at=SCANNED_AT)[0]


def asked(
    project: Project, items: list[Candidates], config: ConsistencyConfig = CONFIG
) -> tuple[FoundConsistency, int]:
    """What is found, and how many groups had to be read for it."""
    read: list[int] = []
    found = consistency_of(items, FeatureSources([project]), config, lambda done, total: read.append(done))
    assert read == list(range(1, len(read) + 1))
    return found, len(read)


def items_of(project: Project) -> list[Candidates]:
    return [Candidates.of(group) for group in queue(project)]


def test_a_group_is_read_once(project: Project) -> None:
    items = items_of(project)
    first, read = asked(project, items)
    again, read_again = asked(project, items)
    assert (read, read_again) == (3, 0) and not first.reasons
    for row in range(3):
        assert first.consistency[row].values.shape == (3, len(NAMES))
        for part in ("values", "peaks"):
            ours, theirs = (getattr(found.consistency[row], part) for found in (first, again))
            np.testing.assert_allclose(ours, theirs, rtol=1e-6)


def test_members_come_in_the_order_asked_for(project: Project) -> None:
    item = items_of(project)[0]
    turned = Candidates(item.project_id, item.group_id, item.filenames[::-1], item.hashes[::-1], item.stages[::-1])
    first, _ = asked(project, [item])
    second, read = asked(project, [turned])
    assert read == 0
    np.testing.assert_array_equal(first.consistency[0].values, second.consistency[0].values[::-1])


def test_other_settings_are_other_comparisons(project: Project) -> None:
    items = items_of(project)
    asked(project, items)
    assert asked(project, items, ConsistencyConfig(block=8))[1] == 3
    folders = {consistency_store.cache_folder(project.workspace, c, "p") for c in (CONFIG, ConsistencyConfig(block=8))}
    assert len(folders) == 2 and all(folder.is_dir() for folder in folders)


def test_other_content_is_said_and_tried_again_next_time(project: Project, tmp_path: Path) -> None:
    item = items_of(project)[0]
    path = next((tmp_path / "images").rglob(item.filenames[1]))
    kept = path.read_bytes()
    shutil.copyfile(next((tmp_path / "images").rglob(item.filenames[0])), path)
    found, _ = asked(project, [item])
    assert f"{item.filenames[1]} has other content" in found.reasons[0] and not found.consistency
    path.write_bytes(kept)
    assert 0 in asked(project, [item])[0].consistency
    path.unlink()
    found, read = asked(project, [item])
    assert read == 0 and 0 in found.consistency, "what is known needs no file"


def test_a_file_that_is_gone_or_damaged_is_said(project: Project, tmp_path: Path) -> None:
    gone, damaged, sound = items_of(project)
    next((tmp_path / "images").rglob(gone.filenames[0])).unlink()
    path = next((tmp_path / "images").rglob(damaged.filenames[2]))
    path.write_bytes(b"no image")
    damaged = Candidates("p", damaged.group_id, damaged.filenames, (*damaged.hashes[:2], None), damaged.stages)
    found, _ = asked(project, [gone, damaged, sound])
    assert found.reasons[0] == f"{gone.filenames[0]} is not on disk"
    assert found.reasons[1].startswith(f"{damaged.filenames[2]} cannot be read")
    assert list(found.consistency) == [2]


def test_different_shapes_are_remembered(project: Project, tmp_path: Path) -> None:
    folder = tmp_path / "others"
    (names,) = write_groups(folder, 1, seed=9)
    Image.new("RGB", (128, 96), "grey").save(folder / names[0])
    other = projects.start(project.workspace, "o", folder, at=SCANNED_AT)[0]
    items = items_of(other)
    assert asked(other, items)[0].reasons == {0: DIFFERENT_SHAPES}
    found, read = asked(other, items)
    assert (found.reasons, read) == ({0: DIFFERENT_SHAPES}, 0)


def test_without_hashes_nothing_is_kept(project: Project) -> None:
    item = items_of(project)[0]
    unknown = Candidates("p", item.group_id, item.filenames, (None,) * 3, item.stages)
    assert consistency_store.members_key(unknown) is None
    assert [asked(project, [unknown])[1] for _ in range(2)] == [1, 1]


def test_a_damaged_part_is_made_again(project: Project) -> None:
    items = items_of(project)
    asked(project, items)
    folder = consistency_store.cache_folder(project.workspace, CONFIG, "p")
    (part,) = folder.glob("*.parquet")
    part.write_bytes(part.read_bytes()[:100])
    found, read = asked(project, items)
    assert read == 3 and len(found.consistency) == 3

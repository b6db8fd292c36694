"""Blocks stored: looked up by content, kept through merges and damage, and never half written."""

from __future__ import annotations

import numpy as np
import pytest

from pickroom.core.errors import StoreError
from pickroom.features.blocks import BLOCKS, BlockRow, BlockStore, load_blocks
from pickroom.features.store import ImageRows
from pickroom.store.workspace import Project, Workspace

SPEC = BLOCKS[0]


@pytest.fixture
def project(workspace: Workspace) -> Project:
    return workspace.planned("p", workspace.root / "images")


def row(number: int, content: str | None = None) -> BlockRow:
    values = np.full(len(SPEC.columns), number, dtype=np.float32)
    return BlockRow(f"{number}.jpg", content or f"hash{number}", values)


def test_a_project_without_blocks_has_empty_ones(project: Project) -> None:
    found = load_blocks(project)
    assert list(found) == [spec.name for spec in BLOCKS]
    for spec in BLOCKS:
        assert found[spec.name].values.shape == (0, len(spec.columns)) and found[spec.name].columns == spec.columns
        assert found[spec.name].place("a.jpg", "hash") is None and found[spec.name].place("a.jpg", None) is None


def test_rows_are_found_by_content_or_by_a_single_name(project: Project) -> None:
    store = BlockStore(project)
    with store.writing("testing"):
        store.append({SPEC.name: [row(1), row(2), BlockRow("2.jpg", "other", None, "truncated")]})
    block = load_blocks(project)[SPEC.name]
    assert block.place("renamed.jpg", "hash1") == block.place("1.jpg", None) == 0
    assert block.place("1.jpg", "changed") is None and block.place("2.jpg", None) is None
    assert block.values[0].tolist() == [1.0] * len(SPEC.columns)
    assert block.present.tolist() == [True, True, False] and np.isnan(block.values[2]).all()
    assert store.known() == {SPEC.name: {"hash1", "hash2", "other"}, "faces": set()}


def test_a_content_with_two_rows_has_its_newest(project: Project) -> None:
    store = BlockStore(project)
    for number in (1, 2):
        store.append({SPEC.name: [row(number, "same"), row(number + 10)]})
    before = load_blocks(project)[SPEC.name]
    with store.writing("testing"):  # which merges
        pass
    after = load_blocks(project)[SPEC.name]
    for block in (before, after):
        assert len(block) == 3 and block.values[block.place("", "same") or 0, 0] == 2
    assert [path.name for path in sorted(store.folder.glob("*.parquet"))] == ["technical-v1-000003.parquet"]


def test_a_damaged_part_is_reported_and_set_aside(project: Project) -> None:
    store = BlockStore(project)
    store.append({SPEC.name: [row(1)]})
    (part,) = store.folder.glob("*.parquet")
    part.write_bytes(part.read_bytes()[:100])
    with pytest.raises(StoreError, match="a part file is damaged"):
        load_blocks(project)
    assert [path.name for path in store.set_damaged_aside()] == [f"{part.name}.damaged"]
    assert len(load_blocks(project)[SPEC.name]) == 0


def test_the_hash_follows_name_version_and_columns() -> None:
    assert len({spec.hash for spec in BLOCKS}) == len(BLOCKS)
    changed = type(SPEC)(SPEC.name, SPEC.version + 1, SPEC.columns)
    assert changed.hash != SPEC.hash and type(SPEC)(SPEC.name, SPEC.version, SPEC.columns).hash == SPEC.hash


def test_vectors_are_found_by_content_then_by_name() -> None:
    names, hashes = np.array(["a", "b", "b", "c"], object), np.array(["1", "2", "3", None], object)
    rows = ImageRows(names, hashes)
    assert [rows.place(*given) for given in (("a", "1"), ("renamed", "2"), ("a", "9"))] == [0, 1, None]
    assert [rows.place(name, None) for name in ("a", "b", "c", "d")] == [0, None, 3, None]  # b is two images
    assert rows.place("c", "any") == 3  # imported: its content is unknown

"""Part files: whole or not at all, merged without loss, read as one matrix, damage named."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from pickroom.core.errors import StoreError
from pickroom.features import parts
from pickroom.features.encoder import EncoderSpec, Preprocessing
from pickroom.features.store import VectorRow, VectorStore, read_spec, read_vectors, save_spec
from pickroom.store.workspace import Workspace

PREPROCESSING = Preprocessing(8, 8, "squash", "bicubic", (0.5,) * 3, (0.5,) * 3)
SPEC = EncoderSpec("bundled", "m", "w", PREPROCESSING, 5, 2, 2, 3, "", "float32")


def row(number: int, error: str | None = None, content: str | None = None) -> VectorRow:
    rng = np.random.default_rng(number)
    vector, patches = rng.standard_normal(5, dtype=np.float32), rng.standard_normal((2, 2, 3), dtype=np.float32)
    digest = content or f"{number:064d}"
    if error:
        return VectorRow(f"{number}.png", digest, None, None, 9, number, None, None, error)
    return VectorRow(f"{number}.png", digest, 4, 3, 9, number, vector, patches, None)


@pytest.fixture
def store(workspace: Workspace) -> VectorStore:
    return VectorStore(workspace, SPEC, "p")


def test_rows_come_back_as_they_went_in(store: VectorStore) -> None:
    store.append([row(0), row(1, error="truncated"), row(2)])
    store.append([row(3)])
    found = read_vectors(store, patches=True)
    assert found.filenames.tolist() == ["0.png", "2.png", "3.png"]
    assert found.errors == {"1.png": "truncated"}
    np.testing.assert_allclose(found.matrix, [row(n).vector for n in (0, 2, 3)], atol=2e-3)
    assert found.patches is not None and found.patches.shape == (3, 2, 2, 3)
    np.testing.assert_allclose(found.patches[1], row(2).patches, atol=2e-3)
    assert found.place("2.png", row(2).content_hash) == 1 and found.place("2.png", "other") is None
    assert len(store.known()) == 4


def test_an_empty_store_reads_as_nothing(store: VectorStore) -> None:
    found = read_vectors(store)
    assert found.matrix.shape == (0, 5) and len(found) == 0 and store.known() == {}
    store.vectors.merge()


@pytest.mark.parametrize("storage", ["float16", "float32"])
def test_floats_are_stored_as_specified(workspace: Workspace, storage: str) -> None:
    store = VectorStore(workspace, replace(SPEC, storage=storage), "p")
    store.append([row(0), row(1, error="gone")])
    (path,) = store.vectors.files()
    kind = pq.read_schema(path).field("vector").type
    assert str(kind.value_type) == {"float16": "halffloat", "float32": "float"}[storage] and kind.list_size == 5
    exact = row(0).vector
    assert exact is not None
    assert np.array_equal(read_vectors(store).matrix[0], exact.astype(storage))


def test_a_vector_too_large_for_its_storage_becomes_a_reason(store: VectorStore) -> None:
    store.append([replace(row(0), vector=np.full(5, 1e6, dtype=np.float32)), row(1)])
    found = read_vectors(store)
    assert found.filenames.tolist() == ["1.png"]
    assert found.errors == {"0.png": "the vector is not finite in float16"}


def test_merging_keeps_every_image_once(store: VectorStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "ROWS_PER_PART", 8)
    for start in range(0, 30, 3):
        store.append([row(n, error="bad" if n % 7 == 0 else None) for n in range(start, start + 3)])
    store.append([row(4), row(5)])  # doubled, as a kill in the middle of a merge leaves them
    before = read_vectors(store, patches=True)
    assert len(before) == 25
    store.vectors.merge()
    after = read_vectors(store, patches=True)
    assert [store.vectors.count(path) for path in store.vectors.files()] == [8, 8, 8, 6]
    order_before, order_after = before.filenames.argsort(), after.filenames.argsort()
    assert before.filenames[order_before].tolist() == after.filenames[order_after].tolist()
    assert np.array_equal(before.matrix[order_before], after.matrix[order_after])
    assert before.patches is not None and after.patches is not None
    assert np.array_equal(before.patches[order_before], after.patches[order_after])
    assert after.errors == before.errors

    files = {path: path.stat().st_mtime_ns for path in store.vectors.files()}
    store.vectors.merge()  # one part is small: there is nothing to merge it with
    assert {path: path.stat().st_mtime_ns for path in store.vectors.files()} == files
    store.vectors.merge(lambda key: key[0] in ("0.png", "1.png"))
    assert len(store.known()) == 28


def test_a_reader_goes_on_while_parts_are_merged(store: VectorStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "MANY_PARTS", 4)
    store.append([row(n) for n in range(20)])
    stop, lengths, errors = threading.Event(), set(), []

    def read() -> None:
        while not stop.is_set():
            try:
                lengths.add(len(set(read_vectors(store).filenames)))
            except StoreError as error:
                errors.append(error)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for number in range(20, 60):
        store.append([row(number)])
    stop.set()
    for reader in readers:
        reader.join()
    assert not errors and min(lengths) >= 20
    assert len(read_vectors(store)) == 60


@pytest.mark.parametrize("damage", [lambda data: data[: len(data) // 2], lambda data: b"", lambda data: b"PAR1" * 9])
def test_a_damaged_part_is_named(store: VectorStore, damage: object) -> None:
    store.append([row(0)])
    store.append([row(1)])
    _, path = store.vectors.files()
    path.write_bytes(damage(path.read_bytes()))  # type: ignore[operator]
    for read in (store.known, lambda: read_vectors(store), store.vectors.merge):
        with pytest.raises(StoreError) as caught:
            read()
        assert str(path) in caught.value.line and "run `pickroom embed` again" in caught.value.line
    path.unlink()
    assert len(read_vectors(store)) == 1


def test_a_part_of_another_encoder_is_refused(store: VectorStore, workspace: Workspace) -> None:
    other = VectorStore(workspace, replace(SPEC, dim=6), "p")
    other.append([replace(row(0), vector=np.zeros(6, dtype=np.float32))])
    store.append([row(1)])
    (path,) = other.vectors.files()
    path.rename(store.folder / "vectors-000009.parquet")
    with pytest.raises(StoreError, match="columns are other ones"):
        read_vectors(store)


def test_an_encoders_specification_is_kept_and_checked(workspace: Workspace) -> None:
    save_spec(workspace, SPEC, {"source": "first"})
    save_spec(workspace, SPEC, {"source": "second"})
    assert read_spec(workspace, SPEC.encoder_id) == (SPEC, {"source": "second"})
    assert read_spec(workspace, "0" * 16) is None
    path: Path = workspace.embeddings / SPEC.encoder_id / "encoder.json"
    path.write_text(path.read_text().replace('"dim": 5', '"dim": 6'))
    with pytest.raises(StoreError, match="has another id"):
        read_spec(workspace, SPEC.encoder_id)


@pytest.mark.parametrize("first", ["whole", "reduced"])
def test_a_project_goes_on_with_the_grids_it_has(workspace: Workspace, first: str) -> None:
    spec = replace(SPEC, patch_dim=80)
    form = getattr(spec, first)
    assert form.encoder_id == spec.encoder_id and (form.patch_dim == 80) == (first == "whole")
    grid = np.ones((2, 2, form.patch_dim), dtype=np.float32)
    VectorStore(workspace, form, "p").append([replace(row(0), patches=grid)])
    for given in (spec, spec.reduced):  # either may be the one kept in encoder.json
        store = VectorStore(workspace, given, "p")
        assert store.spec == form
        patches = read_vectors(store, patches=True).patches
        assert patches is not None and patches.shape == (1, 2, 2, form.patch_dim)
    assert VectorStore(workspace, spec, "new").spec == spec

"""Hostile models and vectors: code in them never runs, and damage in them is one line that names the file."""

from __future__ import annotations

import io
import json
import os
import pickle
import random
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from hostile.guard import attempt, survive
from hostile.mutations import damaged, json_bytes
from pickroom.analysis import catalogue
from pickroom.core.errors import StoreError
from pickroom.features.encoder import EncoderSpec
from pickroom.features.store import VectorRow, VectorStore, read_vectors
from pickroom.history.vectors import SPEC
from pickroom.integrity import inspection
from pickroom.learn import checkpoints
from pickroom.storage.json_records import from_values
from pickroom.store.workspace import Workspace

CASES = 150
METADATA = {"name": "ranker", "version": 1, "features": {"hash": "0" * 16, "encoder": "e"}, "metrics": {"top1": 0.5}}


class Code:
    """What runs a command when it is unpickled."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (self.command,)


def as_torch_saves(payload: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(payload, buffer)
    return buffer.getvalue()


def as_old_torch_saved(payload: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(payload, buffer, _use_new_zipfile_serialization=False)
    return buffer.getvalue()


def in_a_zip(payload: object) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        packed.writestr("archive/data.pkl", pickle.dumps(payload))
        packed.writestr("archive/version", "3")
    return buffer.getvalue()


@pytest.mark.parametrize("pack", [as_torch_saves, as_old_torch_saved, pickle.dumps, in_a_zip])
@pytest.mark.parametrize("where", ["alone", "beside tensors"])
def test_code_in_a_model_is_refused_and_never_runs(workspace: Workspace, tmp_path: Path, pack, where: str) -> None:  # type: ignore[no-untyped-def]
    touched = tmp_path / "touched"
    code = Code(f"touch '{touched}'")
    payload = code if where == "alone" else {"model": {"w": torch.zeros(2)}, "seen": code}
    workspace.models.mkdir(parents=True)
    data = pack(payload)
    (workspace.models / "ranker_v1.pt").write_bytes(data)
    (workspace.models / "ranker_v1_metadata.json").write_text(json.dumps(METADATA))
    (workspace.models / "ranker_current.json").write_text('{"version": 1}')
    with pytest.raises(StoreError, match="it cannot be read") as refused:
        checkpoints.load_current(workspace, "ranker")
    assert "\n" not in refused.value.line
    assert not touched.exists()
    # the file is what it is said to be: whoever unpickles it without asking runs it
    if pack is pickle.dumps:
        pickle.loads(data)
        assert touched.exists()


def test_a_damaged_model_or_what_is_said_of_it_is_one_line(workspace: Workspace) -> None:
    version = checkpoints.save(workspace, "ranker", {"w": np.zeros(3)}, METADATA, np.array([1]))
    checkpoints.make_current(workspace, "ranker", version, "for a test")
    files = {path: path.read_bytes() for path in workspace.models.iterdir()}

    def case(rng: random.Random) -> str:
        for path, data in files.items():
            path.write_bytes(data)
        path = rng.choice(list(files))
        data = files[path]
        path.write_bytes(damaged(rng, data) if path.suffix == ".npz" else json_bytes(rng, json.loads(data)))

        def use() -> None:
            found = checkpoints.load_current(workspace, "ranker")
            if found is not None:
                found.require_features("0" * 16, "e")

        attempt(catalogue.collect, workspace)
        return attempt(use)

    survive("models/checkpoint", CASES, case)


def test_damaged_vectors_are_one_line_or_set_aside(workspace: Workspace) -> None:
    store = VectorStore(workspace, SPEC, "p")
    rows = [
        VectorRow(f"{n}.png", "0" * 64, 4, 4, 9, 9, np.full(512, n, np.float32), None, None if n else "damaged")
        for n in range(4)
    ]
    store.append(rows)
    (path,) = store.vectors.files()
    whole = path.read_bytes()

    def case(rng: random.Random) -> str:
        for old in store.folder.glob("*.damaged"):
            old.unlink()
        path.write_bytes(damaged(rng, whole) if rng.random() < 0.9 else rng.randbytes(rng.randrange(3000)))

        def use() -> None:
            read_vectors(VectorStore(workspace, SPEC, "p"))
            store.known()

        outcome = attempt(use)
        attempt(catalogue.collect, workspace)
        attempt(inspection.vectors_on_disk, workspace.planned("p", workspace.root))
        attempt(store.vectors.set_damaged_aside, thorough=True)
        return outcome

    survive("models/vectors", CASES, case)


def test_names_of_vectors_that_are_no_text_are_one_line(workspace: Workspace) -> None:
    folder = workspace.embeddings / "e" / "p"
    folder.mkdir(parents=True)
    ends = pa.array([0, 2], pa.int32()).buffers()[1]
    names = pa.Array.from_buffers(pa.string(), 1, [None, ends, pa.py_buffer(b"\xff\x80")])
    nothing = pa.array([None], pa.string())
    pq.write_table(pa.table([names, nothing, nothing], ["filename", "content_hash", "error"]), folder / "part.parquet")
    with pytest.raises(StoreError, match="reading vectors"):
        inspection.vectors_on_disk(workspace.planned("p", workspace.root))


def test_a_column_whose_name_is_no_text_is_one_line(workspace: Workspace) -> None:
    store = VectorStore(workspace, SPEC, "p")
    store.append([VectorRow("a.png", "0" * 64, 4, 4, 9, 9, np.ones(512, np.float32), None, None)])
    (path,) = store.vectors.files()
    path.write_bytes(path.read_bytes().replace(b"mtime_ns", b"mtime\xff\xffs"))
    assert attempt(read_vectors, VectorStore(workspace, SPEC, "p")) == "refused"
    _, (problem,) = catalogue.collect(workspace)
    assert "its vectors cannot be read" in problem.what


def test_an_encoder_of_another_kind_is_no_encoder(workspace: Workspace) -> None:
    with pytest.raises(ValueError, match="missing required field"):
        from_values(EncoderSpec, {"kind": "openclip"})

"""The local engine: bounded memory, one publisher, an error that stops, threads put back."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from pickroom.features import openclip
from pickroom.features.openclip import TorchEncoder, TorchTower
from pickroom.indexing import engines, pipeline
from pickroom.indexing.engines import EmbedConfig, in_batches
from pickroom.indexing.pipeline import embed
from pickroom.store.workspace import Project


@pytest.mark.parametrize(
    ("count", "size", "workers", "lengths"),
    [(10, 4, 2, [4, 4, 2]), (5, 8, 2, [3, 2]), (1, 8, 4, [1]), (0, 8, 2, []), (16, 8, 2, [8, 8])],
)
def test_batches_are_small_enough_for_every_worker(count: int, size: int, workers: int, lengths: list[int]) -> None:
    assert [len(batch) for batch in in_batches(list(range(count)), size, workers)] == lengths


def test_results_are_published_one_by_one_before_the_next_batch() -> None:
    inside, events = threading.Lock(), []

    def do(number: int) -> int:
        events.append(("do", threading.get_ident()))
        time.sleep(0.002)
        return number * 2

    published = []

    def publish(number: int, result: int) -> None:
        assert inside.acquire(blocking=False)
        published.append((number, result))
        events.append(("publish", threading.get_ident()))
        inside.release()

    engines.run(list(range(40)), do, publish, 3)
    assert sorted(published) == [(n, 2 * n) for n in range(40)]
    for thread in {ident for _, ident in events}:
        assert [what for what, ident in events if ident == thread] == ["do", "publish"] * (
            sum(ident == thread for _, ident in events) // 2
        )


def test_an_error_stops_all_and_reaches_the_caller() -> None:
    done = []

    def do(number: int) -> int:
        if number == 3:
            raise OSError(28, "No space left on device")
        return number

    with pytest.raises(OSError, match="No space left"):
        engines.run(list(range(1000)), do, lambda number, result: done.append(number), 2)
    assert len(done) < 1000


def test_workers_share_the_cores_and_give_threads_back(checkpoint: Path) -> None:
    tower = openclip.load(checkpoint=checkpoint)
    encoder, seen = tower.encoder(tower.spec(), "cpu"), []
    before = torch.get_num_threads()
    sharing = partial(encoder.threads, 1)
    engines.run(
        list(range(6)), lambda _: seen.append(torch.get_num_threads()), lambda _batch, _result: None, 2, sharing
    )
    assert set(seen) == {1} and torch.get_num_threads() == before


def test_memory_is_bounded_whatever_the_folder_holds(
    photo_project: Callable[..., Project], config: Callable[..., EmbedConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    project = photo_project(20)
    held, most, lock = 0, 0, threading.Lock()
    prepare, encode = TorchTower.prepare, TorchEncoder.encode

    def counted(tower: TorchTower, image: object) -> np.ndarray:
        nonlocal held, most
        with lock:
            held += 1
            most = max(most, held)
        return prepare(tower, image)  # type: ignore[arg-type]

    def freed(encoder: TorchEncoder, pixels: list) -> object:
        nonlocal held
        found = encode(encoder, pixels)
        with lock:
            held -= len(pixels)
        return found

    monkeypatch.setattr(TorchTower, "prepare", counted)
    monkeypatch.setattr(TorchEncoder, "encode", freed)
    report = embed(project, config(batch=3, workers=2))
    assert report.embedded == 40 and held == 0 and most <= 6


def test_a_full_disk_is_said_and_what_was_published_stays(
    photo_project: Callable[..., Project], config: Callable[..., EmbedConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    project = photo_project(4)
    real, left = pipeline.VectorStore.append, [2]

    def full(store: object, rows: list) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(28, "No space left on device", "part")
        real(store, rows)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(pipeline.VectorStore, "append", full)
        with pytest.raises(OSError, match="No space left"):
            embed(project, config(batch=2, workers=1))
    report = embed(project.workspace.project("p"), config(batch=2, workers=1))
    assert (report.embedded, report.unchanged) == (6, 2)  # one write was of the files that could not be read: none

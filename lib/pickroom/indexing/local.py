"""The engine of one machine: a few threads, each reading, encoding and publishing batches of its own.

While one thread decodes, another computes, so the forward pass never waits for a picture. On a CPU each thread
computes with its share of the cores: threads that wait for each other at every layer would stall whenever a decoder
takes one of their cores (docs/decisions/041).
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import TypeVar

from pickroom.features.choice import Chosen
from pickroom.features.device import device_words, usable_cores
from pickroom.features.reading import ImageSource
from pickroom.indexing.engines import EmbedConfig, Publish, batch_size
from pickroom.indexing.work import IndexTask, index_images

T = TypeVar("T")
R = TypeVar("R")
_MOST_WORKERS = 8  # more would wait for the disk, or for the GPU


class LocalEngine:
    """Threads of this process (see `Engine`)."""

    def __init__(self, chosen: Chosen, source: ImageSource, config: EmbedConfig) -> None:
        self._encoder, self._source = chosen.encoder(), source
        self.device = device_words(chosen.device)
        self.batch = batch_size(config, chosen.device)
        self.workers = config.workers or min(_MOST_WORKERS, usable_cores())
        each = max(1, usable_cores() // self.workers)  # decoding and computing share the processor's cores
        self._sharing = partial(self._encoder.threads, each) if chosen.device == "cpu" else nullcontext

    def images(self, batches: Sequence[Sequence[IndexTask]], publish: Publish) -> None:
        """See `Engine`."""
        run(
            batches,
            lambda batch: index_images(self._encoder, self._source, batch),
            lambda batch, rows: publish(len(batch), rows),
            self.workers,
            self._sharing,
        )


def run(
    work: Sequence[T],
    do: Callable[[T], R],
    publish: Callable[[T, R], None],
    workers: int,
    sharing: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> None:
    """Do every batch of work and publish its result, in any order.

    The first exception stops all workers at the end of their batch, and is raised here; so does an interrupt.

    Args:
        publish: called from the workers, one at a time, before the worker takes its next batch.
        sharing: entered by each worker for as long as it works: it settles how many threads a forward pass has.
    """
    waiting = deque(work)
    stop, over, publishing = threading.Event(), threading.Event(), threading.Lock()

    def loop() -> None:
        with sharing():
            take_batches()

    def take_batches() -> None:
        while not stop.is_set():
            try:
                batch = waiting.popleft()
            except IndexError:
                return
            result = do(batch)
            with publishing:
                if not over.is_set():
                    publish(batch, result)

    try:
        # entered here, too: PyTorch hands the last number set to every thread made later
        with sharing(), ThreadPoolExecutor(workers, thread_name_prefix="embed") as pool:
            try:
                for future in as_completed([pool.submit(loop) for _ in range(min(workers, len(work)))]):
                    future.result()
            finally:
                stop.set()
    finally:
        # a second Ctrl-C does not wait for the workers: nothing of theirs may be written once this has returned
        with publishing:
            over.set()

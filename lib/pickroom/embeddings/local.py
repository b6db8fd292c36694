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
from contextlib import contextmanager
from collections.abc import Iterator
from typing import TypeVar

from pickroom.embeddings.device import usable_cores

T, R = TypeVar("T"), TypeVar("R")
_MOST_WORKERS = 8


def worker_count() -> int:
    """Threads that work at the same time."""
    return min(_MOST_WORKERS, usable_cores())


def batches(items: Sequence[T], size: int, workers: int) -> list[Sequence[T]]:
    """Items in batches of at most `size`, smaller where there would be too few for every worker."""
    size = max(1, min(size, -(-len(items) // workers)))
    return [items[start : start + size] for start in range(0, len(items), size)]


def run(
    work: Sequence[Sequence[T]],
    do: Callable[[Sequence[T]], R],
    publish: Callable[[Sequence[T], R], None],
    workers: int,
    *,
    on_cpu: bool,
) -> None:
    """Do every batch and publish its result, in any order. A worker publishes before it takes the next batch.

    The first exception stops all workers at the end of their batch, and is raised here; so does an interrupt.

    Args:
        publish: called from the workers, one at a time.
        on_cpu: whether the forward pass shares the processor's cores with decoding.
    """
    waiting = deque(work)
    stop, publishing = threading.Event(), threading.Lock()

    def loop() -> None:
        with _threads(max(1, usable_cores() // workers) if on_cpu else 1):
            while not stop.is_set():
                try:
                    batch = waiting.popleft()
                except IndexError:
                    return
                result = do(batch)
                with publishing:
                    publish(batch, result)

    with ThreadPoolExecutor(workers, thread_name_prefix="embed") as pool:
        try:
            for future in as_completed([pool.submit(loop) for _ in range(min(workers, len(work)))]):
                future.result()
        finally:
            stop.set()


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """PyTorch's threads for this thread; the number that others start with is put back at the end."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)

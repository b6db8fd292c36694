"""How many threads small networks get: on a machine that is in use, several only wait for each other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

# 75 groups were fitted in 13 s on one thread and in 166 s on two, on two cores with other programs at work
ONE_BELOW = 4000  # rows


@contextmanager
def limit_torch_threads(rows: int) -> Iterator[None]:
    """One thread for PyTorch's work on the CPU within the block, unless there are many rows."""
    import torch

    before = torch.get_num_threads()
    try:
        if rows < ONE_BELOW:
            torch.set_num_threads(1)
        yield
    finally:
        torch.set_num_threads(before)

"""Progress on stderr: a bar with images a second and the time left, in a terminal, a notebook or a log file."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol


class Bar(Protocol):
    """A progress bar as tqdm makes one; it counts images."""

    total: Any

    def update(self, n: int) -> Any: ...


# tqdm's own, but for the rate: below one image a second it would turn into seconds an image
_FORMAT = "{l_bar}{bar}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}, {rate_noinv_fmt}]"

Bars = Callable[[str, int | None], AbstractContextManager[Bar]]  # (what is done, of how many images) -> a bar


@contextmanager
def bar(doing: str, total: int | None) -> Iterator[Bar]:
    """A bar of tqdm's; nothing is shown where there is nothing to do."""
    from tqdm import tqdm

    # a terminal gets a bar that moves, a log file a line now and then; a notebook keeps every step of it
    every = 0.2 if sys.stderr.isatty() else 2.0 if "ipykernel" in sys.modules else 10.0
    with tqdm(
        total=total,
        desc=doing,
        unit=" images",
        bar_format=_FORMAT,
        file=sys.stderr,
        mininterval=every,
        maxinterval=every,
        smoothing=0.1,
        disable=total == 0,
        leave=bool(total),
        dynamic_ncols=True,
    ) as shown:
        yield shown


class _Silent:
    total: Any = None

    def update(self, n: int) -> None:
        """Show nothing."""


@contextmanager
def silent(doing: str, total: int | None) -> Iterator[Bar]:
    """No bar."""
    yield _Silent()

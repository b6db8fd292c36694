"""One thread for the matrix products of fits and predictions. Pure."""

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from threadpoolctl import ThreadpoolController

P = ParamSpec("P")
T = TypeVar("T")


def one_blas_thread(function: Callable[P, T]) -> Callable[P, T]:
    """Make a function run its matrix products on one thread.

    OpenBLAS's threads wait for each other in busy loops: while another program was running, 200 groups took 8 s
    on one thread and 89 s on two.
    """

    @functools.wraps(function)
    def limited(*args: P.args, **kwargs: P.kwargs) -> T:
        with _controller().limit(limits=1, user_api="blas"):
            return function(*args, **kwargs)

    return limited


@functools.cache
def _controller() -> ThreadpoolController:
    import scipy.linalg  # noqa: F401 (brings a library of its own, which must be loaded before it can be limited)

    return ThreadpoolController()

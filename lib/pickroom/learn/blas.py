"""One thread for the matrix products of fits and predictions. Pure."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from threadpoolctl import ThreadpoolController


@contextmanager
def _one_blas_thread() -> Iterator[None]:
    with _controller().limit(limits=1, user_api="blas"):
        yield


# Makes a function run its matrix products on one thread. OpenBLAS's threads wait for each other in busy loops: while
# another program was running, 200 groups took 8 s on one thread and 89 s on two.
one_blas_thread = _one_blas_thread()


@cache
def _controller() -> ThreadpoolController:
    import scipy.linalg  # noqa: F401 (brings a library of its own, which must be loaded before it can be limited)

    return ThreadpoolController()

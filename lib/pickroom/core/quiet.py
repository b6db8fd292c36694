"""Suppress the warnings that libraries print.

Warnings of Python libraries, unhandled log lines, and lines printed by codecs written in C are about code and name no
image; everything that concerns the user is raised as an error or listed with its reason. Developers see them with
`PICKROOM_WARNINGS=1`, `python -W` or `PYTHONWARNINGS`.
"""

import ctypes
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.abc import MetaPathFinder

_SHOWN = "PICKROOM_WARNINGS"
# set for processes that Pickroom starts (Ray's workers, trainings, kernels) and for their children
_CHILDREN = {"PYTHONWARNINGS": "ignore", "TORCH_CPP_LOG_LEVEL": "ERROR"}
_TIFF_HANDLERS = ("TIFFSetErrorHandler", "TIFFSetWarningHandler")  # libtiff, TIFFError(3tiff): NULL prints nothing


def wanted() -> bool:
    """Whether the user asked to see warnings; the variables that this module sets for child processes do not count."""
    return bool(os.environ.get(_SHOWN)) or sys.warnoptions not in ([], [_CHILDREN["PYTHONWARNINGS"]])


class NoPandas(MetaPathFinder):
    """Refuse pandas, which PyArrow and DuckDB import whether they need it or not: a third of a second for nothing."""

    def find_spec(self, name: str, *_: object) -> None:
        """Raise ImportError for pandas."""
        if name == "pandas":
            raise ImportError(name)


def arrow_without_pandas() -> None:
    """Let PyArrow find no pandas, for as long as this process runs. Others (PyTorch looks for it) still do.

    For a process of Pickroom's own that makes no data frame. In any other (a test, a kernel) nothing is done.
    """
    if sys.stderr is sys.__stderr__:
        import pyarrow

        refusal = NoPandas()
        sys.meta_path.insert(0, refusal)
        pyarrow.array([0])  # it looks once
        sys.meta_path.remove(refusal)


def libraries() -> None:
    """Suppress the warnings of libraries, in this process and in every process that it starts.

    For processes whose standard error is the user's screen. A program that replaced the stream (a test, a kernel)
    decides itself what it shows.
    """
    if wanted() or sys.stderr is not sys.__stderr__:
        return
    # in place of a filter: libraries add filters of their own when they are imported
    warnings.showwarning = lambda *arguments, **options: None
    logging.lastResort = logging.NullHandler()
    os.environ.update(for_children())


def for_children() -> dict[str, str]:
    """Variables that keep the libraries of another process quiet."""
    return {} if wanted() else {name: os.environ.get(name, value) for name, value in _CHILDREN.items()}


def codecs() -> None:
    """Suppress what codecs print about an image, in each process that decodes one; the reader reports errors."""
    if wanted():
        return
    warnings.filterwarnings("ignore", module=r"(PIL|pillow_heif)\.")
    logging.getLogger("PIL").addHandler(logging.NullHandler())
    from PIL import _imaging  # here, so that a command that opens no image does not load it

    library = ctypes.CDLL(_imaging.__file__)  # to find the libtiff that Pillow uses
    for name in _TIFF_HANDLERS:
        handler = getattr(library, name, None)  # missing in a Pillow without libtiff, or with hidden symbols
        if handler is not None:
            handler.argtypes, handler.restype = [ctypes.c_void_p], ctypes.c_void_p
            handler(None)


@contextmanager
def standard_error() -> Iterator[None]:
    """Drop what C code writes to the process's standard error within the block; other threads' lines are lost, too."""
    if wanted():
        yield
        return
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)

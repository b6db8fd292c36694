"""The errors that Pickroom raises on purpose, each with its fields and one line for the user.

The line says what went wrong, doing what, to which path or name, and what to do next. Any other exception is a defect
and may show a traceback. One of them is that the packages of an extra are missing, which some commands need.
"""

import importlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self


class PickroomError(Exception):
    """The parent of every expected failure.

    Attributes:
        what: what went wrong, in a few words.
        doing: what Pickroom was doing (a gerund phrase), or "".
        subject: the path or name it was done to, or None.
        hint: what the user can do next, or "".
    """

    exit_code = 2  # the command line's exit status (FORMATS.md, Exit codes)

    def __init__(self, what: str, *, doing: str = "", subject: object = None, hint: str = "") -> None:
        self.what, self.doing, self.subject, self.hint = what, doing, subject, hint
        super().__init__(self.line)

    @property
    def line(self) -> str:
        """The one line shown to the user; control characters are escaped so that it stays one line."""
        text = self.what
        if self.doing:
            text += f" while {self.doing}"
        if self.subject is not None:
            text += f": {self.subject}"
        if self.hint:
            text += f" ({self.hint})"
        return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)

    def _render_traceback_(self) -> list[str]:
        """What IPython shows in place of a traceback: a cell that fails, and papermill with it, says why in a line."""
        return [f"pickroom: {self.line}"]


class UsageError(PickroomError):
    """A command or call was given something it cannot use."""


class NotYetError(UsageError):
    """There is not enough yet to do it with: too few decisions, no model. Pages say so where the result will be."""


class ProjectError(PickroomError):
    """A project, its manifest or its folder is missing, damaged or already there."""


class StoreError(PickroomError):
    """A project's database cannot be opened, migrated, read or written."""

    exit_code = 1


class NoDatabaseError(StoreError):
    """A project's database is missing or empty: it is restored, never made anew."""


class ImageError(PickroomError):
    """One image cannot be read; `reason` is the short text listed next to its name.

    Attributes:
        reason: e.g. "zero bytes", "truncated", "mislabelled: .png holds GIF".
        by_content: the reason lies in the file's bytes, so that the unchanged file will never be readable; False where
            the file could not be opened, or memory was short.
    """

    exit_code = 1

    def __init__(self, path: Path, reason: str, *, by_content: bool = True) -> None:
        self.path, self.reason, self.by_content = path, reason, by_content
        super().__init__(reason, doing="reading an image", subject=path)


class FileOperationError(PickroomError):
    """A file could not be moved, written, copied, packed or removed: by a desk, a backup, an export, `reclaim`."""

    exit_code = 1

    def __init__(self, what: str, doing: str, paths: Sequence[Path], hint: str = "") -> None:
        self.paths = tuple(paths)  # every path involved, source first
        super().__init__(what, doing=doing, subject=" -> ".join(str(p) for p in paths), hint=hint)

    @classmethod
    def of(cls, error: OSError, doing: str, path: Path, hint: str = "") -> Self:
        """What the system refused; `path` is named where the error names none."""
        return cls(error.strerror or str(error), doing, [Path(os.fsdecode(error.filename or path))], hint)


class LockedError(PickroomError):
    """Another process is at work on it: a project's files, its vectors, a model in training, a restore."""

    exit_code = 1


class ConflictError(PickroomError):
    """Something was refused because other work depends on it; `items` lists what stands in the way."""

    exit_code = 1

    def __init__(
        self, what: str, *, items: Sequence[str] = (), doing: str = "", subject: object = None, hint: str = ""
    ) -> None:
        self.items = tuple(items)
        super().__init__(what, doing=doing, subject=subject, hint=hint)


# extra (pyproject.toml, optional-dependencies) -> what it is called on screen, and the modules that must import
EXTRAS = {
    "learn": ("PyTorch and OpenCLIP", ("torch", "open_clip")),
    "raw": ("rawpy", ("rawpy",)),
    "ray": ("Ray", ("ray", "ray.data")),
}


class MissingExtraError(PickroomError):
    """A command needs packages of an extra that is not installed."""


def require_extra(extra: str, doing: str, *, instead: str = "") -> Any:
    """The first module of an extra, imported.

    Args:
        extra: a key of `EXTRAS`.
        doing: what needs it (a gerund phrase).
        instead: what works without it, where anything does.

    Raises:
        MissingExtraError: it is not installed; the hint is the command that installs it.
    """
    name, modules = EXTRAS[extra]
    try:
        first, *_ = [importlib.import_module(module) for module in modules]
        return first
    except ImportError as error:
        hint = f"pip install 'pickroom[{extra}]'" + (f"; or {instead}" if instead else "")
        raise MissingExtraError(f"this needs {name}, which cannot be imported", doing=doing, hint=hint) from error

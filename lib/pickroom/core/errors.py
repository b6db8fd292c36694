"""Errors that Pickroom raises on purpose: each has fields and gives one line for the user.

The line says what went wrong, doing what, to which path or name, and what to do next. Any other exception is a defect
and may show a traceback. Missing packages of an extra are one of these errors.
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
        """The one line that IPython and papermill show in place of a traceback."""
        return [f"pickroom: {self.line}"]


class UsageError(PickroomError):
    """A command or call was given something it cannot use."""


class NotYetError(UsageError):
    """Not enough data yet: too few decisions, or no model. Pages show it in place of the result."""


class ProjectError(PickroomError):
    """A project, its manifest or its folder is missing, damaged or already there."""


class StoreError(PickroomError):
    """A project's database cannot be opened, migrated, read or written."""

    exit_code = 1


class NoDatabaseError(StoreError):
    """A project's database is missing or empty. It must be restored; no command makes a new one."""


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
    """A file could not be moved, written, copied, packed or removed."""

    exit_code = 1

    def __init__(self, what: str, doing: str, paths: Sequence[Path], hint: str = "") -> None:
        self.paths = tuple(paths)  # every path involved, source first
        super().__init__(what, doing=doing, subject=" -> ".join(str(p) for p in paths), hint=hint)

    @classmethod
    def of(cls, error: OSError, doing: str, path: Path, hint: str = "") -> Self:
        """Make one from an OSError; `path` is used where the error has no file name."""
        return cls(error.strerror or str(error), doing, [Path(os.fsdecode(error.filename or path))], hint)


class LockedError(PickroomError):
    """Another process uses it: a project's files, its vectors, a model in training, a restore."""

    exit_code = 1


class ConflictError(PickroomError):
    """Something was refused because it conflicts with other files or work; `items` lists the conflicts."""

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
    """Import and return the first module of an extra.

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

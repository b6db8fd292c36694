"""Extras: the optional packages that some commands need, and how to install them."""

from __future__ import annotations

import importlib
from typing import Any

from pickroom.core.errors import PickroomError

# extra (pyproject.toml, optional-dependencies) -> what it is called on screen, and the modules that must import
EXTRAS = {"learn": ("PyTorch and OpenCLIP", ("torch", "open_clip")), "ray": ("Ray", ("ray", "ray.data"))}


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

"""Devices: which one runs a network of PyTorch, and how many cores there are."""

import os
import platform
from collections.abc import Sequence

from pickroom.core.errors import UsageError

DEVICES = ("cpu", "cuda", "mps")


def present() -> tuple[str, ...]:
    """The devices PyTorch can use here, best first; the CPU alone where it is not installed."""
    try:
        import torch
    except ImportError:
        return ("cpu",)
    found = ["cuda"] if torch.cuda.is_available() else []
    found += ["mps"] if torch.backends.mps.is_available() else []
    return (*found, "cpu")


def pick_device(available: Sequence[str], wanted: str | None = None) -> str:
    """The device asked for, else the first of the available ones.

    Raises:
        UsageError: the device asked for is unknown, or not here.
    """
    doing = "choosing a device"
    if wanted is None:
        return available[0]
    if wanted not in DEVICES:
        raise UsageError(f"{wanted!r} is not a device", doing=doing, hint=f"use one of {', '.join(DEVICES)}")
    if wanted not in available:
        raise UsageError(f"this cannot run on {wanted} here", doing=doing, hint=f"use --device {available[0]}")
    return wanted


def usable_cores() -> int:
    """Processor cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def device_words(device: str) -> str:
    """The device by its name, for the user."""
    if device == "cuda":
        import torch

        return f"GPU {torch.cuda.get_device_name()}"
    if device == "mps":
        return f"GPU of this Mac ({platform.machine()}, MPS)"
    return f"CPU, {usable_cores()} cores ({platform.machine()})"

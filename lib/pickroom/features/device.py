"""Which device runs the encoder: the one place where it is chosen."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence

import numpy as np

from pickroom.core.errors import UsageError

DEVICES = ("cpu", "cuda", "mps")


def present() -> tuple[str, ...]:
    """The devices PyTorch can use here, best first."""
    import torch

    found = ["cuda"] if torch.cuda.is_available() else []
    found += ["mps"] if torch.backends.mps.is_available() else []
    return (*found, "cpu")


def pick_device(available: Sequence[str], wanted: str | None = None) -> str:
    """The device asked for, else the first of the available ones.

    Raises:
        UsageError: the device asked for is unknown, or not here.
    """
    if wanted is None:
        return available[0]
    if wanted not in DEVICES:
        raise UsageError(f"{wanted!r} is no device", doing="choosing a device", hint=f"use one of {', '.join(DEVICES)}")
    if wanted not in available:
        raise UsageError(
            f"this encoder cannot run on {wanted} here", doing="choosing a device", hint=f"use --device {available[0]}"
        )
    return wanted


def cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Cosine of each row of (N, D) `a` to the same row of `b`, (N,) float64; 0 where either is zero."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return np.divide((a * b).sum(axis=1), norms, out=np.zeros(len(a)), where=norms > 0)


def usable_cores() -> int:
    """Processor cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def device_words(device: str) -> str:
    """The device by its name, for the person."""
    if device == "cuda":
        import torch

        return f"GPU {torch.cuda.get_device_name()}"
    if device == "mps":
        return f"GPU of this Mac ({platform.machine()}, MPS)"
    return f"CPU, {usable_cores()} cores ({platform.machine()})"

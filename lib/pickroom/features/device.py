"""Devices: which one runs a network of PyTorch, how many cores there are, and ONNX graphs on them."""

import os
import platform
from collections.abc import Sequence
from typing import Any

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
        raise UsageError(f"{wanted!r} is no device", doing=doing, hint=f"use one of {', '.join(DEVICES)}")
    if wanted not in available:
        raise UsageError(f"this cannot run on {wanted} here", doing=doing, hint=f"use --device {available[0]}")
    return wanted


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


def open_session(graph: bytes, threads: int = 1) -> Any:
    """An `onnxruntime.InferenceSession` of a serialised graph; it may be called from several threads.

    Args:
        threads: that one call computes with.
    """
    import onnxruntime

    onnxruntime.disable_telemetry_events()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3  # errors only
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])

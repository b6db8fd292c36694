"""Which device runs the encoder, and in which precision: the one place where both are chosen."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from pickroom.errors import UsageError

if TYPE_CHECKING:
    from pickroom.embeddings.encoder import EncoderSpec, Pixels, Tower

DEVICES = ("cpu", "cuda", "mps")
# precisions that may be faster than float32 on a device; whether they are is measured
CANDIDATES = {"cpu": ("bfloat16",), "cuda": ("bfloat16", "float16"), "mps": ("float16",)}
_MIN_SPEEDUP = 1.2  # less is within the noise of a short measurement, and not worth the precision
_MIN_COSINE = 0.999  # of a vector to its float32 twin
_ROUNDS = 3  # the best of so many: other programs only ever make a pass slower
_HOPELESS = 4.0  # a first pass this many times slower than float32 settles it (bfloat16 without hardware for it)


@dataclass(frozen=True, slots=True)
class Trial:
    """One precision on one device, measured on real images.

    Attributes:
        seconds: of one forward pass over the sample.
        cosine: the lowest of its vectors' cosines to float32, in [-1, 1].
    """

    dtype: str
    seconds: float
    cosine: float


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
            f"this machine has no {wanted}", doing="choosing a device", hint=f"use --device {available[0]}"
        )
    return wanted


def pick_dtype(float32_seconds: float, trials: Sequence[Trial]) -> Trial:
    """The fastest precision that is clearly faster than float32 and keeps its vectors; else float32."""
    fit = [t for t in trials if t.cosine >= _MIN_COSINE and t.seconds * _MIN_SPEEDUP <= float32_seconds]
    return min(fit, key=lambda t: t.seconds, default=Trial("float32", float32_seconds, 1.0))


def measure(tower: Tower, spec: EncoderSpec, device: str, pixels: Sequence[Pixels]) -> tuple[float, list[Trial]]:
    """Seconds of a float32 pass over prepared images, and a trial of each other precision of the device.

    On a CPU one thread runs alone and its processor time counts, so that other programs do not decide.

    Args:
        spec: the tower's, in any precision.
        pixels: prepared images, real ones: the cosine is reported to the person.
    """
    import torch

    from pickroom.embeddings.encoder import TorchEncoder

    before = torch.get_num_threads()
    try:
        if device == "cpu":
            torch.set_num_threads(1)
        clock = time.thread_time if device == "cpu" else time.perf_counter
        exact = TorchEncoder(tower, replace(spec, dtype="float32"), device)
        truth = exact.encode(pixels).vectors
        reference = timed(partial(exact.encode, pixels), clock)
        trials = []
        for dtype in CANDIDATES[device]:
            encoder = TorchEncoder(tower, replace(spec, dtype=dtype), device)
            cosine = float(cosines(encoder.encode(pixels[:1]).vectors, truth[:1]).min())
            if timed(partial(encoder.encode, pixels[:1]), clock, 1) > _HOPELESS * reference:
                trials.append(Trial(dtype, float("inf"), cosine))
                continue
            cosine = min(cosine, float(cosines(encoder.encode(pixels).vectors, truth).min()))
            trials.append(Trial(dtype, timed(partial(encoder.encode, pixels), clock), cosine))
        return reference, trials
    finally:
        torch.set_num_threads(before)


def timed(call: Callable[[], object], clock: Callable[[], float], rounds: int = _ROUNDS) -> float:
    """Seconds of the quickest of some calls, by a clock."""
    best = float("inf")
    for _ in range(rounds):
        started = clock()
        call()
        best = min(best, clock() - started)
    return best


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
    import torch

    if device == "cuda":
        return f"GPU {torch.cuda.get_device_name()}"
    if device == "mps":
        return f"GPU of this Mac ({platform.machine()}, MPS)"
    return f"CPU, {usable_cores()} cores ({platform.machine()})"

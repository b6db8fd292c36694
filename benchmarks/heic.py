"""Presets of the HEIC encoder on photographs: time of the processor, size and error, all in one run.

The first row is what libheif does by itself. "size at its error" compares two encoders that err differently: how many
bytes more a preset needs for the error of the first row, by the line through "slow" at two qualities.

    python benchmarks/heic.py [--quick] [--files DIR]
"""

from __future__ import annotations

import argparse
import io
import math
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image as Pillow

from _measure import finish, table
from _photographs import photographs
from pickroom.images import decode  # registers the encoder
from pickroom.images.crops import heif

REFERENCE = ("slow", heif.QUALITY)
TRIED = (
    REFERENCE,
    ("slow", heif.QUALITY - 2),
    *((p, heif.QUALITY) for p in ("medium", "fast", "superfast", "ultrafast")),
)
LEAST_FASTER, MOST_LARGER = 1.8, 0.03  # times, and as a share of the bytes at the same error
SIDE = 900


def measure(pictures: Sequence[Pillow.Image], preset: str, quality: int) -> tuple[float, int, float]:
    """Seconds of the processor, bytes, and the mean PSNR in dB."""
    seconds, size, errors = 0.0, 0, []
    for picture in pictures:
        buffer, started = io.BytesIO(), time.process_time()
        picture.save(buffer, "HEIF", quality=quality, enc_params={"preset": preset})
        seconds += time.process_time() - started
        size += len(buffer.getvalue())
        with Pillow.open(buffer) as coded:
            difference = np.asarray(picture, float) - np.asarray(decode.flatten(coded), float)
        errors.append(20 * math.log10(255) - 10 * math.log10(float(np.mean(difference**2))))
    return seconds, size, sum(errors) / len(errors)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="three photographs")
    parser.add_argument("--files", type=Path, help="a folder of photographs; the built-in ones without it")
    options = parser.parse_args()
    pictures = list(photographs(options.files, SIDE).values())[: 3 if options.quick else 12]
    measured = {tried: measure(pictures, *tried) for tried in TRIED}
    slow, size, psnr = measured[REFERENCE]
    _, lower_size, lower_psnr = measured[TRIED[1]]
    bytes_per_db = math.log(size / lower_size) / (psnr - lower_psnr)
    rows = [(f"{len(pictures)} photographs", "processor, size, PSNR", "faster, size at its error")]
    figures, missed = {}, []
    for (preset, quality), (seconds, length, error) in measured.items():
        larger = math.log(length / size) - bytes_per_db * (error - psnr)
        figure = f"{seconds:6.2f} s  {length:10,} bytes  {error:.2f} dB"
        rows.append((f"{preset}, quality {quality}", figure, f"{slow / seconds:.1f} x  {larger:+.1%}"))
        if (preset, quality) == (heif.PRESET, heif.QUALITY):
            figures = {"heic_times_faster": slow / seconds, "heic_larger_at_same_error": larger}
            if slow / seconds < LEAST_FASTER or larger > MOST_LARGER:
                missed.append(f"{preset}: {slow / seconds:.1f} times faster, {larger:+.1%} bytes at the same error")
    table("Presets of the HEIC encoder", rows)
    finish(figures, missed)


if __name__ == "__main__":
    main()

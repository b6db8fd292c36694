"""Photographs that benchmarks make copies and bursts of; a leading _ marks a helper."""

from __future__ import annotations

from pathlib import Path

from PIL import Image as Pillow

from pickroom.demo.photographs import PHOTOGRAPHS, load


def photographs(folder: Path | None, side: int) -> dict[str, Pillow.Image]:
    """Name -> photograph, at most `side` pixels a side; the built-in ones without a folder."""
    if folder is None:
        found = {photograph.name: load(photograph) for photograph in PHOTOGRAPHS}
    else:
        files = sorted(p for p in folder.rglob("*") if p.suffix.lower() in (".jpg", ".jpeg", ".png"))
        found = {f"{p.parent.name}-{p.stem}": Pillow.open(p) for p in files}
    made = {}
    for name, whole in found.items():
        small = whole.convert("RGB")
        small.thumbnail((side, side))
        made[name] = small
    return made

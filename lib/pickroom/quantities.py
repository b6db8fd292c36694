"""Amounts as a person reads them. Pure."""

from __future__ import annotations


def in_bytes(size: int) -> str:
    """A size on disk, in decimal units as disks are sold and file managers count.

    >>> in_bytes(1_234), in_bytes(56_000_000), in_bytes(7_890_000_000)
    ('1 kB', '56.0 MB', '7.9 GB')
    """
    for unit, name in ((1e9, "GB"), (1e6, "MB")):
        if size >= unit:
            return f"{size / unit:,.1f} {name}"
    return f"{size / 1e3:,.0f} kB"

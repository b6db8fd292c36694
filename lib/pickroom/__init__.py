"""Pickroom: pick the best of every group of near-duplicate images, and teach a model to do it with you."""

from __future__ import annotations

from typing import Any

__version__ = "0.1.0"


def load_ipython_extension(shell: Any) -> None:
    """`%load_ext pickroom`: `%%sql` cells on every project (`pickroom.analysis.safe_sql`)."""
    from pickroom.analysis.safe_sql import load_magics

    load_magics(shell)

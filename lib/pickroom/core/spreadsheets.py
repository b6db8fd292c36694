"""Which texts a spreadsheet would calculate, so that no table that we write holds one (docs/decisions/115)."""

from __future__ import annotations

_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")  # OWASP, CSV Injection


def is_formula(text: str) -> bool:
    """Whether a spreadsheet may take a cell of this text for a formula."""
    return text.startswith(_STARTS)

"""Amounts as text for the user, and a check for spreadsheet formulas (docs/decisions/115). Pure."""


def plural(count: int, noun: str) -> str:
    """A number and what it counts.

    >>> plural(1, "group"), plural(0, "group"), plural(12_345, "image")
    ('1 group', '0 groups', '12,345 images')
    """
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def percent(share: float) -> str:
    """A share in whole percent; 0 % and 100 % only where the share is exactly that.

    >>> percent(0), percent(0.003), percent(0.125), percent(0.997), percent(1)
    ('0 %', 'under 1 %', '12 %', 'over 99 %', '100 %')
    """
    if 0 < share < 0.005:
        return "under 1 %"
    if 0.995 <= share < 1:
        return "over 99 %"
    return f"{share:.0%}".replace("%", " %")


def format_bytes(size: int) -> str:
    """A size on disk, in decimal units as disks are sold and file managers count.

    >>> format_bytes(1_234), format_bytes(56_000_000), format_bytes(7_890_000_000)
    ('1 kB', '56.0 MB', '7.9 GB')
    """
    for unit, name in ((1e9, "GB"), (1e6, "MB")):
        if size >= unit:
            return f"{size / unit:,.1f} {name}"
    return f"{size / 1e3:,.0f} kB"


_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")  # OWASP, CSV Injection


def is_formula(text: str) -> bool:
    """Whether a spreadsheet may read a cell with this text as a formula."""
    return text.startswith(_STARTS)

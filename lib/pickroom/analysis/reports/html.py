"""The few pieces of HTML that a report is made of. Every number carries the name of what it counts, so that a test can
count it again, and its exact value beside the rounded one.
"""

from __future__ import annotations

import base64
import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Literal

from matplotlib.figure import Figure

from pickroom.analysis.figures import as_png

Unit = Literal["count", "share", "seconds", "rate", "score", "moment", "day"]
Value = int | float | datetime.datetime | datetime.date | None
UNKNOWN = "–"


@dataclass(frozen=True, slots=True)
class Number:
    """A figure of a report."""

    name: str  # what it counts, e.g. "shares.kept"; unique in a report
    value: Value
    unit: Unit = "count"  # how it is shown; a share is a fraction shown in percent, seconds are shown as a time span

    @property
    def html(self) -> str:
        exact = "" if self.value is None else str(self.value)
        shown = escape(words(self.value, self.unit))
        return f'<span data-figure="{escape(self.name)}" data-value="{escape(exact)}">{shown}</span>'


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a page; Jupyter shows it."""

    html: str

    def _repr_html_(self) -> str:
        return self.html

    def __repr__(self) -> str:
        return "<a piece of a report>"  # a notebook keeps this beside the HTML: not the pictures twice

    def __add__(self, other: Piece) -> Piece:
        return Piece(self.html + other.html)


Cell = Number | Piece | str


def words(value: Value, unit: Unit) -> str:
    """A value as a person reads it."""
    if value is None:
        return UNKNOWN
    if isinstance(value, datetime.datetime):
        return f"{value:%Y-%m-%d}" if unit == "day" else f"{value:%Y-%m-%d %H:%M}"
    if isinstance(value, datetime.date):
        return value.isoformat()
    if unit == "share":
        return f"{value:.1%}".replace("%", " %")
    if unit == "seconds":
        return span(value)
    if unit == "score":
        return f"{value:.3f}"
    return f"{value:,.0f}"


def span(seconds: float) -> str:
    """A time span in words.

    >>> span(0.25), span(3.14), span(95), span(4000)
    ('0.25 s', '3.1 s', '1 min 35 s', '1 h 7 min')
    """
    if abs(seconds) < 60:
        return f"{seconds:.2f} s" if abs(seconds) < 1 else f"{seconds:.1f} s"
    sign, whole = "-" if seconds < 0 else "", round(abs(seconds))
    if whole < 3600:
        return f"{sign}{whole // 60} min {whole % 60} s"
    minutes = round(whole / 60)
    return f"{sign}{minutes // 60:,} h {minutes % 60} min"


def tiles(entries: Sequence[tuple[str, Cell]]) -> Piece:
    """Large numbers side by side, each with its words."""
    inner = "".join(f"<div><b>{_cell(cell)}</b><i>{escape(label)}</i></div>" for label, cell in entries)
    return Piece(f'<div class="tiles">{inner}</div>')


def table(columns: Sequence[str], rows: Sequence[Sequence[Cell]], *, empty: str = "nothing yet") -> Piece:
    """A table; texts stand left, numbers right."""
    if not rows:
        return paragraph(f"({empty})")
    kinds = [
        "number" if any(isinstance(row[place], Number) for row in rows) else "text" for place in range(len(columns))
    ]
    head = "".join(f'<th class="{kind}">{escape(name)}</th>' for name, kind in zip(columns, kinds, strict=True))
    body = "".join(
        "<tr>"
        + "".join(f'<td class="{kind}">{_cell(cell)}</td>' for cell, kind in zip(row, kinds, strict=True))
        + "</tr>"
        for row in rows
    )
    return Piece(f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>")


def paragraph(*parts: Cell) -> Piece:
    """Running text with numbers in it."""
    return Piece(f"<p>{''.join(_cell(part) for part in parts)}</p>")


def label(text: str) -> Piece:
    """A name of the person's own, which may hold digits: a file, a folder, a project."""
    return Piece(f'<span class="own">{escape(text)}</span>')


def picture(figure: Figure, alt: str) -> Piece:
    """A figure as an image that lies within the page."""
    data = base64.b64encode(as_png(figure)).decode()
    return Piece(
        f'<img alt="{escape(alt)}" style="width:{figure.get_figwidth():g}in" src="data:image/png;base64,{data}">'
    )


def beside(*pieces: Piece) -> Piece:
    """Pieces side by side where there is room."""
    return Piece(f'<div class="beside">{"".join(f"<div>{piece.html}</div>" for piece in pieces)}</div>')


def _cell(cell: Cell) -> str:
    return cell.html if isinstance(cell, Number | Piece) else escape(cell)


STYLE = """
:root { color-scheme: light; }
body { font: 15px/1.5 system-ui, "Segoe UI", "DejaVu Sans", sans-serif; color: #222; background: #fff;
  max-width: 46rem; margin: 2.5rem auto; padding: 0 1.25rem; }
h1 { font-size: 1.9rem; margin: 0 0 .25rem; } h2 { font-size: 1.25rem; margin: 2.2rem 0 .6rem; }
.title { font-size: 1.35rem; margin: 0 0 .6rem; }
p { margin: .5rem 0; } .anchor-link { display: none; } .own { font-weight: 600; overflow-wrap: anywhere; }
table { border-collapse: collapse; margin: .6rem 0; width: 100%; font-size: .92rem; }
th { text-align: left; border-bottom: 1px solid #999; font-weight: 600; vertical-align: bottom; }
td { border-bottom: 1px solid #e4e4e4; vertical-align: top; overflow-wrap: anywhere; }
th, td { padding: .28rem .5rem; } th:first-child, td:first-child { padding-left: 0; }
td .own { font-weight: inherit; } td:first-child { white-space: nowrap; }
.number { text-align: right; font-variant-numeric: tabular-nums; } [data-figure] { white-space: nowrap; }
.tiles { display: flex; flex-wrap: wrap; gap: .6rem 2rem; margin: .8rem 0; }
.tiles div { min-width: 6rem; } .tiles b { display: block; font-size: 1.6rem; line-height: 1.2; }
.tiles i { font-style: normal; color: #666; font-size: .88rem; }
.beside { display: flex; flex-wrap: wrap; gap: 1rem 1.5rem; align-items: flex-start; }
img { display: block; max-width: 100%; height: auto; margin: .6rem 0; }
footer { margin-top: 3rem; color: #666; font-size: .85rem; }
@media print {
  @page { size: A4; margin: 16mm 15mm; }
  body { margin: 0; padding: 0; max-width: none; font-size: 10.5pt; }
  h2, p:has(+ img), p:has(+ table) { break-after: avoid; } h2 + * { break-before: avoid; }
  table, tr, img, .tiles, .beside > div { break-inside: avoid; } thead { display: table-header-group; }
}
"""

"""The pieces of HTML of reports and of the analysis notebook.

Every number of a report carries the name of what it counts, so that a test can count it again, and its exact value
next to the rounded one. The notebook shows the useful columns of a query, times to the minute and shares in percent;
`Analysis.query` gives every column and digit.
"""

import base64
import datetime
import numbers
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, Literal, Self

import numpy
import pandas
from matplotlib.figure import Figure

from pickroom.analysis.connection import Analysis
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
        return "<a piece of a report>"  # a notebook keeps this next to the HTML: not the pictures twice

    def __add__(self, other: Self) -> Self:
        return type(self)(self.html + other.html)


Cell = Number | Piece | str


def words(value: Value, unit: Unit) -> str:
    """A value as text for the user."""
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
    """A table; texts are aligned left, numbers right."""
    if not rows:
        return paragraph(f"({empty})")
    by_column = list(zip(*rows, strict=True))
    kinds = ["number" if any(isinstance(cell, Number) for cell in cells) else "text" for cells in by_column]
    head = "".join(f'<th class="{kind}">{escape(name)}</th>' for name, kind in zip(columns, kinds, strict=True))
    body = ""
    for row in rows:
        cells = (f'<td class="{kind}">{_cell(cell)}</td>' for cell, kind in zip(row, kinds, strict=True))
        body += f"<tr>{''.join(cells)}</tr>"
    return Piece(f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>")


def paragraph(*parts: Cell) -> Piece:
    """Running text with numbers in it."""
    return Piece(f"<p>{''.join(_cell(part) for part in parts)}</p>")


def label(text: str) -> Piece:
    """A name of the user's own, which may hold digits: a file, a folder, a project."""
    return Piece(f'<span class="own">{escape(text)}</span>')


def picture(figure: Figure, alt: str) -> Piece:
    """A figure as an image inside the page."""
    data = base64.b64encode(as_png(figure)).decode()
    return Piece(
        f'<img alt="{escape(alt)}" style="width:{figure.get_figwidth():g}in" src="data:image/png;base64,{data}">'
    )


def side_by_side(*pieces: Piece) -> Piece:
    """Pieces side by side where there is room."""
    return Piece(f'<div class="pair">{"".join(f"<div>{piece.html}</div>" for piece in pieces)}</div>')


def _cell(cell: Cell) -> str:
    return cell.html if isinstance(cell, Number | Piece) else escape(cell)


# ------------------------------------------------------------------------------------------------ rows of a query

# the columns shown of a named query; other queries are shown completely
COLUMNS = {
    "performance_by_project": (
        *("project_id", "total_decisions", "correct_selections", "selections", "selection_accuracy"),
        *("correct_crops", "crops", "crop_accuracy"),
    ),
    "performance_by_model": (
        *("project_id", "source", "ranker", "first_at", "correct_selections", "selections", "selection_accuracy"),
        *("selection_low", "selection_high"),
    ),
    "pace": ("project_id", "sessions", "groups", "images", "worked_s", "first_at", "last_at", "groups_per_hour"),
    "mistakes": ("project_id", "decided_at", "ai_picked", "picked", "ai_confidence", "source"),
}
_HEADINGS = {"project_id": "project", "worked_s": "time at work", "total_decisions": "decisions", "source": "by"}
_HEADINGS |= {"ai_picked": "recommended", "ai_confidence": "how sure", "correct_selections": "picks taken"}
_HEADINGS |= {"selections": "of picks", "selection_accuracy": "share", "selection_low": "from", "selection_high": "to"}
_HEADINGS |= {"correct_crops": "crops taken", "crops": "of crops", "crop_accuracy": "crop share"}
_EMPTY = {"data_health": "nothing wrong was found", "mistakes": "no recommended pick was passed over"}
_SHARES = ("_accuracy", "_low", "_high", "_share", "confidence")
_STYLE = "text-align:left;white-space:normal"
_MANY = 16  # values of a list: a longer one, a vector, is shown by its length
_LONG = 30  # characters: a longer cell, a file's name, may be broken anywhere


def shown(analysis: Analysis, query: str, project_id: str | None = None, most: int | None = None) -> Piece:
    """A named query's rows, the first `most` of them; raises UsageError when the query does not exist."""
    found = analysis.query(query, project_id)
    table = frame(found.head(most) if most else found, COLUMNS.get(query, ()), empty=_EMPTY.get(query, "nothing yet"))
    more = len(found) - most if most else 0
    return table + Piece(f"<p>… and {more:,} more</p>") if more > 0 else table


def frame(rows: pandas.DataFrame, columns: Sequence[str] = (), *, empty: str = "nothing yet") -> Piece:
    """A data frame as a table; of `columns` only, all where none is named; `empty` in place of no rows."""
    names = [name for name in columns or rows.columns if name in rows.columns]
    if not len(rows):
        return Piece(f"<p>({escape(empty)})</p>")
    head = "".join(f'<th style="{_STYLE}">{escape(_HEADINGS.get(name, name.replace("_", " ")))}</th>' for name in names)
    body = "".join(
        "<tr>" + "".join(_td(_told(name, row[name])) for name in names) + "</tr>" for row in rows.to_dict("records")
    )
    return Piece(f'<table class="dataframe"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>')


def _td(text: str) -> str:
    style = f"{_STYLE};overflow-wrap:anywhere" if len(text) > _LONG else _STYLE
    return f'<td style="{style}">{escape(text)}</td>'


def _told(name: str, value: Any) -> str:
    if isinstance(value, list | tuple | numpy.ndarray):
        if len(value) > _MANY:
            return f"{len(value):,} values"
        return ", ".join(_told(name, one) for one in value)
    if value is None or value is pandas.NaT or value is pandas.NA or value != value:  # NaN is not itself
        return UNKNOWN
    if isinstance(value, datetime.datetime):
        return words(value.replace(microsecond=0), "moment")
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        return str(value)
    return words(float(value), _unit(name, float(value)))


def _unit(name: str, value: float) -> Unit:
    if name.endswith(_SHARES):
        return "share"
    if name.endswith("_s"):
        return "seconds"
    return "count" if value.is_integer() or abs(value) >= 100 else "score"


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
.pair { display: flex; flex-wrap: wrap; gap: 1rem 1.5rem; align-items: flex-start; }
img { display: block; max-width: 100%; height: auto; margin: .6rem 0; }
footer { margin-top: 3rem; color: #666; font-size: .85rem; }
@media print {
  @page { size: A4; margin: 16mm 15mm; }
  body { margin: 0; padding: 0; max-width: none; font-size: 10.5pt; }
  h2, p:has(+ img), p:has(+ table) { break-after: avoid; } h2 + * { break-before: avoid; }
  table, tr, img, .tiles, .pair > div { break-inside: avoid; } thead { display: table-header-group; }
}
"""

"""Rows of a query as a table to read: the columns that say something, times to the minute, shares in percent.

For the analysis notebook; whoever wants every column and every digit asks `Analysis.query`.
"""

import numbers
from collections.abc import Sequence
from datetime import datetime
from html import escape
from typing import Any

import numpy
import pandas

from pickroom.analysis.connection import Analysis
from pickroom.analysis.reports.html import UNKNOWN, Piece, Unit, words

# what of a named query is shown; a query that is not here is shown whole
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
_HEADINGS = {
    "project_id": "project",
    "worked_s": "time at work",
    "ai_picked": "recommended",
    "ai_confidence": "how sure",
    "source": "by",
    "selection_low": "from",
    "selection_high": "to",
    "correct_selections": "picks taken",
    "selections": "of picks",
    "selection_accuracy": "share",
    "correct_crops": "crops taken",
    "crops": "of crops",
    "crop_accuracy": "crop share",
    "total_decisions": "decisions",
}
_EMPTY = {"data_health": "nothing amiss was found", "mistakes": "no recommended pick was passed over"}
_SHARES = ("_accuracy", "_low", "_high", "_share", "confidence")
_STYLE = "text-align:left;white-space:normal"
_MANY = 16  # values of a list: a longer one, a vector, is shown by its length
_LONG = 30  # characters: a longer cell, a file's name, may be broken anywhere


def shown(analysis: Analysis, query: str, project_id: str | None = None, most: int | None = None) -> Piece:
    """A named query's rows, the first `most` of them; raises UsageError when there is no such query."""
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
        "<tr>" + "".join(_td(_cell(name, row[name])) for name in names) + "</tr>" for row in rows.to_dict("records")
    )
    return Piece(f'<table class="dataframe"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>')


def _td(text: str) -> str:
    style = f"{_STYLE};overflow-wrap:anywhere" if len(text) > _LONG else _STYLE
    return f'<td style="{style}">{escape(text)}</td>'


def _cell(name: str, value: Any) -> str:
    if isinstance(value, list | tuple | numpy.ndarray):
        if len(value) > _MANY:
            return f"{len(value):,} values"
        return ", ".join(_cell(name, one) for one in value)
    if value is None or value is pandas.NaT or value is pandas.NA or value != value:  # NaN is not itself
        return UNKNOWN
    if isinstance(value, datetime):
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

"""Tables of the analysis notebook: what a person reads, not what a data frame holds."""

from __future__ import annotations

import datetime

import numpy as np
import pandas

from pickroom.analysis.reports.html import COLUMNS, frame, shown


def test_cells_are_words() -> None:
    rows = pandas.DataFrame(
        {
            "decided_at": [datetime.datetime(2025, 8, 3, 6, 54, 7, 123456), None],
            "images": [np.array(["a.png", "<b>.png"]), ["c.png"]],
            "selection_accuracy": [0.87654, None],
            "worked_s": [95.25, 0.5],
            "decisions": [1234, 5],
        }
    )
    page = frame(rows).html
    for words in ("2025-08-03 06:54<", "a.png, &lt;b&gt;.png", "87.7 %", "1 min 35 s", "1,234", "–"):
        assert words in page, words
    assert "123456" not in page and "[" not in page and "<b>" not in page
    assert "worked" not in frame(rows, ("decisions", "nothing")).html
    assert "nothing yet" in frame(rows.head(0)).html


def test_a_vector_is_shown_by_its_length() -> None:
    page = frame(pandas.DataFrame({"vector": [np.zeros(1280, np.float32)], "box": [np.arange(4)]})).html
    assert "1,280 values" in page and "0, 1, 2, 3" in page and len(page) < 600


def test_every_column_that_is_shown_is_one_of_its_query(analysis) -> None:
    for query, columns in COLUMNS.items():
        assert set(columns) <= set(analysis.query(query).columns), query
        assert shown(analysis, query, most=1).html

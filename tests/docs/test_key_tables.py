"""docs/REVIEW.md has every key of every tool, in the words of its help: its tables are written from the bindings.

PICKROOM_WRITE_DOCS=1 writes the tables instead of comparing them.
"""

from __future__ import annotations

import os

import pytest

from docs.pages import ROOT
from pickroom.sessions.keys import TOOLS, KeyTable

PAGE = ROOT / "docs" / "REVIEW.md"
HOW = 'PICKROOM_WRITE_DOCS=1 make test PYTEST_ARGS="-k key_table" PYTEST_JOBS=0'


def written(table: KeyTable) -> str:
    """The table of a tool's keys in Markdown."""
    lines = ["| keys | effect |", "| --- | --- |"]
    for keys, effect in table.legend:
        lines.append(f"| {' '.join(f'`{key}`' for key in keys.split())} | {effect} |")
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("tool", TOOLS)
def test_key_table_of_the_docs_is_that_of_the_tool(tool: str) -> None:
    text = PAGE.read_text(encoding="utf-8")
    begin, end = f"<!-- keys: {tool} -->\n", "<!-- end -->"
    before, _, rest = text.partition(begin)
    table = written(TOOLS[tool])
    if os.environ.get("PICKROOM_WRITE_DOCS"):
        PAGE.write_text(before + begin + table + rest[rest.index(end) :], encoding="utf-8")
        return
    assert rest.partition(end)[0] == table, f"write it again: {HOW}"

"""Any encoding, line end, delimiter and quoting gives the same records, with the lines an editor shows."""

from __future__ import annotations

import csv
import io
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pickroom.core.errors import UsageError
from pickroom.history import skip_reasons, tables
from pickroom.history.tables import Table, read_header

HEADER = "a,b,c"


def known(header: tuple[str, ...]) -> bool:
    return header == ("a", "b", "c")


def write(path: Path, data: str | bytes) -> Path:
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def read(table: Table) -> tuple[list[tuple[int, list[str]]], list[tuple[int, str]]]:
    """((line, fields) of every record, (line, reason) of every line that is none)."""
    found = list(table.records())
    return [(r.line, r.fields) for r in found if not r.problem], [(r.line, r.problem) for r in found if r.problem]


def read_text(tmp_path: Path, data: str | bytes) -> tuple[list[tuple[int, list[str]]], list[tuple[int, str]]]:
    return read(read_header(write(tmp_path / "log.csv", data), known))


EXPECTED = [(2, ["1", "x,y;z", "é"]), (3, ["2", "", ""])]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_line_ends_bom_and_delimiters(tmp_path: Path, end: str, mark: bytes, delimiter: str) -> None:
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, lineterminator=end).writerows(
        [["a", "b", "c"], *(row for _, row in EXPECTED)]
    )
    assert read_text(tmp_path, mark + text.getvalue().encode()) == (EXPECTED, [])


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf_16_as_spreadsheets_export_it(tmp_path: Path, encoding: str) -> None:
    mark = "" if encoding == "utf-16" else "\ufeff"
    assert read_text(tmp_path, (mark + "a\tb\tc\r\n1\tx,y;z\té\r\n2\t\t\r\n").encode(encoding)) == (EXPECTED, [])


def test_mixed_line_ends_and_no_last_one(tmp_path: Path) -> None:
    records, _ = read_text(tmp_path, "a,b,c\r\n1,2,3\n4,5,6\r7,8,9")
    assert records == [(2, ["1", "2", "3"]), (3, ["4", "5", "6"]), (4, ["7", "8", "9"])]


def test_empty_lines_are_no_records_but_are_counted_as_lines(tmp_path: Path) -> None:
    assert read_text(tmp_path, "\n\na,b,c\n\n1,2,3\n\n\n4,5,6\n\n")[0] == [(5, ["1", "2", "3"]), (8, ["4", "5", "6"])]


def test_a_hint_of_excel_before_the_header(tmp_path: Path) -> None:
    assert read_text(tmp_path, "sep=;\nA; B ;c\n1;2;3\n")[0] == [(3, ["1", "2", "3"])]


def test_quoted_fields_hold_delimiters_quotes_and_line_ends(tmp_path: Path) -> None:
    records, broken = read_text(tmp_path, 'a,b,c\n"x ""y"", z","one\r\ntwo",3\n4,5,6\n')
    assert records == [(2, ['x "y", z', "one\ntwo", "3"]), (4, ["4", "5", "6"])]
    assert broken == []


def test_a_quote_that_never_closes_costs_its_own_line(tmp_path: Path) -> None:
    lines = "".join(f"{n},y,z\n" for n in range(200))
    records, broken = read_text(tmp_path, f'a,b,c\n1,2,3\n4,"5,6\n{lines}')
    assert broken == [(3, skip_reasons.UNBALANCED)]
    assert len(records) == 201
    assert records[-1] == (203, ["199", "y", "z"])


def test_a_lone_quote_as_a_sign_is_text(tmp_path: Path) -> None:
    assert read_text(tmp_path, 'a,b,c\n1,5" tall,3\n4,5,6\n')[0] == [(2, ["1", '5" tall', "3"]), (3, ["4", "5", "6"])]


def test_odd_bytes_cost_their_own_line(tmp_path: Path) -> None:
    records, broken = read_text(tmp_path, b"a,b,c\n1,\xff\xfe,3\n4,5,6\n7,\0,9\n")
    assert records == [(3, ["4", "5", "6"])]
    assert broken == [(2, skip_reasons.NOT_TEXT), (4, skip_reasons.NOT_TEXT)]


def test_an_endless_line_costs_itself_and_no_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "_LONGEST", 800)
    long = "x" * 50_000
    records, broken = read_text(tmp_path, f"a,b,c\n1,2,3\n{long}\n4,5,6\n7,{'y' * 900},9\n8,8,8\n")
    assert broken == [(3, skip_reasons.TOO_LONG), (5, skip_reasons.TOO_LONG)]
    assert records == [(2, ["1", "2", "3"]), (4, ["4", "5", "6"]), (6, ["8", "8", "8"])]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "the file is empty"),
        (b"\n\n  \n", "the file is empty"),
        (b"x,y\n1,2\n", "not a known header"),
        (b"\x89PNG\r\n\x1a\n\0\0", "not a known header"),
        (b"\xff\xfea\0,\0b\0,", "cannot read the file"),
    ],
)
def test_what_is_no_log_is_one_line(tmp_path: Path, data: bytes, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read_text(tmp_path, data)


def test_what_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    for path in (tmp_path / "missing.csv", tmp_path):
        with pytest.raises(UsageError, match="cannot read the file"):
            read_header(path, known)


CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\r\0"), max_size=12)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(CELLS, min_size=3, max_size=3).filter(any), max_size=30))
def test_what_csv_writes_comes_back(rows: list[list[str]]) -> None:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([["a", "b", "c"], *rows])
    with tempfile.TemporaryDirectory() as folder:
        records, broken = read_text(Path(folder), text.getvalue())
    assert broken == []
    assert [fields for _, fields in records] == rows


@settings(max_examples=100, deadline=None)
@given(st.text(st.sampled_from('ab,"\n;é\\ '), max_size=200))
def test_any_text_gives_every_line_once(text: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        records, broken = read_text(Path(folder), f"a,b,c\n{text}")
    starts = [line for line, _ in records] + [line for line, _ in broken]
    assert len(starts) == len(set(starts))
    assert all(2 <= line <= text.count("\n") + 2 for line in starts)

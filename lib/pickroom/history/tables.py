"""Read any old CSV as records with their line numbers, whatever its encoding, line ends, delimiter and quoting.

Memory stays bounded: four megabytes of text at a time, and an overlong line is left out with its reason. A quote
that never closes costs its own line, not the rest of the file.
"""

from __future__ import annotations

import codecs
import csv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from pickroom.core.errors import UsageError
from pickroom.core.naming import is_text
from pickroom.history import skip_reasons

DELIMITERS = (",", ";", "\t", "|")
_CHUNK = 4 << 20  # characters read at a time
_LONGEST = 131_072  # characters of a record; csv's own limit for a field
_RECORD_LINES = 50  # lines that one record may span: quoted fields hold paths and lists, not books
_SHOWN = 300  # characters of a damaged line kept for the report
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


@dataclass(frozen=True, slots=True)
class Broken:
    """A line that is no record."""

    line: int
    text: str
    reason: str


@dataclass(frozen=True, slots=True)
class Batch:
    """Some records in order, not yet split into fields: `texts[i]` begins in line `lines[i]` (1-based).

    Attributes:
        plain: every record is one line (none has a line end inside a quoted field).
    """

    texts: list[str]
    lines: Sequence[int]
    broken: list[Broken]
    plain: bool


@dataclass(frozen=True, slots=True)
class Table:
    """A CSV file whose first line is known.

    Attributes:
        header: column names in lower case, without blanks around them.
        header_line: the line that holds them, 1-based.
    """

    path: Path
    encoding: str
    delimiter: str
    header: tuple[str, ...]
    header_line: int

    def batches(self) -> Iterator[Batch]:
        """The records after the header, some megabytes at a time. Empty lines are no records.

        Raises:
            UsageError: the file cannot be read.
        """
        try:
            with _open(self.path, self.encoding) as file:
                yield from _batches(file, self.delimiter, self.header_line)
        except (OSError, UnicodeError) as error:
            raise _unreadable(self.path, error) from None


def read_header(path: Path, is_known: Callable[[tuple[str, ...]], bool]) -> Table:
    """Open a CSV and find its header: the first line that, split at some delimiter, is a known one.

    Args:
        is_known: whether these column names, in lower case, are a known format's.

    Raises:
        UsageError: the file cannot be read, is empty, or begins with no known header.
    """
    try:
        with path.open("rb") as file:
            start = file.read(4)
        encoding = next((name for mark, name in _BOMS if start.startswith(mark)), "utf-8")
        with _open(path, encoding) as file:
            head = file.read(_LONGEST)
    except (OSError, UnicodeError) as error:
        raise _unreadable(path, error) from None
    for number, line in enumerate(head.split("\n"), start=1):
        if not line.strip() or line.lower().startswith("sep="):  # Excel's own hint for the delimiter
            continue
        for delimiter in DELIMITERS:
            header = tuple(name.strip().lower() for name in next(csv.reader([line], delimiter=delimiter), []))
            if is_known(header):
                return Table(path, encoding, delimiter, header, number)
        raise UsageError(
            f"its first line is no known header ({line[:80]!r})",
            doing="reading a CSV",
            subject=path,
            hint="docs/legacy-schemas.md lists the formats",
        )
    raise UsageError("the file is empty", doing="reading a CSV", subject=path)


def _open(path: Path, encoding: str) -> TextIO:
    # any line end becomes \n; odd bytes become lone surrogates, which _batches finds line by line
    errors = "strict" if encoding == "utf-16" else "surrogateescape"
    return path.open(encoding=encoding, errors=errors, newline=None)


def _unreadable(path: Path, error: Exception) -> UsageError:
    reason = error.strerror if isinstance(error, OSError) else str(error)
    return UsageError(f"cannot read the file ({reason})", doing="reading a CSV", subject=path)


def _batches(file: TextIO, delimiter: str, header_line: int) -> Iterator[Batch]:
    line_number = 1  # of the first line not yet given out
    rest = ""
    at_end = False
    while not at_end:
        text = file.read(_CHUNK)
        at_end = not text
        lines = (rest + text).split("\n")
        rest = "" if at_end else lines.pop()
        if at_end and lines[-1] == "":
            lines.pop()
        broken: list[Broken] = []
        if len(rest) > _CHUNK:
            broken.append(Broken(line_number + len(lines), rest[:_SHOWN], skip_reasons.TOO_LONG))
            rest = _skip_line(file)
            lines.append("")  # stands for the line that was left out
        if line_number <= header_line:
            drop = min(header_line + 1 - line_number, len(lines))
            line_number, lines = line_number + drop, lines[drop:]
        batch, unfinished = _records(lines, line_number, delimiter, final=at_end)
        line_number += len(lines) - unfinished
        if unfinished:
            rest = "\n".join([*lines[len(lines) - unfinished :], rest])
        batch.broken.extend(broken)
        yield batch


def _skip_line(file: TextIO) -> str:
    """Read on to the end of an overlong line; what was read of the next one."""
    while text := file.read(_CHUNK):
        _, newline, following = text.partition("\n")
        if newline:
            return following
    return ""


def _records(lines: list[str], first: int, delimiter: str, *, final: bool) -> tuple[Batch, int]:
    """Records of some lines, and how many lines at the end belong to a record that goes on.

    A line with an even number of quotes is a record. One with an odd number goes on in the next lines, until the
    number is even, unless it can be read by itself (a lone quote as a sign for inches).

    Args:
        first: the number of the first line.
        final: nothing follows these lines.
    """
    together = "\n".join(lines)
    if (
        not _has_odd(together)
        and max(map(len, lines), default=0) <= _LONGEST
        and ('"' not in together or all(line.count('"') % 2 == 0 for line in lines))
    ):
        if "" not in lines:
            return Batch(lines, range(first, first + len(lines)), [], True), 0
        full = [(line, number) for number, line in enumerate(lines, start=first) if line]
        return Batch([line for line, _ in full], [number for _, number in full], [], True), 0

    texts: list[str] = []
    numbers: list[int] = []
    broken: list[Broken] = []
    place = 0
    while place < len(lines):
        text, span, reason = lines[place], 1, ""
        if len(text) > _LONGEST:
            reason = skip_reasons.TOO_LONG
        elif text.count('"') % 2 and split_fields(text, delimiter) is None:
            while text.count('"') % 2 and span < _RECORD_LINES and len(text) <= _LONGEST:
                if place + span == len(lines):
                    if not final:
                        return Batch(texts, numbers, broken, False), span
                    break
                text = f"{text}\n{lines[place + span]}"
                span += 1
            if (
                text.count('"') % 2 or split_fields(text, delimiter) is None
            ):  # only the first line is lost: the next may be whole
                text, span, reason = lines[place], 1, skip_reasons.UNBALANCED
        if not reason and _has_odd(text):
            reason = skip_reasons.NOT_TEXT
        if reason:
            broken.append(Broken(first + place, text[:_SHOWN], reason))
        elif text:
            texts.append(text)
            numbers.append(first + place)
        place += span
    return Batch(texts, numbers, broken, False), 0


def split_all(texts: Sequence[str], delimiter: str) -> Iterator[list[str] | None]:
    """The fields of many records, in order; see `split_fields`."""
    try:
        rows = list(csv.reader(texts, delimiter=delimiter))
    except csv.Error:
        rows = []
    if len(rows) == len(texts):  # several times faster, and the same unless a record was left open
        return iter(rows)
    return (split_fields(text, delimiter) for text in texts)


def split_fields(text: str, delimiter: str) -> list[str] | None:
    """The fields of one record; None when a quoted field is still open at its end."""
    try:
        # strict refuses an open quote, and also text behind a closing one, which is read leniently instead
        return next(csv.reader([text], delimiter=delimiter, strict=True), [])
    except csv.Error as error:
        if "unexpected end of data" in str(error):
            return None
    try:
        records = list(csv.reader([text], delimiter=delimiter))
    except csv.Error:
        return None
    return records[0] if len(records) == 1 else None


def _has_odd(text: str) -> bool:
    """Whether a text holds bytes that were not UTF-8, or a NUL."""
    return "\0" in text or not (text.isascii() or is_text(text))

"""Read a CSV of any encoding, line ends, delimiter and quoting as records with line numbers.

Memory stays bounded: an overlong line is left out with its reason. A quote that never closes costs its own line, not
the rest of the file.
"""

import codecs
import csv
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TextIO, TypeVar

from pickroom.core.errors import UsageError
from pickroom.core.naming import is_text
from pickroom.history import skip_reasons

DELIMITERS = (",", ";", "\t", "|")
_LONGEST = 131_072  # characters of a record; csv's own limit for a field
_RECORD_LINES = 50  # lines that one record may span: quoted fields hold paths and lists, not long texts
Kind = TypeVar("Kind")
_BOMS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))


@dataclass(frozen=True, slots=True)
class Record:
    """A record that begins in `line` (1-based); `problem` is why a line is not one, and it then has no fields."""

    line: int
    text: str
    fields: list[str]
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Table(Generic[Kind]):
    """A CSV file whose first line is known."""

    kind: Kind  # the format that the header is known by
    path: Path
    encoding: str
    delimiter: str
    header: tuple[str, ...]  # column names in lower case, without blanks around them
    header_line: int  # the line that holds them, 1-based

    def records(self) -> Iterator[Record]:
        """The records after the header, and lines that are not records. Empty lines are left out.

        Raises:
            UsageError: the file cannot be read.
        """
        try:
            with _open(self.path, self.encoding) as file:
                for _ in range(self.header_line):
                    _read_line(file)
                yield from _records(file, self.delimiter, self.header_line + 1)
        except (OSError, UnicodeError) as error:
            raise _unreadable(self.path, error) from None


def read_header(path: Path, kind_of: Callable[[tuple[str, ...]], Kind | None]) -> Table[Kind]:
    """Open a CSV and find its header: the first line that, split at some delimiter, is a known one.

    Args:
        kind_of: the format with these column names, in lower case; None for unknown ones.

    Raises:
        UsageError: the file cannot be read, is empty, or does not begin with a known header.
    """
    try:
        with path.open("rb") as file:
            start = file.read(4)
        encoding = next((name for mark, name in _BOMS if start.startswith(mark)), "utf-8")
        with _open(path, encoding) as text:
            head = text.read(_LONGEST)
    except (OSError, UnicodeError) as error:
        raise _unreadable(path, error) from None
    for number, line in enumerate(head.split("\n"), start=1):
        if not line.strip() or line.lower().startswith("sep="):  # Excel's own hint for the delimiter
            continue
        for delimiter in DELIMITERS:
            header = tuple(name.strip().lower() for name in next(csv.reader([line], delimiter=delimiter), []))
            if kind := kind_of(header):
                return Table(kind, path, encoding, delimiter, header, number)
        what, hint = f"its first line is not a known header ({line[:80]!r})", "docs/legacy-schemas.md lists the formats"
        raise UsageError(what, doing="reading a CSV", subject=path, hint=hint)
    raise UsageError("the file is empty", doing="reading a CSV", subject=path)


def _open(path: Path, encoding: str) -> TextIO:
    # any line end becomes \n; bytes that are not UTF-8 become lone surrogates, which _records finds line by line
    errors = "strict" if encoding == "utf-16" else "surrogateescape"
    return path.open(encoding=encoding, errors=errors, newline=None)


def _unreadable(path: Path, error: Exception) -> UsageError:
    reason = error.strerror if isinstance(error, OSError) else str(error)
    return UsageError(f"cannot read the file ({reason})", doing="reading a CSV", subject=path)


def _read_line(file: TextIO) -> str | None:
    """The next line without its end; of an overlong one the start, one character too long. None at the end."""
    text = rest = file.readline(_LONGEST + 1)
    while rest and not rest.endswith("\n"):
        rest = file.readline(_LONGEST)
    return text.removesuffix("\n") if text else None


def _records(file: TextIO, delimiter: str, number: int) -> Iterator[Record]:
    """Records from line `number` on.

    A line with an even number of quotes is a record. One with an odd number goes on in the next lines, until the
    number is even, unless it can be read by itself (a lone quote as a sign for inches).
    """
    ahead: deque[str] = deque()  # lines that were read to find the end of a record

    def next_line() -> str | None:
        return ahead.popleft() if ahead else _read_line(file)

    while (text := next_line()) is not None:
        line = number
        more: list[str] = []
        fields = split_fields(text, delimiter) if len(text) <= _LONGEST else None
        if fields is None and len(text) <= _LONGEST:
            joined = text
            while joined.count('"') % 2 and len(joined) <= _LONGEST and len(more) < _RECORD_LINES - 1:
                if (following := next_line()) is None:
                    break
                more.append(following)
                joined = f"{joined}\n{following}"
            if more and joined.count('"') % 2 == 0 and (fields := split_fields(joined, delimiter)) is not None:
                text = joined
            else:  # only the first line is lost: the next may be whole
                ahead.extendleft(reversed(more))
                more = []
        number += 1 + len(more)
        if len(text) > _LONGEST:
            yield Record(line, text, [], skip_reasons.TOO_LONG)
        elif "\0" in text or not (text.isascii() or is_text(text)):
            yield Record(line, text, [], skip_reasons.NOT_TEXT if fields is not None else skip_reasons.UNBALANCED)
        elif text:
            yield Record(line, text, fields or [], "" if fields is not None else skip_reasons.UNBALANCED)


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

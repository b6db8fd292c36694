"""The report of an import, shown before anything is written: rows in = imported + skipped, with reasons."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from pickroom.history import skip_reasons
from pickroom.history.assignment import Assignment

EXAMPLES = 3  # rows shown for each reason
_SHOWN = 300  # characters of each


@dataclass(slots=True)
class FileReport:
    """One file: `rows == imported + sum(skipped.values())`."""

    name: str
    kind: str  # the format it is in, in words
    rows: int = 0
    # reason -> rows; `examples`: reason -> the first such rows, each with its line and `repr()`
    skipped: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)
    notes: Counter[str] = field(default_factory=Counter)  # filled cells with unknown values -> how often

    @property
    def imported(self) -> int:
        return self.rows - self.skipped.total()

    def skip(self, reason: str, what: str) -> None:
        """Count rows that are left out, and show the first few."""
        self.skipped[reason] += 1
        shown = self.examples.setdefault(reason, [])
        if len(shown) < EXAMPLES:
            shown.append(what[:_SHOWN])

    @property
    def is_useless(self) -> bool:
        """Whether it has rows, and none of them is imported or was known before."""
        return self.rows > 0 and not self.imported and not any(reason in skip_reasons.KNOWN for reason in self.skipped)

    def to_dict(self) -> dict[str, Any]:
        return {
            "file": self.name,
            "format": self.kind,
            "rows": self.rows,
            "imported": self.imported,
            "skipped": dict(self.skipped.most_common()),
            "examples": self.examples,
            "notes": dict(self.notes.most_common()),
        }


@dataclass(frozen=True, slots=True)
class ImportReport:
    """All files of one import."""

    files: tuple[FileReport, ...]
    # project -> table (decisions, selections, crops) -> new rows. A row may be a pick and a crop
    projects: dict[str, dict[str, int]]
    # the folders of the rows with the project of each
    assignment: Assignment
    # projects of rows that have no manifest yet: writing registers them
    unregistered: tuple[str, ...] = ()

    @property
    def rows(self) -> int:
        return sum(file.rows for file in self.files)

    @property
    def imported(self) -> int:
        return sum(file.imported for file in self.files)

    @property
    def skipped(self) -> Counter[str]:
        return sum((file.skipped for file in self.files), Counter())

    def to_dict(self) -> dict[str, Any]:
        """The JSON of `pickroom import-csv --json` (FORMATS.md), with further keys."""
        return {
            "rows": self.rows,
            "imported": self.imported,
            "skipped": dict(self.skipped.most_common()),
            "projects": self.projects,
            "unregistered": list(self.unregistered),
            **self.assignment.to_dict(),
            "files": [file.to_dict() for file in self.files],
        }

    def lines(self) -> list[str]:
        """The report in words, a line each."""
        lines = []
        for file in self.files:
            lines.append(f"{file.name} ({file.kind}): {_sum(file.rows, file.imported, file.skipped.total())}")
            for reason, count in file.skipped.most_common():
                lines.append(f"  {count:,} skipped: {reason}")
                if reason not in skip_reasons.IN_TABLE:
                    lines += [f"    {example}" for example in file.examples.get(reason, ())]
            lines += [f"  note ({count:,} times): {note}" for note, count in file.notes.most_common()]
        if len(self.files) > 1:
            lines.append(f"Together: {_sum(self.rows, self.imported, self.skipped.total())}")
        for project, tables in self.projects.items():
            what = ", ".join(f"{n:,} {table[:-1] if n == 1 else table}" for table, n in tables.items())
            lines.append(f"New for {project}_legacy.db: {what}")
        if self.unregistered:
            named = ", ".join(self.unregistered)
            lines.append(f"Not registered yet; writing makes them finished projects without images: {named}")
        return lines + self.assignment.lines()


def _sum(rows: int, imported: int, skipped: int) -> str:
    return f"{rows:,} {'row' if rows == 1 else 'rows'} = {imported:,} imported + {skipped:,} skipped"

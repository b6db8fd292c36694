"""One finding of the doctor: what was looked at, what was found, and what to do about it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

State = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report."""

    check: str  # what was looked at, in a word or two; a project by "project NAME"
    state: State  # "warn" where something will not work as well as it could, "fail" where something will not work
    found: str  # what it means, in one sentence
    todo: str = ""  # what to do next; "" where nothing needs doing
    items: tuple[str, ...] = ()  # every file that the finding is about, where it is about files

    @property
    def line(self) -> str:
        """The finding for the person, the state first so that a glance down the column finds what is wrong."""
        return f"{self.state:<5} {self.check}: {self.found}" + (f" ({self.todo})" if self.todo else "")


def to_dict(findings: Sequence[Finding]) -> dict[str, Any]:
    """The JSON of `pickroom doctor --json`; "ok" as long as nothing failed, "items" only where there are any."""
    checks = [{k: v for k, v in asdict(finding).items() if k != "items" or v} for finding in findings]
    return {"ok": all(f.state != "fail" for f in findings), "checks": checks}

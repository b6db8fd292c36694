"""A daily token budget for a language model of the user's own that looks at images. None is bundled.

The hook is one function, `Auditor`; `docs/audits.md` shows one. The cost of each call is a line of
`data/ai_data/logs/token_ledger.jsonl`, shared by every project and process of the workspace.
"""

import fcntl
import json
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pickroom.core.errors import PickroomError, StoreError, UsageError
from pickroom.storage import atomic
from pickroom.store.workspace import Project, Workspace, utc_now

DAILY_LIMIT = 10_000  # tokens a UTC day; soft: the call that crosses it is the last one


@dataclass(frozen=True, slots=True)
class Answer:
    """A language model's answer about some images, and its tokens (question and answer together)."""

    text: str
    tokens: int


# images of one question -> the answer; whatever it raises stops the audit, and what was answered before is kept
Auditor = Callable[[Sequence[Path]], Answer]


@dataclass(frozen=True, slots=True)
class AuditReport:
    """The result of an audit."""

    answers: tuple[tuple[tuple[Path, ...], str], ...]  # (the question's images, the answer), in order
    # questions not asked because the day's budget is spent
    waiting: tuple[tuple[Path, ...], ...] = ()
    warnings: tuple[str, ...] = ()  # each a line for the user


@dataclass(slots=True)
class TokenLedger:
    """The day's spending, kept on disk."""

    workspace: Workspace
    daily_limit: int = DAILY_LIMIT  # tokens per UTC day, after which no question is asked
    clock: Callable[[], str] = field(default=utc_now)  # the time now as FORMATS.md writes it

    def __post_init__(self) -> None:
        if self.daily_limit < 0:
            raise UsageError(f"a daily limit of {self.daily_limit} tokens", doing="opening the token ledger")

    @property
    def path(self) -> Path:
        return self.workspace.logs / "token_ledger.jsonl"

    def spent(self) -> int:
        """Tokens spent today (UTC). A last line torn by a crash counts for nothing.

        Raises:
            StoreError: another line is damaged, or the file cannot be read, so that spending is unknown.
        """
        try:
            lines = self.path.read_text(encoding="utf-8").splitlines(keepends=True)
        except FileNotFoundError:
            return 0
        except (OSError, ValueError) as error:
            raise self._damaged(str(error)) from error
        today, total = self.clock()[:10], 0
        for number, line in enumerate(lines, start=1):
            try:
                row = json.loads(line)
                tokens, day = row["tokens"], row["timestamp"][:10]
                if type(tokens) is not int or tokens < 0:
                    raise ValueError(f"tokens {tokens!r}")
            except (ValueError, KeyError, TypeError, RecursionError) as error:
                if number == len(lines) and not line.endswith("\n"):
                    continue
                raise self._damaged(f"line {number}: {error!r}") from None
            total += tokens if day == today else 0
        return total

    @property
    def line(self) -> str:
        """Today's spending in words; raises as `spent`."""
        spent = self.spent()
        left = max(self.daily_limit - spent, 0)
        return f"{spent:,} of {self.daily_limit:,} tokens spent today (UTC), {left:,} left: {self.path}"

    def record(self, what: str, tokens: int) -> None:
        """Add one call's cost, durably; raises UsageError when it is not a whole number of at least 0."""
        if type(tokens) is not int or tokens < 0:
            raise UsageError(f"a cost of {tokens!r} tokens", doing="keeping the token ledger", hint="whole, 0 or more")
        line = json.dumps({"timestamp": self.clock(), "what": what, "tokens": tokens}) + "\n"
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a+b", buffering=0) as file:
                fcntl.flock(file, fcntl.LOCK_EX)  # freed when it is closed
                size = file.seek(0, os.SEEK_END)
                if size and os.pread(file.fileno(), 1, size - 1) != b"\n":  # torn by a crash, and not counted: cut off
                    file.truncate(size - len(self.path.read_bytes().rpartition(b"\n")[2]))
                file.write(line.encode())
                atomic.sync(file.fileno())
        except OSError as error:
            raise self._damaged(error.strerror or str(error)) from error

    def _damaged(self, what: str) -> StoreError:
        hint = "mend the line by hand, or move the file away to begin a new one"
        return StoreError(what, doing="keeping the token ledger", subject=self.path, hint=hint)


def audit(
    project: Project, questions: Iterable[Sequence[Path]], auditor: Auditor, ledger: TokenLedger | None = None
) -> AuditReport:
    """Ask a language model about the images of each question, as long as today's tokens last.

    At the limit it warns, above it it pauses: what is left is returned, not asked. An answer is an opinion for the user
    to read: nothing is moved or decided by it.

    Raises:
        PickroomError: the auditor failed; everything it had answered is in the ledger.
    """
    ledger = ledger or TokenLedger(project.workspace)
    waiting = [tuple(images) for images in questions]
    answers: list[tuple[tuple[Path, ...], str]] = []
    warnings: list[str] = []
    while waiting:
        spent = ledger.spent()
        if spent > ledger.daily_limit:
            warnings.append(
                f"paused: {spent:,} tokens spent today, the limit is {ledger.daily_limit:,}; "
                f"{len(waiting)} questions wait for tomorrow"
            )
            break
        if spent == ledger.daily_limit and not warnings:
            warnings.append(f"today's limit of {ledger.daily_limit:,} tokens is reached; one more question is asked")
        images = waiting[0]
        named = ", ".join(path.name for path in images)
        try:
            answer = auditor(images)
        except PickroomError:
            raise
        except Exception as error:  # the user's own code may raise anything; the error is named
            what = f"the auditor failed: {type(error).__name__}: {error}"
            hint = f"{len(answers)} were answered; mend it and ask the rest"
            raise StoreError(what, doing=f"auditing {project.id}", subject=named, hint=hint) from error
        ledger.record(f"{project.id}: {named}", answer.tokens)
        answers.append((images, answer.text))
        waiting.pop(0)
    return AuditReport(tuple(answers), tuple(waiting), tuple(warnings))

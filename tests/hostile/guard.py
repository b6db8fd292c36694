"""Runs a family of hostile cases in a process of its own, with a limit on its memory and on the time of each case.

A case is a number: everything about it is drawn from `seeded(family, number)`, so that it can be had again:

    PICKROOM_FUZZ_CASE=csv/1234 pytest tests/hostile     only this case, wherever its family runs
    PICKROOM_FUZZ=20 pytest tests/hostile                twenty times as many cases (`make fuzz`)
    PICKROOM_FUZZ_SEED=7 pytest tests/hostile            other cases than those of every day
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import random
import resource
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from pickroom.core.errors import PickroomError

SILENCE_S = 60  # a case that says nothing for so long hangs; the slowest takes a second on a busy machine
MEGABYTES = 1500  # of address space that a family may take next to what the tests themselves hold
_SHOWN = 3  # failures told in full

# what a case does: returns a word for its outcome ("read", "refused"), counted; raises for what must not be
Case = Callable[[random.Random], str]
_FORK = multiprocessing.get_context("fork")


@dataclass(slots=True)
class Tally:
    """How a family went: outcome -> cases, and the traceback of each case that went wrong."""

    outcomes: Counter[str] = field(default_factory=Counter)
    wrong: dict[str, str] = field(default_factory=dict)

    @property
    def cases(self) -> int:
        return self.outcomes.total() + len(self.wrong)


def seeded(family: str, number: int) -> random.Random:
    """The one source of chance of a case."""
    return random.Random(f"{os.environ.get('PICKROOM_FUZZ_SEED', '')}/{family}/{number}")


def numbers(family: str, quick: int) -> Iterator[int]:
    """The cases of a family that run now: `quick` of them in every test run, more where the environment asks."""
    wanted = os.environ.get("PICKROOM_FUZZ_CASE")
    if wanted:
        own, _, number = wanted.rpartition("/")
        return iter([int(number)] if own == family else [])
    return iter(range(quick * int(os.environ.get("PICKROOM_FUZZ", "1"))))


def survive(family: str, quick: int, case: Case, *, megabytes: int = MEGABYTES) -> Tally:
    """Run a family's cases in a child; fail with their seeds when one raises, hangs, dies or takes too much memory."""
    ours, theirs = _FORK.Pipe(duplex=False)
    process = _FORK.Process(target=_run, args=(ours, theirs, family, quick, case, megabytes))
    process.start()
    theirs.close()
    tally, under_way = Tally(), "none"
    try:
        while True:
            if not ours.poll(SILENCE_S):
                tally.wrong[under_way] = f"it hangs: no word for {SILENCE_S} seconds"
                break
            try:
                kind, value = ours.recv()
            except EOFError:
                process.join(SILENCE_S)
                tally.wrong[under_way] = f"its process died, exit code {process.exitcode}"
                break
            if kind == "begun":
                under_way = f"{family}/{value}"
            elif kind == "went":
                tally.outcomes[value] += 1
            elif kind == "wrong":
                tally.wrong[under_way] = value
            else:
                break
    finally:
        ours.close()
        process.kill()
        process.join()
    print(f"{family}: {tally.cases} cases, {dict(tally.outcomes)}, {len(tally.wrong)} wrong")
    if tally.wrong:
        ends = Counter(text.strip().splitlines()[-1][:200] for text in tally.wrong.values())
        print(*(f"{count} x {end}" for end, count in ends.most_common()), sep="\n")
        told = [f"PICKROOM_FUZZ_CASE={name}\n{text}" for name, text in list(tally.wrong.items())[:_SHOWN]]
        pytest.fail(f"{len(tally.wrong)} of {tally.cases} cases of {family}:\n" + "\n".join(told), pytrace=False)
    return tally


def _run(ours: Connection, theirs: Connection, family: str, quick: int, case: Case, megabytes: int) -> None:
    ours.close()
    limit_memory(megabytes)
    for number in numbers(family, quick):
        theirs.send(("begun", number))
        try:
            theirs.send(("went", case(seeded(family, number))))
        except BaseException:  # noqa: BLE001 (whatever a case raises is told, with its number)
            theirs.send(("wrong", traceback.format_exc()))
    theirs.send(("over", None))


def limit_memory(megabytes: int) -> None:
    """Let this process take no more than so much address space next to what it has now."""
    held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize() if _has_proc() else 8 << 30
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    with contextlib.suppress(ValueError, OSError):  # macOS knows the limit but does not keep it
        resource.setrlimit(resource.RLIMIT_AS, (held + (megabytes << 20), most))


def _has_proc() -> bool:
    return Path("/proc/self/statm").exists()


def one_line(error: PickroomError) -> str:
    """ "refused", when the error is the one line that it has to be."""
    assert error.line and "\n" not in error.line and error.line.isprintable(), repr(error.line)
    return "refused"


def attempt(function: Callable[..., Any], *arguments: Any, **options: Any) -> str:
    """ "taken", or "refused" by a PickroomError of one line; anything else is raised."""
    try:
        function(*arguments, **options)
    except PickroomError as error:
        return one_line(error)
    return "taken"

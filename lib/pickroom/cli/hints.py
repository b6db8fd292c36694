"""Commands that Pickroom suggests, completed so that they reach the workspace the person is working in. Pure.

A suggestion ends at a backtick, a bracket, a comma, a colon, a semicolon or the end of its line; one with words after
it is written in backticks. `tests/cli/test_hints.py` holds every text of the package to that.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable

ENDS = "`,;:()<\n"  # what ends a suggested command


def with_home(text: str, home: str | None, commands: Iterable[str]) -> str:
    """A text whose suggested commands carry ` --home HOME`; as it is where no workspace was named.

    Args:
        commands: the full names of those that know --home, as "auto apply".
    """
    if home is None or "pickroom " not in text:
        return text
    names = "|".join(re.escape(name) for name in sorted(commands, key=len, reverse=True))
    suggested = re.compile(rf"(?<![\w/.-])pickroom (?:{names})(?![\w-])[^{re.escape(ENDS)}]*")
    given = f" --home {shlex.quote(home)}"

    def completed(found: re.Match[str]) -> str:
        command = found[0].rstrip()
        if "--home" in command or "--help" in command:
            return found[0]
        return command + given + found[0][len(command) :]

    return suggested.sub(completed, text)

"""Names of commands and options that version 0.1 had: they work in this release, with a notice. Pure."""

from __future__ import annotations

from collections.abc import Sequence

COMMANDS = {"history": "import-folders"}
OPTIONS = {
    "duplicates": {"--bits": "--hash-distance", "--stage": "--move"},
    "groups": {"--bits": "--hash-distance"},
    "reclaim": {"--hard": "--permanent"},
    "review": {"--unaided": "--no-ai"},
}


def with_new_names(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """The arguments, the command first, with today's names; and a notice for each that was replaced."""
    if not arguments:
        return [], []
    command = COMMANDS.get(arguments[0], arguments[0])
    new, replaced = [command], [(arguments[0], command)] if command != arguments[0] else []
    for place, argument in enumerate(arguments[1:], start=1):
        if argument == "--":
            new += arguments[place:]
            break
        name, equals, value = argument.partition("=")
        today = OPTIONS.get(command, {}).get(name, name)
        new.append(f"{today}{equals}{value}")
        replaced += [(name, today)] if today != name else []
    return new, [f"{old} is now {today}; the old name works in this release only" for old, today in replaced]

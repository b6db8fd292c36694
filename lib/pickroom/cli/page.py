"""What `pickroom --help` shows: the commands in the order of a day's work, a line each, and an example of every one.

A new command gets its line here; `tests/cli/test_help.py` finds those that have none.
"""

import re
import shlex
from collections.abc import Iterable, Sequence
from typing import Any

import typer
from typer.core import TyperGroup

# title -> (command, its line, an example)
SECTIONS: dict[str, tuple[tuple[str, str, str], ...]] = {
    "Begin": (
        ("demo", "a project of real photographs to try everything on", "demo"),
        ("open", "pick from a folder in the browser: one command", "open ~/Pictures/holiday"),
        ("start", "make a project of a folder of images; moves nothing", "start holiday --images ~/Pictures"),
        ("lab", "open JupyterLab on the notebooks, on this machine only", "lab"),
        ("app", "the pages in the browser: no notebook is needed", "app"),
        ("doctor", "is everything here that is needed, and what to do if not", "doctor"),
    ),
    "Every day": (
        ("status", "what waits, what is decided, what is unfinished", "status holiday"),
        ("index", "read new images, make vectors, group: all that open does", "index holiday"),
        ("groups", "look for new images and group them", "groups holiday"),
        ("review", "pick by a file of keys (the deck: 20_review.ipynb)", "review holiday --keys my.keys"),
        ("crop", "crop from a file of boxes (the desk: 30_crop.ipynb)", "crop holiday --boxes boxes.jsonl"),
        ("undo", "put a finalised batch back: files, choices, rows", "undo holiday --batch 1"),
        ("recover", "finish what a crash interrupted", "recover holiday"),
    ),
    "Beside the review": (
        ("sort", "images into named folders (70_sort.ipynb)", "sort holiday --by character"),
        ("browse", "mark images in whole folders (71_browse.ipynb)", "browse holiday --marks marks.jsonl"),
        ("duplicates", "images that are there twice (72_duplicates.ipynb)", "duplicates holiday"),
    ),
    "Let it learn": (
        ("embed", "a vector for every image, once; stop it at any time", "embed holiday"),
        ("install", "what measures faces: eyes, mouth, pose", "install faces"),
        ("train", "a model of your picks, or of your crops", "train ranker holiday"),
        ("recommend", "what the deck shows: by the models, else the baseline", "recommend holiday"),
        ("evaluate", "how each version does on what it was not trained on", "evaluate holiday"),
        ("import-csv", "import old logs of picks and crops as training data", "import-csv old.csv --by-folder"),
        ("import-folders", "read picks and crops off two folders", "import-folders before/ after/ --project holiday"),
        ("backfill", "older rows: was the AI's crop accepted? a dry run first", "backfill holiday --execute"),
        ("anomalies", "count where a lower stage was chosen over a higher one", "anomalies holiday"),
        ("check", "are the decisions fit to train on, and to finish", "check holiday"),
    ),
    "Let it decide": (
        ("auto", "on a copy: generate, review, apply, undo (50_automate.ipynb)", "auto generate holiday"),
    ),
    "Look, and hand on": (
        ("sql", "ask every project at once, in SQL", "sql 'SELECT project_id, count(*) FROM decisions GROUP BY 1'"),
        ("report", "the report notebooks of a project, as pages", "report holiday"),
        ("export", "COCO, imagefolder, preference pairs, Parquet, XMP sidecars", "export holiday --coco ~/coco"),
    ),
    "Keep house": (
        ("finish", "report on a project, archive it, mark it as finished", "finish holiday"),
        ("alias", "names that old logs have for a project", "alias holiday 'old/holiday_final'"),
        ("relocate", "tell a project that its folder of images has moved", "relocate holiday /mnt/holiday"),
        ("reclaim", "free the disk of what is proved to be needless", "reclaim"),
        ("tokens", "what a language model of yours has spent today", "tokens"),
        ("backup", "decisions, models and logs in one file; never images", "backup ~/pickroom-backup.zip"),
        ("restore", "and back from it", "restore ~/pickroom-backup.zip"),
    ),
}
# commands within a group: full name -> (its line, an example)
GROUPED = {
    "auto generate": ("copy the project, propose pick and crop for every group", "auto generate holiday"),
    "auto review": ("look at what needs a look, by keys", "auto review holiday --keys my.keys"),
    "auto apply": ("every step it would take; --execute takes them, all or none", "auto apply holiday --execute"),
    "auto metrics": ("approvals, overrides, time saved and goals so far", "auto metrics holiday"),
    "auto thresholds": ("what each threshold would have got wrong", "auto thresholds holiday"),
    "auto undo": ("put the latest apply back", "auto undo holiday"),
}
EXAMPLES = {name: example for lines in SECTIONS.values() for name, _, example in lines}
EXAMPLES |= {name: example for name, (_, example) in GROUPED.items()}
_INDENT = 2


def page(commands: set[str]) -> str:
    """The lines under the usage: each section with those of its commands that there are.

    Args:
        commands: the names of the commands that are not hidden.
    """
    width = max(map(len, EXAMPLES.keys() - GROUPED.keys())) + _INDENT
    text = ""
    for title, lines in SECTIONS.items():
        shown = [f"{'':{_INDENT}}{name:<{width}}{line}\n" for name, line, _ in lines if name in commands]
        text += f"\n{title}:\n" + "".join(shown) if shown else ""
    unsorted = sorted(commands - EXAMPLES.keys())
    return text + (f"\nOthers: {', '.join(unsorted)}\n" if unsorted else "")


class Page(TyperGroup):
    """The whole command line: its help is the page, and each command's help ends with its example."""

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        command = super().get_command(ctx, cmd_name)
        if command is not None:
            command.epilog = command.epilog or example_line(cmd_name)
            for name, inner in getattr(command, "commands", {}).items():
                full = f"{cmd_name} {name}"
                inner.epilog = inner.epilog or example_line(full)
                inner.short_help = GROUPED[full][0] if full in GROUPED else inner.short_help
        return command

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Click's lookup of the command, by a name of version 0.1 too."""
        arguments, notices = with_new_names(args)
        for notice in notices if "--json" not in arguments else ():
            typer.echo(f"pickroom: {notice}", err=True)
        return super().resolve_command(ctx, arguments)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Click's list of commands, in sections and with lines of their own."""
        names = {name for name in self.list_commands(ctx) if not self.commands[name].hidden}
        formatter.write(page(names))
        formatter.write("\npickroom COMMAND --help says more, with an example.\n")


def example_line(command: str) -> str | None:
    """ "Example: pickroom ...", None where the command has none."""
    return f"Example: pickroom {EXAMPLES[command]}" if command in EXAMPLES else None


def next_step(error: Any) -> str:
    """What to do after wrong use, for the end of its one line: the command's example, and where there is more.

    Args:
        error: one of click's usage errors; it knows how far the command line made sense.
    """
    words: list[str] = []
    context = getattr(error, "ctx", None)
    while context is not None and context.parent is not None:
        words.insert(0, context.info_name)
        context = context.parent
    path = " ".join(words)
    example = f"as in: pickroom {EXAMPLES[path]}; " if path in EXAMPLES else ""
    return f"{example}see: {' '.join(('pickroom', *words))} --help"


# what ends a suggested command, as the end of its line does; one with words after it is written in backticks.
# tests/cli/test_hints.py holds every text of the package to that
ENDS = "`,;:()<\n"


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


# names of commands and options that version 0.1 had: they work in this release, with a notice
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

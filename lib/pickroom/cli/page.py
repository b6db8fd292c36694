"""The page of `pickroom --help`: the commands in the order of a day's work, one line and one example each.

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
    "Start": (
        ("demo", "make a demo project of real photographs and open its review", "demo"),
        ("open", "review a folder of images in the browser, with one command", "open ~/Pictures/holiday"),
        ("start", "make a project of a folder of images; moves no file", "start holiday --images ~/Pictures"),
        ("lab", "open JupyterLab with the notebooks, on this machine only", "lab"),
        ("app", "open the pages in the browser, without notebooks", "app"),
        ("doctor", "check this machine and the workspace, and say what to do", "doctor"),
    ),
    "Every day": (
        ("status", "show what waits, what is decided and what is unfinished", "status holiday"),
        ("index", "read new images, make their vectors and group them", "index holiday"),
        ("groups", "look for new images and group them", "groups holiday"),
        ("review", "review by a file of keys (the deck: 20_review.ipynb)", "review holiday --keys my.keys"),
        ("crop", "crop by a file of boxes (the desk: 30_crop.ipynb)", "crop holiday --boxes boxes.jsonl"),
        ("undo", "put a finalised batch back: files, choices and rows", "undo holiday --batch 1"),
        ("recover", "finish file operations that a crash interrupted", "recover holiday"),
    ),
    "Sort and compare": (
        ("sort", "sort images into named folders (70_sort.ipynb)", "sort holiday --by character"),
        ("browse", "mark images in whole folders (71_browse.ipynb)", "browse holiday --marks marks.jsonl"),
        ("duplicates", "find duplicate images (72_duplicates.ipynb)", "duplicates holiday"),
    ),
    "Learn": (
        ("embed", "make a vector of every image, once; can be interrupted", "embed holiday"),
        ("install", "install the optional packages that measure faces", "install faces"),
        ("train", "train a model on your picks or crops", "train ranker holiday"),
        ("recommend", "recommend for groups that wait, by models or the baseline", "recommend holiday"),
        ("evaluate", "score each model version on data it was not trained on", "evaluate holiday"),
        ("import-csv", "import old logs of picks and crops as training data", "import-csv old.csv --by-folder"),
        (
            "import-folders",
            "import picks and crops from a folder and its results",
            "import-folders before/ after/ --project holiday",
        ),
        ("backfill", "fill in whether older rows accepted the AI's crop", "backfill holiday --execute"),
        ("anomalies", "count picks of a lower stage than the highest", "anomalies holiday"),
        ("check", "check decisions, crops and files of a project", "check holiday"),
    ),
    "Automate": (("auto", "automate on a copy of the project (50_automate.ipynb)", "auto generate holiday"),),
    "Query, report, export": (
        ("sql", "query all projects with SQL", "sql 'SELECT project_id, count(*) FROM decisions GROUP BY 1'"),
        ("report", "run a project's report notebooks, as HTML pages", "report holiday"),
        ("export", "export COCO, imagefolder, pairs, Parquet or XMP sidecars", "export holiday --coco ~/coco"),
    ),
    "Manage projects": (
        ("finish", "report on a project, archive it, mark it as finished", "finish holiday"),
        ("alias", "list, add or remove names of a project in old logs", "alias holiday 'old/holiday_final'"),
        ("relocate", "tell a project that its image folder has moved", "relocate holiday /mnt/holiday"),
        ("reclaim", "free disk space: what is archived or can be made again", "reclaim"),
        ("tokens", "show what your own language model has spent today", "tokens"),
        ("backup", "save decisions, models, vectors, logs in one file, no images", "backup ~/pickroom-backup.zip"),
        ("restore", "restore a backup, or a copy of a project's database", "restore ~/pickroom-backup.zip"),
    ),
}
# commands within a group: full name -> (its line, an example)
GROUPED = {
    "auto generate": ("copy the project and propose a pick and crop for each group", "auto generate holiday"),
    "auto review": ("review the proposals by a file of keys", "auto review holiday --keys my.keys"),
    "auto apply": ("show every step; --execute does them, all or none", "auto apply holiday --execute"),
    "auto metrics": ("show approvals, overrides and time saved", "auto metrics holiday"),
    "auto thresholds": ("show what each threshold would have got wrong", "auto thresholds holiday"),
    "auto undo": ("undo the latest apply", "auto undo holiday"),
}
EXAMPLES = {name: example for lines in SECTIONS.values() for name, _, example in lines}
EXAMPLES |= {name: example for name, (_, example) in GROUPED.items()}
_INDENT = 2


class Page(TyperGroup):
    """The whole command line: its help is the page."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Click's lookup of the command; also accepts names of version 0.1."""
        arguments, notices = with_new_names(args)
        for notice in notices if "--json" not in arguments else ():
            typer.echo(f"pickroom: {notice}", err=True)
        return super().resolve_command(ctx, arguments)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Click's list of commands, in sections and with lines of their own."""
        commands = {name for name in self.list_commands(ctx) if not self.commands[name].hidden}
        width = max(map(len, EXAMPLES.keys() - GROUPED.keys())) + _INDENT
        for title, lines in SECTIONS.items():
            shown = [f"{'':{_INDENT}}{name:<{width}}{line}\n" for name, line, _ in lines if name in commands]
            formatter.write(f"\n{title}:\n{''.join(shown)}" if shown else "")
        if unsorted := sorted(commands - EXAMPLES.keys()):
            formatter.write(f"\nOthers: {', '.join(unsorted)}\n")
        formatter.write("\npickroom COMMAND --help shows its options and an example.\n")


def example_line(command: str) -> str | None:
    """ "Example: pickroom ...", None where the command has none."""
    return f"Example: pickroom {EXAMPLES[command]}" if command in EXAMPLES else None


def next_step(error: Any) -> str:
    """The end of the line about wrong use: the command's example, and its --help.

    Args:
        error: one of click's usage errors; it knows the command up to which the line could be parsed.
    """
    words: list[str] = []
    context = getattr(error, "ctx", None)
    while context is not None and context.parent is not None:
        words.insert(0, context.info_name)
        context = context.parent
    path = " ".join(words)
    example = f"as in: pickroom {EXAMPLES[path]}; " if path in EXAMPLES else ""
    return f"{example}see: {' '.join(('pickroom', *words))} --help"


# characters that end a suggested command, besides the end of its line; with words after it, it needs backticks.
# tests/cli/test_hints.py checks all texts of the package
ENDS = "`,;:()<\n"


def with_home(text: str, home: str | None, commands: Iterable[str]) -> str:
    """The text with ` --home HOME` added to suggested commands; unchanged without a home.

    Args:
        commands: the full names of those that take --home, as "auto apply".
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

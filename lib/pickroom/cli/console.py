"""Shared by all commands: the app, its options, printing of results and messages, and exit codes."""

import inspect
import json
import sqlite3
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import LazyLoader
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, Literal

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from pickroom import __version__
from pickroom.cli.page import GROUPED, Page, example_line, next_step, with_home
from pickroom.core import quiet
from pickroom.core.errors import ConflictError, PickroomError, UsageError
from pickroom.core.quantities import plural
from pickroom.storage import leftovers, texts
from pickroom.store import copies
from pickroom.store.workspace import Project, Workspace

app = typer.Typer(
    help="Pick the best image of every group of near-duplicates, and train a model that recommends it.",
    cls=Page,
    rich_markup_mode=None,  # plain text, on any terminal and in a pipe
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
NO_PROJECT = "No project yet: make one of the folder you are in (pickroom open .), or try the demo (pickroom demo)"
KNOW_HOME: list[str] = []  # full names of the commands that take --home, as "auto apply"
_UNSOUND_SHOWN = 5  # rows that are named; `check` shows more
_INTERRUPTED = 130  # 128 + SIGINT, as shells have it
messages = Console(stderr=True, highlight=False, soft_wrap=True)

_named_home: ContextVar[Path | None] = ContextVar("_named_home", default=None)
_as_json: ContextVar[bool] = ContextVar("_as_json", default=False)


class _Lazily(MetaPathFinder):
    """Find this package's modules, but run them only once an attribute of theirs is asked for."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        spec = PathFinder.find_spec(name, path, target) if name.startswith("pickroom.") else None
        if spec is not None and spec.loader is not None:
            spec.loader = LazyLoader(spec.loader)
        return spec


@contextmanager
def lazily() -> Iterator[None]:
    """Import modules of this package, not names in them, at their first use: `pickroom --help` waits for none.

    Before Python 3.12 two threads must not be the first to use one at the same time (importlib.util.LazyLoader).
    """
    finder = _Lazily()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


def _name_home(value: Path | None) -> Path | None:
    """Remember a --home for the commands that this run suggests."""
    _named_home.set(value)
    return value


def option(default: Any, help: str, *names: str, **more: Any) -> Any:
    """The default value of a command's parameter that is an option; `names` and `more` as for `typer.Option`."""
    return typer.Option(default, *names, help=help, **more)


def added(name: str, kind: Any, default: object) -> inspect.Parameter:
    """A parameter that a command has besides those of its function."""
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)


# what `command` adds to the parameters of a command
_HOME = typer.Option("--home", callback=_name_home, help="The workspace (default: $PICKROOM_HOME, else found).")
_JSON = typer.Option("--json", help="Print one JSON object on stdout, and nothing else there.")
ProjectName = Annotated[str, typer.Argument(metavar="PROJECT", help="The project's id.")]
Naming = Literal["stem", "full"]
SidecarNaming = Annotated[
    Naming, typer.Option("--naming", help="With --in-place, of new sidecars. stem: name.xmp; full: name.ext.xmp.")
]


def command(
    name: str | None = None, *, has_json: bool = False, hidden: bool = False, of: typer.Typer = app
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Declare a command: it takes --home, and --json where it prints a record, which its function need not know.

    Args:
        of: the group that it belongs to.
    """

    def declare(function: Callable[..., None]) -> Callable[..., None]:
        @wraps(function)
        def run(*, home: Path | None, json_output: bool = False, **given: Any) -> None:
            before = _as_json.set(json_output)  # the home is known since it was read
            try:
                function(**given)
            finally:
                _as_json.reset(before)

        more = [added("home", Annotated[Path | None, _HOME], None)]
        more += [added("json_output", Annotated[bool, _JSON], False)] if has_json else []
        own = inspect.signature(function, eval_str=True)
        own = own.replace(parameters=[*own.parameters.values(), *more])
        run.__signature__ = own  # type: ignore[attr-defined]  # PEP 362 lets a function have one
        called = name or function.__name__
        full = called if of is app else f"{of.info.name} {called}"
        KNOW_HOME.append(full)
        of.command(called, hidden=hidden, short_help=GROUPED.get(full, [None])[0], epilog=example_line(full))(run)
        return function

    return declare


def main() -> None:
    """Run the command line; every expected failure is one line on stderr and an exit code."""
    _named_home.set(None)
    quiet.libraries()
    copies.asked()  # of earlier runs in this process
    leftovers.sweep_temporary()
    try:
        _run()
    finally:
        if databases := copies.asked():  # after the result is on screen; a failure does not fail the command
            from pickroom.store import snapshot

            for line in snapshot.keep(databases):
                say(f"pickroom: {line}")


def _run() -> None:
    try:
        # without standalone mode click returns the code of an Exit instead of raising it; so does Typer for Ctrl-C
        code = app(standalone_mode=False) or 0
        if code == _INTERRUPTED:
            say("pickroom: interrupted; what was saved is kept (run it again to go on)")
        sys.exit(code)
    except PickroomError as error:
        told, code = error.line, error.exit_code
    except typer.Abort:
        told, code = "stopped", 1
    except OSError as error:
        if _while_importing(error):  # a broken package, not a disk: the traceback says which
            raise
        told, code = f"{error.strerror or error} (while using {error.filename or 'a file'})", 1
    except sqlite3.Error as error:
        if isinstance(error, sqlite3.ProgrammingError):
            raise
        # modules name the file where they know it; damage deep inside a database can appear anywhere
        told, code = f"a database cannot be read or written: {error} (look at it: pickroom doctor)", 1
    except MemoryError:
        told, code = "there is not enough memory (close other programs, then run it again to go on)", 1
    except Exception as error:
        if not hasattr(error, "format_message"):  # click's usage errors have it; anything else is a defect
            raise
        if type(error).__name__ == "NoArgsIsHelpError":  # Typer's class, which is not public
            sys.stderr.write(error.format_message().rstrip() + "\n")
            sys.exit(2)
        what = " ".join(error.format_message().split())  # click lists choices on lines of their own
        told, code = f"{what.removesuffix('.')} ({next_step(error)})", 2
    say(f"pickroom: {told}")
    sys.exit(code)


def _while_importing(error: BaseException) -> bool:
    return any(frame.f_code.co_name == "<module>" for frame, _ in traceback.walk_tb(error.__traceback__))


def say(text: str) -> None:
    """Print one line on stderr; a file name with control characters in it cannot break out of it."""
    messages.print(_reachable(printable([text])), markup=False)


def show(text: str | Sequence[str], values: Mapping[str, Any] | None = None) -> None:
    """Print a result on stdout: in words, or with --json its values as one JSON object.

    Args:
        text: as lines, where one may hold a name with a line end in it.
    """
    lines = text.split("\n") if isinstance(text, str) else text
    words = json.dumps(values, ensure_ascii=True) if as_json() else _reachable(printable(lines))
    sys.stdout.write(words + "\n")


def as_json() -> bool:
    """Whether the result is wanted as JSON: then nothing else goes to stdout."""
    return _as_json.get()


def some(lines: Sequence[str], most: int, more: str = "more; --json lists them all") -> list[str]:
    """The first lines of a list, and how many others there are."""
    return [*lines[:most], *([f"  and {len(lines) - most:,} {more}"] if len(lines) > most else [])]


def table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[str]:
    """Rows as lines in columns: numbers to the right, a missing value as a blank."""
    cells = [[_cell(value) for value in row] for row in rows]
    lines = []
    widths = [max(map(len, column)) for column in zip(columns, *cells, strict=True)]
    right = [bool(rows) and all(isinstance(row[n], int | float | None) for row in rows) for n in range(len(columns))]
    for line in (columns, ["-" * width for width in widths], *cells):
        words = [f"{word:{'>' if r else '<'}{width}}" for word, width, r in zip(line, widths, right, strict=True)]
        lines.append("  ".join(words).rstrip())
    return lines


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.1f}" if 1e6 <= abs(value) < 1e15 else f"{value:.6g}"
    return "" if value is None else printable([value if isinstance(value, str) else json.dumps(value)])


def fail_if(failed: object) -> None:
    """End with exit code 1 if something could not be done; everything else was (FORMATS.md, Exit codes)."""
    if failed:
        raise typer.Exit(1)


def name_unsound(project: Project, databases: Sequence[Path] | None = None) -> int:
    """Name the rows that a command leaves out of a project; returns their number.

    Args:
        databases: those that the command reads; None is the project's own.
    """
    from pickroom.integrity import unsound_rows

    lines = [line for path in databases or [project.database] for line in unsound_rows(path).lines]
    for line in lines[:_UNSOUND_SHOWN]:
        say(f"left out, {line}")
    if lines:
        more = f", {len(lines) - _UNSOUND_SHOWN} of them not listed here" if len(lines) > _UNSOUND_SHOWN else ""
        rows = plural(len(lines), "unsound row")
        say(f"{project.id}: {rows} left out{more} (see: pickroom check {project.id})")
    return len(lines)


@contextmanager
def listing_items(prefix: str = "  ", skip: int = 0) -> Iterator[None]:
    """Print the items of a ConflictError, one per line, before its own line.

    Args:
        skip: items at the start that its own line names already.
    """
    try:
        yield
    except ConflictError as error:
        for item in error.items[skip:]:
            say(f"{prefix}{item}")
        raise


def _reachable(text: str) -> str:
    """The text with `--home` added to suggested commands, if this run was given one."""
    home = _named_home.get()
    return with_home(text, str(home), KNOW_HOME) if home is not None else text


@contextmanager
def progress_bar(doing: str) -> Iterator[Callable[[int, int | None], None]]:
    """A progress bar on stderr; yields a function (done, of) -> None that moves it."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    # without a terminal a bar would only leave empty lines
    with Progress(*columns, console=messages, transient=True, disable=not messages.is_terminal) as bar:
        task = bar.add_task(doing, total=None)
        yield lambda done, of: bar.update(task, completed=done, total=of)


def workspace_here(folder: Path | None = None, default: Path | None = None) -> Workspace:
    """The workspace of this run: the command's folder, else --home, else `default`, else found from here."""
    return Workspace.find(folder or _named_home.get() or default)


def project_of(project_id: str) -> Project:
    return workspace_here().project(project_id)


def naming_of(in_place: bool | None, naming: Naming) -> Naming | None:
    """The manifest's `in_place` from the two options, None where images move; raises UsageError."""
    if naming == "full" and not in_place:
        raise UsageError("--naming needs --in-place", doing="reading options", hint="add --in-place")
    return naming if in_place else None


def version(value: bool) -> None:
    if value:
        sys.stdout.write(f"pickroom {__version__}\n")
        raise typer.Exit


@app.callback()
def options(
    show_version: bool = option(False, "Show the version and exit.", "--version", callback=version, is_eager=True),
) -> None:
    pass


def read_text(path: Path, doing: str) -> str:
    """A text file the user names, or stdin for `-`, as UTF-8 or UTF-16; raises UsageError when it cannot be read."""
    try:
        data = sys.stdin.read().encode() if str(path) == "-" else path.read_bytes()
    except (OSError, UnicodeError) as error:
        raise UsageError(f"cannot read the file ({error})", doing=doing, subject=path) from None
    text = texts.decode_unicode(data)
    if text is None:
        raise UsageError("cannot read the file (it is not UTF-8)", doing=doing, subject=path, hint="save it as UTF-8")
    return text


def printable(lines: Iterable[str]) -> str:
    """Lines as one text; a file name with control characters in it cannot break out of its line."""
    return "\n".join(line if line.isprintable() else line.encode("unicode_escape").decode() for line in lines)

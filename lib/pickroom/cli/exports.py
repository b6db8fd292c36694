"""The command that hands a person's choices to other programs; its options come from `exports/formats.py`."""

import inspect
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from pickroom.cli.console import Home, Json, app, fail_if, name_unsound, progress_bar, say, show, some
from pickroom.core.errors import UsageError
from pickroom.exports.formats import FORMATS, ExportFormat, ExportRequest
from pickroom.store.workspace import Workspace

_SHOWN = 20  # images not found that are listed by name
_OPTIONS = {option.name: option for known in FORMATS for option in known.options}


def export(
    projects: Annotated[list[str] | None, typer.Argument(metavar="[PROJECT]...", help="Else every project.")] = None,
    home: Home = None,
    json_output: Json = False,
    **given: Any,
) -> None:
    """Give your picks and crops to other programs: data sets, or ratings beside the images."""
    wanted = [known for known in FORMATS if given[known.name]]
    if len(wanted) != 1:
        names = " and ".join(f"--{known.name}" for known in wanted)
        *others, last = (f"--{known.name}{' DIR' * known.has_folder}" for known in FORMATS)
        what = f"{names} exclude each other" if wanted else "say what to export"
        raise UsageError(what, doing="exporting", hint=f"give one of {', '.join(others)} or {last}")
    (chosen,) = wanted
    _require_served(chosen, given)
    workspace = Workspace.find(home)
    opened = [workspace.project(name) for name in projects or workspace.project_ids()]
    if not projects and chosen.name != "parquet":  # which has rows only
        opened = [project for project in opened if project.manifest.root]
    folder = given[chosen.name].expanduser().resolve() if chosen.has_folder else None
    options = {option.name: given[option.name] for option in chosen.options}
    done = chosen.export(ExportRequest(workspace, opened, projects or [], folder, options, progress_bar))
    unsound = sum(name_unsound(project, databases) for project, databases in done.databases.items())
    lost = [f"not exported: {name} is not where it was decided on, or has changed since" for name in done.lost]
    for line in some(lost, _SHOWN, "more that were not exported"):
        say(line.strip())
    show(done.values | {"unsound_rows": unsound}, json_output, done.lines or ["No project yet"])
    fail_if(unsound + done.held)


def _require_served(chosen: ExportFormat, given: dict[str, Any]) -> None:
    """Refuse an option that would do nothing."""
    for option in _OPTIONS.values():
        if given[option.name] != option.default and option not in chosen.options:
            formats = [f"--{known.name}" for known in FORMATS if option in known.options]
            what = f"--{option.name} does nothing with --{chosen.name}"
            raise UsageError(what, doing="exporting", hint=f"it belongs to {' or '.join(formats)}")


def _parameters() -> list[inspect.Parameter]:
    """The command's parameters: those of `export`, with an option for each format and each option of one."""
    own = inspect.signature(export, eval_str=True).parameters
    made = [own["projects"]]
    for known in FORMATS:
        declared = typer.Option(f"--{known.name}", metavar="DIR" if known.has_folder else None, help=known.help)
        made.append(_option(known.name, Path | None if known.has_folder else bool, declared, None))
    for option in _OPTIONS.values():
        kind: Any = Literal[option.choices] if option.choices else bool
        made.append(_option(option.name, kind, typer.Option(f"--{option.name}", help=option.help), option.default))
    return [*made, *(own[name].replace(kind=inspect.Parameter.KEYWORD_ONLY) for name in ("home", "json_output"))]


def _option(name: str, kind: Any, declared: Any, default: object) -> inspect.Parameter:
    default = False if kind is bool else default
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind, declared]
    )


export.__signature__ = inspect.Signature(_parameters())  # type: ignore[attr-defined]  # PEP 362 lets a function have one
app.command()(export)

"""The command that gives every image its vector."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from pickroom.cli.console import Home, Json, ProjectName, app, fail_if, project_of, say, show
from pickroom.core.errors import UsageError

if TYPE_CHECKING:
    from pickroom.features.choice import EncoderConfig
    from pickroom.store.workspace import Project


@app.command()
def embed(
    project: ProjectName,
    encoder: Annotated[
        str | None,
        typer.Option(help="bundled, or openclip[:MODEL/TAG]; else the project's own, and bundled for a new one."),
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="OpenCLIP's architecture and weights; downloads them.", metavar="MODEL/TAG")
    ] = None,
    checkpoint: Annotated[
        Path | None, typer.Option(help="A local OpenCLIP folder: open_clip_config.json and weights.", metavar="FOLDER")
    ] = None,
    change_encoder: Annotated[bool, typer.Option("--change-encoder", help="Embed all images by another one.")] = False,
    device: Annotated[str | None, typer.Option(help="cuda, mps or cpu; else the best one here.")] = None,
    dtype: Annotated[str | None, typer.Option(hidden=True)] = None,  # of version 0.1
    engine: Annotated[Literal["local", "ray"], typer.Option(help="ray: on several machines.")] = "local",
    address: Annotated[str | None, typer.Option(help="A running Ray cluster's; else Ray is started here.")] = None,
    regions: Annotated[bool, typer.Option(hidden=True)] = True,  # of version 0.1
    verify: Annotated[bool, typer.Option("--verify", help="Check the vectors, and make 20 of them again.")] = False,
    import_legacy: Annotated[
        Path | None,
        typer.Option(
            help="Only import the vectors of an earlier system; --encoder says what made them.", metavar="JSONL"
        ),
    ] = None,
    home: Home = None,
    json_output: Json = False,
) -> None:
    """Give every image its vector, once. Stop it at any time: run again, it goes on."""
    opened = project_of(home, project)
    if dtype not in (None, "float32"):
        raise UsageError(f"vectors are not computed in {dtype} any more", doing="embedding", hint="leave --dtype out")
    if address and engine != "ray":
        raise UsageError("--address names a Ray cluster", doing="embedding", hint="add --engine ray")
    from pickroom.features.choice import EncoderConfig

    asked = EncoderConfig(encoder, model, checkpoint, device, change_encoder)
    if import_legacy is not None:
        _import(opened, import_legacy, asked if encoder or model or checkpoint else None, json_output)
        return
    from pickroom.indexing.engines import EmbedConfig
    from pickroom.indexing.pipeline import embed as run
    from pickroom.indexing.report import bar

    config = EmbedConfig(
        encoder=asked,
        engine=engine,
        address=address,
    )
    report = run(opened, config, bar, verify=verify)
    problems = report.verification.problems if report.verification else ()
    show(report.to_dict(), json_output, report.words())
    for problem in problems:
        say(f"pickroom: {problem}")
    fail_if(problems or report.errors or report.waiting)


@app.command()
def install(what: Annotated[Literal["faces"], typer.Argument(help="faces: eyes, mouth and pose of people.")]) -> None:
    """Install optional packages that pip takes for needing more than they do."""
    from pickroom.features import faces

    if not faces.installed():
        faces.install()
    say("pickroom: faces are measured when images are embedded")


def _import(project: Project, cache: Path, declared: EncoderConfig | None, as_json: bool) -> None:
    from pickroom.history.vectors import import_cache

    report = import_cache(project, cache, declared)
    lines = [f"{report.lines} lines = {report.imported} imported + {sum(report.skipped.values())} skipped"]
    lines += [f"  {count} skipped: {reason}" for reason, count in report.skipped.most_common()]
    lines.append(f"  {report.matched} of the imported ones are of images that the last scan knows")
    if report.sampled:
        lines.append(
            f"  {report.verified} of {report.sampled} images embedded again give these vectors ({report.encoder})"
        )
    elif report.encoder:
        lines.append(f"  no image of them is on disk: that {report.encoder} made them could not be verified")
    if report.bound and report.encoder:
        lines.append(f"  project {project.id} now uses this encoder: old and new vectors train together")
    elif report.bound:
        lines.append(f"  project {project.id} now uses these vectors; new images need embed --change-encoder")
    show(report.to_dict(), as_json, lines)
    fail_if(report.lines and not report.imported)

"""What `10_embed.ipynb` calls: one function that embeds and says what it did, or in one line why it could not."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pickroom.core.errors import PickroomError
from pickroom.features.choice import EncoderConfig
from pickroom.indexing.engines import EmbedConfig
from pickroom.indexing.pipeline import embed
from pickroom.indexing.progress import bar
from pickroom.indexing.report import EmbedReport
from pickroom.store.workspace import Workspace


def embed_project(
    project_id: str,
    home: Path | str | None = None,
    *,
    encoder: str | None = None,
    checkpoint: Path | str | None = None,
    engine: Literal["local", "ray"] = "local",
    verify: bool = False,
) -> EmbedReport | None:
    """Embed a project and print the report; None, and one printed line, where it cannot be, or was interrupted.

    Args:
        home: the folder that holds data/; None finds it.
        encoder: "bundled" or "openclip[:MODEL/TAG]"; None is the project's own, and bundled for a new one. A project
            keeps the encoder its vectors were made by: ask for another one with `pickroom embed --change-encoder`.
        checkpoint: a local OpenCLIP folder.
        engine: "local" or "ray".
        verify: check all vectors, and make 20 of them again; what is wrong is printed.
    """
    config = EmbedConfig(
        encoder=EncoderConfig(encoder, checkpoint=checkpoint),
        engine=engine,
    )
    try:
        report = embed(Workspace.find(home).project(project_id), config, bar, verify=verify)
    except PickroomError as error:
        print(error.line)
        return None
    except KeyboardInterrupt:
        print("Interrupted; what was embedded is kept. Run the cell again, and it goes on.")
        return None
    print(report.words())
    for problem in report.verification.problems if report.verification else ():
        print(f"  PROBLEM: {problem}")
    return report

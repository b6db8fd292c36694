"""What the views are made of now: the copies, the vectors, the manifests and the models of a workspace."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pickroom.analysis.cache import Copies, Problem
from pickroom.analysis.views import COPIED, PROJECT_COLUMNS, Catalogue, Encoder
from pickroom.core.errors import PickroomError
from pickroom.store.workspace import Workspace

REGIONS = "regions-"  # files of groups' regions, beside the images' vectors (FORMATS.md, Vectors)
_MODEL_SUFFIX = "_metadata.json"


def collect(workspace: Workspace, copies: Copies) -> tuple[Catalogue, tuple[Problem, ...]]:
    """The catalogue of a workspace, and what stands in the way of a complete one."""
    problems = list(copies.problems)
    projects = []
    for project_id in workspace.project_ids():
        try:
            manifest = asdict(workspace.project(project_id).manifest)
        except PickroomError as error:
            problems.append(Problem(project_id, error.line, left_out=False))
            continue
        projects.append({name: manifest[name] for name in PROJECT_COLUMNS})
    encoders, damaged = _encoders(workspace)
    models, unreadable = _models(workspace.models)
    catalogue = Catalogue({view: copies.files(view) for view in COPIED}, encoders, tuple(projects), models)
    return catalogue, (*problems, *damaged, *unreadable)


def _encoders(workspace: Workspace) -> tuple[tuple[Encoder, ...], list[Problem]]:
    import pyarrow
    import pyarrow.parquet

    found: dict[tuple[str, int], list[str]] = {}
    problems = []
    for path in sorted(workspace.embeddings.glob("*/*/*.parquet")):
        if path.name.startswith((REGIONS, ".")):
            continue
        try:
            kind = pyarrow.parquet.read_schema(path).field("vector").type
            found.setdefault((path.parts[-3], kind.list_size), []).append(str(path))
        except (OSError, KeyError, AttributeError, UnicodeError, pyarrow.ArrowException) as error:
            what = f"its vectors cannot be read ({str(error).splitlines()[0]}): {path}"
            problems.append(Problem(path.parts[-2], what, left_out=False))
    encoders = [Encoder(name, dimension, tuple(files)) for (name, dimension), files in found.items()]
    return tuple(sorted(encoders, key=lambda e: (-len(e.files), e.encoder_id))), problems


def _models(folder: Path) -> tuple[tuple[dict[str, Any], ...], list[Problem]]:
    """One row a model version: `<name>_v<N>_metadata.json`, whatever it holds, and whether its weights are there.

    Files of other names are other programs' models: their version is NULL, and they need not be readable.
    """
    rows, problems = [], []
    for path in sorted(folder.glob(f"*{_MODEL_SUFFIX}")):
        model = path.name.removesuffix(_MODEL_SUFFIX)
        name, _, version = model.rpartition("_v")
        known = bool(name) and version.isdecimal()
        metadata: Any = None
        try:
            if not path.is_file():  # a pipe of that name would never end
                raise ValueError("it is no plain file")
            metadata = json.loads(path.read_text(encoding="utf-8"))
            if not isinstance(metadata, Mapping):
                raise ValueError("it is no model's metadata")
        except (OSError, ValueError, RecursionError) as error:
            if known:
                problems.append(Problem(model, f"its metadata cannot be read ({error}): {path}", left_out=True))
                continue
        weights = any((folder / f"{model}{suffix}").is_file() for suffix in (".npz", ".pt"))
        row = {"model": model, "name": name if known else model, "version": int(version) if known else None}
        rows.append({**row, "has_weights": weights, "metadata": json.dumps(metadata)})
    return tuple(sorted(rows, key=lambda row: (row["name"], row["version"] or 0))), problems

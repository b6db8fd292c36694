"""The views over `source.*` (`sql/views/*.sql`), and what else they are made of: vectors, manifests, models, and the
files that lie in the image folders now.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import duckdb

from pickroom.analysis.queries import VIEWS, Encoder, Problem, identifier, quoted, view_sql
from pickroom.analysis.tables import fill
from pickroom.core.companions import negatives_of_images
from pickroom.core.errors import PickroomError
from pickroom.core.naming import ALL_EXTENSIONS, as_text, is_image_name, join
from pickroom.store.workspace import Workspace

_BOXES: dict[str, tuple[str, ...]] = {"decisions": ("ai_crop_coords", "final_crop_coords")}
_BOXES |= {"crops": ("box", "ai_box"), "recommendations": ("crop_coords",)}
# of a project's manifest and of a model: column -> type
_PROJECT_TEXTS = ("project_id", "title", "status", "root", "created_at", "finished_at", "encoder")
_PROJECT_COLUMNS = dict.fromkeys(_PROJECT_TEXTS, "VARCHAR")
_PROJECT_COLUMNS |= {"image_count": "BIGINT", "group_count": "BIGINT", "notes": "VARCHAR"}
_MODEL_COLUMNS = {"model": "VARCHAR", "name": "VARCHAR", "version": "BIGINT"}
_MODEL_COLUMNS |= {"has_weights": "BOOLEAN", "metadata": "JSON"}
_REGIONS = "regions-"  # files of groups' regions, next to the images' vectors (FORMATS.md, Vectors)
_MODEL_SUFFIX = "_metadata.json"


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The sources of views outside the databases.

    Attributes:
        encoders: those with vectors, the one with most files first.
        projects: the manifests; models: the model folder's metadata; both as rows.
    """

    encoders: tuple[Encoder, ...]
    projects: tuple[dict[str, Any], ...]
    models: tuple[dict[str, Any], ...]


def collect(workspace: Workspace) -> tuple[Catalogue, list[Problem]]:
    """The catalogue of a workspace, and problems with what it lacks."""
    problems, projects = [], []
    for project_id in workspace.project_ids():
        try:
            manifest = asdict(workspace.project(project_id).manifest)
        except PickroomError as error:
            problems.append(Problem(project_id, error.line, left_out=False))
            continue
        projects.append({name: manifest[name] for name in _PROJECT_COLUMNS})
    encoders, damaged = _encoders(workspace)
    models, unreadable = _models(workspace.models)
    return Catalogue(encoders, tuple(projects), models), [*problems, *damaged, *unreadable]


def define(engine: duckdb.DuckDBPyConnection, view: str, catalogue: Catalogue) -> None:
    """Create or replace a view over `source.*` and other views."""
    name = "scanned_images" if view == "images" else view
    boxes = ", ".join(f"{column}::DOUBLE[4] AS {column}" for column in _BOXES.get(view, ()))
    columns = f"* REPLACE ({boxes})" if boxes else "*"
    engine.execute(f"CREATE OR REPLACE VIEW {name} AS SELECT {columns} FROM ({view_sql(view)})")
    if view == "images":
        _define_images(engine, catalogue.encoders)


def define_tables(engine: duckdb.DuckDBPyConnection, catalogue: Catalogue) -> None:
    """Create `projects`, `models` and the list of views."""
    fill(engine, "manifests", _PROJECT_COLUMNS, [list(row.values()) for row in catalogue.projects])
    times = "utc(created_at) AS created_at, utc(finished_at) AS finished_at"
    engine.execute(f"CREATE OR REPLACE VIEW projects AS SELECT * REPLACE ({times}) FROM manifests")
    fill(engine, "models", _MODEL_COLUMNS, [[row[name] for name in _MODEL_COLUMNS] for row in catalogue.models])
    # DuckDB's own would parse the views of the attached databases, which are in SQLite's SQL
    listed = ", ".join(map(quoted, sorted((*VIEWS, "models", "projects"))))
    engine.execute(f"CREATE OR REPLACE MACRO duckdb_views() AS TABLE SELECT unnest([{listed}]) AS view_name")


def _define_images(engine: duckdb.DuckDBPyConnection, encoders: tuple[Encoder, ...]) -> None:
    """`images`: the scanned ones with a column of vectors for each encoder, FLOAT[D] and NULL where there is none.

    `vector` and `encoder_id` are those of the encoder that has most files. A vector counts only for the content it
    was made of.
    """
    selected, joins = ["i.*"], []
    for number, encoder in enumerate(encoders):
        view, vectors = identifier(f"vectors_{encoder.encoder_id}"), f"e{number}"
        listed = ", ".join(map(quoted, encoder.files))
        engine.execute(
            f"""CREATE OR REPLACE VIEW {view} AS
            SELECT
                string_split(from_path, '/')[-2] AS project_id, filename, content_hash,
                any_value(vector)::FLOAT[{encoder.dimension}] AS vector
            FROM read_parquet([{listed}], filename = 'from_path', union_by_name = true)
            WHERE error IS NULL GROUP BY ALL"""
        )
        joins.append(
            f"""LEFT JOIN {view} AS {vectors} ON {vectors}.project_id = i.project_id
            AND {vectors}.filename = i.filename AND {vectors}.content_hash = i.sha256"""
        )
        if number == 0:
            has = f"CASE WHEN {vectors}.vector IS NOT NULL THEN {quoted(encoder.encoder_id)} END AS encoder_id"
            selected += [has, f"{vectors}.vector AS vector"]
        selected.append(f"{vectors}.vector AS {identifier(f'vector_{encoder.encoder_id}')}")
    if not encoders:
        selected += ["NULL::VARCHAR AS encoder_id", "NULL::FLOAT[] AS vector"]
    engine.execute(
        f"CREATE OR REPLACE VIEW images AS SELECT {', '.join(selected)} FROM scanned_images AS i {' '.join(joins)}"
    )


def _encoders(workspace: Workspace) -> tuple[tuple[Encoder, ...], list[Problem]]:
    import pyarrow
    import pyarrow.parquet

    found: dict[tuple[str, int], list[str]] = {}
    problems = []
    for path in sorted(workspace.embeddings.glob("*/*/*.parquet")):
        if path.name.startswith((_REGIONS, ".")):
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
    """One row per model version: `<name>_v<N>_metadata.json`, whatever it holds, and whether its weights exist.

    Files of other names are other programs' models: their version is NULL, and they need not be readable.
    """
    rows, problems = [], []
    for path in sorted(folder.glob(f"*{_MODEL_SUFFIX}")):
        model = path.name.removesuffix(_MODEL_SUFFIX)
        name, _, version = model.rpartition("_v")
        known = bool(name) and version.isdecimal()
        metadata: Any = None
        try:
            if not path.is_file():  # reading a pipe would never end
                raise ValueError("it is not a plain file")
            metadata = json.loads(path.read_text(encoding="utf-8"))
            if not isinstance(metadata, Mapping):
                raise ValueError("it is not a model's metadata")
        except (OSError, ValueError, RecursionError) as error:
            if known:
                problems.append(Problem(model, f"its metadata cannot be read ({error}): {path}", left_out=True))
                continue
        weights = any((folder / f"{model}{suffix}").is_file() for suffix in (".npz", ".pt"))
        row = {"model": model, "name": name if known else model, "version": int(version) if known else None}
        rows.append({**row, "has_weights": weights, "metadata": json.dumps(metadata)})
    return tuple(sorted(rows, key=lambda row: (row["name"], row["version"] or 0))), problems


def list_files(engine: duckdb.DuckDBPyConnection, workspace: Workspace, project_id: str | None = None) -> None:
    """Create the tables `files` (project_id, directory, filename, is_image) and `listed` (project_id) again.

    Hidden files are left out. A project without its folder, or with a damaged manifest, is in neither table.
    """
    found, listed = [], []
    for own_id in [project_id] if project_id else workspace.project_ids():
        try:
            project = workspace.project(own_id)
        except PickroomError:  # already named among the problems
            continue
        if project.root.is_dir():
            listed.append([own_id])
            own = {str(folder) for folder in workspace.own_folders}
            there = []
            for folder, inner, names in os.walk(project.root):
                inner[:] = [name for name in inner if name[0] != "." and os.path.join(folder, name) not in own]
                directory = Path(folder).relative_to(project.root).as_posix().removeprefix(".")
                there += [(directory, name) for name in names if name[0] != "."]
            pictures = (join(*one) for one in there if is_image_name(one[1], ALL_EXTENSIONS))
            others = negatives_of_images(pictures)
            for one in there:
                is_image = is_image_name(one[1], ALL_EXTENSIONS) and join(*one) not in others
                found.append([own_id, *map(as_text, one), is_image])
    texts = dict.fromkeys(("project_id", "directory", "filename"), "VARCHAR")
    fill(engine, "files", texts | {"is_image": "BOOLEAN"}, found)
    fill(engine, "listed", {"project_id": "VARCHAR"}, listed)

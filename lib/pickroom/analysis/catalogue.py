"""What the views are made of, as plain values: handed to the connection here, or to the sealed process of `pickroom sql`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import duckdb

from pickroom.analysis.cache import VIEWS, Copies, Problem
from pickroom.analysis.engine import quoted, read_sql
from pickroom.errors import PickroomError
from pickroom.workspace import Workspace

REGIONS = "regions-"  # files of groups' regions, beside the images' vectors (FORMATS.md, Vectors)
_MODEL_SUFFIX = "_metadata.json"
_PROJECT_COLUMNS = "project_id title status root created_at finished_at image_count group_count encoder notes".split()


@dataclass(frozen=True, slots=True)
class Encoder:
    """The vectors of one encoder: floats in each, and the Parquet files that hold them."""

    encoder_id: str
    dimension: int
    files: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Everything the views read.

    Attributes:
        files: view -> Parquet files.
        encoders: those with vectors, the one with most files first.
        projects: the manifests; models: the model folder's metadata; both as rows.
    """

    files: dict[str, list[str]]
    encoders: tuple[Encoder, ...]
    projects: tuple[dict[str, Any], ...]
    models: tuple[dict[str, Any], ...]

    @property
    def paths(self) -> list[str]:
        """Every file that a query may read."""
        return [path for files in self.files.values() for path in files] + [f for e in self.encoders for f in e.files]

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        values = json.loads(text)
        encoders = tuple(Encoder(e["encoder_id"], e["dimension"], tuple(e["files"])) for e in values["encoders"])
        return cls(values["files"], encoders, tuple(values["projects"]), tuple(values["models"]))


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
        projects.append({name: manifest[name] for name in _PROJECT_COLUMNS})
    encoders, damaged = _encoders(workspace)
    models, unreadable = _models(workspace.models)
    catalogue = Catalogue({view: copies.files(view) for view in VIEWS}, encoders, tuple(projects), models)
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
        except (OSError, KeyError, AttributeError, pyarrow.ArrowException) as error:
            what = f"its vectors cannot be read ({str(error).splitlines()[0]}): {path}"
            problems.append(Problem(path.parts[-2], what, left_out=False))
    encoders = [Encoder(name, dimension, tuple(files)) for (name, dimension), files in found.items()]
    return tuple(sorted(encoders, key=lambda e: (-len(e.files), e.encoder_id))), problems


def _models(folder: Path) -> tuple[tuple[dict[str, Any], ...], list[Problem]]:
    """One row a model version: `<name>_v<N>_metadata.json`, whatever it holds, and whether its weights are there."""
    rows, problems = [], []
    for path in sorted(folder.glob(f"*{_MODEL_SUFFIX}")):
        model = path.name.removesuffix(_MODEL_SUFFIX)
        name, _, version = model.rpartition("_v")
        try:
            metadata = json.loads(path.read_text(encoding="utf-8"))
            if not isinstance(metadata, Mapping) or not name or not version.isdigit():
                raise ValueError("it is no model's metadata")
        except (OSError, ValueError, RecursionError) as error:
            problems.append(Problem(model, f"its metadata cannot be read ({error}): {path}", left_out=True))
            continue
        row = {"model": model, "name": name, "version": int(version), "has_weights": (folder / f"{model}.pt").is_file()}
        rows.append({**row, "metadata": json.dumps(metadata)})
    return tuple(sorted(rows, key=lambda row: (row["name"], row["version"]))), problems


_PROJECTS = dict.fromkeys(_PROJECT_COLUMNS, "VARCHAR") | {"image_count": "BIGINT", "group_count": "BIGINT"}
_MODELS = {"model": "VARCHAR", "name": "VARCHAR", "version": "BIGINT", "has_weights": "BOOLEAN", "metadata": "JSON"}


def define(engine: duckdb.DuckDBPyConnection, catalogue: Catalogue) -> None:
    """Make the views over a catalogue, in place of those that are there."""
    for view, files in catalogue.files.items():
        name = "scanned_images" if view == "images" else view
        engine.execute(f"CREATE OR REPLACE VIEW {name} AS SELECT * FROM read_parquet({_listed(files)})")
    _define_images(engine, catalogue.encoders)
    engine.execute(f"CREATE OR REPLACE VIEW sessions AS {read_sql('sessions')}")
    _fill(engine, "manifests", _PROJECTS, catalogue.projects)
    times = "utc(created_at) AS created_at, utc(finished_at) AS finished_at"
    engine.execute(f"CREATE OR REPLACE VIEW projects AS SELECT * REPLACE ({times}) FROM manifests")
    _fill(engine, "models", _MODELS, catalogue.models)


def _define_images(engine: duckdb.DuckDBPyConnection, encoders: tuple[Encoder, ...]) -> None:
    """`images`: the scanned ones with a column of vectors for each encoder, FLOAT[D] and NULL where there is none.

    `vector` and `encoder_id` are those of the encoder that has most files. A vector counts only for the content it
    was made of.
    """
    selected, joins = ["i.*"], []
    for number, encoder in enumerate(encoders):
        view, vectors = _identifier(f"vectors_{encoder.encoder_id}"), f"e{number}"
        engine.execute(
            f"""CREATE OR REPLACE VIEW {view} AS
            SELECT
                string_split(from_path, '/')[-2] AS project_id, filename, content_hash,
                any_value(vector)::FLOAT[{encoder.dimension}] AS vector
            FROM read_parquet({_listed(encoder.files)}, filename = 'from_path', union_by_name = true)
            WHERE error IS NULL GROUP BY ALL"""
        )
        joins.append(
            f"""LEFT JOIN {view} AS {vectors} ON {vectors}.project_id = i.project_id
            AND {vectors}.filename = i.filename AND {vectors}.content_hash = i.sha256"""
        )
        if number == 0:
            has = f"CASE WHEN {vectors}.vector IS NOT NULL THEN {quoted(encoder.encoder_id)} END AS encoder_id"
            selected += [has, f"{vectors}.vector AS vector"]
        selected.append(f"{vectors}.vector AS {_identifier(f'vector_{encoder.encoder_id}')}")
    if not encoders:
        selected += ["NULL::VARCHAR AS encoder_id", "NULL::FLOAT[] AS vector"]
    engine.execute(
        f"CREATE OR REPLACE VIEW images AS SELECT {', '.join(selected)} FROM scanned_images AS i {' '.join(joins)}"
    )


def _fill(
    engine: duckdb.DuckDBPyConnection, table: str, types: Mapping[str, str], rows: tuple[dict[str, Any], ...]
) -> None:
    engine.execute(f"CREATE OR REPLACE TABLE {table} ({', '.join(f'{name} {kind}' for name, kind in types.items())})")
    if rows:
        places = ", ".join("?" for _ in types)
        engine.executemany(f"INSERT INTO {table} VALUES ({places})", [[row[name] for name in types] for row in rows])


def _listed(paths: Sequence[str]) -> str:
    return f"[{', '.join(quoted(path) for path in paths)}]"


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'

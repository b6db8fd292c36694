"""The views, made on any connection from plain values: in this process, or in the sealed one of `pickroom sql`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import duckdb

from pickroom.analysis.engine import identifier, quoted, read_sql

# those that are copied from each project's databases; `sql/views/*.sql`
COPIED = (
    "decisions",
    "outcomes",
    "crops",
    "groups",
    "images",
    "recommendations",
    "operations",
    "legacy_selections",
    "unsound_rows",
)
_BOXES = {
    "decisions": ("ai_crop_coords", "final_crop_coords"),
    "crops": ("box", "ai_box"),
    "recommendations": ("crop_coords",),
}
# of a project's manifest and of a model: column -> type
PROJECT_COLUMNS = {
    **dict.fromkeys(("project_id", "title", "status", "root", "created_at", "finished_at", "encoder"), "VARCHAR"),
    "image_count": "BIGINT",
    "group_count": "BIGINT",
    "notes": "VARCHAR",
}
MODEL_COLUMNS = {"model": "VARCHAR", "name": "VARCHAR", "version": "BIGINT"}
MODEL_COLUMNS |= {"has_weights": "BOOLEAN", "metadata": "JSON"}


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


def define(engine: duckdb.DuckDBPyConnection, catalogue: Catalogue) -> None:
    """Make the views over a catalogue, in place of those that are there."""
    for view, files in catalogue.files.items():
        name = "scanned_images" if view == "images" else view
        boxes = ", ".join(f"{column}::DOUBLE[4] AS {column}" for column in _BOXES.get(view, ()))
        columns = f"* REPLACE ({boxes})" if boxes else "*"
        engine.execute(f"CREATE OR REPLACE VIEW {name} AS SELECT {columns} FROM read_parquet({_listed(files)})")
    _define_images(engine, catalogue.encoders)
    engine.execute(f"CREATE OR REPLACE VIEW sessions AS {read_sql('sessions')}")
    _fill(engine, "manifests", PROJECT_COLUMNS, catalogue.projects)
    times = "utc(created_at) AS created_at, utc(finished_at) AS finished_at"
    engine.execute(f"CREATE OR REPLACE VIEW projects AS SELECT * REPLACE ({times}) FROM manifests")
    _fill(engine, "models", MODEL_COLUMNS, catalogue.models)


def _define_images(engine: duckdb.DuckDBPyConnection, encoders: tuple[Encoder, ...]) -> None:
    """`images`: the scanned ones with a column of vectors for each encoder, FLOAT[D] and NULL where there is none.

    `vector` and `encoder_id` are those of the encoder that has most files. A vector counts only for the content it
    was made of.
    """
    selected, joins = ["i.*"], []
    for number, encoder in enumerate(encoders):
        view, vectors = identifier(f"vectors_{encoder.encoder_id}"), f"e{number}"
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
        selected.append(f"{vectors}.vector AS {identifier(f'vector_{encoder.encoder_id}')}")
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

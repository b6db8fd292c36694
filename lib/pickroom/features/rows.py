"""The rows of the Parquet part files (FORMATS.md, Vectors): as records, as columns, and as Arrow tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from pickroom.features.encoder import EncoderSpec
from pickroom.features.parts import floats_column, floats_type


@dataclass(frozen=True, slots=True)
class VectorRow:
    """One image's row (FORMATS.md, Vectors); what is not known is None.

    Attributes:
        vector: (dim,) floats, None with an `error`.
        patches: (patch_rows, patch_cols, patch_dim) floats, None without a grid.
    """

    filename: str
    content_hash: str | None
    width: int | None
    height: int | None
    file_size: int | None
    mtime_ns: int | None
    vector: np.ndarray | None
    patches: np.ndarray | None
    error: str | None


def vector_schema(spec: EncoderSpec) -> pa.Schema:
    """The columns of FORMATS.md, in its order."""
    return pa.schema(
        [
            pa.field("filename", pa.string(), nullable=False),
            ("content_hash", pa.string()),
            ("width", pa.int32()),
            ("height", pa.int32()),
            ("file_size", pa.int64()),
            ("mtime_ns", pa.int64()),
            ("vector", floats_type(spec.storage, spec.dim)),
            ("patches", floats_type("float16", max(1, spec.patch_size))),
            ("patch_rows", pa.int16()),
            ("patch_cols", pa.int16()),
            ("patch_dim", pa.int16()),
            ("error", pa.string()),
        ]
    )


def vector_table(spec: EncoderSpec, rows: Sequence[VectorRow]) -> pa.Table:
    """Rows as a table of `vector_schema`; a vector that its storage cannot hold becomes an error."""
    rows = [_storable(row, spec) for row in rows]
    schema = vector_schema(spec)
    grid = [row.patches is not None for row in rows]
    columns: dict[str, Any] = {
        name: [getattr(row, name) for row in rows]
        for name in ("filename", "content_hash", "width", "height", "file_size", "mtime_ns", "error")
    }
    columns["vector"] = floats_column([row.vector for row in rows], schema.field("vector").type)
    columns["patches"] = floats_column([row.patches for row in rows], schema.field("patches").type)
    for name in ("patch_rows", "patch_cols", "patch_dim"):
        columns[name] = [getattr(spec, name) if has else None for has in grid]
    return pa.table(columns, schema=schema)


def _storable(row: VectorRow, spec: EncoderSpec) -> VectorRow:
    with np.errstate(over="ignore"):  # an overflow is what is looked for
        if row.vector is None or np.isfinite(row.vector.astype(spec.storage)).all():
            return row
    return replace(row, vector=None, patches=None, error=f"the vector is not finite in {spec.storage}")

"""Parquet part files: their columns, how one appears whole or not at all, how many are read as one matrix."""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pickroom import atomic
from pickroom.embeddings.encoder import EncoderSpec
from pickroom.errors import StoreError

SCHEMA_VERSION = "1"
VECTORS, REGIONS = "vectors", "regions"  # the two kinds of parts; a part's name begins with its kind
# long pages: a vector column has nothing to skip to, and each page costs the reader a call
_PAGE_BYTES = 8 << 20
T = TypeVar("T")
_TRIES = 5  # a listing is read again when a part was merged away meanwhile


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


@dataclass(frozen=True, slots=True)
class RegionRow:
    """One region of one member of a group.

    Attributes:
        members_hash: of the group's members; other members, other regions.
        settings: how regions were found, in short; other settings, other regions.
        region: 0 for the place where the members differ most, then 1, ...; 0 also for a row with an `error`.
        box: (x1, y1, x2, y2), fractions of the EXIF-upright image; the same for all members.
        difference: 1 - structural similarity there, in [0, 2].
    """

    group_id: str
    filename: str
    members_hash: str
    settings: str
    content_hash: str
    region: int
    box: tuple[float, float, float, float] | None
    difference: float | None
    vector: np.ndarray | None
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
            ("vector", _floats(spec.storage, spec.dim)),
            ("patches", _floats("float16", max(1, spec.patch_size))),
            ("patch_rows", pa.int16()),
            ("patch_cols", pa.int16()),
            ("patch_dim", pa.int16()),
            ("error", pa.string()),
        ]
    )


def region_schema(spec: EncoderSpec) -> pa.Schema:
    """The columns of `regions-*.parquet`."""
    texts = ("group_id", "filename", "members_hash", "settings", "content_hash")
    return pa.schema(
        [
            *(pa.field(name, pa.string(), nullable=False) for name in texts),
            ("region", pa.int16()),
            *((name, pa.float32()) for name in ("x1", "y1", "x2", "y2", "difference")),
            ("vector", _floats(spec.storage, spec.dim)),
            ("error", pa.string()),
        ]
    )


def _floats(dtype: str, length: int) -> pa.DataType:
    # the floats of a vector are never null, only the vector as a whole: it reads several times faster so
    kind = pa.float16() if dtype == "float16" else pa.float32()
    return pa.list_(pa.field("element", kind, nullable=False), length)  # the name that Parquet gives it


def vector_table(spec: EncoderSpec, rows: Sequence[VectorRow]) -> pa.Table:
    """Rows as a table of `vector_schema`; a vector that its storage cannot hold becomes an error."""
    rows = [_storable(row, spec) for row in rows]
    schema = vector_schema(spec)
    grid = [row.patches is not None for row in rows]
    columns: dict[str, Any] = {
        name: [getattr(row, name) for row in rows]
        for name in ("filename", "content_hash", "width", "height", "file_size", "mtime_ns", "error")
    }
    columns["vector"] = _lists([row.vector for row in rows], schema.field("vector").type)
    columns["patches"] = _lists([row.patches for row in rows], schema.field("patches").type)
    for name in ("patch_rows", "patch_cols", "patch_dim"):
        columns[name] = [getattr(spec, name) if has else None for has in grid]
    return pa.table(columns, schema=schema)


def _storable(row: VectorRow, spec: EncoderSpec) -> VectorRow:
    from dataclasses import replace

    with np.errstate(over="ignore"):  # an overflow is what is looked for
        if row.vector is None or np.isfinite(row.vector.astype(spec.storage)).all():
            return row
    return replace(row, vector=None, patches=None, error=f"the vector is not finite in {spec.storage}")


def region_table(spec: EncoderSpec, rows: Sequence[RegionRow]) -> pa.Table:
    """Rows as a table of `region_schema`."""
    schema = region_schema(spec)
    columns: dict[str, Any] = {
        name: [getattr(row, name) for row in rows]
        for name in (
            "group_id",
            "filename",
            "members_hash",
            "settings",
            "content_hash",
            "region",
            "difference",
            "error",
        )
    }
    for place, name in enumerate(("x1", "y1", "x2", "y2")):
        columns[name] = [row.box[place] if row.box else None for row in rows]
    columns["vector"] = _lists([row.vector for row in rows], schema.field("vector").type)
    return pa.table(columns, schema=schema)


def _lists(values: Sequence[np.ndarray | None], kind: pa.DataType) -> pa.Array:
    length, dtype = kind.list_size, kind.value_type.to_pandas_dtype()
    flat = np.zeros((len(values), length), dtype=dtype)
    missing = np.array([value is None for value in values], dtype=bool)
    for place, value in enumerate(values):
        if value is not None:
            flat[place] = value.reshape(-1)
    return pa.FixedSizeListArray.from_arrays(pa.array(flat.reshape(-1)), type=kind, mask=pa.array(missing))


class Parts:
    """The part files of one kind in one folder. One process writes; any number read meanwhile."""

    def __init__(self, folder: Path, kind: str, schema: pa.Schema, labels: dict[str, str]) -> None:
        self.folder, self.kind, self.schema = folder, kind, schema
        self._labels = {**labels, "pickroom_parts": SCHEMA_VERSION}
        self._name = re.compile(rf"{kind}-(\d{{6}})\.parquet")
        self._publishing = threading.Lock()
        self.published = 0  # parts since the last merge

    def files(self) -> list[Path]:
        """The published parts, oldest first."""
        try:
            return sorted(p for p in self.folder.iterdir() if self._name.fullmatch(p.name))
        except FileNotFoundError:
            return []

    def publish(self, table: pa.Table) -> Path:
        """Write a part that appears whole, on disk for good when this returns."""
        sink = pa.BufferOutputStream()
        columns = [_rebuilt(table[field.name], field.type) for field in self.schema]
        pq.write_table(
            pa.table(columns, schema=self.schema.with_metadata(self._labels)),
            sink,
            compression="none",  # floats of a network do not compress
            use_dictionary=False,
            write_statistics=False,
            data_page_size=_PAGE_BYTES,
        )
        data = sink.getvalue().to_pybytes()
        with self._publishing:
            self.folder.mkdir(parents=True, exist_ok=True)
            while True:
                last = max((int(self._name.fullmatch(p.name)[1]) for p in self.files()), default=0)  # type: ignore[index]
                path = self.folder / f"{self.kind}-{last + 1:06d}.parquet"
                with contextlib.suppress(FileExistsError):
                    atomic.create_bytes(path, data)
                    atomic.sync_folders([self.folder])
                    self.published += 1
                    return path

    def count(self, path: Path) -> int:
        """Rows of one part."""
        with self._explained(path):
            return pq.read_metadata(path).num_rows

    def read(self, path: Path, columns: Sequence[str] | None = None) -> pa.Table:
        """One part's columns.

        Raises:
            StoreError: the part is damaged, or of another encoder.
        """
        with self._explained(path), pq.ParquetFile(path, memory_map=True) as file:
            expected = self.schema.names if columns is None else list(columns)
            missing = [name for name in expected if name not in file.schema_arrow.names]
            kinds = [n for n in ("vector", "patches") if n in expected and n not in missing]
            if missing or any(file.schema_arrow.field(n).type != self.schema.field(n).type for n in kinds):
                raise pa.ArrowInvalid("its columns are not this encoder's")
            return file.read(columns=expected, use_threads=False)

    def table(self, columns: Sequence[str]) -> pa.Table:
        """Some columns of every part, one below the other. Not for vectors: see `vectors.gather`."""
        empty = pa.schema([self.schema.field(name) for name in columns]).empty_table()
        return self.stable(
            lambda files: pa.concat_tables([empty, *self.parallel(lambda p: self.read(p, columns), files)])
        )

    def stable(self, read: Callable[[list[Path]], T]) -> T:
        """`read` of the list of all parts, begun again when one of them is merged away meanwhile."""
        for _ in range(_TRIES):
            with contextlib.suppress(FileNotFoundError):
                return read(self.files())
        raise StoreError(
            "part files keep vanishing", doing="reading vectors", subject=self.folder, hint="try again in a minute"
        )

    @staticmethod
    def parallel(read: Callable[[Any], T], parts: Sequence[Any]) -> list[T]:
        """`read` of each part, in their order, some at a time: one column is one thread's work to Arrow."""
        with ThreadPoolExecutor(4) as pool:
            return list(pool.map(read, parts))

    def remove(self, paths: Iterable[Path]) -> None:
        """Take parts away whose rows have been published in another one."""
        for path in paths:
            path.unlink(missing_ok=True)
        atomic.sync_folders([self.folder])

    def sweep(self) -> None:
        """Remove what a killed process left half written. Only for the process that holds the writer's lock."""
        for path in self.folder.glob(".*.partial"):
            path.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _explained(self, path: Path) -> Any:
        try:
            yield
        except (pa.ArrowException, OSError) as error:
            if isinstance(error, FileNotFoundError):
                raise
            first = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
            raise StoreError(
                f"a part file is damaged ({first})",
                doing="reading vectors",
                subject=path,
                hint="move it away, then run pickroom embed again: only its images are embedded again",
            ) from error


def _rebuilt(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    """A column as it was before it was read: Parquet's reader fills a null vector with null floats."""
    if not pa.types.is_fixed_size_list(kind) or not column.null_count:
        return column
    flat = np.zeros((len(column), kind.list_size), dtype=kind.value_type.to_pandas_dtype())
    present = rows_of(column, flat)
    rebuilt = pa.FixedSizeListArray.from_arrays(pa.array(flat.reshape(-1)), type=kind, mask=pa.array(~present))
    return pa.chunked_array([rebuilt])


def rows_of(column: pa.ChunkedArray, out: np.ndarray) -> np.ndarray:
    """Write a part's vectors into `out` (rows, length) where they are not null, and return that mask (rows,)."""
    at = 0
    present = np.ones(len(column), dtype=bool)
    for chunk in column.chunks:
        values = chunk.flatten().to_numpy(zero_copy_only=True).reshape(-1, out.shape[1])
        if chunk.null_count:
            here = np.asarray(chunk.is_valid())
            present[at : at + len(chunk)] = here
            out[at : at + len(chunk)][here] = values
        else:
            out[at : at + len(chunk)] = values
        at += len(chunk)
    return present

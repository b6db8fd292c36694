"""Part files: how one appears whole or not at all, and how all of them are read while some are merged away."""

import contextlib
import re
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pickroom.core.errors import StoreError
from pickroom.storage import atomic

SCHEMA_VERSION = "1"
MANY_PARTS = 256
ROWS_PER_PART = 1024  # of a merged part: some 35 MB with patches; a merge holds ten times as much
# long pages: a vector column has nothing to skip to, and each page costs the reader a call
_PAGE_BYTES = 8 << 20
T = TypeVar("T")
_TRIES = 5  # a listing is read again when a part was merged away meanwhile


class Parts:
    """The part files of one kind in one folder. One process writes; any number read meanwhile."""

    def __init__(
        self,
        folder: Path,
        kind: str,
        schema: pa.Schema,
        labels: dict[str, str],
        key: Sequence[str] = (),
        later: str = "",
    ) -> None:
        """Name the parts.

        Args:
            key: columns whose values tell rows apart; of doubled rows the newest counts.
            later: a column that parts of earlier versions lack; read as null.
        """
        self.folder, self.kind, self.schema, self._key, self._later = folder, kind, schema, key, later
        self._labels = {**labels, "pickroom_parts": SCHEMA_VERSION}
        self._name = re.compile(rf"{kind}-(\d{{6}})\.parquet")
        self._publishing = threading.Lock()
        self._published = 0  # parts since the last merge

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
            write_page_checksum=True,
        )
        data = sink.getvalue().to_pybytes()
        with self._publishing:
            self.folder.mkdir(parents=True, exist_ok=True)
            while True:
                taken = (self._name.fullmatch(part.name) for part in self.files())
                last = max((int(match[1]) for match in taken if match), default=0)
                path = self.folder / f"{self.kind}-{last + 1:06d}.parquet"
                with contextlib.suppress(FileExistsError):
                    atomic.create_bytes(path, data)
                    atomic.sync_folders([self.folder])
                    self._published += 1
                    return path

    def append(self, table: pa.Table) -> None:
        """Publish a part; after many new ones small parts are merged, even in the middle of a run."""
        if table.num_rows:
            self.publish(table)
        if self._published >= MANY_PARTS:
            self.merge()

    def count(self, path: Path) -> int:
        """Rows of one part."""
        with self._explained(path):
            count: int = pq.read_metadata(path).num_rows
            return count

    def read(self, path: Path, columns: Sequence[str] | None = None, *, thorough: bool = False) -> pa.Table:
        """One part's columns.

        Args:
            thorough: compare the pages read with their checksums.

        Raises:
            StoreError: the part is damaged, or of another encoder.
        """
        with (
            self._explained(path),
            pq.ParquetFile(path, memory_map=True, page_checksum_verification=thorough) as file,
        ):
            wanted = self.schema.names if columns is None else list(columns)
            absent = {self._later} & set(wanted) - set(file.schema_arrow.names)
            expected = [name for name in wanted if name not in absent]
            missing = [name for name in expected if name not in file.schema_arrow.names]
            kinds = [n for n in expected if n not in missing and pa.types.is_fixed_size_list(self.schema.field(n).type)]
            if missing or any(file.schema_arrow.field(n).type != self.schema.field(n).type for n in kinds):
                raise pa.ArrowInvalid("its columns are other ones")
            table = file.read(columns=expected, use_threads=False)
            table.validate(full=True)  # a name that is not UTF-8 would come up far from here
            for name in absent:
                table = table.append_column(self.schema.field(name), pa.nulls(len(table), self.schema.field(name).type))
            return table.select(wanted) if absent else table

    def table(self, columns: Sequence[str]) -> pa.Table:
        """Some columns of every part, one below the other. For floats see `gather`."""
        empty = self._empty(columns)
        return self.stable(
            lambda files: pa.concat_tables([empty, *self.parallel(lambda p: self.read(p, columns), files)])
        )

    def gather(self, columns: Sequence[str], floats: dict[str, type]) -> tuple[pa.Table, list[np.ndarray], np.ndarray]:
        """Columns of all parts, their float columns as matrices (NaN where null), and which rows have the first.

        Each part is read straight into its place of the one matrix, several at a time. Of rows doubled by a kill in the
        middle of a merge the newest is given. `columns` has those of the key.
        """

        def read_all(files: list[Path]) -> tuple[pa.Table, list[np.ndarray], np.ndarray]:
            ends = np.cumsum([0, *(self.count(path) for path in files)])
            total = int(ends[-1])
            lengths = (self.schema.field(name).type.list_size for name in floats)
            matrices = [np.empty((total, length), kind) for length, kind in zip(lengths, floats.values(), strict=True)]
            present = np.zeros(total, dtype=bool)

            def read_one(at: int) -> pa.Table:
                here = slice(ends[at], ends[at + 1])
                table = self.read(files[at], (*columns, *floats))
                masks = [rows_of(table[name], matrix[here]) for name, matrix in zip(floats, matrices, strict=True)]
                present[here] = masks[0]
                for matrix, mask in zip(matrices, masks, strict=True):
                    if not mask.all():
                        matrix[here][~mask] = np.nan
                return table.select(list(columns))

            table = pa.concat_tables([self._empty(columns), *self.parallel(read_one, range(len(files)))])
            keys = zip(*(table[name].to_pylist() for name in self._key), strict=True)
            newest = list({key: row for row, key in enumerate(keys)}.values())
            if len(newest) == total:
                return table, matrices, present
            return table.take(newest), [matrix[newest] for matrix in matrices], present[newest]

        return self.stable(read_all)

    def _empty(self, columns: Sequence[str]) -> pa.Table:
        return pa.Table.from_batches([], pa.schema([self.schema.field(name) for name in columns]))

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

    def merge(self, stale: Callable[[Any], bool] = lambda key: False) -> None:
        """Merge small parts, and drop rows whose key is stale, or doubled: the newest stays. Safe to kill."""
        files = self.files()
        self._published = 0
        seen: set[Any] = set()
        kept: dict[Path, list[bool]] = {}
        for path in reversed(files):
            table = self.read(path, self._key)
            keys = list(zip(*(column.to_pylist() for column in table.columns), strict=True))
            kept[path] = []
            for key in keys:
                kept[path].append(key not in seen and not stale(key))
                seen.add(key)
        small = [path for path in files if len(kept[path]) < ROWS_PER_PART]
        dirty = [path for path in files if not all(kept[path])]
        if len(small) < 2 and not dirty:
            return
        rewritten = [path for path in files if path in {*small, *dirty}]
        waiting: list[pa.Table] = []
        for path in rewritten:
            waiting.append(self.read(path).filter(pa.array(kept[path], type=pa.bool_())))
            while sum(table.num_rows for table in waiting) >= ROWS_PER_PART:
                merged = pa.concat_tables(waiting)
                self.publish(merged.slice(0, ROWS_PER_PART).combine_chunks())
                waiting = [merged.slice(ROWS_PER_PART)]
        if sum(table.num_rows for table in waiting):
            self.publish(pa.concat_tables(waiting).combine_chunks())
        self.remove(rewritten)
        self._published = 0  # those it wrote itself do not count

    def remove(self, paths: Iterable[Path]) -> None:
        """Take parts away whose rows have been published in another one."""
        for path in paths:
            path.unlink(missing_ok=True)
        atomic.sync_folders([self.folder])

    def set_damaged_aside(self, *, thorough: bool = False) -> list[Path]:
        """Rename parts that cannot be read, so that what they held is made again; their new paths.

        Args:
            thorough: try every column of every part, with checksums, and not only the key's.
        """
        moved = []
        for path in self.files():
            try:
                self.read(path, None if thorough else self._key, thorough=thorough)
            except StoreError as error:
                if isinstance(error.__cause__, OSError) and error.__cause__.errno is not None:
                    raise  # the disk's fault, or a lack of permission: the part may be sound
                moved.append(path.with_name(f"{path.name}.damaged"))
                atomic.publish(path, moved[-1])
        return moved

    def sweep(self) -> None:
        """Remove what a killed process left half written. Only for the process that holds the writer's lock."""
        for path in self.folder.glob(f".*{atomic.PARTIAL_SUFFIX}"):
            path.unlink(missing_ok=True)
        for path in self.files():
            atomic.drop_claim(path)

    @contextlib.contextmanager
    def _explained(self, path: Path) -> Any:
        try:
            yield
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:  # a column's name is decoded by nobody else
            if isinstance(error, FileNotFoundError):
                raise
            first = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
            raise StoreError(
                f"a part file is damaged ({first})",
                doing="reading vectors",
                subject=path,
                hint="run `pickroom embed` again: it sets the part aside and makes its rows again",
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
        # not by `to_numpy`, which imports pandas (a third of a second), nor by `flatten`, which imports pyarrow.compute
        length = out.shape[1]
        floats = chunk.flatten() if chunk.null_count else chunk.values.slice(chunk.offset * length, len(chunk) * length)
        values = np.from_dlpack(floats).reshape(-1, length)
        if chunk.null_count:
            here = np.asarray(chunk.is_valid())
            present[at : at + len(chunk)] = here
            out[at : at + len(chunk)][here] = values
        else:
            out[at : at + len(chunk)] = values
        at += len(chunk)
    return present


def floats_type(dtype: str, length: int) -> pa.DataType:
    """The type of a column of so many floats a row; dtype is "float16" or "float32"."""
    # the floats are never null, only the row as a whole: it reads several times faster so
    kind = pa.float16() if dtype == "float16" else pa.float32()
    return pa.list_(pa.field("element", kind, nullable=False), length)  # the name that Parquet gives it


def floats_column(values: Sequence[np.ndarray | None], kind: pa.DataType) -> pa.Array:
    """Arrays, flattened, as a column of `floats_type`; None becomes null."""
    length, dtype = kind.list_size, kind.value_type.to_pandas_dtype()
    flat = np.zeros((len(values), length), dtype=dtype)
    missing = np.array([value is None for value in values], dtype=bool)
    for place, value in enumerate(values):
        if value is not None:
            flat[place] = value.reshape(-1)
    return pa.FixedSizeListArray.from_arrays(pa.array(flat.reshape(-1)), type=kind, mask=pa.array(missing))

"""The vectors of one project by one encoder: appended batch by batch, merged now and then, read as one matrix.

`load_vectors(project, patches=True)` has the vector and the patch grid of an image at `place(filename, sha256)`.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pickroom.core.errors import StoreError
from pickroom.core.naming import source_folder
from pickroom.features.encoder import EncoderSpec
from pickroom.features.parts import Parts, floats_column, floats_type
from pickroom.features.reading import EmbedItem
from pickroom.storage import atomic, json_records
from pickroom.storage.locking import exclusive
from pickroom.store.workspace import Project, Workspace


@dataclass(frozen=True, slots=True)
class VectorRow:
    """One image's row (FORMATS.md, Vectors); what is not known is None."""

    filename: str
    content_hash: str | None
    width: int | None
    height: int | None
    file_size: int | None
    mtime_ns: int | None
    vector: np.ndarray | None  # (dim,) floats, None with an `error`
    patches: np.ndarray | None  # (patch_rows, patch_cols, patch_dim) floats, None without a grid
    error: str | None
    directory: str | None = None  # that it lay in, below Pickroom's folders; None in imports and earlier versions


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
            ("directory", pa.string()),
        ]
    )


def vector_table(spec: EncoderSpec, rows: Sequence[VectorRow]) -> pa.Table:
    """Rows as a table of `vector_schema`; a vector that its storage cannot hold becomes an error."""
    rows = [_storable(row, spec) for row in rows]
    schema = vector_schema(spec)
    grid = [row.patches is not None for row in rows]
    columns: dict[str, Any] = {
        name: [getattr(row, name) for row in rows]
        for name in ("filename", "content_hash", "width", "height", "file_size", "mtime_ns", "error", "directory")
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


ENCODER_FILE = "encoder.json"
_VECTOR_KEY = ("filename", "content_hash")

Key = tuple[str, str | None]  # (filename, content hash): an image's identity; no hash for a file nobody could read


@dataclass(frozen=True, slots=True)
class KnownRow:
    """What the store says of one image, without its floats."""

    file_size: int | None
    mtime_ns: int | None
    error: str | None
    whole: bool = True  # False for an imported vector of an encoder that also makes a patch grid


class VectorStore:
    """One project's folder below one encoder's (FORMATS.md, Folders)."""

    def __init__(self, workspace: Workspace, spec: EncoderSpec, project_id: str) -> None:
        self.spec = spec = as_stored(workspace, spec, project_id)
        self.project_id = project_id
        self.folder = workspace.embeddings / spec.encoder_id / project_id
        labels = {"encoder_id": spec.encoder_id, "project_id": project_id}
        self.vectors = Parts(self.folder, "vectors", vector_schema(spec), labels, _VECTOR_KEY, "directory")

    @contextmanager
    def writing(self, doing: str) -> Iterator[None]:
        """Be the one process that writes here; what a killed one left half written is swept away.

        Raises:
            LockedError: another process embeds this project.
        """
        with exclusive(self.folder / ".lock", f"the vectors of project {self.project_id}", doing):
            self.vectors.sweep()
            yield

    def known(self) -> dict[Key, KnownRow]:
        """Every image that has a row."""
        table = self.vectors.table(("filename", "content_hash", "file_size", "mtime_ns", "error", "patch_rows"))
        columns = [column.to_pylist() for column in table.columns]
        gridless = not self.spec.patch_size
        return {
            (name, digest): KnownRow(size, mtime, error, gridless or bool(error) or rows is not None)
            for name, digest, size, mtime, error, rows in zip(*columns, strict=True)
        }

    def append(self, rows: Sequence[VectorRow]) -> None:
        """Publish rows as a part of their own: all of them, or none."""
        if rows:
            self.vectors.append(vector_table(self.spec, rows))

    def copy_rows(self, wanted: Mapping[str, Sequence[EmbedItem]]) -> list[VectorRow]:
        """The rows of known contents, for other files that hold them; a content without a row is left out.

        Args:
            wanted: content hash -> the files of that content.
        """
        found: dict[str, VectorRow] = {}
        for path in self.vectors.files():
            hashes = self.vectors.read(path, ("content_hash",))["content_hash"].to_pylist()
            places = [place for place, digest in enumerate(hashes) if digest in wanted and digest not in found]
            found |= {row.content_hash or "": row for row in self.rows(path, places)}
        return [
            replace(
                row,
                filename=item.filename,
                directory=source_folder(item.directory),
                file_size=item.file_size,
                mtime_ns=item.mtime_ns,
            )
            for digest, row in found.items()
            for item in wanted[digest]
        ]

    def rows(self, path: Path, places: Sequence[int]) -> list[VectorRow]:
        """Some rows of one part."""
        if not places:
            return []
        table = self.vectors.read(path).take(pa.array(places))
        grid = (self.spec.patch_rows, self.spec.patch_cols, self.spec.patch_dim)
        made = []
        for values in table.to_pylist():
            for name, shape in (("vector", -1), ("patches", grid)):
                if values[name] is not None:
                    values[name] = np.asarray(values[name], dtype=np.float32).reshape(shape)
            made.append(VectorRow(**{field.name: values[field.name] for field in fields(VectorRow)}))
        return made


def as_stored(workspace: Workspace, spec: EncoderSpec, project_id: str) -> EncoderSpec:
    """The encoder with the patch grid that a project's rows have; as given where there are none, or damaged ones.

    Version 0.1 reduced the grids of the bundled encoder, and a project that has such rows keeps to them.
    """
    folder = workspace.embeddings / spec.encoder_id / project_id
    for path in Parts(folder, "vectors", pa.schema([]), {}, ()).files():
        with suppress(
            OSError, pa.ArrowException, AttributeError, KeyError, UnicodeDecodeError
        ):  # reading the rows says what is wrong
            size = pq.read_schema(path).field("patches").type.list_size
            return next((form for form in (spec.whole, spec.reduced) if form.patch_size == size), spec)
    return spec


class _SpecFile(msgspec.Struct):
    spec: EncoderSpec
    notes: dict[str, Any]


def save_spec(workspace: Workspace, spec: EncoderSpec, notes: dict[str, Any]) -> None:
    """Keep an encoder's specification, which its id only hashes, next to its vectors; the last notes stay.

    Args:
        notes: where it came from; no part of the id.
    """
    found = read_spec(workspace, spec.encoder_id)
    if found and found[1] == notes:
        return
    folder = workspace.embeddings / spec.encoder_id
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"encoder_id": spec.encoder_id, "spec": asdict(spec), "notes": notes}, indent=2) + "\n"
    atomic.drop_claim(folder / ENCODER_FILE)
    atomic.write_bytes(folder / ENCODER_FILE, text.encode())
    atomic.sync_folders([folder, folder.parent])


def known_specs(workspace: Workspace) -> list[EncoderSpec]:
    """The specifications of all encoders that have vectors in a workspace, by id; damaged ones are left out."""
    found = []
    for path in sorted(workspace.embeddings.glob(f"*/{ENCODER_FILE}")):
        with suppress(StoreError):  # who needs that one is told when it is opened
            found += [spec[0] for spec in [read_spec(workspace, path.parent.name)] if spec]
    return found


def read_spec(workspace: Workspace, encoder_id: str | None) -> tuple[EncoderSpec, dict[str, Any]] | None:
    """An encoder's specification and notes; None when nothing was ever embedded by it here, or for no id.

    Raises:
        StoreError: the file is damaged.
    """
    if not encoder_id:
        return None
    path = workspace.embeddings / encoder_id / ENCODER_FILE
    what, doing = "an encoder's specification is damaged", "reading it"
    hint = "move the file away and run `pickroom embed` again: it is written anew"
    found = json_records.read(_SpecFile, path, what=what, doing=doing, hint=hint)
    if found is not None and found.spec.encoder_id != encoder_id:
        raise StoreError(f"{what} (its specification has another id)", doing=doing, subject=path, hint=hint)
    return (found.spec, found.notes) if found is not None else None


@dataclass(frozen=True)
class ImageRows:
    """Rows that belong to images, and how the row of an image is found."""

    # filenames, content_hashes: (N,) object arrays of text; a hash is None for an imported vector
    filenames: np.ndarray
    content_hashes: np.ndarray
    _by_content: dict[str, int] = field(default_factory=dict, init=False, repr=False, compare=False)
    _by_name: dict[str, list[int]] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.filenames)

    def place(self, filename: str, content_hash: str | None) -> int | None:
        """The row of one image, None when it has none: by its content, whatever its name was.

        A row without a hash (imported from a cache that knew none) serves any image of its name. An image without a
        hash (of an imported decision) is served by the row of its name, where there is only one.
        """
        if not self._by_name and len(self):
            for row, (name, digest) in enumerate(zip(self.filenames, self.content_hashes, strict=True)):
                self._by_name.setdefault(name, []).append(row)
                if digest is not None:
                    self._by_content[digest] = row
        if content_hash in self._by_content:
            return self._by_content[content_hash]
        rows = self._by_name.get(filename, [])
        if content_hash is None and len(rows) == 1:
            return rows[0]
        return next((row for row in rows if self.content_hashes[row] is None), None)


@dataclass(frozen=True)
class Vectors(ImageRows):
    """Every image of a project that has a vector; row i of each part belongs to one image.

    Attributes:
        matrix: (N, dim) float32, raw: not normalised.
        patches: (N, patch_rows, patch_cols, patch_dim) float16, None when not asked for or without a grid; NaN for an
            image whose vector was imported: it has no grid.
        errors: file name -> why it has no vector.
        directories: (N,) object array: the folder that each image lay in; None where unknown.
    """

    spec: EncoderSpec
    matrix: np.ndarray
    patches: np.ndarray | None
    errors: dict[str, str]
    directories: np.ndarray = field(default_factory=lambda: np.zeros(0, object))


def open_store(project: Project) -> VectorStore:
    """The store of the encoder a project is bound to.

    Raises:
        StoreError: it has no vectors yet, or its encoder's specification is gone.
    """
    found = read_spec(project.workspace, project.manifest.encoder)
    if found is None:
        raise StoreError(
            f"project {project.id} has no vectors",
            doing="reading vectors",
            subject=project.workspace.embeddings,
            hint=f"make them: pickroom embed {project.id}; without a network: --encoder bundled",
        )
    return VectorStore(project.workspace, found[0], project.id)


def load_vectors(project: Project, *, patches: bool = False) -> Vectors:
    """All vectors of a project, by the encoder it is bound to; raises StoreError as `open_store` does."""
    return read_vectors(open_store(project), patches=patches)


def cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Cosine of each row of (N, D) `a` to the same row of `b`, (N,) float64; 0 where either is zero."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return np.divide((a * b).sum(axis=1), norms, out=np.zeros(len(a)), where=norms > 0)


def read_vectors(store: VectorStore, *, patches: bool = False) -> Vectors:
    """All vectors of one store."""
    spec = store.spec
    wanted: dict[str, type] = {"vector": np.float32}
    if patches and spec.patch_size:
        wanted["patches"] = np.float16
    table, matrices, present = store.vectors.gather(("filename", "content_hash", "error", "directory"), wanted)
    columns = ("filename", "content_hash", "directory")
    names, hashes, folders = (np.array(table[name].to_pylist(), dtype=object) for name in columns)
    texts = table["error"].to_pylist() if not present.all() else []
    errors = {name: text for name, text in zip(names, texts, strict=False) if text}
    if not present.all():
        names, hashes, folders = names[present], hashes[present], folders[present]
        matrices = [m[present] for m in matrices]
    grid = matrices[1].reshape(-1, spec.patch_rows, spec.patch_cols, spec.patch_dim) if len(matrices) > 1 else None
    return Vectors(names, hashes, spec, matrices[0], grid, errors, folders)

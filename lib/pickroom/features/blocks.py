"""Blocks: named numbers of an image, next to its vector. They do not depend on the encoder, only on the content.

Each block has part files of its own in `data/ai_data/blocks/<project>/` (FORMATS.md, Blocks), one row per content.
Rows stay when their images are gone, so that a project still trains on its picks.
"""

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from PIL import Image as PillowImage

from pickroom.core.records import FacePlace
from pickroom.features import faces, technical
from pickroom.features.choice import bound_spec
from pickroom.features.parts import Parts, floats_column, floats_type
from pickroom.features.store import ImageRows, open_store
from pickroom.storage.locking import exclusive
from pickroom.store.workspace import Project

LEAST_SIDE = 512  # pixels that the short side of a reduced decode, or of a preview, must have
_KEY = ("content_hash",)


@dataclass(frozen=True, slots=True)
class BlockSpec:
    """A block: a new version for any change of what the numbers mean, since stored ones are then made again."""

    name: str
    version: int
    columns: tuple[str, ...]

    @property
    def hash(self) -> str:
        """Hex SHA-256 over name, version and columns, for checkpoints."""
        text = json.dumps([self.name, self.version, self.columns])
        return hashlib.sha256(text.encode()).hexdigest()


FACES = BlockSpec("faces", 1, faces.COLUMNS)
BLOCKS = (BlockSpec("technical", 1, technical.COLUMNS), FACES)


@dataclass(frozen=True)
class Block(ImageRows):
    """The rows of one block of a project; row i belongs to one content.

    Attributes:
        values: (rows, d) float32. NaN where an image has no such number: the face block has one number, `faces`,
            for an image without faces.
        present: (rows,) bool; False for an image that could not be measured (`values` are NaN).
    """

    spec: BlockSpec
    values: np.ndarray
    present: np.ndarray

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the numbers, (d,)."""
        return self.spec.columns


@dataclass(frozen=True, slots=True)
class BlockRow:
    """One image's numbers: (d,) float32, None with an `error`."""

    filename: str
    content_hash: str
    values: np.ndarray | None
    error: str | None = None


class BlockStore:
    """The blocks of one project. One process writes; any number read meanwhile."""

    def __init__(self, project: Project) -> None:
        self.project_id, self.folder = project.id, project.workspace.blocks / project.id
        self._parts: dict[str, Parts] = {}
        for spec in BLOCKS:
            texts = [pa.field(name, pa.string(), nullable=False) for name in ("filename", "content_hash")]
            values = ("values", floats_type("float32", len(spec.columns)))
            labels = {"project_id": project.id, "columns": json.dumps(spec.columns)}
            schema, kind = pa.schema([*texts, values, ("error", pa.string())]), f"{spec.name}-v{spec.version}"
            self._parts[spec.name] = Parts(self.folder, kind, schema, labels, _KEY)

    @contextmanager
    def writing(self, doing: str) -> Iterator[None]:
        """Be the one process that writes here; small parts are merged at the end.

        Raises:
            LockedError: another process makes the blocks of this project.
        """
        with exclusive(self.folder / ".lock", f"the blocks of project {self.project_id}", doing):
            for parts in self._parts.values():
                parts.sweep()
            yield
            for parts in self._parts.values():
                parts.merge()

    def set_damaged_aside(self, *, thorough: bool = False) -> list[Path]:
        """Rename damaged parts, so that their rows are made again; their new paths."""
        return [path for parts in self._parts.values() for path in parts.set_damaged_aside(thorough=thorough)]

    def known(self) -> dict[str, set[str]]:
        """Block -> the content hashes that have a row, measured or not."""
        return {name: set(parts.table(_KEY)["content_hash"].to_pylist()) for name, parts in self._parts.items()}

    def append(self, rows: Mapping[str, Sequence[BlockRow]]) -> None:
        """Publish rows by block: those of one block all, or none."""
        for name, some in rows.items():
            schema = self._parts[name].schema
            columns = {field: [getattr(row, field) for row in some] for field in ("filename", "content_hash", "error")}
            columns["values"] = floats_column([row.values for row in some], schema.field("values").type)
            self._parts[name].append(pa.table(columns, schema=schema))

    def read(self, spec: BlockSpec) -> Block:
        """One block."""
        columns = ("filename", "content_hash")
        table, (values,), present = self._parts[spec.name].gather(columns, {"values": np.float32})
        names, hashes = (np.array(table[name].to_pylist(), dtype=object) for name in columns)
        return Block(names, hashes, spec, values, present)


def load_blocks(project: Project) -> dict[str, Block]:
    """Every block of a project by its name, one without rows where nothing was measured.

    Raises:
        StoreError: a part file is damaged.
    """
    store = BlockStore(project)
    return {spec.name: store.read(spec) for spec in BLOCKS}


def largest_faces(project: Project) -> dict[str, FacePlace | None]:
    """By content hash the largest face of every image that was measured, None where no face was found.

    Raises:
        StoreError: a part file is damaged.
    """
    block = BlockStore(project).read(FACES)
    columns = [block.columns.index(name) for name in ("face_across", "face_down", "face_size")]
    rows = zip(block.content_hashes, block.values[:, columns].tolist(), block.present, strict=True)
    return {
        str(digest): None if math.isnan(across + down + size) else (across, down, size)
        for digest, (across, down, size), measured in rows
        if measured
    }


def counts(project: Project) -> dict[str, int]:
    """How many images have a vector by the project's encoder, and how many have each block; gone images count.

    Raises:
        StoreError: a part file is damaged.
    """
    has_vectors = bound_spec(project) is not None
    vectors = sum(row.error is None for row in open_store(project).known().values()) if has_vectors else 0
    return {"vectors": vectors, **{name: int(block.present.sum()) for name, block in load_blocks(project).items()}}


def available() -> tuple[str, ...]:
    """The blocks that can be measured here."""
    return ("technical", "faces") if faces.installed() else ("technical",)


def measure(name: str, image: PillowImage.Image) -> np.ndarray:
    """The numbers of one block, (d,), for an upright sRGB image; its short side has `LEAST_SIDE` pixels or all."""
    return {"technical": technical, "faces": faces}[name].measure(image)

"""Reading vectors: one project's as one matrix, with the names and hashes its rows belong to.

`load_vectors(project, patches=True)` has the vector and the patch grid of an image at `place(filename, sha256)`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from pickroom.core.errors import StoreError
from pickroom.core.records import Image
from pickroom.features.encoder import EncoderSpec
from pickroom.features.store import VectorStore, read_spec
from pickroom.store.workspace import Project


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

    def places(self, images: Sequence[Image]) -> list[int | None]:
        """`place` of several images as the scan met them."""
        return [self.place(image.filename, image.sha256) for image in images]


@dataclass(frozen=True)
class Vectors(ImageRows):
    """Every image of a project that has a vector; row i of each part belongs to one image.

    Attributes:
        matrix: (N, dim) float32, raw: not normalised.
        patches: (N, patch_rows, patch_cols, patch_dim) float16, None when not asked for or without a grid; NaN for an
            image whose vector was imported: it has no grid.
        errors: file name -> why it has no vector.
    """

    spec: EncoderSpec
    matrix: np.ndarray
    patches: np.ndarray | None
    errors: dict[str, str]


def open_store(project: Project) -> VectorStore:
    """The store of the encoder a project is bound to.

    Raises:
        StoreError: it has no vectors yet, or its encoder's specification is gone.
    """
    encoder_id = project.manifest.encoder
    found = read_spec(project.workspace, encoder_id) if encoder_id else None
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
    """All vectors of one store. Rows doubled by a kill in the middle of a merge are read once."""
    spec = store.spec
    wanted: dict[str, type] = {"vector": np.float32}
    if patches and spec.patch_size:
        wanted["patches"] = np.float16
    table, matrices, present = store.vectors.gather(("filename", "content_hash", "error"), wanted)
    names, hashes = table["filename"].to_numpy(), table["content_hash"].to_numpy()
    texts = table["error"].to_pylist() if not present.all() else []
    errors = {name: text for name, text in zip(names, texts, strict=False) if text}
    if len(set(names)) < len(names):  # rarely: so the pairs are compared only then
        newest = {key: place for place, key in enumerate(zip(names, hashes, strict=True))}
        once = np.zeros(len(names), dtype=bool)
        once[list(newest.values())] = True
        present = present & once
    if not present.all():
        names, hashes, matrices = names[present], hashes[present], [m[present] for m in matrices]
    grid = matrices[1].reshape(-1, spec.patch_rows, spec.patch_cols, spec.patch_dim) if len(matrices) > 1 else None
    return Vectors(names, hashes, spec, matrices[0], grid, errors)

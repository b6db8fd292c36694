"""`embed --verify`: what the store holds against what is on disk, and a sample made again from the images."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pickroom.features.encoder import Encoder
from pickroom.features.reading import EmbedItem, ImageSource
from pickroom.features.store import VectorRow, Vectors, VectorStore, cosines, read_vectors
from pickroom.indexing.plan import EmbedPlan, IndexTask, index_images
from pickroom.storage import atomic

SAMPLE = 20
# a vector made again in another batch, or from the file where a preview served, differs by rounding and by the
# preview's compression; another image's differs by far more
LEAST_COSINE = 0.995


@dataclass(frozen=True, slots=True)
class Verification:
    """What was checked, and what is wrong; no problem means that the store is sound.

    Attributes:
        images: on disk. vectors, errors: rows with a vector, and rows with a reason, for those images.
        dim: floats of each vector.
        sampled: file names of the images embedded again.
        least_cosine: of the sampled vectors to those made again; None without a sample.
    """

    images: int
    vectors: int
    errors: int
    dim: int
    sampled: tuple[str, ...]
    least_cosine: float | None
    problems: tuple[str, ...]


def verify(
    store: VectorStore, plan: EmbedPlan, encoder: Encoder, source: ImageSource, *, sample: int = SAMPLE, seed: int = 0
) -> Verification:
    """Check counts, shapes and finiteness of all vectors, and embed a sample of the images again.

    Args:
        plan: of the project as it is now.
        sample: images embedded again; their content is hashed again too.

    Raises:
        StoreError: a part file is damaged.
    """
    vectors = read_vectors(store, patches=True)
    problems = _counts(store, plan) + _numbers(vectors)
    items = [item for item in plan.unchanged if vectors.place(item.filename, item.content_hash) is not None]
    chosen = random.Random(seed).sample(items, min(sample, len(items)))
    again = index_images(encoder, source, [IndexTask(item) for item in chosen]).vectors
    made = {(row.filename, row.content_hash): row for row in again}
    least: list[float] = []
    for item in chosen:
        problem, cosine = _again(vectors, item, made.get((item.filename, item.content_hash)), source)
        problems += [f"{item.filename}: {problem}"] if problem else []
        least += [cosine] if cosine is not None else []
    return Verification(
        images=len(plan.places) + len(plan.unreadable),
        vectors=len(plan.unchanged),
        errors=len(plan.failed) + len(plan.unreadable),
        dim=vectors.matrix.shape[1],
        sampled=tuple(item.filename for item in chosen),
        least_cosine=min(least, default=None),
        problems=tuple(problems),
    )


def _counts(store: VectorStore, plan: EmbedPlan) -> list[str]:
    problems = []
    missing = [*plan.todo, *plan.renamed]
    if missing:
        problems.append(f"{len(missing)} images have no row, the first is {missing[0].filename}")
    for name in sorted({name for task in plan.tasks for name in task.blocks}):
        lacking = [task.item.filename for task in plan.tasks if name in task.blocks]
        problems.append(f"{len(lacking)} images lack the block {name}, the first is {lacking[0]}")
    rows = sum(store.vectors.stable(lambda files: [store.vectors.count(path) for path in files]))
    known = len(store.known())
    if rows != known:
        problems.append(f"{rows - known} rows are doubled: run `pickroom embed` again, it merges them")
    return problems


def _numbers(vectors: Vectors) -> list[str]:
    problems = []
    spec = vectors.spec
    if vectors.matrix.shape != (len(vectors), spec.dim):
        problems.append(f"vectors have shape {vectors.matrix.shape}, not {(len(vectors), spec.dim)}")
    parts: Sequence[tuple[str, np.ndarray | None]] = (("vector", vectors.matrix), ("patch grid", vectors.patches))
    for what, values in parts:
        if values is None:
            continue
        flat = values.reshape(len(values), -1)
        names = vectors.filenames
        if values is not vectors.matrix:
            with_grid = ~np.isnan(flat).all(axis=1)  # an imported vector has none
            names, flat = names[with_grid], flat[with_grid]
        for name in names[~np.isfinite(flat).all(axis=1)][:5]:
            problems.append(f"{name}: the {what} is not finite")
        for name in names[~flat.any(axis=1)][:5]:
            problems.append(f"{name}: the {what} is all zeros")
    return problems


def _again(vectors: Vectors, item: EmbedItem, row: VectorRow | None, source: ImageSource) -> tuple[str, float | None]:
    """What is wrong with one image's vector, and its cosine to the one made now (`row`)."""
    place = vectors.place(item.filename, item.content_hash)
    assert place is not None
    try:
        if atomic.sha256_of(source.path(item)) != item.content_hash:
            return "the file's content changed though its size and time did not", None
    except OSError as error:
        return f"the file cannot be read: {error.strerror or error}", None
    if row is None:
        return "the file moved, or cannot be opened", None
    if row.vector is None:
        return f"it has a vector, but cannot be embedded now: {row.error}", None
    cosine = float(cosines(vectors.matrix[place : place + 1], row.vector[None])[0])
    if cosine < LEAST_COSINE:
        return f"its vector cannot be made again: cosine {cosine:.4f}", cosine
    return "", cosine

"""What a run of `pickroom embed` did, as data and in words; and what `--verify` finds wrong."""

import random
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from pickroom.core.records import Ungrouped
from pickroom.features import faces
from pickroom.features.encoder import FLOAT32, Encoder
from pickroom.features.reading import EmbedItem, ImageSource
from pickroom.features.store import VectorRow, Vectors, VectorStore, cosines, read_vectors
from pickroom.indexing.plan import EmbedPlan, IndexTask, index_images
from pickroom.storage import atomic

SAMPLE = 20  # images embedded again; their content is hashed again too
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


def verify(store: VectorStore, plan: EmbedPlan, encoder: Encoder, source: ImageSource) -> Verification:
    """Check counts, shapes and finiteness of all vectors, and embed a sample of the images again.

    Args:
        plan: of the project as it is now.

    Raises:
        StoreError: a part file is damaged.
    """
    vectors = read_vectors(store, patches=True)
    problems = _counts(store, plan) + _numbers(vectors)
    items = [item for item in plan.unchanged if vectors.place(item.filename, item.content_hash) is not None]
    chosen = random.Random(0).sample(items, min(SAMPLE, len(items)))
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
    for what, values in (("vector", vectors.matrix), ("patch grid", vectors.patches)):
        if values is None:
            continue
        flat = values.reshape(len(values), -1)
        unknown = np.isnan(flat).all(axis=1) & (what == "patch grid")  # an imported vector has none
        for words, wrong in (("not finite", ~np.isfinite(flat).all(axis=1)), ("all zeros", ~flat.any(axis=1))):
            problems += [f"{name}: the {what} is {words}" for name in vectors.filenames[wrong & ~unknown][:5]]
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


_SHOWN = 20  # images listed by name


@dataclass(slots=True)
class EmbedReport:
    """What a run did: `images == embedded + recognised + unchanged + len(errors) + waiting`.

    Attributes:
        encoder, device: in words. dtype: what the vectors were computed in.
        by_default: whether the project was bound now, to an encoder that nobody asked for.
        images: files with a name and content of their own (copies of both count once).
        embedded: vectors made now. recognised: rows taken over, the file was renamed.
        unchanged: images that had their vector. waiting: moved while they were read; the next run takes them.
        errors: images without a vector, with the reason; those of earlier runs too.
        left_out: paths never opened, with the reason.
        measured: block -> images it was measured in now. blocks: block -> images on disk that have it.
        seconds: of embedding and measuring images.
        damaged: part files that could not be read and were set aside; what they held was made again.
        verification: what `verify` found, None where it was not asked for.
    """

    project_id: str
    encoder_id: str
    encoder: str
    device: str
    dtype: str
    by_default: bool = False
    images: int = 0
    embedded: int = 0
    recognised: int = 0
    unchanged: int = 0
    waiting: int = 0
    errors: tuple[Ungrouped, ...] = ()
    left_out: tuple[Ungrouped, ...] = ()
    measured: dict[str, int] = field(default_factory=dict)
    blocks: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    damaged: tuple[str, ...] = ()
    verification: Verification | None = None

    def to_dict(self) -> dict[str, Any]:
        """The JSON of `pickroom embed --json`."""
        return asdict(self)

    def words(self) -> str:
        """The report for the user, some lines."""
        lines = [
            f"Project {self.project_id}: {self.images} images = {self.embedded} embedded + {self.recognised} "
            f"recognised + {self.unchanged} unchanged + {len(self.errors)} without a vector"
            + (f" + {self.waiting} moved meanwhile (run it again)" if self.waiting else ""),
            f"  encoder {self.encoder_id}: {self.encoder}",
            f"  on {self.device}",
        ]
        if self.by_default:
            openclip = f"pickroom embed {self.project_id} --change-encoder --encoder openclip"
            lines.append(f"  this encoder needs no download; for OpenCLIP, which downloads its weights: {openclip}")
        if self.dtype != FLOAT32:
            again = f"pickroom embed {self.project_id} --change-encoder"
            lines.append(f"  vectors in {self.dtype} cannot be compared with those of newer projects: {again}")
        if self.embedded and self.seconds > 0:
            lines.append(f"  {self.embedded / self.seconds:.1f} images/s, {self.seconds:.1f} s")
        blocks = (f"{name} of {count} ({self.measured.get(name, 0)} now)" for name, count in self.blocks.items())
        lines.append(f"  measured: {', '.join(blocks)}")
        if self.measured and not faces.installed():
            lines.append(
                "  faces are not measured; to measure those of every image: pickroom install faces, then embed again"
            )
        lines += _listed(self.errors) + _listed(self.left_out)
        lines += [f"  {name}: was damaged; what it held was made again, as far as it could be" for name in self.damaged]
        if self.verification:
            found = self.verification
            again = "" if found.least_cosine is None else f", cosine {found.least_cosine:.4f} or more"
            outcome = f"{len(found.problems)} PROBLEMS" if found.problems else "no problem"
            lines.append(
                f"  verified: {found.images} images = {found.vectors} vectors of {found.dim} floats + {found.errors} "
                f"without; {len(found.sampled)} made again{again}; {outcome}"
            )
        return "\n".join(_escaped(line) for line in lines)


def _listed(left: tuple[Ungrouped, ...]) -> list[str]:
    shown = [f"  {item.directory or '.'}/{item.filename}: {item.reason}" for item in left[:_SHOWN]]
    return shown + ([f"  ... and {len(left) - _SHOWN} more (--json lists them)"] if len(left) > _SHOWN else [])


def _escaped(line: str) -> str:
    # a file name with control characters in it cannot break out of its line
    return line if line.isprintable() else line.encode("unicode_escape").decode()


Tell = Callable[[str, int, int], None]  # (what is done, images done, of)

# tqdm's own, but for the rate: below one image a second it would turn into seconds an image
_FORMAT = "{l_bar}{bar}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}, {rate_noinv_fmt}]"


@contextmanager
def bars() -> Iterator[Tell]:
    """Bars of tqdm's on stderr, one after the other; none where there is nothing to do."""
    from tqdm import tqdm

    # a terminal gets a bar that moves, a log file a line now and then; a notebook keeps every step of it
    every = 0.2 if sys.stderr.isatty() else 2.0 if "ipykernel" in sys.modules else 10.0
    look = {"bar_format": _FORMAT, "mininterval": every, "maxinterval": every, "smoothing": 0.1, "dynamic_ncols": True}
    with ExitStack() as shown:
        bar: Any = None

        def tell(doing: str, done: int, of: int) -> None:
            nonlocal bar
            if of and (bar is None or bar.desc != doing or done < bar.n):
                shown.close()
                # files are checked before it is known how many there are to do: that bar goes again
                made = tqdm(total=of, desc=doing, unit=" images", file=sys.stderr, leave=not done, **look)
                bar = shown.enter_context(made)
            if of:
                bar.total = of
                bar.update(done - bar.n)

        yield tell

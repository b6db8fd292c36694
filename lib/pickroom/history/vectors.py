"""Import vectors of an earlier system: one `.npy` file per image, and a JSONL that names them.

It has more lines than files, and paths of other machines: a line counts only if its file exists, and its project
follows from its path (`logged_paths`). The encoder of the vectors is not recorded. Without a declaration they get an
encoder of their own that cannot encode new images, and are never mixed with new vectors. Declared ones are compared
with vectors made now.
"""

from __future__ import annotations

import io
import json
import os
import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from pickroom.core.errors import UsageError
from pickroom.core.naming import folder_meant
from pickroom.core.records import Image
from pickroom.features.choice import Chosen, EncoderConfig, bind, bind_spec, bound_spec, choose
from pickroom.features.encoder import EncoderSpec
from pickroom.features.reading import EmbedItem, ImageSource
from pickroom.features.store import Key, VectorRow, VectorStore, cosines, save_spec
from pickroom.history.logged_paths import ProjectNames, split_path
from pickroom.history.project_folders import project_folders
from pickroom.history.skip_reasons import Skip
from pickroom.indexing.plan import IndexTask, index_images
from pickroom.storage import atomic
from pickroom.store import images
from pickroom.store.connect import open_read_only
from pickroom.store.workspace import Project

LEGACY = "legacy"
_MOST_BYTES = 1 << 20  # of one vector's file
_ROWS_A_PART = 4096
_SAMPLE = 20  # images embedded again to verify a declaration
LEAST_COSINE = 0.99
_MOST_OTHERS = 0.1  # share of the sample: some images were cropped or changed under their name since
_CACHE, _ARRAYS = ("data", "ai_data", "cache"), "embeddings"  # folders of the earlier system
_DOING = "importing a legacy cache"

SPEC = EncoderSpec(
    kind=LEGACY,
    model="512 floats of an unrecorded encoder",
    weights="",
    preprocessing=None,
    dim=512,
    patch_rows=0,
    patch_cols=0,
    patch_dim=0,
    projection="",
    dtype="float32",
    storage="float32",  # as they came
)


@dataclass(slots=True)
class CacheReport:
    """`lines == imported + sum(skipped)`.

    Attributes:
        matched: imported vectors whose image the project's last scan knows: they have its hash and size.
        bound: whether the project was bound to these vectors by this import.
        encoder: the encoder in words; "" without a declaration.
        verified: images that gave the vector of the cache when embedded again. sampled: those tried.
    """

    lines: int = 0
    imported: int = 0
    matched: int = 0
    bound: bool = False
    encoder: str = ""
    verified: int = 0
    sampled: int = 0
    skipped: Counter[str] = field(default_factory=Counter)

    def to_dict(self) -> dict[str, Any]:
        """The JSON of `pickroom embed --import-legacy --json`."""
        values = {one.name: getattr(self, one.name) for one in fields(self)}
        return {"rows": values.pop("lines"), **values, "skipped": dict(self.skipped)}


def import_cache(project: Project, cache: Path, declared: EncoderConfig | None = None) -> CacheReport:
    """Import the vectors of one project from a legacy cache. When run again, it imports nothing twice.

    Args:
        cache: the JSONL; each line has `image_path` and `embedding_file` (its `hash` is of a path: not used).
        declared: the OpenCLIP model, or checkpoint, that made the vectors. Images on disk, of this project or else of
            others in the cache, are embedded again: nine of ten must give the cache's vector (cosine .99).

    Raises:
        UsageError: the cache cannot be read, or the declaration is wrong; nothing is imported.
        ConflictError: the project is bound to another encoder than the declared one.
        LockedError: another process writes this project's vectors.
    """
    try:
        lines = cache.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    except OSError as error:
        raise UsageError(f"cannot read the cache ({error.strerror})", doing=_DOING, subject=cache) from error
    found = _Cache(cache, [line for line in lines if line.strip()], ProjectNames.of(project.workspace))
    report = CacheReport(lines=len(found.lines))
    chosen = None
    if declared is not None:
        if declared.checked().kind != "openclip":
            hint = "name the model: --encoder openclip:MODEL/TAG, or --checkpoint FOLDER"
            raise UsageError("only OpenCLIP's vectors can be declared", doing=_DOING, hint=hint)
        bound = bound_spec(project)  # vectors imported without a declaration before do not conflict with it
        chosen = choose(project, replace(declared, change=bound is None or bound.kind == LEGACY))
        report.encoder = chosen.spec.words
        _verify(project, found, chosen, report)
    spec = chosen.spec if chosen else SPEC
    store = VectorStore(project.workspace, spec, project.id)
    with store.writing(_DOING):
        done = {key for name, digest in store.known() for key in ((name, digest), (name, None))}
        rows = _rows(found.read(project, spec.dim, report.skipped), done, report)
        while some := list(islice(rows, _ROWS_A_PART)):
            if not chosen:
                save_spec(project.workspace, SPEC, {"source": "a legacy cache"})
            store.append(some)
        store.vectors.merge()
    if report.imported and project.manifest.encoder in {None, SPEC.encoder_id} - {spec.encoder_id}:
        if chosen:
            bind(project, chosen)
        else:
            bind_spec(project, SPEC)
        report.bound = True
    return report


def _verify(project: Project, found: _Cache, chosen: Chosen, report: CacheReport) -> None:
    """Embed a sample of images again; raises UsageError when the cache has other vectors for them."""
    sample: list[tuple[ImageSource, EmbedItem, np.ndarray]] = []
    for one in (project, *(other for other in project.workspace.projects() if other.id != project.id)):
        source = ImageSource(one.root, None)
        there = found.read(one, chosen.spec.dim, Counter()) if one.root.is_dir() and not sample else ()
        for (filename, _), image, vector in there:
            if image is not None:
                item = EmbedItem(image.directory, filename, image.sha256, image.file_size, image.mtime_ns)
                sample += [(source, item, vector)] if source.unchanged(item) else []
    encoder, reached = chosen.encoder(), []
    for source, item, vector in random.Random(0).sample(sample, min(_SAMPLE, len(sample))):
        for row in index_images(encoder, source, [IndexTask(item)]).vectors:
            if row.vector is not None:
                reached.append(float(cosines(row.vector[None], vector[None])[0]))
    report.sampled, report.verified = len(reached), sum(cosine >= LEAST_COSINE for cosine in reached)
    others = report.sampled - report.verified
    if others > _MOST_OTHERS * report.sampled:
        what = f"{others} of {report.sampled} images on disk do not give the cache's vectors"
        what += f" (cosine {min(reached):.2f} at the least, not {LEAST_COSINE})"
        hint = "declare another model, or leave --encoder out: they are then an encoder of their own"
        raise UsageError(what, doing=f"verifying that {chosen.spec.words} made them", subject=found.path, hint=hint)


def _rows(vectors: Iterable[_Found], done: set[Key], report: CacheReport) -> Iterator[VectorRow]:
    met: set[Key] = set()
    for key, image, vector in vectors:
        if key in done or key in met:
            why = "imported before" if key in done else "repeats an earlier line of the same image"
            report.skipped[why] += 1
            continue
        met.add(key)
        report.imported += 1
        report.matched += image is not None
        if image is None:
            yield VectorRow(key[0], None, None, None, None, None, vector, None, None)
        else:
            size = (image.width, image.height, image.file_size, image.mtime_ns)
            yield VectorRow(key[0], image.sha256, *size, vector, None, None, image.directory)


# (file name, content hash where several images have the name), the image where the last scan knows it, (dim,) float32
_Found = tuple[Key, Image | None, np.ndarray]


class _Cache:
    """The lines of a cache, and the places of its vector files.

    A vector's file is looked for by its path: from the JSONL's folder, from the current one, and below the folders
    `embeddings` (next to the JSONL, and next to `data/ai_data/cache/` where it lies in there), with prefixes of other
    machines taken off; then by its name alone, below those folders. Nothing else is opened.
    """

    def __init__(self, path: Path, lines: Sequence[str], names: ProjectNames) -> None:
        self.path, self.lines, self._names = path, lines, names
        folder = path.resolve().parent
        arrays = [folder / _ARRAYS]
        if folder.parts[-len(_CACHE) :] == _CACHE:
            arrays.append(folder.parent / _ARRAYS)
        self._folders = (folder, Path.cwd())
        self._by_name: dict[str, list[tuple[tuple[str, ...], Path]]] = {}
        for base in arrays:
            for where, _, files in os.walk(base):
                for name in files:
                    inside = Path(where, name).relative_to(base).parts
                    self._by_name.setdefault(name, []).append((inside, Path(where, name)))

    def read(self, project: Project, dim: int, skipped: Counter[str]) -> Iterator[_Found]:
        """The vector of each line of a project, with its image; the other lines are counted by reason."""
        scanned: dict[str, list[Image]] = defaultdict(list)
        with open_read_only(project.database) as connection:
            for image in images.readable(connection):
                scanned[image.filename].append(image)
        others = self._others(project.id)
        for text in self.lines:
            try:
                folder, filename, vector = self._vector(text, project.id, others, dim)
                named = scanned.get(filename, [])
                if len(named) > 1:
                    meant = folder_meant(folder, [one.directory for one in named])
                    if meant is None:
                        raise Skip("several folders hold its name, and its path does not say which")
                    (image,) = (one for one in named if one.directory == meant)
                    yield (filename, image.sha256), image, vector
                else:
                    yield (filename, None), next(iter(named), None), vector
            except Skip as skip:
                skipped[skip.reason] += 1

    def _others(self, project_id: str) -> dict[str, str]:
        """Folder -> the other project that it names, by its place among all folders of the cache.

        A single folder without a known project is the given project's; of several, each may be another project.
        """
        rows = Counter(folder for text in self.lines if (folder := _paths(text)[0]))
        known = {folder: found[0].folder for folder in rows if (found := self._names.found_in(folder))}
        named = project_folders(rows, known, self._names.ids()).named
        if len({one.name for one in named.values()}) == 1:
            named = project_folders(rows, known, self._names.ids(), only_siblings=True).named
        return {folder: one.name for folder, one in named.items() if one.name != project_id}

    def _vector(self, text: str, project_id: str, others: Mapping[str, str], dim: int) -> tuple[str, str, np.ndarray]:
        """(folder, file name, vector) of a line; raises Skip when it has none of this project."""
        image_folder, filename, vector_path = _paths(text)
        if not filename:
            raise Skip("a line of Pickroom's own log" if '"encoder_id"' in text else "the line is damaged")
        named = self._names.in_folder(image_folder)
        if len(named) > 1:
            raise Skip(f"its path names several projects: {', '.join(sorted(named))}")
        if named - {project_id}:
            raise Skip(f"belongs to project {', '.join(named)}")
        if image_folder in others:
            raise Skip(f"lies in the folder of another project: {others[image_folder]}")
        path = self._file(vector_path, project_id)
        if path is None:
            raise Skip("the vector's file is missing")
        try:
            vector = np.load(io.BytesIO(atomic.read_small(path, _MOST_BYTES)), allow_pickle=False)
        except Exception:  # noqa: BLE001 (its parser raises almost anything on hostile headers; the line is skipped and counted)
            raise Skip("the vector's file is damaged") from None
        if isinstance(vector, np.ndarray) and vector.shape == (1, dim):
            vector = vector[0]
        if not isinstance(vector, np.ndarray) or vector.shape != (dim,) or vector.dtype.kind != "f":
            raise Skip(f"the vector is not of {dim} floats")
        if not np.isfinite(vector).all():
            raise Skip("the vector is not finite")
        return image_folder, filename, vector.astype(np.float32)

    def _file(self, vector_path: str, project_id: str) -> Path | None:
        name = PurePosixPath(vector_path.replace("\\", "/").replace("\0", ""))
        parts = tuple(part for part in name.parts if part not in ("/", "..", "."))
        if not parts:
            return None
        here = self._by_name.get(parts[-1], [])
        fitting = [path for inside, path in here if parts[-len(inside) :] == inside]
        if fitting:  # the one with the most parts in common, counted from the end
            lengths = range(1, len(parts) + 1)
            return max(fitting, key=lambda path: sum(path.parts[-n:] == parts[-n:] for n in lengths))
        for folder in self._folders:
            for start in (0, len(parts) - 1, *range(1, len(parts) - 1)) if folder is self._folders[0] else (0,):
                # os.path's, since a name may be too long to be asked about
                if os.path.isfile(path := folder.joinpath(*parts[start:])):
                    return path
        own = [path for inside, path in here if not self._names.in_folder("/".join(inside[:-1])) - {project_id}]
        return own[0] if len(own) == 1 else None


def _paths(text: str) -> tuple[str, str, str]:
    """(folder and name of the image, path of the vector) that a line names, each "" in a damaged one."""
    try:
        values = json.loads(text)
        image_path, vector_path = values["image_path"], values["embedding_file"]
        if not isinstance(image_path, str) or not isinstance(vector_path, str):
            raise TypeError
    except (ValueError, KeyError, TypeError, RecursionError):
        return "", "", ""
    return *split_path(image_path), vector_path

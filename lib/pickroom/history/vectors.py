"""Import of an earlier system's cache: one `.npy` of (512,) floats an image, and a JSONL that names them.

Its weights and preprocessing are not recorded, so its vectors get an encoder of their own that can encode nothing,
and are never mixed with new ones. Its lines outnumber its files, and its paths are of other machines: a line
counts only with its file, and is told to a project by its path (`logged_paths`).
"""

from __future__ import annotations

import io
import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from pickroom.core.errors import UsageError
from pickroom.core.records import Image
from pickroom.features.choice import bind_spec
from pickroom.features.encoder import EncoderSpec
from pickroom.features.processed_log import ProcessedLine, ProcessedLog
from pickroom.features.rows import VectorRow
from pickroom.features.store import VectorStore, save_spec
from pickroom.history.logged_paths import ProjectNames, split_path
from pickroom.history.project_folders import project_folders
from pickroom.storage import atomic
from pickroom.store import images
from pickroom.store.connect import open_read_only
from pickroom.store.workspace import Project

LEGACY = "legacy"
_DIM = 512
_MOST_BYTES = 1 << 20  # of one vector's file
_ROWS_A_PART = 4096
_DOING = "importing a legacy cache"

SPEC = EncoderSpec(
    kind=LEGACY,
    model="512 floats of an unrecorded encoder",
    weights="",
    preprocessing=None,
    dim=_DIM,
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
        bound: whether the project, which had no encoder, is now bound to these vectors.
    """

    lines: int = 0
    imported: int = 0
    matched: int = 0
    bound: bool = False
    skipped: Counter[str] = field(default_factory=Counter)

    def to_dict(self) -> dict[str, Any]:
        return {
            "rows": self.lines,
            "imported": self.imported,
            "matched": self.matched,
            "bound": self.bound,
            "skipped": dict(self.skipped),
        }


def import_cache(project: Project, cache: Path) -> CacheReport:
    """Bring the vectors of one project in from a legacy cache. Run again, it imports nothing twice.

    Args:
        cache: the JSONL; each line has `image_path` and `embedding_file` (its `hash` is of a path: not used). A
            vector's file is looked for at its path from the JSONL's folder, then by its name in that folder.

    Raises:
        UsageError: the cache cannot be read.
        LockedError: another process writes this project's vectors.
    """
    try:
        lines = cache.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise UsageError(f"cannot read the cache ({error.strerror})", doing=_DOING, subject=cache) from error
    lines = [line for line in lines if line.strip()]
    store = VectorStore(project.workspace, SPEC, project.id)
    names = ProjectNames.of(project.workspace)
    others = _others(lines, project.id, names)
    with open_read_only(project.database) as connection:
        scanned = {image.filename: image for image in images.readable(connection)}
    report = CacheReport(lines=len(lines))
    log = ProcessedLog(project.workspace.processed_log)
    with store.writing(_DOING):
        done = {filename for filename, _ in store.known()}
        found = _rows(lines, cache.parent, project.id, (names, others), scanned, done, report)
        while rows := list(islice(found, _ROWS_A_PART)):
            save_spec(project.workspace, SPEC, {"source": "a legacy cache"})
            store.append(rows)
            log.append(
                ProcessedLine(
                    project.id, SPEC.encoder_id, r.filename, r.content_hash, r.file_size, r.mtime_ns, "imported", None
                )
                for r in rows
            )
        store.compact()
    if report.imported and project.manifest.encoder is None:
        bind_spec(project, SPEC)
        report.bound = True
    return report


def _rows(
    lines: Sequence[str],
    folder: Path,
    project_id: str,
    told: tuple[ProjectNames, Mapping[str, str]],
    scanned: Mapping[str, Image],
    done: set[str],
    report: CacheReport,
) -> Iterator[VectorRow]:
    met: set[str] = set()
    for text in lines:
        try:
            filename, vector = _read(text, folder, project_id, *told)
            if filename in done:
                raise _Skipped("imported before")
            if filename in met:
                raise _Skipped("repeats an earlier line of the same image")
        except _Skipped as skipped:
            report.skipped[str(skipped)] += 1
            continue
        met.add(filename)
        report.imported += 1
        image = scanned.get(filename)
        report.matched += image is not None
        if image is None:
            yield VectorRow(filename, None, None, None, None, None, vector, None, None)
        else:
            size = (image.width, image.height, image.file_size, image.mtime_ns)
            yield VectorRow(filename, image.sha256, *size, vector, None, None)


class _Skipped(Exception):
    """A line that is not imported; its text is the reason."""


def _others(lines: Sequence[str], project_id: str, names: ProjectNames) -> dict[str, str]:
    """Folder -> the other project that it names by its place among all folders of the cache.

    A single folder without a known project is the given project's; of several, each may be another project.
    """
    rows = Counter(folder for text in lines if (folder := _paths(text)[0]))
    known = {folder: found[0].folder for folder in rows if (found := names.found_in(folder))}
    named = project_folders(rows, known, names.ids()).named
    if len({one.name for one in named.values()}) == 1:
        named = project_folders(rows, known, names.ids(), only_siblings=True).named
    return {folder: one.name for folder, one in named.items() if one.name != project_id}


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


def _read(
    text: str, folder: Path, project_id: str, names: ProjectNames, others: Mapping[str, str]
) -> tuple[str, np.ndarray]:
    """(file name, vector) of a line; raises _Skipped when it has none of this project."""
    image_folder, filename, vector_path = _paths(text)
    if not filename:
        raise _Skipped("the line is damaged")
    named = names.in_folder(image_folder)
    if len(named) > 1:
        raise _Skipped(f"its path names several projects: {', '.join(sorted(named))}")
    if named - {project_id}:
        raise _Skipped(f"belongs to project {', '.join(named)}")
    if image_folder in others:
        raise _Skipped(f"lies in the folder of another project: {others[image_folder]}")
    # os.path's, since a name may be too long to be asked about
    path = next((p for p in _places(folder, vector_path) if os.path.isfile(p)), None)
    if path is None:
        raise _Skipped("the vector's file is missing")
    try:
        vector = np.load(io.BytesIO(atomic.read_small(path, _MOST_BYTES)), allow_pickle=False)
    except Exception:  # noqa: BLE001 (its parser raises almost anything on hostile headers; the line is skipped and counted)
        raise _Skipped("the vector's file is damaged") from None
    if not isinstance(vector, np.ndarray) or vector.shape != (_DIM,) or vector.dtype.kind != "f":
        raise _Skipped(f"the vector is not of {_DIM} floats")
    if not np.isfinite(vector).all():
        raise _Skipped("the vector is not finite")
    return filename, vector.astype(np.float32)


def _places(folder: Path, vector_path: str) -> Iterator[Path]:
    """Where a vector's file may lie: below the folder; prefixes of other machines fall away one by one."""
    name = PurePosixPath(vector_path.replace("\\", "/").replace("\0", ""))
    parts = [part for part in name.parts if part not in ("/", "..", ".")]
    if not parts:
        return
    yield folder.joinpath(*parts)
    yield folder / parts[-1]
    for start in range(1, len(parts) - 1):
        yield folder.joinpath(*parts[start:])

"""One export each: choices of some projects into one folder, as COCO, imagefolder or preference pairs."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from pickroom.core.naming import companions_by_stem, stem_of
from pickroom.exports import choices, coco, imagefolder, pairs
from pickroom.exports.choices import Choices, Judged
from pickroom.exports.folder import Progress, check_outside, picture_name, publish
from pickroom.images import metadata
from pickroom.store.workspace import Project

PICKAPIC, HPDV2 = "pickapic", "hpdv2"
# companions and PNG text that hold what the picture was asked to be; the first that is there counts
_CAPTIONS = ("caption", "txt", "prompt")


@dataclass(slots=True)
class Exported:
    """What an export wrote: `counts` of what, `left_out`, reason -> how many, `lost`, images not found, by name."""

    folder: Path
    counts: dict[str, int]
    left_out: Counter[str] = field(default_factory=Counter)
    lost: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        return {"folder": str(self.folder), **self.counts, "left_out": dict(self.left_out)}


def export_coco(
    projects: Sequence[Project], folder: Path, *, copy: bool = False, progress: Progress | None = None
) -> Exported:
    """`DIR/annotations.json` and `DIR/images/`; raises as `choices.read` and `folder.publish` do."""
    found = _read(projects, folder)
    made = coco.document(found)
    picked = [judged for judged in _images(found) if judged.verdict == "picked"]
    documents = {coco.ANNOTATIONS: partial(pairs.write_json, values=made)}
    publish(folder, "COCO", _files(found, picked), documents, copy=copy, progress=progress)
    return _done(folder, found, {"images": len(made["images"]), "annotations": len(made["annotations"])})


def export_imagefolder(
    projects: Sequence[Project],
    folder: Path,
    *,
    kind: imagefolder.MetadataKind = "jsonl",
    copy: bool = False,
    progress: Progress | None = None,
) -> Exported:
    """`DIR/metadata.<kind>` and `DIR/images/`; raises as `choices.read` and `folder.publish` do."""
    found = _read(projects, folder)
    files = _files(found, _images(found))
    made = imagefolder.rows(found, _captions(files))
    documents = {f"metadata.{kind}": partial(imagefolder.write, made=made, kind=kind)}
    publish(folder, "imagefolder", files, documents, copy=copy, progress=progress)
    return _done(folder, found, {"images": len(made), "picked": sum(row["picked"] for row in made)})


def export_pairs(
    projects: Sequence[Project],
    folder: Path,
    *,
    copy: bool = False,
    embed: bool = False,
    progress: Progress | None = None,
) -> Exported:
    """`DIR/pickapic.*`, `DIR/hpdv2.*` and `DIR/images/`; raises as `choices.read` and `folder.publish` do.

    Args:
        embed: put the pictures' bytes into the columns jpg_0 and jpg_1 of the Parquet file.
    """
    found = _read(projects, folder)
    compared = [j for c in found for g in c.groups if g.picked for j in g.images if j.verdict != "kept"]
    files = _files(found, compared)
    made = pairs.pairs(found, _captions(files))
    preferences = [pairs.hpdv2_row(pair) for pair in made]
    documents = {
        f"{PICKAPIC}.parquet": partial(pairs.write_pickapic, made=made, files=files if embed else None),
        f"{PICKAPIC}.jsonl": partial(pairs.write_jsonl, rows=[pairs.pickapic_row(pair) for pair in made]),
        f"{HPDV2}.parquet": partial(pairs.write_hpdv2, rows=preferences),
        f"{HPDV2}.jsonl": partial(pairs.write_jsonl, rows=preferences),
        f"{HPDV2}.json": partial(pairs.write_json, values=preferences),
    }
    publish(folder, "pairs", files, documents, copy=copy, progress=progress)
    return _done(folder, found, {"images": len(files), "pairs": len(made)})


def _read(projects: Sequence[Project], folder: Path) -> list[Choices]:
    check_outside(folder, projects)
    return [choices.read(project) for project in projects]


def _images(found: Sequence[Choices]) -> list[Judged]:
    return [judged for chosen in found for judged in chosen.images]


def _files(found: Sequence[Choices], wanted: Sequence[Judged]) -> dict[str, Path]:
    """Name in the folder -> the image file."""
    roots = {chosen.project.id: chosen.project.root for chosen in found}
    return {picture_name(judged): roots[judged.project_id] / judged.path for judged in wanted}


def _captions(files: Mapping[str, Path]) -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    beside: dict[Path, Mapping[str, tuple[str, ...]]] = {}
    for name, path in files.items():
        if path.parent not in beside:
            beside[path.parent] = companions_by_stem(os.listdir(path.parent))
        written = metadata.read(path, beside[path.parent].get(stem_of(path.name), ()))
        found[name] = next((written[key] for key in _CAPTIONS if written.get(key)), None)
    return found


def _done(folder: Path, found: Sequence[Choices], counts: dict[str, int]) -> Exported:
    left_out: Counter[str] = Counter()
    for chosen in found:
        left_out.update(chosen.left_out)
    return Exported(folder, counts, left_out, tuple(name for chosen in found for name in chosen.lost))

"""Frozen training sets: what a version was made from, as lines of JSON with a manifest and a hash, never changed again.

`data/training/sets/<kind>_<hash>.jsonl` holds one example a line, `<kind>_<hash>_manifest.json` where they came from.
The same decisions freeze to the same file.
"""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import MISSING, dataclass, fields
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Literal

import msgspec

from pickroom import integrity
from pickroom.core.errors import ConflictError, StoreError, UsageError
from pickroom.learn.examples import CropExample, Pick
from pickroom.learn.reading import What, inspect_all, read_examples
from pickroom.learn.splits import Example, project_of, require_one_project
from pickroom.storage import atomic
from pickroom.storage.json_records import from_json, parse_lines
from pickroom.store.workspace import Project, Workspace, utc_now

Kind = Literal["ranker", "crop_proposer"]
KINDS: tuple[Kind, ...] = ("ranker", "crop_proposer")
WHAT: dict[Kind, What] = {"ranker": "picks", "crop_proposer": "crops"}
_EXAMPLES: dict[Kind, type[Example]] = {"ranker": Pick, "crop_proposer": CropExample}
_HASH = re.compile(r"[0-9a-f]{64}")
_MOST_BYTES = 1 << 24  # of a manifest: it holds some lines a project
_HASH_DIGITS = 16  # of the file's name; the manifest has all of them


def require_kind(kind: str) -> Kind:
    """The kind of that name; raises UsageError when there is none."""
    for known in KINDS:
        if kind == known:
            return known
    raise UsageError(f"{kind!r} is not a model", doing="training", hint=f"use one of {', '.join(KINDS)}")


@dataclass(frozen=True)
class TrainingSet:
    """The examples of one kind that some projects gave at one moment."""

    kind: Kind
    projects: tuple[str, ...]  # their ids, sorted
    encoder: str  # id of the encoder that all of them are bound to
    # of `Pick` for a ranker, of `CropExample` for a crop proposer; project by project, in time order
    examples: tuple[Example, ...]
    rows: dict[str, int]  # project -> rows read
    left_out: dict[str, dict[str, int]]  # project -> reason -> rows
    made_at: str

    @cached_property
    def lines(self) -> str:
        """The frozen file's text."""
        return "".join(json.dumps(e, default=_values, sort_keys=True, ensure_ascii=True) + "\n" for e in self.examples)

    @cached_property
    def hash(self) -> str:
        """Hex SHA-256 of the frozen file."""
        return hashlib.sha256(self.lines.encode()).hexdigest()

    def origin(self, workspace: Workspace) -> dict[str, Any]:
        """What the metadata of a version says of the set it was made from."""
        path = set_path(workspace, self.kind, self.hash).relative_to(workspace.root)
        own = {"hash": self.hash, "file": path.as_posix(), "examples": len(self.examples)}
        return {**own, "projects": self.manifest()["projects"]}

    def manifest(self) -> dict[str, Any]:
        counts = Counter(project_of(example) for example in self.examples)
        return {
            "kind": self.kind,
            "hash": self.hash,
            "encoder": self.encoder,
            "examples": len(self.examples),
            "projects": {
                p: {"rows_read": self.rows[p], "examples": counts[p], "left_out": self.left_out[p]}
                for p in self.projects
            },
            "made_at": self.made_at,
        }


def _values(record: Any) -> dict[str, Any]:
    """A record as JSON; `dataclasses.asdict` copies every value, which takes ten times as long.

    A field that has a default is written where it differs: sets of earlier versions lack it.
    """
    values = {field: getattr(record, field.name) for field in fields(record)}
    return {field.name: value for field, value in values.items() if field.default is MISSING or value != field.default}


class _ProjectRows(msgspec.Struct):
    rows_read: int
    left_out: dict[str, int]


class _Manifest(msgspec.Struct):
    projects: dict[str, _ProjectRows]
    encoder: str
    made_at: str


def collect(workspace: Workspace, kind: Kind, project_ids: Sequence[str]) -> TrainingSet:
    """Read the decisions of some projects, integrity first; the inspection report is written in any case.

    Raises:
        ProjectError, StoreError: a project cannot be opened or has no vectors.
        ConflictError: a check of integrity failed, two projects are mixed, or they have different encoders.
        UsageError: the project does not exist, or nothing of this kind was decided.
    """
    projects = [workspace.project(project_id) for project_id in sorted(set(project_ids))]
    if not projects:
        raise UsageError("no project is named", doing="making a training set", hint="name one, or several")
    encoder = _encoder(projects)
    inspections = [inspect_all(project) for project in projects]
    integrity.save_report(workspace, [one for several in inspections for one in several])
    others = workspace.project_ids()
    pairs = zip(projects, inspections, strict=True)
    found = [read_examples(project, WHAT[kind], others, inspected) for project, inspected in pairs]
    examples: list[Example] = []
    for one in found:
        examples += one.picks if kind == "ranker" else one.crops
    ids = tuple(project.id for project in projects)
    require_one_project(examples, ids)
    rows = {one.project_id: one.rows for one in found}
    left_out = {one.project_id: dict(sorted(one.left_out.items())) for one in found}
    return TrainingSet(kind, ids, encoder, tuple(examples), rows, left_out, utc_now())


def freeze(workspace: Workspace, made: TrainingSet) -> Path:
    """Write a set that is not there yet, whole or not at all; returns where its lines lie."""
    path = set_path(workspace, made.kind, made.hash)
    path.parent.mkdir(parents=True, exist_ok=True)
    for place, text in ((path, made.lines), (_manifest_path(path), json.dumps(made.manifest(), indent=1) + "\n")):
        if not place.exists():
            atomic.write_text(place, text)
    return path


def load(workspace: Workspace, kind: Kind, set_hash: str) -> TrainingSet:
    """Read a frozen set back.

    Raises:
        StoreError: it is missing, or not what its hash says.
    """
    path = set_path(workspace, kind, set_hash)
    doing = "reading a frozen training set"
    try:
        with atomic.open_plain(path) as file:
            data = file.read()
        if hashlib.sha256(data).hexdigest() != set_hash:
            raise ValueError("it was changed after it was frozen")
        examples = tuple(example for _, example in parse_lines(partial(from_json, _EXAMPLES[kind]), data.decode()))
        manifest = from_json(_Manifest, atomic.read_small(_manifest_path(path), _MOST_BYTES))
        if not set(manifest.projects) >= {project_of(example) for example in examples}:
            raise ValueError("its manifest lacks a project")
        rows = {project_id: one.rows_read for project_id, one in manifest.projects.items()}
        left_out = {project_id: one.left_out for project_id, one in manifest.projects.items()}
        made = TrainingSet(kind, tuple(manifest.projects), manifest.encoder, examples, rows, left_out, manifest.made_at)
        if made.lines.encode() != data:
            raise ValueError("its lines are not as they are frozen")
        return made
    except (OSError, ValueError) as error:
        raise StoreError(f"it cannot be read ({error})", doing=doing, subject=path, hint="train again") from None


def set_path(workspace: Workspace, kind: Kind, set_hash: str) -> Path:
    """Where the lines of a frozen set lie; raises StoreError for what is not a hash."""
    if not _HASH.fullmatch(set_hash):
        raise StoreError(f"{set_hash!r} is not a hash of a training set", doing="looking for one", hint="train again")
    return workspace.root / "data" / "training" / "sets" / f"{kind}_{set_hash[:_HASH_DIGITS]}.jsonl"


def _manifest_path(path: Path) -> Path:
    return path.with_name(f"{path.stem}_manifest.json")


def _encoder(projects: Sequence[Project]) -> str:
    bound = {project.id: project.manifest.encoder for project in projects}
    without = [project_id for project_id, encoder in bound.items() if encoder is None]
    if without:
        raise StoreError(
            f"project {without[0]} has no vectors",
            doing="making a training set",
            hint=f"make them: pickroom embed {without[0]}; without a network: --encoder bundled",
        )
    if len(set(bound.values())) > 1:
        words = ", ".join(f"{project_id}: {encoder}" for project_id, encoder in bound.items())
        raise ConflictError(
            f"the projects have vectors of different encoders ({words})",
            doing="making a training set",
            hint=f"embed all by one: pickroom embed {projects[0].id} --change-encoder",
        )
    return next(str(encoder) for encoder in bound.values())

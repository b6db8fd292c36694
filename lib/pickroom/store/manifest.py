"""What a project's manifest says, and how it is spelled (FORMATS.md, Manifest). The file itself is `workspace`'s."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Self

import msgspec

from pickroom.core.naming import IMAGE_EXTENSIONS
from pickroom.storage.json_records import NonEmpty, from_json, from_values

SCHEMA_VERSION = 1
DECISIONS = "data/training/ai_training_decisions"  # the folder of databases, relative to the workspace
INNER = ".pickroom"  # the workspace of a copy in a sandbox, in the copy's folder
_ENCODER_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")


class NewerManifestError(ValueError):
    """A manifest is of a schema that this program does not know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What `data/projects/<project>.json` holds, in its order. `root` is the only absolute path stored anywhere.

    A finished project that was registered without images has the root "".
    """

    schema_version: int = SCHEMA_VERSION
    project_id: NonEmpty
    aliases: tuple[str, ...] = ()
    title: str
    status: Literal["active", "finished", "archived"] = "active"
    root: str
    decisions_db: str
    created_at: str
    finished_at: str | None = None
    image_count: int = 0
    group_count: int = 0
    allowed_extensions: tuple[str, ...] = IMAGE_EXTENSIONS
    encoder: str | None = None
    notes: str = ""

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read a manifest.

        Raises:
            ValueError: a field is missing or of the wrong type; the message names it.
            NewerManifestError: a newer Pickroom wrote it, so that its fields may mean something else.
        """
        values = from_json(dict[str, Any], text)
        version = values.get("schema_version")
        if isinstance(version, int) and version > SCHEMA_VERSION:
            raise NewerManifestError(f"the manifest has schema {version}, this program knows up to {SCHEMA_VERSION}")
        project_id = str(values.get("project_id", ""))
        defaults = {"title": project_id, "decisions_db": f"{DECISIONS}/{project_id}.db", "created_at": ""}
        manifest = from_values(cls, {**defaults, **values})
        without_images = not manifest.root and manifest.status != "active"
        if not without_images and (not Path(manifest.root).is_absolute() or "\0" in manifest.root):
            raise ValueError(f"its root {manifest.root!r} is no absolute path")
        if manifest.encoder is not None and not _ENCODER_ID.fullmatch(manifest.encoder):  # it names a folder
            raise ValueError(f"its encoder {manifest.encoder!r} is no encoder's id")
        return manifest


class _EarlierPaths(msgspec.Struct):
    root: str = ""


class EarlierProject(msgspec.Struct, rename="camel"):
    """A `<project>.project.json` of the earlier system, as far as Pickroom uses it; `paths.root` is relative to it."""

    project_id: NonEmpty
    title: str | None = None
    created_at: str | None = None
    started_at: str | None = None
    finished_at: str | None = None
    paths: _EarlierPaths = msgspec.field(default_factory=_EarlierPaths)


def is_manifest(text: bytes) -> bool:
    """Whether a JSON file is a manifest, or may be a damaged one; False for what is surely another program's."""
    try:
        values = from_json(object, text)
    except ValueError:
        return True
    return isinstance(values, dict) and not {"project_id", "schema_version", "decisions_db"}.isdisjoint(values)

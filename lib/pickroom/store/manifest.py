"""What a project's manifest says, and how it is spelled (FORMATS.md, Manifest). The file itself is `workspace`'s."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from types import UnionType
from typing import Any, Self

from pickroom.core.naming import IMAGE_EXTENSIONS

SCHEMA_VERSION = 1
STATUSES = ("active", "finished", "archived")
DECISIONS = "data/training/ai_training_decisions"  # the folder of databases, relative to the workspace
INNER = ".pickroom"  # the workspace of a copy in a sandbox, in the copy's folder
_ENCODER_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
_KINDS: dict[str, type | UnionType] = {
    **dict.fromkeys(("title", "decisions_db", "created_at", "notes"), str),
    **dict.fromkeys(("finished_at", "encoder"), str | None),
    **dict.fromkeys(("image_count", "group_count", "schema_version"), int),
}


class NewerManifestError(ValueError):
    """A manifest is of a schema that this program does not know."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What `data/projects/<project>.json` holds. `root` is the only absolute path stored anywhere."""

    project_id: str
    title: str
    root: str
    decisions_db: str
    created_at: str
    aliases: tuple[str, ...] = ()
    status: str = "active"
    finished_at: str | None = None
    image_count: int = 0
    group_count: int = 0
    allowed_extensions: tuple[str, ...] = IMAGE_EXTENSIONS
    encoder: str | None = None
    notes: str = ""
    schema_version: int = SCHEMA_VERSION

    def to_json(self) -> str:
        values = asdict(self)
        first = ("schema_version", "project_id", "aliases", "title", "status", "root", "decisions_db")
        then = ("created_at", "finished_at", "image_count", "group_count", "allowed_extensions", "encoder", "notes")
        return json.dumps({key: values[key] for key in (*first, *then)}, indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read a manifest.

        Raises:
            ValueError: a field is missing or of the wrong type; the message names it.
            NewerManifestError: a newer Pickroom wrote it, so that its fields may mean something else.
        """
        values = json.loads(text)
        if not isinstance(values, dict):
            raise ValueError("it holds no JSON object")
        version = values.get("schema_version")
        if isinstance(version, int) and version > SCHEMA_VERSION:
            raise NewerManifestError(f"the manifest has schema {version}, this program knows up to {SCHEMA_VERSION}")
        for key in ("project_id", "root"):
            if not isinstance(values.get(key), str) or not values[key]:
                raise ValueError(f"its field {key!r} is missing or not text")
        project_id = values["project_id"]
        defaults: dict[str, Any] = {
            "title": project_id,
            "decisions_db": f"{DECISIONS}/{project_id}.db",
            "created_at": "",
        }
        known = {**defaults, **{k: v for k, v in values.items() if k in cls.__dataclass_fields__}}
        for key in ("aliases", "allowed_extensions"):
            if key in known:
                if not isinstance(known[key], list) or not all(isinstance(v, str) for v in known[key]):
                    raise ValueError(f"its field {key!r} is not a list of texts")
                known[key] = tuple(known[key])
        if known.get("status", "active") not in STATUSES:
            raise ValueError(f"its status {known['status']!r} is none of {', '.join(STATUSES)}")
        for key, kind in _KINDS.items():
            if key in known and (not isinstance(known[key], kind) or isinstance(known[key], bool)):
                raise ValueError(f"its field {key!r} is {known[key]!r}")
        if not Path(values["root"]).is_absolute() or "\0" in values["root"]:
            raise ValueError(f"its root {values['root']!r} is no absolute path")
        encoder = known.get("encoder")
        if encoder is not None and not _ENCODER_ID.fullmatch(encoder):  # it names a folder
            raise ValueError(f"its encoder {encoder!r} is no encoder's id")
        return cls(**known)

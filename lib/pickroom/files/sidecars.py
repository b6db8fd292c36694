"""Read the sidecar beside an image that waits for its crop, and hold it against the database. Never obeyed blindly."""

from __future__ import annotations

import errno
import json
import sqlite3
from dataclasses import dataclass

from pickroom import atomic
from pickroom.naming import is_text, sidecar_name
from pickroom.records import CropBox, Decision
from pickroom.store import decisions
from pickroom.workspace import Project

_MOST_BYTES = 1 << 20  # it holds one line


class SidecarError(ValueError):
    """A sidecar that cannot be believed; the message says why, the image is left waiting."""


@dataclass(frozen=True, slots=True)
class Sidecar:
    """A sidecar that agrees with its image and with the database.

    Attributes:
        text: its bytes as text, so that undo can write it again exactly.
        decision: the row of its group.
        box: the AI's proposal for this image, None without one (also in the minimal old form).
    """

    text: str
    decision: Decision
    box: CropBox | None


def read(project: Project, connection: sqlite3.Connection, directory: str, filename: str) -> Sidecar | None:
    """The sidecar beside an image, None when there is none.

    FORMATS.md, Sidecar: the minimal old form has only group_id, project_id and needs_crop.

    Raises:
        SidecarError: it is no JSON object, names another file, project or group, or cannot be read.
    """
    path = project.path(directory, sidecar_name(filename))
    try:
        text = atomic.read_small(path, _MOST_BYTES).decode()
        values = json.loads(text.removeprefix("\ufeff"))
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:  # none can be there
            return None
        raise SidecarError(f"its sidecar cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise SidecarError(f"its sidecar is not valid JSON ({error})") from None
    if not isinstance(values, dict):
        raise SidecarError("its sidecar holds no JSON object")
    named = values.get("filename", filename)
    if named != filename:
        raise SidecarError(f"its sidecar names another file: {named!r}")
    if values.get("project_id") not in (project.id, *project.manifest.aliases):
        raise SidecarError(f"its sidecar names project {values.get('project_id')!r}")
    group_id = values.get("group_id")
    decision = decisions.get(connection, group_id) if isinstance(group_id, str) and is_text(group_id) else None
    if decision is None:
        raise SidecarError(f"its sidecar names an unknown group: {group_id!r}")
    if decision.images[decision.user_selected_index :][:1] != (filename,):  # an older row's index may lie beyond them
        raise SidecarError(f"its sidecar names group {group_id}, whose pick is another image")
    return Sidecar(text, decision, _box(values))


def _box(values: dict[str, object]) -> CropBox | None:
    coordinates = values.get("ai_crop_coords")
    if coordinates is None:
        return None
    try:
        return CropBox.of(coordinates)
    except (ValueError, TypeError) as error:
        raise SidecarError(f"its sidecar holds a box that is none ({error})") from None

"""Read the sidecar of an image that waits for its crop, and check it against the database, which can replace it."""

from __future__ import annotations

import errno
import json
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from pickroom.core.errors import StoreError
from pickroom.core.naming import is_text, sidecar_name, stem_of
from pickroom.core.records import CropBox, Decision
from pickroom.storage import atomic
from pickroom.store import decisions, groups
from pickroom.store.workspace import Project

KEYS = frozenset(("group_id", "project_id", "needs_crop", "ai_route", "ai_crop_coords", "filename"))
Read = TypeVar("Read")
_MOST_BYTES = 1 << 20  # it holds one line


class SidecarError(ValueError):
    """A sidecar that cannot be believed; the message says why, the image is left waiting."""


@dataclass(frozen=True, slots=True)
class Sidecar:
    """Whose crop an image waits for: what its sidecar says, which agrees with the database, or the database itself."""

    text: str | None  # the file's bytes as text, so that undo can write it again exactly; None where the image has none
    decision: Decision  # the row of its group
    box: CropBox | None  # the AI's proposal for this image, None without one (also in the minimal old form)
    minimal: bool = False  # it lacks keys that the file has today (FORMATS.md, the minimal old form)


def read(project: Project, connection: sqlite3.Connection, directory: str, filename: str) -> Sidecar | None:
    """The sidecar of an image; where it has none, what the database says; None when no crop of it is waited for.

    Raises:
        SidecarError: the sidecar is no JSON object, names another file, project or group, or cannot be read; or there
            is none, and the image is not the one that was picked.
    """
    path = project.path(directory, sidecar_name(filename))
    try:
        text = atomic.read_small(path, _MOST_BYTES).decode()
        values = json.loads(text.removeprefix("\ufeff"))
    except FileNotFoundError:
        return from_database(project, connection, directory, filename)
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
        if _is_anothers(project, directory, filename, named):
            return from_database(project, connection, directory, filename)
        raise SidecarError(f"its sidecar names another file: {named!r}")
    if values.get("project_id") not in (project.id, *project.manifest.aliases):
        raise SidecarError(f"its sidecar names project {values.get('project_id')!r}")
    group_id = values.get("group_id")
    known = isinstance(group_id, str) and is_text(group_id)
    decision = _sound(decisions.get, connection, group_id) if known else None
    if decision is None:
        raise SidecarError(f"its sidecar names an unknown group: {group_id!r}")
    if decision.picked != filename:
        raise SidecarError(f"its sidecar names group {group_id}, whose pick is another image")
    return Sidecar(text, decision, _box(values), minimal=not values.keys() >= KEYS)


def from_database(project: Project, connection: sqlite3.Connection, directory: str, filename: str) -> Sidecar | None:
    """What the sidecar of an image would say; None when no decision, or more than one, waits for a crop of that name.

    Raises:
        SidecarError: one waits for it, but the image cannot be read or is not the one that was picked.
    """
    waiting = _sound(decisions.waiting_crops, connection, filename) if is_text(filename) else []
    if len(waiting) != 1:
        return None
    (decision,) = waiting
    picked = groups.content_of(connection, decision.group_id, filename)
    try:
        same = picked is None or atomic.sha256_of(project.path(directory, filename)) == picked
    except OSError as error:
        raise SidecarError(f"it cannot be read: {error.strerror}") from None
    if not same:
        raise SidecarError(
            f"it has no sidecar, and it is not the image that was picked in group {decision.group_id} (its content "
            "differs): put that image back here, or write its sidecar by hand"
        )
    return Sidecar(None, decision, decision.own_box)


def _sound(read: Callable[..., Read], connection: sqlite3.Connection, key: object) -> Read:
    """What the database says; a damaged row leaves its own image waiting, and no other."""
    try:
        return read(connection, key)
    except StoreError as error:
        raise SidecarError(error.what) from None


def _is_anothers(project: Project, directory: str, filename: str, named: object) -> bool:
    """Whether a sidecar belongs to another image of the same stem in the same folder."""
    if not isinstance(named, str) or not is_text(named) or "/" in named or stem_of(named) != stem_of(filename):
        return False
    return project.path(directory, named).is_file()


def _box(values: dict[str, object]) -> CropBox | None:
    coordinates = values.get("ai_crop_coords")
    if coordinates is None:
        return None
    try:
        return CropBox.of(coordinates)
    except (ValueError, TypeError) as error:
        raise SidecarError(f"its sidecar holds a box that is none ({error})") from None

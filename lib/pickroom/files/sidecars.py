"""Read the sidecar of an image that waits for its crop, check it against the database, and repair what waits.

A lost sidecar is written again from its group's row; a crop, or a drop, that the journal holds completes a row.
"""

import errno
import hashlib
import json
import os
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pickroom.core import naming
from pickroom.core.companions import Companions
from pickroom.core.errors import LockedError, StoreError
from pickroom.core.naming import is_text, join, sidecar_name, source_folder, split, stem_of
from pickroom.core.records import CropBox, Decision, FileOp
from pickroom.files.batch import Batch, run_batch
from pickroom.files.journal import CROP, DROP, SIDECAR
from pickroom.files.routing import sidecar_text
from pickroom.storage import atomic
from pickroom.store import crops, decisions, groups, operations
from pickroom.store.connect import transaction
from pickroom.store.crops import Crop
from pickroom.store.workspace import Project, utc_now

KEYS = frozenset(("group_id", "project_id", "needs_crop", "ai_route", "ai_crop_coords", "filename"))
Read = TypeVar("Read")
_MOST_BYTES = 1 << 20  # it holds one line


class SidecarError(ValueError):
    """A sidecar that cannot be used; the message says why, and the image still waits."""


@dataclass(frozen=True, slots=True)
class Sidecar:
    """Whose crop an image waits for: what its sidecar says, which agrees with the database, or the database itself."""

    text: str | None  # the file's bytes as text, so that undo can write it again exactly; None where the image has none
    decision: Decision  # the row of its group
    box: CropBox | None  # the AI's proposal for this image, None without one (also in the minimal old form)
    minimal: bool = False  # it lacks keys that the file has today (FORMATS.md, the minimal old form)


def waiting_folders(project: Project) -> list[str]:
    """The folders whose images wait for a crop, relative to the root: those that are there, and all below them.

    Raises:
        OSError: one of them cannot be listed.
    """
    found, ahead = [], [name for name in reversed(naming.WAITING_FOLDERS) if (project.root / name).is_dir()]
    while ahead:
        found.append(folder := ahead.pop())
        with os.scandir(project.root / folder) as listing:
            inside = [entry.name for entry in listing if entry.is_dir(follow_symlinks=False) and entry.name[0] != "."]
        ahead += [join(folder, name) for name in sorted(inside, reverse=True)]
    return found


def read(project: Project, connection: sqlite3.Connection, directory: str, filename: str) -> Sidecar | None:
    """The sidecar of an image; where it has none, what the database says; None when no crop of it is waited for.

    Raises:
        SidecarError: the sidecar is not a JSON object, names another file, project or group, or is unreadable; or there
            is none, and the image is not the one that was picked.
    """
    if project.manifest.in_place is not None:
        return from_database(project, connection, directory, filename)
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
    if decision.picked != filename or source_folder(directory) not in ("", decision.directory):
        raise SidecarError(f"its sidecar names group {group_id}, whose pick is another image")
    return Sidecar(text, decision, _box(values), minimal=not values.keys() >= KEYS)


def from_database(project: Project, connection: sqlite3.Connection, directory: str, filename: str) -> Sidecar | None:
    """What the sidecar of an image would say; None when no decision waits for a crop of it, or it is not clear which.

    In a mirrored project its folder says which of those of its name, else its content.

    Raises:
        SidecarError: one waits for it, but the image cannot be read or is not the one that was picked.
    """
    waiting = _sound(decisions.waiting_crops, connection, filename) if is_text(filename) else []
    below = source_folder(directory)
    waiting = [one for one in waiting if below in ("", one.directory)]
    if not waiting:
        return None
    picked = [groups.content_of(connection, one.group_id, filename) for one in waiting]
    try:
        sha256 = None if picked == [None] else atomic.sha256_of(project.path(directory, filename))
    except OSError as error:
        raise SidecarError(f"it cannot be read: {error.strerror}") from None
    if len(waiting) > 1:
        waiting = [one for one, content in zip(waiting, picked, strict=True) if content == sha256]
        waiting = [one for one in waiting if one.directory == below] or waiting
        if len(waiting) != 1:
            return None
        picked = [sha256]
    (decision,) = waiting
    # where images stay, other programs write metadata into them: the place tells which it is
    if picked not in ([None], [sha256]) and project.manifest.in_place is None:
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
        raise SidecarError(f"its sidecar holds an invalid box ({error})") from None


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing about a waiting crop that is not as it should be."""

    path: str  # of the image, relative to the root; its name alone where it is in neither waiting folder
    what: str  # what is wrong with it
    next: str = ""  # what the user must do where `repair` cannot
    known: Sidecar | None = None  # what its sidecar should say
    decision: Decision | None = None
    made: tuple[Crop, ...] = ()  # the crops that complete its decision; dropped: it was sent to delete_staging
    dropped: bool = False

    @property
    def repairable(self) -> bool:
        """Whether `repair` puts it right."""
        return self.known is not None or self.dropped or bool(self.made)

    def to_dict(self) -> dict[str, object]:
        return {"image": self.path, "what": self.what, "repairable": self.repairable, "next": self.next}

    @property
    def line(self) -> str:
        return f"{self.path}: {self.what}" + (f". {self.next}" if self.next else "")


def look(project: Project, connection: sqlite3.Connection) -> list[Fault]:
    """Everything `repair` would put right, and what only the user can. Changes nothing."""
    return [*_sidecars(project, connection), *_rows(project, connection)]


def rebuild_sidecars(project: Project, connection: sqlite3.Connection) -> str:
    """Write the sidecars of waiting images that have none, or one that cannot be believed, as the crop desk opens.

    Returns:
        One line for the user, "" when nothing was done.

    Raises:
        ProjectError, StoreError: as `repair`.
    """
    if not any(fault.known for fault in _sidecars(project, connection)):
        return ""
    try:
        with run_batch(project, connection, "writing sidecars") as batch:
            done = _rebuild(project, connection, batch)
    except LockedError as error:
        return error.line
    count = f"{len(done)} sidecar{'s' * (len(done) != 1)}"
    return f"{count} written again from the database (the first: {done[0].line})" if done else ""


def repair(project: Project, connection: sqlite3.Connection) -> list[str]:
    """Write lost sidecars again, and close the rows of images that were cropped or dropped without one.

    Returns:
        What was done, a line each.

    Raises:
        LockedError, ProjectError, StoreError: as `run_batch`.
    """
    with run_batch(project, connection, "repairing waiting crops") as batch:
        rebuilt = _rebuild(project, connection, batch)
        done = [f"{fault.line}; it was written again from the database" for fault in rebuilt]
        for fault in _rows(project, connection):
            if fault.repairable and fault.decision is not None:
                with transaction(connection):
                    done.append(_close(connection, fault, fault.decision))
    return done


def _sidecars(project: Project, connection: sqlite3.Connection) -> Iterator[Fault]:
    for directory in waiting_folders(project) if project.manifest.in_place is None else ():
        folder = project.root / directory
        there = set(os.listdir(folder))
        for name in sorted(Companions(there).images):
            if not (folder / name).is_file():
                continue
            own, path = sidecar_name(name), join(directory, name)
            try:
                found = read(project, connection, directory, name)
                known, what = found, "its sidecar has the minimal old form"
                if found is None or (found.text is not None and not found.minimal):
                    continue
                if found.text is None:
                    if own in there:  # that of another image of this stem: the database answers for this one
                        continue
                    what = "its sidecar is missing"
                    there.add(own)
            except SidecarError as error:
                what = str(error)
                try:
                    known = from_database(project, connection, directory, name)
                except SidecarError as differs:
                    known, what = None, str(differs)
                if known is not None and _hash(folder / own) is None:
                    what_then = f"then: pickroom check {project.id} --repair"
                    yield Fault(path, what, f"Move {join(directory, own)} away, {what_then}")
                    continue
            if known is not None:
                yield Fault(path, what, known=known)
            elif own in there:
                yield Fault(path, what, f"No decision waits for this image: move {join(directory, own)} away")
            else:
                yield Fault(path, what)


def _rebuild(project: Project, connection: sqlite3.Connection, batch: Batch) -> list[Fault]:
    """Plan and take the steps, under the project's lock; returns what is done. An old sidecar is set aside.

    The old one goes in a batch of its own, before the new one is planned: steps that share a path could not be taken
    twice. Killed in between, the image has no sidecar, and the next look writes it.
    """
    faults = {fault.path: fault for fault in _sidecars(project, connection) if fault.known is not None}
    done: list[str] = []
    for steps in (_set_aside, _write):
        batch, ops = Batch(connection, batch.folder), list[FileOp]()
        for fault in faults.values():
            try:
                ops += steps(project, fault, batch.number)
            except OSError:  # a folder of that name, or a file that nobody may read: the next look names it
                continue
        batch.plan(ops)
        done = batch.run().done
    return [faults[path] for path in done if path in faults]


def _set_aside(project: Project, fault: Fault, batch: int) -> list[FileOp]:
    own = _sidecar_of(fault)
    if not (project.root / own).exists():
        return []
    name = f"replaced-{batch}-{hashlib.sha256(fault.path.encode()).hexdigest()[:16]}.decision"
    sha256 = atomic.sha256_of(project.root / own)
    return [FileOp(batch, SIDECAR, fault.path, "move", own, join(naming.STAGING, name), sha256)]


def _write(project: Project, fault: Fault, batch: int) -> list[FileOp]:
    own = _sidecar_of(fault)
    if fault.known is None or (project.root / own).exists():
        return []
    decision, name = fault.known.decision, split(fault.path)[1]
    route = "manual" if decision.user_action == "crop" else "suggestion"
    text = sidecar_text(decision.group_id, decision.project_id, decision.directory, name, route, decision.own_box)
    digest = hashlib.sha256(text.encode()).hexdigest()
    return [FileOp(batch, SIDECAR, fault.path, "write", None, own, digest, content=text)]


def _sidecar_of(fault: Fault) -> str:
    directory, name = split(fault.path)
    return join(directory, sidecar_name(name))


def _rows(project: Project, connection: sqlite3.Connection) -> Iterator[Fault]:
    """Decisions whose crop is asked for while their image waits nowhere."""
    waiting = decisions.waiting_crops(connection)
    names = Counter(decision.picked for decision in waiting)
    for decision in waiting:
        name = decision.picked
        if name is None:
            continue
        # its path below the folders of a mirrored project, or of one that was flat when it moved
        units = tuple(dict.fromkeys((join(decision.directory or "", name), name)))
        places = [join(folder, unit) for folder in naming.WAITING_FOLDERS for unit in units]
        if project.manifest.in_place is not None:  # the image waits where it lies
            places = [units[0]]
        if any((project.root / path).is_file() for path in places):
            continue
        what = f"group {decision.group_id} waits for its crop, "
        taken = [op for unit in units for op in operations.of_unit(connection, (CROP, DROP), unit)]
        moves = [op for op in taken if op.source in places]
        picked = groups.content_of(connection, decision.group_id, name)
        made = tuple(one for one in crops.without_group(connection, name) if join(one.directory, name) in units)
        originals = [_hash(project.root / naming.CROP_ORIGINALS / unit) for unit in units]
        content = moves[0].sha256 if moves else next(filter(None, originals), None)
        alone = names[name] == 1 or picked is not None
        if content is not None and alone and picked in (None, content):
            if moves and moves[-1].kind == DROP:
                yield Fault(name, f"{what}and it was sent to delete_staging", decision=decision, dropped=True)
                continue
            if made:
                yield Fault(name, f"{what}which was made without a sidecar", decision=decision, made=made)
                continue
        there = next((u for u in units if any((project.root / f / u).is_file() for f in naming.OWNED_FOLDERS)), name)
        yield Fault(name, *_unknown(project, there, what))


def _unknown(project: Project, name: str, what: str) -> tuple[str, str]:
    """What is wrong with a row that nothing closes, and what the user must do.

    Args:
        name: the image's path below the folder that holds it.
    """
    places = [folder for folder in naming.OWNED_FOLDERS if (project.root / folder / name).is_file()]
    waiting = f"{naming.WAITING_FOLDERS[0]}/"
    originals, cropped = naming.CROP_ORIGINALS, naming.CROPPED
    if originals in places and cropped in places:
        return (
            f"{what}and {cropped}/ holds a crop whose box is not known",
            f"Move {cropped}/{name} away and {originals}/{name} back to {waiting}, then crop it again",
        )
    if places:
        return f"{what}and it is in {places[0]}/", f"Move it to {waiting}, then crop it"
    return (
        f"{what}and it is in none of the folders that Pickroom moves images to",
        f"Put it back into {waiting}, then crop it",
    )


def _hash(path: Path) -> str | None:
    try:
        return atomic.sha256_of(path)
    except OSError:
        return None


def _close(connection: sqlite3.Connection, fault: Fault, decision: Decision) -> str:
    if fault.dropped:
        decisions.set_dropped(connection, decision.group_id, utc_now())
        return f"{fault.path}: group {decision.group_id} no longer waits: it was sent to delete_staging"
    for crop in fault.made:
        crops.set_group(connection, crop, decision.group_id)
    latest = fault.made[-1]
    decisions.set_crop(connection, decision.group_id, latest)
    return f"{fault.path}: group {decision.group_id} got the crop that was made in batch {latest.batch}"

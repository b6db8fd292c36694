"""Read the sidecar of an image that waits for its crop, check it against the database, and repair what waits.

A lost sidecar is written again from its group's row; a crop, or a drop, that the journal holds completes a row.
"""

import errno
import json
import os
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
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
from pickroom.files.preflight import HeldError
from pickroom.files.routing import digest, sidecar_text, write_step
from pickroom.storage import atomic
from pickroom.store import crops, decisions, groups, operations
from pickroom.store.connect import transaction
from pickroom.store.crops import Crop
from pickroom.store.workspace import Project, utc_now

KEYS = frozenset(("group_id", "project_id", "needs_crop", "ai_route", "ai_crop_coords", "filename"))
Read = TypeVar("Read")
_MOST_BYTES = 1 << 20  # it holds one line


@dataclass(frozen=True, slots=True)
class Sidecar:
    """Whose crop an image waits for: what its sidecar says, which agrees with the database, or the database itself."""

    text: str | None  # the file's bytes as text, so that undo can write it again exactly; None where the image has none
    decision: Decision  # the row of its group
    box: CropBox | None  # the AI's proposal for this image, None without one (also in the minimal old form)
    minimal: bool = False  # it lacks keys that the file has today (FORMATS.md, the minimal old form)


def waiting_folders(project: Project) -> list[str]:
    """The folders whose images wait for a crop, relative to the root: those that are there, and all below them.

    Raises OSError where one of them cannot be listed.
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

    Raises HeldError where the sidecar is not a JSON object, names another file, project or group, or is unreadable; or
    there is none, and the image is not the one that was picked.
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
        raise HeldError(f"its sidecar cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise HeldError(f"its sidecar is not valid JSON ({error})") from None
    if not isinstance(values, dict):
        raise HeldError("its sidecar holds no JSON object")
    named = values.get("filename", filename)
    if named != filename:
        text_name = isinstance(named, str) and is_text(named) and "/" not in named
        # it belongs to another image of the same stem in the same folder
        if text_name and stem_of(named) == stem_of(filename) and project.path(directory, named).is_file():
            return from_database(project, connection, directory, filename)
        raise HeldError(f"its sidecar names another file: {named!r}")
    if values.get("project_id") not in (project.id, *project.manifest.aliases):
        raise HeldError(f"its sidecar names project {values.get('project_id')!r}")
    group_id = values.get("group_id")
    known = isinstance(group_id, str) and is_text(group_id)
    decision = _sound(decisions.get, connection, group_id) if known else None
    if decision is None:
        raise HeldError(f"its sidecar names an unknown group: {group_id!r}")
    if decision.picked != filename or source_folder(directory) not in ("", decision.directory):
        raise HeldError(f"its sidecar names group {group_id}, whose pick is another image")
    try:
        box = CropBox.of(values["ai_crop_coords"]) if values.get("ai_crop_coords") is not None else None
    except (ValueError, TypeError) as error:
        raise HeldError(f"its sidecar holds an invalid box ({error})") from None
    return Sidecar(text, decision, box, minimal=not values.keys() >= KEYS)


def from_database(project: Project, connection: sqlite3.Connection, directory: str, filename: str) -> Sidecar | None:
    """What the sidecar of an image would say; None when no decision waits for a crop of it, or it is not clear which.

    In a mirrored project its folder says which of those of its name, else its content. Raises HeldError where one waits
    for it, but the image cannot be read or is not the one that was picked.
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
        raise HeldError(f"it cannot be read: {error.strerror}") from None
    if len(waiting) > 1:
        waiting = [one for one, content in zip(waiting, picked, strict=True) if content == sha256]
        waiting = [one for one in waiting if one.directory == below] or waiting
        if len(waiting) != 1:
            return None
        picked = [sha256]
    (decision,) = waiting
    # where images stay, other programs write metadata into them: the place tells which it is
    if picked not in ([None], [sha256]) and project.manifest.in_place is None:
        raise HeldError(
            f"it has no sidecar, and it is not the image that was picked in group {decision.group_id} (its content "
            "differs): put that image back here, or write its sidecar by hand"
        )
    return Sidecar(None, decision, decision.own_box)


def _sound(read: Callable[..., Read], connection: sqlite3.Connection, key: object) -> Read:
    """What the database says; a damaged row leaves its own image waiting, and no other."""
    try:
        return read(connection, key)
    except StoreError as error:
        raise HeldError(error.what) from None


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing about a waiting crop that is not as it should be."""

    path: str  # of the image, relative to the root; its name alone where it is in neither waiting folder
    what: str  # what is wrong with it
    next: str = ""  # what the user must do where `repair` cannot
    known: Sidecar | None = None  # what its sidecar should say
    decision: Decision | None = None  # one that `repair` completes
    made: tuple[Crop, ...] = ()  # by these crops; where there is none, the image was sent to delete_staging

    @property
    def repairable(self) -> bool:
        """Whether `repair` puts it right."""
        return self.known is not None or self.decision is not None

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

    Returns one line for the user, "" when nothing was done. Raises ProjectError and StoreError as `repair`.
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

    Returns what was done, a line each. Raises LockedError, ProjectError and StoreError as `run_batch`.
    """
    with run_batch(project, connection, "repairing waiting crops") as batch:
        rebuilt = _rebuild(project, connection, batch)
        done = [f"{fault.line}; it was written again from the database" for fault in rebuilt]
        for fault in _rows(project, connection):
            if fault.decision is None:
                continue
            group_id = fault.decision.group_id
            with transaction(connection):
                if fault.made:
                    for crop in fault.made:
                        crops.set_group(connection, crop, group_id)
                    decisions.set_crop(connection, group_id, fault.made[-1])
                    how = f"got the crop that was made in batch {fault.made[-1].batch}"
                else:
                    decisions.set_dropped(connection, group_id, utc_now())
                    how = "no longer waits: it was sent to delete_staging"
            done.append(f"{fault.path}: group {group_id} {how}")
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
                known, what = read(project, connection, directory, name), "its sidecar has the minimal old form"
                if known is None or (known.text is not None and not known.minimal):
                    continue
                if known.text is None:
                    if own in there:  # that of another image of this stem: the database answers for this one
                        continue
                    what = "its sidecar is missing"
                    there.add(own)
            except HeldError as error:
                what = str(error)
                try:
                    known = from_database(project, connection, directory, name)
                except HeldError as differs:
                    known, what = None, str(differs)
                if known is not None and _hash(folder / own) is None:
                    then = f"Move {join(directory, own)} away, then: pickroom check {project.id} --repair"
                    yield Fault(path, what, then)
                    continue
            then = f"No decision waits for this image: move {join(directory, own)} away"
            yield Fault(path, what, then if known is None and own in there else "", known)


def _rebuild(project: Project, connection: sqlite3.Connection, batch: Batch) -> list[Fault]:
    """Plan and take the steps, under the project's lock; returns what is done. An old sidecar is set aside.

    The old one goes in a batch of its own, before the new one is planned: steps that share a path could not be taken
    twice. Killed in between, the image has no sidecar, and the next look writes it.
    """
    faults = {fault.path: fault for fault in _sidecars(project, connection) if fault.known is not None}
    done: list[str] = []
    for aside in (True, False):
        batch, ops = Batch(connection, batch.folder), list[FileOp]()
        for path, known in ((fault.path, fault.known) for fault in faults.values()):
            directory, name = split(path)
            own = join(directory, sidecar_name(name))
            with suppress(OSError):  # a folder of that name, or a file that nobody may read: the next look names it
                there = (project.root / own).exists()
                if aside and there:
                    free = join(naming.STAGING, f"replaced-{batch.number}-{digest(path)[:16]}.decision")
                    sha256 = atomic.sha256_of(project.root / own)
                    ops.append(FileOp(batch.number, SIDECAR, path, "move", own, free, sha256))
                elif not aside and not there and known is not None:
                    route = "manual" if known.decision.user_action == "crop" else "suggestion"
                    text = sidecar_text(known.decision, name, route, known.decision.own_box)
                    ops.append(write_step(batch.number, SIDECAR, path, own, text))
        batch.plan(ops)
        done = batch.run().done
    return [faults[path] for path in done if path in faults]


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
        sure = content is not None and alone and picked in (None, content)
        if sure and moves and moves[-1].kind == DROP:
            yield Fault(name, f"{what}and it was sent to delete_staging", decision=decision)
        elif sure and made:
            yield Fault(name, f"{what}which was made without a sidecar", decision=decision, made=made)
        else:
            yield _unknown(project, name, units, what)


def _unknown(project: Project, name: str, units: Sequence[str], what: str) -> Fault:
    """A row that nothing closes, and what the user must do; `units` are where the image may be below its folder."""
    waiting, originals, cropped = f"{naming.WAITING_FOLDERS[0]}/", naming.CROP_ORIGINALS, naming.CROPPED
    for unit in units:
        places = [folder for folder in naming.OWNED_FOLDERS if (project.root / folder / unit).is_file()]
        if originals in places and cropped in places:
            then = f"Move {cropped}/{unit} away and {originals}/{unit} back to {waiting}, then crop it again"
            return Fault(name, f"{what}and {cropped}/ holds a crop whose box is not known", then)
        if places:
            return Fault(name, f"{what}and it is in {places[0]}/", f"Move it to {waiting}, then crop it")
    nowhere = f"{what}and it is in none of the folders that Pickroom moves images to"
    return Fault(name, nowhere, f"Put it back into {waiting}, then crop it")


def _hash(path: Path) -> str | None:
    with suppress(OSError):
        return atomic.sha256_of(path)
    return None

"""XMP sidecars next to the images of a project: planned, then written under its lock, with a record to take them back.

The record (`data/ai_data/logs/xmp-<project>-<time>.jsonl`, one line a sidecar) is on disk before the first sidecar
is: what a crash interrupts can be undone, or simply exported again. The journal of file operations is not used, since
its steps never replace a file, and here a sidecar that is there is replaced by itself with a few properties more.
"""

import hashlib
import json
import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from pickroom.core.errors import FileOperationError, ImageError, UsageError
from pickroom.core.naming import filename_of, folder_of, source_folder, stays_inside
from pickroom.exports import choices
from pickroom.exports.choices import Choices
from pickroom.exports.formats import Exported, ExportRequest, Progress
from pickroom.files import rating
from pickroom.files.preflight import DiskSnapshot, ImageFolder, moving_files, require_images
from pickroom.files.rating import Naming, Sidecar
from pickroom.integrity import unsound_rows
from pickroom.storage import atomic
from pickroom.storage.json_records import from_json, parse_lines
from pickroom.store.connect import open_read_only
from pickroom.store.workspace import Project

_SHOWN = 20  # sidecars of a project that are listed by name
_UNDONE = ".undone"
_SET_ASIDE = re.compile(r"\.undone-\d+(?=(\.[^.]+)?\.xmp$)")


@dataclass(frozen=True, slots=True)
class Undone:
    """What an undo did: sidecars put back or removed, and path -> reason for those left as they are."""

    restored: int
    held: dict[str, str]


def export(request: ExportRequest) -> Exported:
    """Plan sidecars for every project; with the option "execute" write them, with "undo" take the last write back.

    Raises UsageError where both options are given; else as `write` and `undo` do.
    """
    executing, undoing = request.options["execute"], request.options["undo"]
    if executing and undoing:
        raise UsageError("--execute and --undo exclude each other", doing="exporting", hint="give one of them")
    done = Exported({"projects": {}, "executed": executing or undoing}, [])
    if undoing:
        # of several projects, those that have something to undo
        opened = [project for project in request.projects if standing(project)] or request.projects[:1]
        for project in request.projects if len(request.projects) == 1 else opened:
            undone = undo(project)
            done.values["projects"][project.id] = {"restored": undone.restored, "held": undone.held}
            done.lines.append(f"{project.id}: {undone.restored} sidecars as they were, {len(undone.held)} held back")
            done.lines += [f"  {path}: {reason}" for path, reason in list(undone.held.items())[:_SHOWN]]
            done.held += len(undone.held)
        return done
    naming, held, lost, going = request.options["naming"], 0, list[str](), 0
    for project in request.projects:
        if project.manifest.in_place is not None:
            done.values["projects"][project.id] = {"in_place": project.manifest.in_place}
            done.lines.append(f"{project.id}: rated in place: finalise writes its sidecars")
            continue
        if executing:
            with request.progress(f"Writing sidecars of {project.id}") as progress:
                planned, found, record = write(project, naming, progress)
        else:
            found, record = choices.read(project), None
            planned = plan(found, naming)
        counts = _counts(planned)
        done.values["projects"][project.id] = {
            **counts,
            "left_out": dict(found.left_out),
            "record": str(record) if record else None,
            "unsound_rows": unsound_rows(project.database).count,
        }
        done.lines += _in_words(project, counts, "written" if executing else "would be written")
        done.lines += [f"  left out: {count} {reason}" for reason, count in found.left_out.items()]
        held += len(counts["held"])
        lost += found.lost
        going += counts["new"] + counts["merged"]
    if going and not executing:
        done.lines.append("Nothing has been done. Do it: add --execute")
    done.lost, done.databases = lost, {project: [project.database] for project in request.projects}
    done.held = held + len(lost) if executing else 0
    return done


def _counts(planned: Sequence[Sidecar]) -> dict[str, Any]:
    going = [item for item in planned if item.held is None]
    return {
        "new": sum(item.before is None for item in going),
        "merged": sum(item.before is not None and not item.there for item in going),
        "already": sum(item.there for item in going),
        "replaced": {item.path: list(item.changes) for item in going if item.changes},
        "rating_only": [item.path for item in going if item.rating_only],
        "held": {item.path: item.held for item in planned if item.held is not None},
    }


def _in_words(project: Project, counts: Mapping[str, Any], done: str) -> list[str]:
    lines = [
        f"{project.id}: {counts['new']} sidecars {done}, {counts['merged']} merged into, "
        f"{counts['already']} say it already, {len(counts['held'])} held back"
    ]
    of_raw = dict.fromkeys(counts["rating_only"], "rating and label, no crop: it is of another file (a RAW file)")
    for word, listed in (("replaces", counts["replaced"]), ("held back", counts["held"]), ("written", of_raw)):
        for path, what in list(listed.items())[:_SHOWN]:
            lines.append(f"  {word}: {path}: {what if isinstance(what, str) else ', '.join(what)}")
        if len(listed) > _SHOWN:
            lines.append(f"  and {len(listed) - _SHOWN} more; --json lists them all")
    return lines


def plan(found: Choices, naming: Naming = "stem") -> list[Sidecar]:
    """What writing sidecars for these choices would do. Changes nothing; the dry run and the real one look by this."""
    disk = DiskSnapshot(found.project.root)
    planned: list[Sidecar] = []
    for judged in found.images:
        rated = rating.rated(judged.verdict, judged.stars)
        # the box belongs to the picture that it was drawn on: next to the finished crop it would cut twice
        try:
            cut, other = (
                rating.cropped(disk.root / judged.path, box) if box is not None else {}
                for box in (judged.box, judged.other_box)
            )
        except ImageError as error:
            planned.append(Sidecar(judged.path, judged.image.filename, held=error.reason))
            continue
        planned.append(rating.plan(disk, judged.path, {**rated, **cut}, naming, other))
        if judged.cropped is not None:
            planned.append(rating.plan(disk, judged.cropped, rated, naming))
    shared = Counter(item.path for item in planned)
    return [
        replace(item, held="another image of this stem has the same sidecar") if shared[item.path] > 1 else item
        for item in planned
    ]


def write(
    project: Project, naming: Naming = "stem", progress: Progress | None = None
) -> tuple[list[Sidecar], Choices, Path | None]:
    """Write every sidecar that is not held back and does not say it already.

    Returns:
        The plan as it was carried out, the choices it came from, and the record; None where nothing was to write.

    Raises:
        FileOperationError: the disk refused; what was written until then is in the record.
        LockedError, ConflictError, ProjectError, StoreError: as `choices.read`; nothing is written.
    """
    with moving_files(project, "writing XMP sidecars") as folder:
        found = choices.read(project)
        planned = plan(found, naming)
        writing = [item for item in planned if item.held is None and not item.there]
        if not writing:
            return planned, found, None
        record = project.workspace.logs / f"xmp-{project.id}-{datetime.now(UTC):%Y%m%dT%H%M%S%fZ}.jsonl"
        try:
            record.parent.mkdir(parents=True, exist_ok=True)
            after = ((item, (item.after or "").encode()) for item in writing)
            entries = (_Entry(item.path, item.before, hashlib.sha256(data).hexdigest()) for item, data in after)
            atomic.create_bytes(record, _lines(entries).encode())
            atomic.sync_folders([record.parent])
            for done, item in enumerate(writing, start=1):
                assert item.after is not None
                folder.require()
                atomic.write_bytes(project.root / item.path, item.after.encode())
                if progress:
                    progress(done, len(writing))
        except OSError as error:
            hint = "take back what was written so far: pickroom export --xmp --undo"
            where = [Path(error.filename)] if error.filename else [project.root]
            raise FileOperationError(error.strerror or str(error), "writing XMP sidecars", where, hint) from error
    return planned, found, record


def undo(project: Project) -> Undone:
    """Take the latest write of sidecars back: those that were made go, those that were merged are as before.

    A sidecar that was changed since, by another program or by hand, is left as it is, and stays in the record. A write
    of which only such are left gives way to the one before it.

    Raises:
        UsageError: no write of this project stands. LockedError: files are being moved.
        ConflictError, FileOperationError: the images are not in the image folder, or it went away; the record stays.
    """
    with moving_files(project, "undoing XMP sidecars") as folder:
        records = standing(project)
        if not records:
            raise UsageError("no sidecars were written, or all are undone", doing=f"undoing in {project.id}")
        with open_read_only(project.database) as connection:
            require_images(project, connection, "undoing XMP sidecars", project.relocate_hint)
        held: dict[str, str] = {}
        for record in records:
            done = _take_back(project, folder, record, held)
            if done or not record.exists():  # undone by as much as it held
                return Undone(done, held)
    return Undone(0, held)


def _take_back(project: Project, folder: ImageFolder, record: Path, held: dict[str, str]) -> int:
    """Take one write back as far as that can be; how many sidecars, and into `held` why others stay."""
    entries = _entries(record)
    where = _where(project, [entry.path for entry in entries])
    staying = []
    for entry in entries:
        reason = _restore(folder.root, entry, where)
        if reason is not None:
            held[entry.path] = reason
            staying.append(entry)
    folder.require()  # else a sidecar that is out of reach would count as one that nobody wrote
    if staying:
        atomic.write_text(record, _lines(staying))
    else:
        record.rename(record.with_name(record.name + _UNDONE))
    return len(entries) - len(staying)


def standing(project: Project) -> list[Path]:
    """The records of writes that were not undone, or not wholly, the latest first."""
    pattern = re.compile(rf"xmp-{re.escape(project.id)}-\d{{8}}T\d{{12}}Z\.jsonl")
    records = project.workspace.logs.glob("xmp-*.jsonl") if project.workspace.logs.is_dir() else ()
    return sorted((path for path in records if pattern.fullmatch(path.name)), reverse=True)


class _Entry(msgspec.Struct):
    """A line of the record."""

    path: str
    before: str | None
    after_sha256: str

    def __post_init__(self) -> None:
        (self.before or "").encode()
        if not stays_inside(self.path) or not self.path.endswith(".xmp"):
            raise ValueError(f"it names {self.path!r}")


def _lines(entries: Iterable[_Entry]) -> str:
    return "".join(json.dumps(msgspec.structs.asdict(entry)) + "\n" for entry in entries)


def _entries(record: Path) -> list[_Entry]:
    try:
        with atomic.open_plain(record) as file:
            return [entry for _, entry in parse_lines(partial(from_json, _Entry), file.read().decode())]
    except (OSError, ValueError) as error:
        hint = "no sidecar was touched; restore it from a backup, or delete it"
        raise UsageError(
            f"the record cannot be read ({error})", doing="undoing sidecars", subject=record, hint=hint
        ) from None


def _where(project: Project, paths: Sequence[str]) -> dict[str, list[Path]]:
    """Sidecar's name -> where such files lie: they move with their image when a batch is applied or undone.

    That of a crop which was undone has a mark in its name.
    """
    wanted = {filename_of(path) for path in paths if not os.path.isfile(project.root / path)}
    if not wanted:
        return {}
    found: dict[str, list[Path]] = {}
    for path in project.root.rglob("*.xmp"):
        name = _SET_ASIDE.sub("", path.name)
        if name in wanted and path.is_file():
            found.setdefault(name, []).append(path)
    return found


def _restore(root: Path, entry: _Entry, where: Mapping[str, Sequence[Path]]) -> str | None:
    """Put one sidecar back; why not, where it is not what was written any more."""
    below = source_folder(folder_of(entry.path))  # of equal names in several folders its own first
    moved = where.get(filename_of(entry.path), ())
    moved = sorted(moved, key=lambda path: source_folder(path.parent.relative_to(root).as_posix()) != below)
    places = [root / entry.path, *moved]
    there = [path for path in places if os.path.isfile(path)]  # a name may be too long to be asked about
    before = None if entry.before is None else entry.before.encode()
    try:
        ours = next((path for path in there if atomic.sha256_of(path) == entry.after_sha256), None)
        if ours is None:
            # a crash came before this one was written, or someone has put it back already
            if (not there and before is None) or any(path.read_bytes() == before for path in there):
                return None
            return "changed since" if there else "no longer there"
        if before is None:
            ours.unlink()
        else:
            atomic.write_bytes(ours, before)
    except OSError as error:
        return error.strerror or str(error)
    return None

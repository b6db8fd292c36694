"""The folder of an export: pictures as links or copies, documents written atomically, other files untouched.

`.pickroom-export.json` names every file that an export has made here, and is on disk before they are. A file that it
does not name, or that was changed since, is never replaced. One that a later run no longer makes is removed, unless it
was changed. A folder holds one kind of export.
"""

import errno
import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any, Self

from pickroom.core.companions import Companions
from pickroom.core.errors import ConflictError, FileOperationError, UsageError
from pickroom.core.naming import RAW_EXTENSIONS, extension_of, stays_inside
from pickroom.core.quantities import plural
from pickroom.exports import choices
from pickroom.exports.choices import Choices, Judged
from pickroom.exports.formats import Exported, ExportRequest, Progress
from pickroom.images import metadata
from pickroom.storage import atomic, leftovers
from pickroom.store.workspace import Project

NEGATIVE = "RAW file, which is not a picture yet: develop it, or use --xmp"
STATE_FILE = ".pickroom-export.json"
PICTURES = "images"
_LINK, _SHA256 = "link", "sha256:"
_SHOWN = 5  # captions that cannot be read, by name
_MOST_BYTES = 256 << 20  # of the list of files: more than a million

Writer = Callable[[Path], object]  # writes a document to the path it is given


def picture_name(judged: Judged) -> str:
    """Where an image lies in the folder: `images/<project>/<file name>`, of a mirrored project with its sub-folders."""
    return f"{PICTURES}/{judged.project_id}/{judged.name}"


def check_outside(folder: Path, projects: Iterable[Project]) -> None:
    """Raise UsageError where a folder lies in a project's: what is exported there would be scanned as its images."""
    for project in projects:
        root = project.root.resolve()
        if folder == root or root in folder.parents:
            raise UsageError(
                f"it lies in the images of project {project.id}",
                doing="exporting",
                subject=folder,
                hint="give a folder outside of it",
            )


@dataclass(frozen=True, slots=True)
class Dataset:
    """The choices to export into one folder."""

    request: ExportRequest
    found: Sequence[Choices]

    @classmethod
    def read(cls, request: ExportRequest) -> Self:
        """Read the choices but for RAW files, which no reader of pictures reads; raises as `check_outside` and
        `choices.read` do."""
        check_outside(request.folder, request.projects)
        found = [choices.read(project) for project in request.projects]
        for chosen in found:
            before = len(chosen.images)
            pictures = [
                (group, tuple(one for one in group.images if extension_of(one.image.filename) not in RAW_EXTENSIONS))
                for group in chosen.groups
            ]
            chosen.groups = [replace(group, images=images) for group, images in pictures if images]
            if negatives := before - len(chosen.images):
                chosen.left_out[NEGATIVE] += negatives
        return cls(request, found)

    @property
    def images(self) -> list[Judged]:
        return [judged for chosen in self.found for judged in chosen.images]

    def files(self, wanted: Sequence[Judged]) -> dict[str, Path]:
        """Name in the folder -> the image file."""
        roots = {chosen.project.id: chosen.project.root for chosen in self.found}
        return {picture_name(judged): roots[judged.project_id] / judged.path for judged in wanted}

    def publish(
        self,
        kind: str,
        files: Mapping[str, Path],
        documents: Mapping[str, Writer],
        counts: Mapping[str, int],
        unread: Mapping[str, str] | None = None,
    ) -> Exported:
        """Fill the folder; raises as `fill` does.

        Args:
            counts: what is in it -> how many.
            unread: name in the folder -> why its caption cannot be read.
        """
        folder = self.request.folder
        with self.request.progress("Placing pictures") as progress:
            fill(folder, kind, files, documents, copy=self.request.options["copy"], progress=progress)
        left_out: Counter[str] = sum((chosen.left_out for chosen in self.found), Counter())
        lost = [name for chosen in self.found for name in chosen.lost]
        lines = [f"  left out: {count} {reason}" for reason, count in left_out.items()]
        if unread:
            lines.append(f"  exported as null: {plural(len(unread), 'caption')} that cannot be read")
            lines += [f"    {name}: {why}" for name, why in list(unread.items())[:_SHOWN]]
            lines += [f"    and {len(unread) - _SHOWN} more; --json lists them all"] if len(unread) > _SHOWN else []
        words = ", ".join(f"{count} {what}" for what, count in counts.items())
        return Exported(
            {"folder": str(folder), **counts, "left_out": dict(left_out)}
            | ({} if unread is None else {"unread_captions": dict(unread)}),
            [f"{words} in {folder}", *lines],
            lost=lost,
            held=len(lost),
            databases={project: [project.database] for project in self.request.projects},
        )


def captions(files: Mapping[str, Path]) -> tuple[dict[str, str | None], dict[str, str]]:
    """Name in the folder -> the picture's caption; and name -> why it is unknown, where something is written."""
    found: dict[str, str | None] = {}
    unread: dict[str, str] = {}
    companions = cache(lambda folder: Companions(os.listdir(folder)))
    for name, path in files.items():
        found[name], why = metadata.caption(path, companions(path.parent).of(path.name))
        if why:
            unread[name] = why
    return found, unread


def write_json(path: Path, values: object) -> None:
    """Write one JSON document."""
    path.write_text(json.dumps(values) + "\n", encoding="utf-8")


def write_jsonl(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write one JSON object per line."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def write_parquet(
    path: Path, rows: Iterable[Mapping[str, Any]], columns: Mapping[str, str], rows_a_part: int = 1 << 16
) -> None:
    """Write rows as Parquet.

    Args:
        columns: name -> type, which holds also where a whole column is NULL: as pyarrow names it, or "time", "strings",
            "integers".
        rows_a_part: so many rows are in memory at a time.
    """
    import pyarrow
    import pyarrow.parquet

    types: dict[str, Any] = {"time": pyarrow.timestamp("us", "UTC")}
    types |= {"strings": pyarrow.list_(pyarrow.string()), "integers": pyarrow.list_(pyarrow.int64())}
    schema = pyarrow.schema([(name, types.get(kind) or pyarrow.type_for_alias(kind)) for name, kind in columns.items()])
    left = iter(rows)
    with pyarrow.parquet.ParquetWriter(path, schema) as writer:
        while part := [dict(row) for row in islice(left, rows_a_part)]:
            writer.write_table(pyarrow.Table.from_pylist(part, schema))


def fill(
    folder: Path,
    kind: str,
    pictures: Mapping[str, Path],
    documents: Mapping[str, Writer],
    *,
    copy: bool,
    progress: Progress,
) -> None:
    """Fill a folder.

    Args:
        kind: what is exported; a folder of another kind is refused, since its files would be taken for outdated.
        pictures: name in the folder -> the image file. Linked to, unless `copy`; never changed.
        documents: name in the folder -> what writes it, called with a path next to its place.

    Raises:
        ConflictError: a file of that name is there that no export made or that was changed since, it is another kind's
            folder, or a link in it leads elsewhere; nothing is written.
        FileOperationError: the disk refused; run it again when there is room.
    """
    names = [*pictures, *documents]
    try:
        held, before = _read_state(folder)
        if held not in (None, kind):
            what, hint = f"it holds an export to {held}", "give another folder"
            raise ConflictError(what, doing=f"exporting to {kind}", subject=folder, hint=hint)
        changed = {name for name, stamp in before.items() if not _is_as_made(folder / name, stamp)}
        strange = [name for name in names if (name not in before or name in changed) and os.path.lexists(folder / name)]
        if strange:
            what = f"{len(strange)} files there were not made by an export, or changed since, the first: {strange[0]}"
            raise _conflict(what, folder, strange)
        if led := sorted({name for name in (*names, *before) if _is_led_away(folder, name)}):
            raise _conflict(f"a folder on the way to {led[0]} is a link", folder, led)
        folder.mkdir(parents=True, exist_ok=True)
        _write_state(folder, kind, {**before, **dict.fromkeys(names)})
        made: dict[str, str | None] = {}
        with leftovers.Folder(".pickroom-export-", folder) as building:
            for done, (name, source) in enumerate(pictures.items(), start=1):
                _place(folder / name, source, copy, building)
                made[name] = _stamp(folder / name)
                progress(done, len(pictures))
            for name, write in documents.items():
                _publish(folder / name, write, building)
                made[name] = f"{_SHA256}{atomic.sha256_of(folder / name)}"
        for name in before.keys() - names - changed:
            (folder / name).unlink(missing_ok=True)
        _write_state(folder, kind, made)
    except OSError as error:
        where = [Path(error.filename)] if error.filename else [folder]
        hint = "make room, or give another folder, and run it again"
        raise FileOperationError(error.strerror or str(error), "exporting", where, hint) from error


def _conflict(what: str, folder: Path, names: Sequence[str]) -> ConflictError:
    return ConflictError(what, items=names, doing="exporting", subject=folder, hint="give an empty folder")


def _place(target: Path, source: Path, copy: bool, building: Path) -> None:
    if _same(target, source, copy):
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    _publish(target, (lambda path: _copy(source, path)) if copy else (lambda path: _link(source, path)), building)


def _copy(source: Path, path: Path) -> None:
    shutil.copyfile(source, path)
    atomic.copy_stat(source, path)  # the next run knows a copy by its times


def _link(source: Path, path: Path) -> None:
    try:
        path.symlink_to(source)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP):
            raise
        what = "the disk has no symbolic links"
        raise FileOperationError(what, "exporting", [path.parent], "copy the pictures: --copy") from error


def _same(target: Path, source: Path, copy: bool) -> bool:
    if target.is_symlink():
        return not copy and os.readlink(target) == str(source)
    if not copy or not target.is_file():
        return False
    here, there = target.stat(), source.stat()
    return (here.st_size, here.st_mtime_ns) == (there.st_size, there.st_mtime_ns)


def _publish(target: Path, write: Writer, building: Path) -> None:
    temporary = building / "file"  # what a failed one leaves here goes with the folder
    write(temporary)
    atomic.replace(temporary, target)


def _stamp(path: Path) -> str:
    """What tells a placed picture from one that was changed since, without reading it."""
    if path.is_symlink():
        return _LINK
    status = path.stat()
    return f"{status.st_size}:{status.st_mtime_ns}"


def _is_as_made(path: Path, stamp: str | None) -> bool:
    """Whether a file is gone, or as an export left it; without a stamp the export was interrupted, or an older one."""
    if stamp is None or path.is_symlink() or not os.path.lexists(path):
        return True
    if not path.is_file():
        return False
    return (f"{_SHA256}{atomic.sha256_of(path)}" if stamp.startswith(_SHA256) else _stamp(path)) == stamp


def _read_state(folder: Path) -> tuple[str | None, dict[str, str | None]]:
    """(kind, name -> stamp) of what exports made here; (None, {}) where nothing is known to be theirs."""
    try:
        state = json.loads(atomic.read_small(folder / STATE_FILE, _MOST_BYTES))
    except FileNotFoundError:
        return None, {}
    except (ValueError, RecursionError):  # damaged: then no file there is known to be ours
        return None, {}
    match state:
        case {"kind": str(kind), "files": list(names)}:  # of an older export, which kept no stamps
            return kind, {name: None for name in names if isinstance(name, str) and _inside(name)}
        case {"kind": str(kind), "files": dict(stamps)}:
            known = {name: stamp for name, stamp in stamps.items() if isinstance(name, str) and _inside(name)}
            return kind, {name: stamp if isinstance(stamp, str) else None for name, stamp in known.items()}
    return None, {}


def _inside(name: str) -> bool:
    try:
        os.fsencode(name)
    except UnicodeEncodeError:  # no file can have this name
        return False
    return stays_inside(name)


def _is_led_away(folder: Path, name: str) -> bool:
    """Whether a folder between the export's and a file of it is a link: what is written there would land elsewhere."""
    return any(os.path.islink(folder / above) for above in PurePosixPath(name).parents[:-1])


def _write_state(folder: Path, kind: str, stamps: Mapping[str, str | None]) -> None:
    files = dict(sorted(stamps.items()))
    atomic.write_text(folder / STATE_FILE, json.dumps({"kind": kind, "files": files}, indent=1) + "\n")

"""What the tests of the review share: sessions driven by keys, rows read back, real processes, other disks."""

from __future__ import annotations

import ctypes
import errno
import multiprocessing
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conftest import read_tree
from pickroom.core.records import CropBox, FacePlace, Group, Image, Recommendation
from pickroom.features.blocks import FACES, BlockRow
from pickroom.sessions.review.session import ReviewSession
from pickroom.sessions.review.state import Card
from pickroom.storage import atomic
from pickroom.store import groups, recommendations
from pickroom.store.connect import connect, open_read_only
from pickroom.store.workspace import Project, Workspace

FINALISE = ("Shift+Enter", "Shift+Enter")
PATIENCE_S = 30  # how long one process waits for word from another before the test fails
# a child shares what the test has built; a new interpreter would cost half a second each
_FORK = multiprocessing.get_context("fork")


def card_of(
    group_id: str,
    count: int,
    ai_index: int | None = None,
    has_crop: bool = False,
    crop_needed: bool = False,
    order: tuple[int, ...] = (),
) -> Card:
    """A group as the review's state machine sees it, with a model's recommendation."""
    crop = CropBox(0, 0, 1, 1) if has_crop else None
    advice = Recommendation(group_id, "model", ai_index, crop, True if crop_needed else None, ranking=order)
    return Card(group_id, count, advice)


def review(project: Project, *keys: str, **options: Any) -> ReviewSession:
    """Press keys in a session of its own; returned closed, its last state and result still there to read."""
    session = ReviewSession(project, **options)
    try:
        for key in keys:
            session.press(key)
    finally:
        session.close()
    return session


def queue(project: Project) -> list[Group]:
    """The groups that wait, next first."""
    with open_read_only(project.database) as connection:
        return groups.queue(connection, project.id)


def face_row(image: Image, place: FacePlace | None) -> BlockRow:
    """What the face block says of an image: the place of its largest face, None where none was found."""
    values = np.full(len(FACES.columns), np.nan, dtype=np.float32)
    values[0] = 0 if place is None else 1
    if place is not None:
        values[[FACES.columns.index(name) for name in ("face_across", "face_down", "face_size")]] = place
    return BlockRow(image.filename, image.sha256, values)


def rows(project: Project, query: str, *values: object) -> list[dict[str, Any]]:
    """What a query on the project's database gives, by column."""
    with open_read_only(project.database) as connection:
        return [dict(row) for row in connection.execute(query, values)]


def decisions(project: Project) -> dict[str, dict[str, Any]]:
    """Group id -> its row of ai_decisions."""
    return {row["group_id"]: row for row in rows(project, "SELECT * FROM ai_decisions ORDER BY group_id")}


def recommend(
    project: Project,
    group: Group,
    index: int | None,
    crop: tuple[float, float, float, float] | None = None,
    **fields: Any,
) -> Recommendation:
    """Store a model's recommendation for a group, in place of the one it has."""
    fields = {"confidence": 0.87, "versions": {"ranker": "v1"}, **fields}
    made = Recommendation(group.group_id, "model", index, crop=CropBox(*crop) if crop else None, **fields)
    with closing(connect(project.database)) as connection:
        recommendations.upsert(connection, [made])
    return made


def places(project: Project, group: Group) -> tuple[str, ...]:
    """The folder of each of a group's images now, "" for the root; a test's tree has no name twice."""
    where = {Path(path).name: Path(path).parent.as_posix() for path in read_tree(project.root)}
    return tuple(where[name].removeprefix(".") for name in group.filenames)


def whole_tree(root: Path) -> dict[str, str]:
    """`read_tree`, with the folders that links in the root lead to (other disks)."""
    found = read_tree(root)
    for folder in root.iterdir():
        if folder.is_symlink() and folder.is_dir():
            found |= {f"{folder.name}/{path}": sha256 for path, sha256 in read_tree(folder).items()}
    return found


def snapshot(project: Project) -> dict[str, Any]:
    """Everything a finalise or an undo may change, but for times and row numbers: files, rows, queue, choices."""
    return {
        "tree": whole_tree(project.root),
        "decisions": _without(rows(project, "SELECT * FROM ai_decisions ORDER BY group_id"), "timestamp"),
        "context": _without(rows(project, "SELECT * FROM decision_context ORDER BY group_id"), "decided_at"),
        "journal": rows(
            project,
            """SELECT batch, kind, unit, op, source, destination, sha256, content, state, error,
                undoes IS NOT NULL AS undoing FROM file_operations ORDER BY id""",
        ),
        "choices": rows(
            project, "SELECT group_id, action, selected_index, overlay, held_reason FROM review_state ORDER BY 1"
        ),
        "rounds": rows(project, "SELECT group_id, round, images, chosen FROM comparisons ORDER BY 1, 2"),
        "kept": rows(project, "SELECT * FROM kept_images ORDER BY group_id, filename"),
        "queue": [group.group_id for group in queue(project)],
    }


def _without(found: list[dict[str, Any]], column: str) -> list[dict[str, Any]]:
    return [{key: value for key, value in row.items() if key != column} for row in found]


def copy_of(project: Project, folder: Path) -> Project:
    """The project with its images and its database copied into a new folder; modification times stay."""
    shutil.copytree(project.workspace.root, folder / "home", ignore=shutil.ignore_patterns("thumbnails"))
    shutil.copytree(project.root, folder / "images")
    return replace(project, workspace=Workspace(folder / "home")).with_manifest(root=str(folder / "images"))


@contextmanager
def child(function: Callable[..., None], *arguments: object) -> Iterator[Connection]:
    """A process that runs `function(pipe, *arguments)`; yields this end of the pipe, ends the process at the end."""
    ours, theirs = _FORK.Pipe()
    process = _FORK.Process(target=_alone, args=(ours, function, theirs, *arguments))
    process.start()
    theirs.close()
    try:
        yield ours
    finally:
        ours.close()  # a child that waits for a word ends here
        process.join(PATIENCE_S)
        if process.is_alive():
            process.kill()
            process.join()
            pytest.fail("a child process did not end")


def _alone(theirs: Connection, function: Callable[..., None], *arguments: object) -> None:
    theirs.close()  # inherited: while it is open here too, the other process's going would not be heard
    function(*arguments)


def hear(pipe: Connection) -> Any:
    """The next word of another process; fails rather than wait for ever."""
    assert pipe.poll(PATIENCE_S), "the other process said nothing"
    return pipe.recv()


def in_child(function: Callable[..., Any], *arguments: object) -> Any:
    """What a function returns in a process of its own; an AssertionError with its words when it raises."""
    with child(_tell, function, *arguments) as pipe:
        worked, value = hear(pipe)
    assert worked, value
    return value


def _tell(pipe: Connection, function: Callable[..., Any], *arguments: object) -> None:
    try:
        pipe.send((True, function(*arguments)))
    except BaseException as error:
        pipe.send((False, f"{type(error).__name__}: {error}"))
        raise


def exit_code_of(function: Callable[..., Any], *arguments: object, patience_s: float = PATIENCE_S) -> int:
    """How a process of its own that runs a function ends: 0, or minus the number of the signal that killed it."""
    process = _FORK.Process(target=function, args=arguments)
    process.start()
    process.join(patience_s)
    assert process.exitcode is not None, "the process did not end"
    return process.exitcode


@contextmanager
def another_disk(near: Path) -> Iterator[Path]:
    """An empty folder on another file system than `near`; skips the test where there is none to be had."""
    places = (Path("/dev/shm"), Path(tempfile.gettempdir()))
    others = [p for p in places if os.access(p, os.W_OK) and p.stat().st_dev != near.stat().st_dev]
    if others:
        with tempfile.TemporaryDirectory(dir=others[0]) as folder:
            yield Path(folder)
    else:
        with small_disk(near, "8m") as folder:
            yield folder


@contextmanager
def small_disk(near: Path, size: str) -> Iterator[Path]:
    """A disk of its own of a given size, mounted in `near`; skips the test where this may not be done."""
    folder = near / "disk"
    folder.mkdir()
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("only root on Linux can mount a disk of its own for this test")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], capture_output=True, text=True
    )
    if mounted.returncode != 0:
        pytest.skip(f"no disk can be mounted here: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextmanager
def exfat_disk(near: Path) -> Iterator[Path]:
    """A disk with an exFAT file system, mounted in `near`; skips the test where that cannot be had."""
    for program in ("mkfs.exfat", "mount.exfat-fuse", "losetup"):
        if shutil.which(program) is None:
            pytest.skip(f"no {program}: on Debian, apt-get install exfatprogs exfat-fuse mount")
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("only root on Linux can mount an exFAT disk for this test")
    image, folder = near / "exfat.img", near / "exfat"
    with image.open("wb") as file:
        file.truncate(64 << 20)
    subprocess.run(["mkfs.exfat", str(image)], capture_output=True, check=True)
    attached = subprocess.run(["losetup", "-f", "--show", str(image)], capture_output=True, text=True)
    if attached.returncode != 0:
        pytest.skip(f"no loop device can be had here: {attached.stderr.strip()}")
    device = attached.stdout.strip()
    try:
        folder.mkdir()
        mounted = subprocess.run(["mount.exfat-fuse", device, str(folder)], capture_output=True, text=True)
        if mounted.returncode != 0:
            pytest.skip(f"no exFAT disk can be mounted here: {mounted.stderr.strip()}")
        try:
            yield folder
        finally:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)
    finally:
        subprocess.run(["losetup", "-d", device], check=True)
        image.unlink()


def no_links(source: object, destination: object, **options: object) -> None:
    """`os.link` on a disk without hard links."""
    raise OSError(errno.EPERM, os.strerror(errno.EPERM), source, None, destination)


def without_renames(patch: pytest.MonkeyPatch) -> None:
    """Take from this process what exFAT has not: renaming without replacing, and hard links."""
    patch.setattr(atomic, "_kernel_rename", lambda source, destination: errno.EINVAL)
    patch.setattr(os, "link", no_links)


def fill(disk: Path) -> Path:
    """A file that takes all the room left on a disk."""
    filler = disk / ".filler"
    with filler.open("wb", buffering=0) as file:
        for size in (1 << 16, 1 << 12, 1):
            try:
                while True:
                    file.write(b"\0" * size)
            except OSError:
                continue
    return filler


def obey_permissions() -> None:
    """Make this process, a child, subject to permission bits even when it runs as root."""
    if os.geteuid() != 0:
        return
    assert sys.platform == "linux", "root on this system ignores permission bits"
    # clears the effective capabilities, CAP_DAC_OVERRIDE among them; <linux/capability.h>, version 3
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    nothing = (ctypes.c_uint32 * 6)()
    if ctypes.CDLL(None, use_errno=True).capset(header, nothing) != 0:
        raise OSError(ctypes.get_errno(), "capset")


def is_locked(path: Path) -> bool:
    """Whether a writer that does not wait is refused by the database's lock."""
    with closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as connection:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            return "locked" in str(error)
        connection.execute("ROLLBACK")
        return False

"""Hostile backups: whatever a zip holds, a restore brings back just what its list says, or refuses in one line and
changes nothing; and whatever lies in a workspace, a backup of it can be restored.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import random
import shutil
import sqlite3
import stat
import warnings
import zipfile
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from conftest import read_tree
from hostile.guard import attempt, survive
from hostile.mutations import TEXTS, changed, damaged, deep, json_bytes, value
from pickroom.core.errors import PickroomError
from pickroom.maintenance.backup import reading, restoring, writing
from pickroom.maintenance.backup.reading import LISTING, belongs
from pickroom.store.connect import connect
from pickroom.store.workspace import Workspace
from support.backing_up import used_project

CASES = 25
DATABASE = "data/training/ai_training_decisions/p.db"
MANIFEST = "data/projects/p.json"
NAMES = (
    *TEXTS,
    "data/../../outside/secret.png",
    "data/projects/../../../outside/secret.png",
    "/data/projects/p.json",
    "//data/projects/p.json",
    "data/projects/P.JSON",
    "data/projects/p.json/q.json",
    "data/projects/p.json/",
    "data/projects",
    "data",
    "DATA/projects/p.json",
    "data\\projects\\p.json",
    "C:/data/projects/p.json",
    "data/projects/e\u0301.json",
    "data/projects/\ud800.json",
    "data/projects/" + "n" * 300 + ".json",
    "/".join(["data", *["d" * 200] * 30, "p.json"]),
    "data/training/ai_training_decisions/p.db-wal",
    "data/.restoring-x/p.json",
    "data/before-restore-1/p.json",
    "backup.json/p.json",
    LISTING,
)
ROOTS = ("/", "/proc/self", "/dev/zero", "/etc", "relative", "//", "/a/../..", "/\x1b[2J", "/" + "x" * 5000)


class Zip:
    """The members of a sound backup, to be changed and packed again, the list's sizes and hashes kept right."""

    def __init__(self, members: dict[str, bytes]) -> None:
        self.members = list(members.items())
        self.listing: Any = json.loads(members[LISTING])

    def put(self, name: str, content: bytes) -> None:
        """Another content of a member, or one more, and its line in the list."""
        line = {"name": name, "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        self.members = [(n, c) for n, c in self.members if n != name] + [(name, content)]
        self.listing["files"] = [one for one in self.listing["files"] if one["name"] != name] + [line]

    def rename(self, old: str, new: str) -> None:
        self.members = [(new if name == old else name, content) for name, content in self.members]
        for line in self.listing["files"]:
            line["name"] = new if line["name"] == old else line["name"]

    def packed(self, rng: random.Random, listing: bytes | None = None, mode: int = 0) -> bytes:
        """The zip; `mode` is what every member says that it is (a link, a device)."""
        buffer = io.BytesIO()
        with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            warnings.simplefilter("ignore")  # of names that are there twice
            for name, content in self.members:
                if name == LISTING:
                    content = json.dumps(self.listing).encode() if listing is None else listing
                try:
                    name.encode()
                except UnicodeEncodeError:
                    continue  # zipfile cannot write it; the list names it all the same
                info = zipfile.ZipInfo(name[:60_000])
                info.external_attr = mode << 16
                info.compress_type = zipfile.ZIP_DEFLATED
                archive.writestr(info, content)
        return rng.choice((b"", b"", b"", b"#!/bin/sh\n")) + buffer.getvalue()


def hostile_zip(rng: random.Random, members: dict[str, bytes]) -> tuple[str, bytes]:
    """(what was done to it, a zip)."""
    made = Zip(members)
    kind = rng.choice(("bytes", "directory", "list", "line", "name", "twice", "link", "bomb", "manifest", "database"))
    if kind == "bytes":
        return kind, damaged(rng, made.packed(rng))
    if kind == "directory":  # where the zip says what lies where, and how large it is
        data = made.packed(rng)
        at = data.rindex(b"PK\x01\x02", 0, data.rindex(b"PK\x05\x06") - rng.randrange(300))
        return kind, data[:at] + damaged(rng, data[at:])
    if kind == "list":
        return kind, made.packed(rng, json_bytes(rng, made.listing))
    if kind == "line":
        line = rng.choice(made.listing["files"])
        line[rng.choice(list(line))] = rng.choice((value(rng), 10**400, 10**18, True, rng.choice(NAMES)))
        return kind, made.packed(rng)
    if kind == "name":
        made.rename(rng.choice((MANIFEST, DATABASE, "data/ai_data/models/ranker_v1.pt")), rng.choice(NAMES))
    elif kind == "twice":
        name = rng.choice((MANIFEST, LISTING, DATABASE))
        made.members.insert(rng.randrange(len(made.members)), (name, rng.choice((b"{}", members[name]))))
    elif kind == "link":
        made.put("data/projects/q.json", b"../../../outside/secret.png")
        return kind, made.packed(
            rng, mode=rng.choice((stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFDIR)) | 0o7777
        )
    elif kind == "bomb":
        made.put("data/ai_data/logs/zeros", bytes(32 << 20))
        if rng.random() < 0.8:  # its line says less
            made.listing["files"][-1]["size"] = rng.choice((0, 1, 1 << 20, 10**12))
    elif kind == "manifest":
        sound = json.loads(members[MANIFEST])
        sound["root"] = rng.choice((sound["root"], *ROOTS))
        made.put(MANIFEST, rng.choice((json_bytes(rng, sound), json.dumps(sound).encode(), deep(rng))))
    else:
        made.put(DATABASE, _hostile_database(rng, members[DATABASE]))
    return kind, made.packed(rng)


def _hostile_database(rng: random.Random, sound: bytes) -> bytes:
    if rng.random() < 0.5:
        return rng.choice((damaged(rng, sound), sound[: rng.randrange(len(sound))], b"", rng.randbytes(5000)))
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.deserialize(sound[:18] + b"\1\1" + sound[20:])  # not in WAL mode (sqlite.org/fileformat.html, 1.3)
        connection.execute(
            rng.choice(
                (
                    "CREATE TRIGGER t AFTER INSERT ON groups BEGIN DELETE FROM groups; END",
                    "CREATE VIEW mine AS SELECT 1",
                    "DROP TABLE groups",
                    "DROP VIEW ai_performance",
                    "PRAGMA user_version = -5",
                    "PRAGMA user_version = 2147483647",
                    "PRAGMA user_version = 1",
                    "CREATE TABLE images_2 AS SELECT * FROM images",
                )
            )
        )
        connection.commit()
        return connection.serialize()


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Name -> content of a sound backup, its list among them."""
    folder = tmp_path_factory.mktemp("saved")
    file = writing.write(used_project(folder).workspace, folder / "saved.zip").file
    with zipfile.ZipFile(file) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def paths(folder: Path) -> set[str]:
    """Everything below, folders and links too; without what a lock leaves."""
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*")}
    return found - {"data"} - {name for name in found if name.endswith(".lock")}


def test_hostile_backup_restores_its_list_or_changes_nothing(saved: dict[str, bytes], tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.png").write_bytes(b"secret")
    home, file = tmp_path / "home", tmp_path / "hostile.zip"

    def case(rng: random.Random) -> str:
        shutil.rmtree(home, ignore_errors=True)
        kind, data = hostile_zip(rng, saved)
        file.write_bytes(data)
        lived_in, replace = rng.random() < 0.5, rng.random() < 0.5
        if lived_in:
            for name in (MANIFEST, "data/ai_data/models/ranker_v7.pt", "data/notes.txt"):
                (home / name).parent.mkdir(parents=True, exist_ok=True)
                (home / name).write_text(f"mine: {name}")
        before, were = read_tree(home), paths(home)
        attempt(restoring.plan, Workspace(home), file)
        assert (read_tree(home), paths(home)) == (before, were)
        outcome = attempt(restoring.restore, Workspace(home), file, replace=replace)
        after = {name: sha for name, sha in read_tree(home).items() if not name.endswith(".lock")}
        assert not [name for name in paths(home) if Path(name).name.startswith(".")]
        assert {path.name for path in tmp_path.iterdir()} <= {"home", "hostile.zip", "outside"}
        assert read_tree(outside) == {"secret.png": hashlib.sha256(b"secret").hexdigest()}
        if outcome == "refused":
            assert (after, paths(home)) == (before, were), kind
        else:
            listed = {one.name: one.sha256 for one in reading.check(file).files}
            assert all(belongs(name) for name in listed)
            aside = {name: sha for name, sha in after.items() if name.startswith("data/before-restore-")}
            assert {name: sha for name, sha in after.items() if name not in aside} == listed
            assert sorted(aside.values()) == sorted(sha for name, sha in before.items() if listed.get(name) != sha)
            # what came back is met by every command: it opens, or is one line
            attempt(_use, Workspace(home))
        return f"{kind} {outcome}"

    tally = survive("backups/restore", CASES * 3, case)
    assert any(name.endswith("taken") for name in tally.outcomes)
    assert any(name.endswith("refused") for name in tally.outcomes)


def _use(workspace: Workspace) -> None:
    for project_id in workspace.project_ids():
        connect(workspace.project(project_id).database).close()


def test_what_lies_in_a_workspace_is_saved_so_that_it_comes_back(tmp_path: Path) -> None:
    source = tmp_path / "source"
    used_project(source)
    whole = source / "home"
    home, place, file = tmp_path / "home", tmp_path / "place", tmp_path / "saved.zip"

    def case(rng: random.Random) -> str:
        for old in (home, place):
            shutil.rmtree(old, ignore_errors=True)
        file.unlink(missing_ok=True)
        shutil.copytree(whole, home)
        for number in range(rng.randint(1, 4)):
            _put_something(rng, home, number)
        before, were = read_tree(home / "sandbox"), paths(home)
        outcome = attempt(writing.write, Workspace(home), file)
        assert read_tree(home / "sandbox") == before
        # SQLite makes its side files while it is read
        assert {name for name in paths(home) ^ were if not name.endswith(("-wal", "-shm"))} == set()
        assert {path.name for path in tmp_path.iterdir()} <= {"home", "saved.zip", "source"}
        if outcome == "taken":
            restoring.restore(Workspace(place), file)
            names = {one.name for one in reading.check(file).files}
            assert {name for name in read_tree(place) if name != "data/.restore.lock"} == names
            assert "data/ai_data/models/ranker_v1.pt" in names
        else:
            assert not file.exists()
        return outcome

    tally = survive("backups/workspace", CASES, case)
    assert tally.outcomes["taken"]


def _put_something(rng: random.Random, home: Path, number: int) -> None:
    """One thing into a workspace that its owner never put there."""
    folder = home / rng.choice(("data", "data/projects", "data/ai_data/models", "data/training/ai_training_decisions"))
    name = rng.choice([text for text in TEXTS if text and "/" not in text and "\0" not in text and text.isascii()])
    path = folder / f"{number}{name[:200]}"
    kind = rng.randrange(8)
    if kind == 0:
        os.mkfifo(path)
    elif kind == 1:
        path.symlink_to(rng.choice(("/etc/passwd", "/", ".", "loop", path.name)))
    elif kind == 2:
        path.mkdir()
    elif kind == 3:
        (home / DATABASE).write_bytes(damaged(rng, (home / DATABASE).read_bytes()))
    elif kind == 4:
        (folder / f"q{number}.db").write_bytes(rng.choice((b"", b"SQLite format 3\0", rng.randbytes(3000))))
    elif kind == 5:
        (folder / f"q{number}.json").write_bytes(json_bytes(rng, changed(rng, {"project_id": "q", "root": "/"})))
    elif kind == 6:
        path.write_bytes(b"x")
        when = rng.choice((-(2**40), -1, 0, 2**31, 2**33, 2**40))  # seconds: long ago, or in a far century
        os.utime(path, (when, when))
    else:
        path.write_bytes(rng.randbytes(100))


def test_a_file_where_a_folder_is_sets_the_folder_aside_whole(saved: dict[str, bytes], tmp_path: Path) -> None:
    """Else its files went aside one by one, the folder then could not, and what was there was gone from its place."""
    made = Zip(saved)
    made.rename(MANIFEST, "data/projects")
    (tmp_path / "odd.zip").write_bytes(made.packed(random.Random(0)))
    mine = tmp_path / "home" / "data" / "projects" / "p.json"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    done = restoring.restore(Workspace(tmp_path / "home"), tmp_path / "odd.zip", replace=True)
    assert done.aside is not None and (done.aside / "data" / "projects" / "p.json").read_text() == "mine"


def test_a_size_beyond_every_number_is_one_line(saved: dict[str, bytes], tmp_path: Path) -> None:
    made = Zip(saved)
    made.listing["files"][0]["size"] = 10**400
    (tmp_path / "huge.zip").write_bytes(made.packed(random.Random(0)))
    with pytest.raises(PickroomError) as refused:
        restoring.restore(Workspace(tmp_path / "home"), tmp_path / "huge.zip")
    assert "\n" not in refused.value.line
    assert paths(tmp_path / "home") == set()

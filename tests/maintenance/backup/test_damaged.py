"""A backup that anybody may have changed: whatever is wrong with it, one line says so, and nothing is written."""

from __future__ import annotations

import hashlib
import json
import random
import sqlite3
import struct
import zipfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from conftest import read_tree
from pickroom.core.errors import PickroomError
from pickroom.maintenance.backup import restoring, writing
from pickroom.maintenance.backup.reading import LISTING
from pickroom.store.workspace import Project, Workspace
from support.backing_up import listing_changed, rewritten, used_project

DATABASE = "data/training/ai_training_decisions/p.db"
MANIFEST = "data/projects/p.json"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return used_project(tmp_path_factory.mktemp("damaged"))


@pytest.fixture(scope="module")
def saved(project: Project) -> Path:
    return writing.write(project.workspace, project.workspace.root.parent / "saved.zip").file


def refusal(file: Path, home: Path) -> str:
    """The one line with which a restore refuses; fails when anything was written."""
    with pytest.raises(PickroomError) as refused:
        restoring.restore(Workspace(home), file)
    assert "\n" not in refused.value.line and str(file.parent) in refused.value.line
    assert set(read_tree(home)) <= {"data/.restore.lock"}
    return refused.value.line


def named(name: str) -> Callable[[dict[str, bytes]], None]:
    """The manifest under another name, in the list as in the file."""

    def change(members: dict[str, bytes]) -> None:
        members[name] = members.pop(MANIFEST)
        members[LISTING] = members[LISTING].replace(json.dumps(MANIFEST).encode(), json.dumps(name).encode())

    return change


def with_database(content: bytes) -> Callable[[dict[str, bytes]], None]:
    """Another database, its line in the list changed with it."""

    def change(members: dict[str, bytes]) -> None:
        members[DATABASE] = content
        values = json.loads(members[LISTING])
        for line in values["files"]:
            if line["name"] == DATABASE:
                line |= {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        members[LISTING] = json.dumps(values).encode()

    return change


OUTSIDE = ("../p.json", "/etc/p.json", "data/../../p.json", "data/projects/../../../p.json", "data\\..\\p.json")
OUTSIDE += ("sandbox/p.json", "data", "data/", "data//p.json", "data/./p.json", "data/.hidden/p.json", "p.json")
OUTSIDE += ("data/ai_data/cache/p.json", "data/before-restore-1/p.json", "data/projects/p.json.lock", "data/a\0.json")


@pytest.mark.parametrize("name", OUTSIDE)
def test_name_that_leads_elsewhere_is_refused(saved: Path, tmp_path: Path, name: str) -> None:
    file = rewritten(saved, tmp_path / "changed.zip", named(name))
    refusal(file, tmp_path / "home" / "below")
    assert set(read_tree(tmp_path)) <= {"changed.zip", "home/below/data/.restore.lock"}


def cut(members: dict[str, bytes]) -> None:
    members[DATABASE] = members[DATABASE][:-4096]


def turn_a_bit(members: dict[str, bytes]) -> None:
    members[DATABASE] = members[DATABASE][:5000] + b"?" + members[DATABASE][5001:]


def drop(members: dict[str, bytes]) -> None:
    del members[DATABASE]


def smuggle(members: dict[str, bytes]) -> None:
    members["data/ai_data/models/ranker_v9.pt"] = b"not listed"


CHANGES: dict[str, tuple[Callable[[dict[str, bytes]], None], str]] = {
    "a database cut short": (cut, "is not what it was when it was saved"),
    "a byte of a database": (turn_a_bit, "is not what it was when it was saved"),
    "a file missing": (drop, "holds other files than it lists"),
    "a file more": (smuggle, "holds other files than it lists"),
    "no list": (lambda members: members.pop(LISTING) and None, "this is not a backup"),
    "a list that is not JSON": (lambda members: members.update({LISTING: b"{"}), "cannot be read"),
    "a list without end": (lambda members: members.update({LISTING: b"[" * 100_000}), "cannot be read"),
    "a list of something else": (lambda members: members.update({LISTING: b"[]"}), "Expected 'object'"),
    "an empty list": (listing_changed(lambda v: v["files"].clear()), "lists no files"),
    "a line that says nothing": (listing_changed(lambda v: v["files"].append({"name": 3})), "].name"),
    "a size below nothing": (listing_changed(lambda v: v["files"][0].update(size=-1)), "files[0].size"),
    "a size beyond any disk": (listing_changed(lambda v: v["files"][0].update(size=10**18)), "are free"),
    "a size that lies": (listing_changed(lambda v: v["files"][0].update(size=5)), "is not what it was"),
    "a file listed twice": (listing_changed(lambda v: v["files"].append(v["files"][0])), "holds other files"),
    "a newer format": (listing_changed(lambda v: v.update(format=2)), "update pickroom"),
    "a format that is none": (listing_changed(lambda v: v.update(format="one")), "in field 'format'"),
}


@pytest.mark.parametrize("what", CHANGES)
def test_backup_that_was_changed_is_refused(saved: Path, tmp_path: Path, what: str) -> None:
    change, words = CHANGES[what]
    assert words in refusal(rewritten(saved, tmp_path / "changed.zip", change), tmp_path / "home")


def test_bytes_that_unpack_without_end_are_not_unpacked(saved: Path, tmp_path: Path) -> None:
    """A thousand times more than is listed: stopped at the first block too many."""
    file = tmp_path / "bomb.zip"
    with zipfile.ZipFile(saved) as source, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            content = source.read(name)
            with target.open(name, "w") as member:
                for _ in range(64 if name == DATABASE else 1):
                    member.write(bytes(1 << 20) if name == DATABASE else content)
    assert "is not what it was" in refusal(file, tmp_path / "home")


@pytest.mark.parametrize("share", [0.0, 0.2, 0.9, 0.999])
def test_backup_cut_short_is_refused(saved: Path, tmp_path: Path, share: float) -> None:
    file = tmp_path / "cut.zip"
    content = saved.read_bytes()
    file.write_bytes(content[: int(len(content) * share)])
    refusal(file, tmp_path / "home")


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_ways_of_packing_are_not_unpacked(saved: Path, tmp_path: Path, method: int) -> None:
    file = tmp_path / "other.zip"
    with zipfile.ZipFile(saved) as source, zipfile.ZipFile(file, "w", method) as target:
        for name in source.namelist():
            target.writestr(name, source.read(name))
    assert "another way" in refusal(file, tmp_path / "home")


def test_encrypted_file_is_refused(saved: Path, tmp_path: Path) -> None:
    content = bytearray(saved.read_bytes())
    start = content.rindex(b"PK\x01\x02")  # the last entry of the central directory: flags at byte 8 (APPNOTE 4.3.12)
    struct.pack_into("<H", content, start + 8, 1)
    (tmp_path / "locked.zip").write_bytes(content)
    refusal(tmp_path / "locked.zip", tmp_path / "home")


def test_database_of_a_newer_program_is_refused(tmp_path: Path) -> None:
    other = used_project(tmp_path)
    file = writing.write(other.workspace, tmp_path / "saved.zip").file
    with zipfile.ZipFile(file) as archive:
        old = archive.read(DATABASE)
    newer = old[:60] + struct.pack(">I", 999) + old[64:]  # user_version: sqlite.org/fileformat.html, 1.3
    changed = rewritten(file, tmp_path / "newer.zip", with_database(newer))
    assert "schema 999" in refusal(changed, tmp_path / "place")


def test_database_that_would_run_something_is_refused(saved: Path, tmp_path: Path) -> None:
    armed = tmp_path / "armed.db"
    with zipfile.ZipFile(saved) as archive:
        armed.write_bytes(archive.read(DATABASE))
    with closing(sqlite3.connect(armed)) as connection, connection:
        connection.execute("CREATE TRIGGER t AFTER INSERT ON groups BEGIN DELETE FROM groups; END")
        connection.execute("PRAGMA journal_mode = DELETE")
    file = rewritten(saved, tmp_path / "armed.zip", with_database(armed.read_bytes()))
    assert "trigger" in refusal(file, tmp_path / "home")


def test_file_that_is_no_backup_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.zip").write_text("not a zip")
    refusal(tmp_path / "text.zip", tmp_path / "home")
    refusal(tmp_path / "nothing.zip", tmp_path / "home")
    refusal(tmp_path, tmp_path / "other" / "home")


def test_random_damage_is_refused_or_harmless(saved: Path, tmp_path: Path) -> None:
    """What the hashes do not cover (times, comments) may differ; every file that comes back is as it was saved."""
    restoring.restore(Workspace(tmp_path / "whole"), saved)
    whole = read_tree(tmp_path / "whole")
    content = saved.read_bytes()
    outcomes = set()
    for seed in range(150):
        rng = random.Random(seed)
        damaged = bytearray(content)
        # half of them where the directory of the zip lies
        first = len(damaged) - 1500 if seed % 2 else 0
        for _ in range(rng.randint(1, 4)):
            damaged[rng.randrange(first, len(damaged))] = rng.randrange(256)
        file, home = tmp_path / "damaged.zip", tmp_path / f"home{seed}"
        file.write_bytes(damaged)
        try:
            restoring.restore(Workspace(home), file)
        except PickroomError as error:
            assert "\n" not in error.line
            assert set(read_tree(home)) <= {"data/.restore.lock"}
            outcomes.add("refused")
        else:
            assert read_tree(home) == whole
            outcomes.add("harmless")
    assert outcomes == {"refused", "harmless"}

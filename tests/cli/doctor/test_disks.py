"""What the doctor says of the file systems: their names, what they lack, and what follows from it."""

from __future__ import annotations

import errno
import fcntl
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from pickroom.cli.doctor import workspaces
from support.reviewing import exfat_disk, in_child, obey_permissions, small_disk, without_renames

COPIED = "files are copied, verified and then removed where they would be moved, which is slower; nothing else to do"
MOUNTS = (
    *(("/dev/sda1", "/", "ext4"), ("/dev/sdb", "/home", "btrfs"), ("/dev/sdc1", "/home/anna/My Card", "vfat")),
    *(("/dev/sdc1", "/home/anna/My Card", "exfat"), ("//server/share", "/mnt/server", "cifs")),
)


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("/etc", "ext4"),
        ("/homes", "ext4"),
        ("/home/anna", "btrfs"),
        ("/home/anna/My Card/shoot", "exfat"),  # mounted over the other one
        ("/mnt/server", "cifs"),
    ],
)
def test_file_system_of_a_folder_is_named(folder: str, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    mounts = [SimpleNamespace(device=device, mountpoint=point, fstype=kind) for device, point, kind in MOUNTS]
    monkeypatch.setattr("psutil.disk_partitions", lambda all: mounts)
    assert workspaces.kind_of(Path(folder)) == kind


def test_a_list_of_mounts_that_says_nothing_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("psutil.disk_partitions", lambda all: [])
    assert workspaces.kind_of(Path("/")) == "unknown file system"


@pytest.mark.skipif(sys.platform != "linux", reason="tmpfs is Linux's")
def test_a_disk_that_lacks_nothing_is_only_named(tmp_path: Path) -> None:
    with small_disk(tmp_path, "1m") as disk:
        assert workspaces.look_at_disk("file system", disk, workspace=True).line == "ok    file system: tmpfs"
        assert os.listdir(disk) == []
        assert workspaces.look_at_disk("file system", disk / "not" / "there").line == "ok    file system: tmpfs"


def test_what_exfat_lacks_is_named_with_what_follows(tmp_path: Path) -> None:
    with exfat_disk(tmp_path) as disk:
        found = workspaces.look_at_disk("images of p", disk)
        assert os.listdir(disk) == []
    assert found.line == (
        "warn  images of p: exfat has no renaming without replacing, no hard links, no symbolic links, "
        f"no difference between A.png and a.png: {COPIED}"
    )


def test_calls_that_are_refused_are_what_a_disk_lacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))

    without_renames(monkeypatch)
    monkeypatch.setattr(os, "symlink", refused)
    found = workspaces.look_at_disk("images of p", tmp_path)
    assert found.state == "warn" and found.found.endswith(
        f"has no renaming without replacing, no hard links, no symbolic links: {COPIED}"
    )
    monkeypatch.undo()
    monkeypatch.setattr(os, "symlink", refused)
    found = workspaces.look_at_disk("images of p", tmp_path)
    assert found.state == "ok" and found.found.endswith("has no symbolic links")
    monkeypatch.setattr(os, "fsync", refused)
    found = workspaces.look_at_disk("images of p", tmp_path)
    assert found.state == "warn" and "no syncing of folders" in found.found
    monkeypatch.setattr(fcntl, "flock", refused)
    assert "file locks" not in workspaces.look_at_disk("images of p", tmp_path).found
    found = workspaces.look_at_disk("file system", tmp_path, workspace=True)
    assert found.state == "fail" and "file locks" in found.found and "--home" in found.todo
    assert os.listdir(tmp_path) == []


def test_a_folder_closed_to_writing_is_named_and_not_tried(tmp_path: Path) -> None:
    def line() -> str:
        obey_permissions()
        return workspaces.look_at_disk("images of p", tmp_path).line

    tmp_path.chmod(0o555)
    told = in_child(line)
    tmp_path.chmod(0o755)
    assert told.startswith("ok ") and told.endswith("what it can do was not tried (Permission denied)")

"""Files appear whole or not at all, and nothing is replaced by surprise."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import resource
import signal
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from conftest import read_tree
from pickroom.storage import atomic
from support.reviewing import exit_code_of, in_child, without_renames

WRITERS = [atomic.write_bytes, atomic.create_bytes]
LONGEST_NAME = "名" * 85  # 255 bytes: as long as a name can be


@pytest.fixture(params=["kernel", "link and unlink"])
def rename(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Callable[[Path, Path], None]:
    """`rename_noreplace`, by the kernel's own call and on a file system that has none."""
    if request.param != "kernel":
        monkeypatch.setattr(atomic, "_kernel_rename", lambda source, destination: errno.EINVAL)
    return atomic.rename_noreplace


@pytest.fixture(params=["kernel", "link and unlink", "a claim"])
def publish(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Callable[[Path, Path], None]:
    """`publish`, also on file systems that can do less."""
    if request.param == "link and unlink":
        monkeypatch.setattr(atomic, "_kernel_rename", lambda source, destination: errno.EINVAL)
    elif request.param == "a claim":
        without_renames(monkeypatch)
    return atomic.publish


@pytest.mark.parametrize("write", WRITERS)
def test_new_file_holds_its_bytes_and_leaves_nothing_beside_it(
    write: Callable[[Path, bytes], None], tmp_path: Path
) -> None:
    write(tmp_path / "a.json", b"whole")
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]
    assert (tmp_path / "a.json").read_bytes() == b"whole"


@pytest.mark.parametrize("write", WRITERS)
def test_longest_names_can_be_written(write: Callable[[Path, bytes], None], tmp_path: Path) -> None:
    write(tmp_path / LONGEST_NAME, b"x")
    assert (tmp_path / LONGEST_NAME).read_bytes() == b"x"


@pytest.mark.parametrize("write", WRITERS)
def test_new_file_has_the_permissions_that_the_umask_leaves(
    write: Callable[[Path, bytes], None], tmp_path: Path
) -> None:
    before = os.umask(0o027)
    try:
        write(tmp_path / "a", b"")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640


def test_threads_that_write_at_once_leave_the_umask_alone(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda n: atomic.create_bytes(tmp_path / str(n), b""), range(80)))
        after = os.umask(0o077)
    finally:
        os.umask(before)
    assert after == 0o077
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}


def test_write_replaces_the_old_content(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old, and longer")
    atomic.write_text(path, "néw")
    assert path.read_bytes() == "néw".encode()


def test_failed_write_leaves_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "inside").write_text("kept")
    before = read_tree(tmp_path)
    with pytest.raises(OSError):
        atomic.write_bytes(tmp_path / "a", b"new")
    assert read_tree(tmp_path) == before


def full_disk() -> None:
    """In this process, a child, no file can be written any further, as on a full disk."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))


def refusal(write: Callable[[Path, bytes], None], path: Path) -> str:
    full_disk()
    try:
        write(path, b"x" * 100)
    except OSError as error:
        return os.strerror(error.errno or 0)
    return "it was written"


@pytest.mark.parametrize("write", WRITERS)
def test_full_disk_leaves_neither_half_a_file_nor_a_partial_one(
    write: Callable[[Path, bytes], None], tmp_path: Path
) -> None:
    assert in_child(refusal, write, tmp_path / "a") == os.strerror(errno.EFBIG)
    assert os.listdir(tmp_path) == []


def test_full_disk_leaves_the_old_content(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old")
    in_child(refusal, atomic.write_bytes, tmp_path / "a")
    assert list(read_tree(tmp_path)) == ["a"]
    assert (tmp_path / "a").read_text() == "old"


def test_create_refuses_a_file_that_exists(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("mine")
    before = read_tree(tmp_path)
    with pytest.raises(FileExistsError):
        atomic.create_bytes(tmp_path / "a", b"new")
    assert read_tree(tmp_path) == before


def test_rename_moves_the_same_file(rename: Callable[[Path, Path], None], tmp_path: Path) -> None:
    source, destination = tmp_path / "a", tmp_path / "b"
    source.write_text("x")
    inode = source.stat().st_ino
    rename(source, destination)
    assert not source.exists()
    assert destination.stat().st_ino == inode


def test_rename_of_a_link_moves_the_link_not_what_it_shows(
    rename: Callable[[Path, Path], None], tmp_path: Path
) -> None:
    (tmp_path / "shown").write_text("x")
    (tmp_path / "link").symlink_to("shown")
    rename(tmp_path / "link", tmp_path / "moved")
    assert os.readlink(tmp_path / "moved") == "shown"
    assert sorted(os.listdir(tmp_path)) == ["moved", "shown"]


@pytest.mark.parametrize("kind", ["file", "folder", "dangling link"])
def test_rename_never_replaces_what_is_there(rename: Callable[[Path, Path], None], kind: str, tmp_path: Path) -> None:
    source, destination = tmp_path / "a", tmp_path / "b"
    source.write_text("mine")
    if kind == "file":
        destination.write_text("theirs")
    elif kind == "folder":
        destination.mkdir()
    else:
        destination.symlink_to(tmp_path / "nowhere")
    before = (read_tree(tmp_path), sorted(os.listdir(tmp_path)))
    with pytest.raises(FileExistsError):
        rename(source, destination)
    assert (read_tree(tmp_path), sorted(os.listdir(tmp_path))) == before


def test_rename_of_a_file_that_is_not_there_says_so(rename: Callable[[Path, Path], None], tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        rename(tmp_path / "a", tmp_path / "b")


def test_rename_failure_names_both_paths(tmp_path: Path) -> None:
    with pytest.raises(OSError) as caught:
        atomic.rename_noreplace(tmp_path / "a", tmp_path / "b")
    assert (caught.value.filename, caught.value.filename2) == (str(tmp_path / "a"), str(tmp_path / "b"))


def test_hash_is_the_whole_files_sha256(tmp_path: Path) -> None:
    data = os.urandom((1 << 20) * 2 + 7)  # more than two blocks
    (tmp_path / "a").write_bytes(data)
    assert atomic.sha256_of(tmp_path / "a") == hashlib.sha256(data).hexdigest()


def test_syncing_a_missing_folder_raises_an_error(tmp_path: Path) -> None:
    open_before = len(os.listdir("/dev/fd"))
    atomic.sync_folders([tmp_path, tmp_path])
    assert len(os.listdir("/dev/fd")) == open_before
    with pytest.raises(FileNotFoundError):
        atomic.sync_folders([tmp_path / "gone"])


# --- disks that can neither rename without replacing nor link --------------------------------------------------------


def test_a_disk_that_can_do_neither_is_as_another_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert atomic.renames_without_replacing(tmp_path)
    without_renames(monkeypatch)
    (tmp_path / "a").write_text("x")
    with pytest.raises(OSError) as refused:
        atomic.rename_noreplace(tmp_path / "a", tmp_path / "b")
    assert refused.value.errno == errno.EXDEV
    assert not atomic.renames_without_replacing(tmp_path)
    assert os.listdir(tmp_path) == ["a"]


@pytest.mark.parametrize("made", ["file", "folder"])
def test_publish_gives_a_file_or_folder_its_name(
    publish: Callable[[Path, Path], None], made: str, tmp_path: Path
) -> None:
    place = tmp_path / "made" if made == "file" else tmp_path / "made" / "within"
    place.parent.mkdir(exist_ok=True)
    place.write_text("whole")
    publish(tmp_path / "made", tmp_path / "named")
    assert os.listdir(tmp_path) == ["named"]
    assert list(read_tree(tmp_path).values()) == [hashlib.sha256(b"whole").hexdigest()]


@pytest.mark.parametrize("kind", ["file", "empty file", "folder", "full folder", "dangling link"])
@pytest.mark.parametrize("made", ["file", "folder"])
def test_publish_never_replaces_what_is_there(
    publish: Callable[[Path, Path], None], made: str, kind: str, tmp_path: Path
) -> None:
    source, destination = tmp_path / "a", tmp_path / "b"
    source.write_text("mine") if made == "file" else source.mkdir()
    if kind.endswith("file"):
        destination.write_text("theirs" if kind == "file" else "")
    elif kind.endswith("folder"):
        destination.mkdir()
        if kind == "full folder":
            (destination / "within").write_text("theirs")
    else:
        destination.symlink_to(tmp_path / "nowhere")
    before = (read_tree(tmp_path), sorted(os.listdir(tmp_path)))
    with pytest.raises(FileExistsError):
        publish(source, destination)
    assert (read_tree(tmp_path), sorted(os.listdir(tmp_path))) == before


def test_a_claim_goes_again_when_its_rename_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_renames(monkeypatch)

    def refused(source: Path, destination: Path) -> None:
        assert destination.read_bytes() == b""  # the claim
        raise OSError(errno.EIO, os.strerror(errno.EIO), source)

    monkeypatch.setattr(os, "rename", refused)
    with pytest.raises(OSError, match="Input/output"):
        atomic.create_bytes(tmp_path / "a", b"x")
    assert os.listdir(tmp_path) == []


def killed_with_a_claim(path: Path) -> None:
    without_renames(pytest.MonkeyPatch())
    os.rename = lambda source, destination: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore[assignment]
    atomic.create_bytes(path, b"x")


def test_a_claim_that_a_kill_left_is_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a"
    assert exit_code_of(killed_with_a_claim, path) == -signal.SIGKILL
    assert path.read_bytes() == b""
    atomic.drop_claim(path)
    assert path.exists(), "on a disk that needs no claims an empty file is somebody's"
    without_renames(monkeypatch)
    atomic.drop_claim(path)
    assert not path.exists()
    atomic.create_bytes(path, b"x")
    atomic.drop_claim(path)
    atomic.drop_claim(tmp_path)
    assert path.read_bytes() == b"x"


def test_times_and_permissions_are_copied_as_far_as_they_can(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in "ab":
        (tmp_path / name).write_text(name)
    (tmp_path / "a").chmod(0o640)
    os.utime(tmp_path / "a", ns=(10**18, 10**18))
    atomic.copy_stat(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b").stat().st_mtime_ns == 10**18
    (tmp_path / "b").chmod(0o600)

    def refused(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "utime", refused)
    atomic.copy_stat(tmp_path / "a", tmp_path / "b")
    assert stat.S_IMODE((tmp_path / "b").stat().st_mode) == 0o640
    monkeypatch.setattr(os, "chmod", refused)
    atomic.copy_stat(tmp_path / "a", tmp_path / "b")  # a disk without either


# --- what is on the disk for good ---------------------------------------------------------------------------------


def test_macos_is_asked_to_empty_its_drive_for_folders_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[bool, int]] = []
    monkeypatch.setattr(fcntl, "F_FULLFSYNC", 51, raising=False)  # <sys/fcntl.h> of macOS
    monkeypatch.setattr(
        fcntl, "fcntl", lambda descriptor, what: asked.append((stat.S_ISDIR(os.fstat(descriptor).st_mode), what))
    )
    monkeypatch.setattr(os, "fsync", lambda descriptor: pytest.fail("fsync leaves it in the drive's cache"))
    atomic.sync_folders([tmp_path])
    atomic.write_bytes(tmp_path / "a", b"x")
    assert asked == [(True, 51), (False, 51), (True, 51)]


def test_a_disk_of_macos_that_knows_no_such_call_is_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(descriptor: int, what: int) -> None:
        raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))

    synced: list[int] = []
    monkeypatch.setattr(fcntl, "F_FULLFSYNC", 51, raising=False)
    monkeypatch.setattr(fcntl, "fcntl", refused)
    monkeypatch.setattr(os, "fsync", synced.append)
    atomic.sync_folders([tmp_path])
    assert len(synced) == 1


@pytest.mark.parametrize("code", [errno.EINVAL, errno.EBADF, errno.ENOTSUP, errno.EPERM, errno.EIO])
def test_a_disk_that_cannot_sync_folders_is_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def refused(descriptor: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", refused)
    if code == errno.EIO:  # a disk that fails is one
        with pytest.raises(OSError, match="Input/output"):
            atomic.sync_folders([tmp_path])
    else:
        atomic.sync_folders([tmp_path])


def test_a_link_is_on_the_disk_before_the_old_name_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "from").mkdir()
    (tmp_path / "to").mkdir()
    source, destination = tmp_path / "from" / "a", tmp_path / "to" / "a"
    source.write_text("x")
    monkeypatch.setattr(atomic, "_kernel_rename", lambda source, destination: errno.EINVAL)
    synced: list[tuple[int, bool, bool]] = []
    monkeypatch.setattr(
        os, "fsync", lambda fd: synced.append((os.fstat(fd).st_ino, source.exists(), destination.exists()))
    )
    atomic.rename_noreplace(source, destination)
    assert synced == [(destination.parent.stat().st_ino, True, True)]

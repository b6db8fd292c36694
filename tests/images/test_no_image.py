"""Files that are no images, however large: their header tells, and no command reads the rest."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from conftest import write_image
from pickroom.core.errors import ImageError
from pickroom.images import decode
from pickroom.indexing import projects
from pickroom.indexing.plan import make_plan
from pickroom.sessions.duplicates.gathering import gather
from pickroom.storage import atomic
from pickroom.store.workspace import Workspace
from support.damaged import write_truncated

_LENGTH = 8 << 30  # bytes, of which the disk holds the first few
_JPEG = b"\xff\xd8\xff\xe0\0\x10JFIF\0\1\1\0\0\1\0\1\0\0"


def sparse(path: Path, start: bytes) -> Path:
    path.write_bytes(start)
    os.truncate(path, _LENGTH)
    return path


@pytest.mark.parametrize(
    "start",
    [b"", b"\xff\xd8\xff", _JPEG, _JPEG + b"\xff\xff\xff\xfe\0\4hi", b"GIF89a", b"/* XPM */", b"#define a_width 8\n"],
    ids=["zeros", "jpeg", "jpeg part", "two jpeg parts", "gif", "xpm", "xbm"],
)
@pytest.mark.parametrize("extension", ["jpg", "png"])
def test_beginning_of_a_huge_file_tells_it_is_no_image(tmp_path: Path, start: bytes, extension: str) -> None:
    with pytest.raises(ImageError) as caught:
        decode.open_image(sparse(tmp_path / f"a.{extension}", start))
    assert caught.value.reason == "unreadable: not an image"


def test_jpeg_with_bytes_between_its_parts_is_read(tmp_path: Path) -> None:
    data = write_image(tmp_path / "a.jpg").read_bytes()
    end = 4 + int.from_bytes(data[4:6])  # of the first part
    (tmp_path / "a.jpg").write_bytes(data[:end] + b"\0" * 70_000 + b"\xff" * 9 + data[end:])
    assert decode.read_rgb(tmp_path / "a.jpg").size == decode.read_rgb(write_image(tmp_path / "b.jpg")).size


def test_no_command_hashes_what_is_no_image(
    workspace: Workspace, images_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_image(images_folder / "good.png")
    write_truncated(images_folder / "short.png")
    sparse(images_folder / "zeros.png", b"")
    project = projects.start(workspace, "p", images_folder)[0]
    hashed, real = [], atomic.sha256_of
    monkeypatch.setattr(atomic, "sha256_of", lambda path: hashed.append(path.name) or real(path))
    found = gather([project])
    assert [path for _, path, _ in found.left_out] == ["short.png", "zeros.png"] and hashed == []
    plan = make_plan(project, {}, (), {})
    assert [(row.filename, row.error) for row in plan.unreadable] == [("zeros.png", "unreadable: not an image")]
    assert sorted(hashed) == ["good.png", "short.png"]

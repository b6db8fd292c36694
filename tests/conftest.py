"""What many tests need: a workspace in a temporary folder, small real images, and a tree read back from disk."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import sqlite3
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from PIL import Image as PillowImage

from pickroom.indexing import projects
from pickroom.store.connect import connect
from pickroom.store.workspace import Project, Workspace

SCANNED_AT = datetime(2025, 9, 10, tzinfo=UTC)  # sides and random looks are drawn from group ids

# a shell starts a job in the background with Ctrl-C ignored, and so it would be in everything that tests start
if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with the slowest tests first: one of them begun last would leave the other processes without work."""
    for item in items:
        if item.get_closest_marker("ci"):
            item.add_marker(pytest.mark.slow)
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    browser = {item.path for item in items if "browser" in item.path.parts}
    items.sort(key=lambda item: 0 if item.path in slow else 1 if item.path in browser else 2)


# seconds say nothing of an example on a machine that is busy with other work
settings.register_profile("pickroom", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("pickroom")

# thousands of small files: kept in memory where that can be, since a disk makes each of them wait
_MEMORY, _ROOM = Path("/dev/shm"), 4 << 30  # bytes
if os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free > _ROOM:
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(_MEMORY))

FIXTURES = Path(__file__).parent / "fixtures"
WORDS = {1.0: "generated", 1.5: "face_swapped", 2.0: "upscaled", 3.0: "enhanced"}


def write_image(path: Path, seed: int = 0, size: tuple[int, int] = (48, 64)) -> Path:
    """A small real image of its own content, in the format of its extension; size is (width, height)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    PillowImage.fromarray(pixels).save(path)
    return path


def stage_name(moment: datetime, stage: float, extension: str = "png") -> str:
    """A file name as the image generators write it."""
    return f"{moment:%Y%m%d_%H%M%S}_stage{stage:g}_{WORDS[stage]}.{extension}"


def write_series(
    folder: Path, groups: list[tuple[float, ...]], companions: tuple[str, ...] = (".yaml",)
) -> list[list[str]]:
    """Stage series, a minute between stages and an hour between groups; each image with its companions.

    Returns:
        The file names, group by group.
    """
    made = []
    for number, stages in enumerate(groups):
        start = datetime(2025, 8, 3, 6) + timedelta(hours=number)
        names = [stage_name(start + timedelta(minutes=place), stage) for place, stage in enumerate(stages)]
        for place, name in enumerate(names):
            write_image(folder / name, seed=number * 10 + place)
            for suffix in companions:
                (folder / name).with_suffix("").with_name(name.removesuffix(".png") + suffix).write_text(
                    f"of: {name}\n"
                )
        made.append(names)
    return made


def read_tree(root: Path) -> dict[str, str]:
    """Every file under a folder, hidden ones too: relative path -> sha256."""
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "home")


@pytest.fixture
def images_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    return folder


@pytest.fixture
def make_project(workspace: Workspace, images_folder: Path) -> Callable[..., Project]:
    """A started project of stage series: `make_project([(1, 2), (1, 1.5, 2)], folder="anna")`."""

    def make(groups: list[tuple[float, ...]], folder: str = "", project_id: str = "p") -> Project:
        write_series(images_folder / folder, groups)
        return projects.start(workspace, project_id, images_folder, at=SCANNED_AT)[0]

    return make


@pytest.fixture
def open_database() -> Iterator[Callable[[Project], sqlite3.Connection]]:
    """Connections to projects' databases, closed at the end."""
    opened: list[sqlite3.Connection] = []

    def open_one(project: Project) -> sqlite3.Connection:
        opened.append(connect(project.database))
        return opened[-1]

    yield open_one
    for connection in opened:
        connection.close()

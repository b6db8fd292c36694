"""What the tables' tests need: a real database in a temporary folder, with images and groups in it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from pickroom.core.naming import group_id
from pickroom.core.records import Group, Image
from pickroom.store import groups, images
from pickroom.store.connect import create

MADE = datetime(2025, 8, 3, 6, 54, 6)


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "p.db"


@pytest.fixture
def connection(database: Path) -> Iterator[sqlite3.Connection]:
    opened = create(database)
    yield opened
    opened.close()


@pytest.fixture
def make_groups(connection: sqlite3.Connection) -> Callable[..., list[Group]]:
    """Groups of two images each, waiting in the queue: `make_groups(3, directory="anna")`."""

    def make(count: int, directory: str = "", size: int = 2) -> list[Group]:
        first = groups.count(connection)
        made = []
        for place in range(first, first + count):
            names = [f"{place:03d}_{stage}.png" for stage in range(1, size + 1)]
            members = tuple(
                Image(name, directory, 48, 64, float(n), MADE + timedelta(minutes=n), f"{name}-hash", 100 + n, 7)
                for n, name in enumerate(names, start=1)
            )
            own_id, batch = group_id("p", MADE, place)
            made.append(Group(own_id, "p", directory, batch, members))
        known = images.readable(connection)
        images.replace_scan(connection, [*known, *(i for g in made for i in g.images)], [], {})
        groups.insert(connection, made, "stage")
        return made

    return make

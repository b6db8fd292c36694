"""Table `crops`: where a box comes from is kept, and found for crops made before it was."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from pickroom.core.geometry import compose, default_box, from_pixels
from pickroom.core.records import CropBox
from pickroom.store import crops, decisions
from pickroom.store.connect import connect, migrations
from pickroom.store.crops import Crop

NOW = "2025-08-03T06:00:00.000000Z"
SIZE = (600, 397)
AI, FAR = CropBox(0.1, 0.1, 0.9, 0.9), CropBox(0.3, 0.0, 0.7, 0.6)
DEFAULT = default_box(SIZE)
FIRST = from_pixels((60, 40, 360, 240), *SIZE)  # the crop that is opened again: 300 x 200
LEGACY_COLUMNS = """group_id, timestamp, project_id, images, ai_selected_index, ai_crop_coords, user_selected_index,
    user_action, final_crop_coords, image_width, image_height, selection_match, crop_match"""


def older(path: Path, rows: list[tuple], made: list[tuple], images: list[tuple] = ()) -> None:  # type: ignore[assignment]
    """A database of version 0.1, schema 14: decisions, crops and images as it wrote them."""
    with closing(sqlite3.connect(path)) as old:
        for script in migrations()[:14]:
            old.executescript(script)
        old.execute("PRAGMA user_version = 14")
        old.executemany(f"INSERT INTO ai_decisions ({LEGACY_COLUMNS}) VALUES ({', '.join('?' * 13)})", rows)
        old.executemany("INSERT INTO crops VALUES (?, ?, ?, ?, ?, 'x', ?)", [(*row, NOW) for row in made])
        old.executemany("INSERT INTO images VALUES ('', ?, ?, ?, NULL, NULL, 'x', 1, 1, NULL)", images)
        old.commit()


def row(number: int, ai: int | None, box: str | None, final: CropBox | str | None, match: int | None = None) -> tuple:
    """A decision that picked the second of its two images."""
    final = final.to_json() if isinstance(final, CropBox) else final
    names = json.dumps([f"{number}a.png", f"{number}b.png"])
    agreed = None if ai is None else int(ai == 1)
    return (f"g{number}", NOW, "p", names, ai, box, 1, "crop", final, *SIZE, agreed, match)


@pytest.mark.parametrize(
    ("box", "input", "ai", "source"),
    [
        pytest.param(DEFAULT, "desk", None, "default", id="the default box"),
        pytest.param(DEFAULT, "desk", 0, "default", id="the default box, an AI's box on another image"),
        pytest.param(FAR, "desk", 1, "drawn", id="drawn next to the AI's box"),
        pytest.param(AI, "desk", 1, "ai", id="the AI's box"),
        pytest.param(AI, "desk", 0, "drawn", id="like the AI's box of another image"),
        pytest.param(AI, "apply_ai", 1, "ai_all", id="applied at once"),
        pytest.param(from_pixels((88, 0, 549, 305), *SIZE), "desk", None, "drawn", id="near the default box"),
    ],
)
def test_older_crops_get_their_source_from_the_box(
    tmp_path: Path, box: CropBox, input: str, ai: int | None, source: str
) -> None:
    path = tmp_path / "old.db"
    older(path, [row(1, ai, AI.to_json(), box)], [(2, "1b.png", "g1", box.to_json(), input)])
    with closing(connect(path)) as connection:
        (made,) = crops.of_batch(connection, 2)
        assert (made.box_source, made.box, made.input) == (source, box, input)
        assert tuple(connection.execute("SELECT * FROM final_crops").fetchone()) == (
            *("g1", "1b.png", box.to_json(), source),
            *(2, ""),
        )


def test_older_crops_without_a_row_or_opened_again(tmp_path: Path) -> None:
    again = compose(FIRST, default_box((300, 200)))
    made = [
        (2, "a.png", None, DEFAULT.to_json(), "desk"),
        (2, "b.png", None, FAR.to_json(), "desk"),
        (2, "unknown.png", None, DEFAULT.to_json(), "desk"),
        (3, "c.png", None, FIRST.to_json(), "desk"),
        (4, "c.png", None, again.to_json(), "desk"),
        (5, "damaged.png", None, "[1, 2, 3, 4]", "desk"),
    ]
    older(tmp_path / "old.db", [], made, [(f"{name}.png", *SIZE) for name in ("a", "b", "c", "damaged")])
    with closing(connect(tmp_path / "old.db")) as connection:
        found = connection.execute("SELECT filename, batch, box_source FROM crops").fetchall()
    assert {(r[0], r[1]): r[2] for r in found} == {
        ("a.png", 2): "default",
        ("b.png", 2): "drawn",
        ("unknown.png", 2): "drawn",  # of an image that no scan has met nothing is known
        ("c.png", 3): "drawn",
        ("c.png", 4): "default",
        ("damaged.png", 5): "drawn",
    }


def test_older_rows_get_their_crop_match(tmp_path: Path) -> None:
    near = CropBox(0.11, 0.09, 0.91, 0.88)
    stored = [
        row(1, 0, AI.to_json(), FAR),
        row(2, 0, AI.to_json(), near),
        row(3, 1, AI.to_json(), FAR, match=1),  # what is stored stands
        row(4, 1, None, FAR),
        row(5, 1, AI.to_json(), None),
        row(6, 1, "[9, 9, 9, 9]", FAR),
    ]
    older(tmp_path / "old.db", stored, [])
    with closing(connect(tmp_path / "old.db")) as connection:
        found = [r[0] for r in connection.execute("SELECT crop_match FROM ai_decisions ORDER BY group_id")]
        assert found == [0, 1, 1, None, None, None]
        # the accuracy of crops is still that of the AI's own image
        assert decisions.performance(connection)["crop_accuracy"] == 1.0


@pytest.mark.parametrize(("source", "accuracy"), [("drawn", 1.0), ("ai", 1.0), ("ai_all", None), ("default", None)])
def test_only_the_users_boxes_count_as_accuracy(tmp_path: Path, source: str, accuracy: float | None) -> None:
    older(tmp_path / "old.db", [row(1, 1, AI.to_json(), None)], [])
    with closing(connect(tmp_path / "old.db")) as connection:
        made = Crop(2, "1b.png", "g1", AI, source, "x", NOW)  # type: ignore[arg-type]
        crops.insert(connection, made)
        decisions.set_crop(connection, "g1", made)
        assert decisions.performance(connection)["crop_accuracy"] == accuracy
        assert crops.latest(connection, "g1") == made


def test_a_box_source_that_there_is_none_of_is_refused(tmp_path: Path) -> None:
    older(tmp_path / "p.db", [], [])
    with closing(connect(tmp_path / "p.db")) as connection, pytest.raises(sqlite3.IntegrityError):
        crops.insert(connection, Crop(2, "a.png", None, AI, "guessed", "x", NOW))  # type: ignore[arg-type]

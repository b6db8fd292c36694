"""JSON as typed records: what fits is read, everything else is one line that says where it does not."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from pickroom.core.errors import ProjectError
from pickroom.core.records import CropBox
from pickroom.storage.json_records import from_json, parse_lines, read


@dataclass(frozen=True, slots=True)
class Shape:
    name: str
    sides: int = 0
    box: CropBox | None = None
    tags: tuple[str, ...] = ()


def test_a_record_has_the_types_of_its_fields() -> None:
    text = b'{"name": "a", "box": {"x1": 0, "y1": 0, "x2": 1, "y2": 0.5}, "tags": ["b"], "later": 1}'
    shape = from_json(Shape, text)
    assert shape == Shape("a", 0, CropBox(0, 0, 1, 0.5), ("b",))
    assert shape.box is not None and type(shape.box.x1) is int  # as it was written


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "it is not JSON"),
        ("[]", "Expected 'object', got 'array'"),
        ("{}", "missing required field 'name'"),
        ('{"name": 1}', "Expected 'str', got 'int' in field 'name'"),
        ('{"name": "a", "sides": true}', "in field 'sides'"),
        ('{"name": "a", "tags": ["b", 2]}', "in field 'tags[1]'"),
        ('{"name": "a", "name": "b"}', "a key twice"),
        ('{"name": "a", "sides": NaN}', "NaN is not a number"),
        ('{"name": "a", "box": {"x1": 1, "y1": 0, "x2": 0, "y2": 1}}', "must satisfy"),
        ("[" * 100_000, "nested too deeply"),
        (b"\xff", "codec can't decode"),
    ],
)
def test_anything_else_is_one_line(text: str | bytes, said: str) -> None:
    with pytest.raises(ValueError) as caught:
        from_json(Shape, text)
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_a_bad_line_is_named_by_its_number() -> None:
    lines = parse_lines(lambda line: from_json(Shape, line), '\ufeff{"name": "a"}\r\n\n{"name": 2}\n')
    assert next(lines) == (1, Shape("a"))
    with pytest.raises(ValueError, match="line 3: Expected 'str'"):
        next(lines)


def test_a_file_is_read_or_refused_with_its_path(tmp_path: Path) -> None:
    path = tmp_path / "shape.json"
    options = {"doing": "reading a shape", "hint": "draw it again"}
    assert read(Shape, path, **options) is None
    path.write_text('{"name": "a"}')
    assert read(Shape, path, **options) == Shape("a")
    path.write_text("{")
    with pytest.raises(ProjectError) as caught:
        read(Shape, path, error=ProjectError, **options)
    assert caught.value.line.endswith(f"while reading a shape: {path} (draw it again)")

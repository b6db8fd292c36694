"""Photoshop's image resources after a crop: previews go, paths and guides move."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from images.test_crops_xmp import LOWER_RIGHT, packet
from pickroom.images.crops import xmp

ONE = 1 << 24


def resource(number: int, content: bytes, name: bytes = b"", signature: bytes = b"8BIM") -> bytes:
    title = bytes((len(name),)) + name
    head = signature + struct.pack(">H", number) + title + bytes(len(title) % 2)
    return head + struct.pack(">I", len(content)) + content + bytes(len(content) % 2)


def knot(*places: float) -> bytes:
    """Record of a knot: (y, x) of three points, in fractions."""
    return struct.pack(">H6i", 2, *(round(place * ONE) for place in places))


@pytest.mark.parametrize("number", [1033, 1036, 1050])
def test_previews_and_slices_go_and_the_rest_stays(number: int) -> None:
    kept = resource(1028, b"IPTC", b"odd") + resource(1000, b"x", signature=b"MeSa")
    assert xmp.resources_after_crop(kept + resource(number, b"whole") + kept, LOWER_RIGHT) == kept + kept


@pytest.mark.parametrize("number", [1025, 2000, 2997])
def test_paths_move_with_the_picture(number: int) -> None:
    rule, lengths = struct.pack(">H24x", 6), struct.pack(">HH22x", 0, 1)
    before = resource(number, rule + lengths + knot(0.5, 0.5, 0.75, 1, 0, 0), b"Path 1")
    after = resource(number, rule + lengths + knot(0, 0, 0.5, 1, -1, -1), b"Path 1")
    assert xmp.resources_after_crop(before, LOWER_RIGHT) == after


def test_guides_move_and_those_outside_go() -> None:
    def guides(*places: tuple[int, int]) -> bytes:
        head = struct.pack(">IIII", 1, 576, 576, len(places))
        return resource(1032, head + b"".join(struct.pack(">iB", 32 * place, kind) for place, kind in places))

    # 0 is vertical, at a place from the left; 1 is horizontal, at a place from the top
    before = guides((500, 0), (100, 0), (300, 1), (100, 1))
    assert xmp.resources_after_crop(before, LOWER_RIGHT) == guides((100, 0), (100, 1))


def test_a_packet_among_the_resources_is_set_right() -> None:
    before, after = (resource(1060, packet(attributes=f'tiff:ImageWidth="{side}"')) for side in (800, 400))
    assert xmp.resources_after_crop(before, LOWER_RIGHT) == after


@given(st.binary(max_size=60), st.sampled_from([1025, 1032, 1060, 2000]))
def test_what_cannot_be_followed_stays(data: bytes, number: int) -> None:
    assert xmp.resources_after_crop(data, LOWER_RIGHT) == data or data.startswith(b"8BIM")
    short = resource(number, data[:20]) + b"8BIM" + data
    assert xmp.resources_after_crop(short, LOWER_RIGHT).startswith(resource(number, data[:20]))

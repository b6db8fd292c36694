"""EXIF blocks changed in place: nothing but sizes and previews, and nothing at all where they cannot be followed."""

from __future__ import annotations

import struct

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from images.pictures import MAKER_NOTE, SIZE, THUMBNAIL, exif_block
from pickroom.images.crops import exif
from pickroom.images.crops.regions import Cut

HALF = Cut((200, 100), (0, 50, 100, 100))


@pytest.mark.parametrize("order", ["<", ">"])
def test_only_sizes_and_the_thumbnail_change(order: str) -> None:
    before = exif_block(6, order)
    after = exif.after_crop(before, HALF)
    assert len(after) == len(before) - len(THUMBNAIL)
    changed = [at for at in range(len(after)) if after[at] != before[at]]
    assert len(changed) <= 2 * 4 + 2 * 2 + 4  # two longs, two shorts, the offset of IFD1
    assert after.index(MAKER_NOTE) == before.index(MAKER_NOTE)  # its own offsets stay true


def test_a_thumbnail_amid_the_block_is_blanked() -> None:
    before = exif_block() + b"something behind it"
    after = exif.after_crop(before, HALF)
    assert THUMBNAIL not in after and len(after) == len(before) and after.endswith(b"something behind it")


def test_a_thumbnail_said_to_lie_over_a_directory_is_left() -> None:
    before = exif_block()
    length_at = before.rindex(struct.pack("<HHI", 0x0202, 4, 1)) + 8
    offset_at = length_at - 12
    trap = before[:offset_at] + struct.pack("<I", 8) + before[offset_at + 4 : length_at] + struct.pack("<I", 400)
    trap += before[length_at + 4 :]
    after = exif.after_crop(trap, HALF)
    assert after.index(MAKER_NOTE) == before.index(MAKER_NOTE)


@pytest.mark.parametrize(
    "block", [b"", b"Exif\0\0", b"Exif\0\0MM\0*\0\0\0\x08", b"nonsense" * 9, b"II*\0\xff\xff\xff\xff"]
)
def test_what_cannot_be_followed_stays(block: bytes) -> None:
    assert exif.after_crop(block, HALF) == block


@given(st.integers(0, len(exif_block()) - 1), st.binary(min_size=1, max_size=8))
@example(66, b"\x0b")  # the place of a directory said to be a float
def test_damage_raises_nothing_and_lengthens_nothing(at: int, noise: bytes) -> None:
    before = exif_block()
    damaged = before[:at] + noise + before[at + len(noise) :]
    assert len(exif.after_crop(damaged, HALF)) <= len(damaged)


def test_sizes_of_signed_type_or_in_first_directory_are_set() -> None:
    short, signed = struct.pack("<HHIHH", 0xA002, 3, 1, SIZE[0], 0), struct.pack("<HHIi", 0xA002, 9, 1, SIZE[0])
    main, misplaced = struct.pack("<HHII", 0x0100, 4, 1, SIZE[0]), struct.pack("<HHII", 0xA002, 4, 1, SIZE[0])
    block = exif_block()
    assert short in block and main in block
    after = exif.after_crop(block.replace(short, signed).replace(main, misplaced), HALF)
    assert struct.pack("<HHIi", 0xA002, 9, 1, 100) in after and struct.pack("<HHII", 0xA002, 4, 1, 100) in after


def test_thumbnail_goes_although_a_tag_before_it_is_taken_out() -> None:
    size, subject = struct.pack("<HHII", 0x0100, 4, 1, SIZE[0]), struct.pack("<HHIHH", 0x9214, 3, 2, 190, 10)
    block = exif_block()
    assert size in block
    after = exif.after_crop(block.replace(size, subject, 1), HALF)  # a place outside the crop
    assert subject not in after and THUMBNAIL not in after

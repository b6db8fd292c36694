"""FORMATS.md, Groups by stage: every case, the real names, and what must hold for any list of images."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import FIXTURES
from pickroom.core.naming import parse_name
from pickroom.core.records import Image
from pickroom.groups.stages import DEFAULT_GAP, group_by_stage

START = datetime(2025, 8, 3, 6)


def image(
    name: str, stage: float | None, minutes: float | None, directory: str = "", taken_at: datetime | None = None
) -> Image:
    if minutes is not None:
        taken_at = START + timedelta(minutes=minutes)
    return Image(name, directory, 48, 64, stage, taken_at, "0", 1, 1)


def series(*stages: float, step: float = 1.0) -> list[Image]:
    """Images of these stages, taken `step` minutes apart, named in that order."""
    return [image(f"{place:03d}", stage, place * step) for place, stage in enumerate(stages)]


def stages_of(groups: list[tuple[Image, ...]]) -> list[list[float | None]]:
    return [[member.stage for member in group] for group in groups]


@pytest.mark.parametrize(
    ("stages", "groups"),
    [
        ((1, 3, 2, 3), [[1, 2, 3]]),
        ((3, 3, 2, 3), [[2, 3]]),
        ((1, 1.5, 2, 3), [[1, 1.5, 2, 3]]),
        ((2, 2, 2), []),
        ((3, 2, 1), []),
        ((1, 2, 1, 2), [[1, 2], [1, 2]]),
        ((1, 1.5, 2, 2, 3), [[1, 1.5, 2], [2, 3]]),
        ((1, 1.5), [[1, 1.5]]),
        ((1, 3), [[1, 3]]),
        ((1,), []),
        ((), []),
        ((1, 2, 2, 3), [[1, 2], [2, 3]]),
        ((1, 1, 2), [[1, 2]]),
        ((1, 3, 1.5, 2), [[1, 1.5, 2]]),
        ((1, 2, 3, 1.5), [[1, 1.5], [2, 3]]),
    ],
    ids=str,
)
def test_rising_stages_become_groups(stages: tuple[float, ...], groups: list[list[float]]) -> None:
    found, left_out = group_by_stage(series(*stages))
    assert stages_of(found) == groups
    assert len(left_out) == len(stages) - sum(map(len, groups))


def test_first_of_equal_stages_is_taken() -> None:
    found, left_out = group_by_stage(series(1, 2, 2))
    assert [[member.filename for member in group] for group in found] == [["000", "001"]]
    assert [item.filename for item in left_out] == ["002"]


def test_real_names_give_their_known_groups_and_leave_none_out() -> None:
    names = (FIXTURES / "stage_names.txt").read_text(encoding="utf-8").split()
    images = [image(n, p.stage, None, taken_at=p.taken_at) for n, p in ((n, parse_name(n)) for n in names)]
    found, left_out = group_by_stage(images)
    assert (len(names), len(found), left_out) == (362, 121, [])
    shapes = Counter(tuple(member.stage for member in group) for group in found)
    assert shapes == {(1.0, 1.5, 2.0): 119, (1.0, 1.5): 1, (1.0, 2.0, 3.0): 1}


def test_real_names_give_the_same_groups_in_any_order() -> None:
    names = (FIXTURES / "stage_names.txt").read_text(encoding="utf-8").split()
    images = [image(n, p.stage, None, taken_at=p.taken_at) for n, p in ((n, parse_name(n)) for n in names)]
    assert group_by_stage(reversed(images)) == group_by_stage(images)


@pytest.mark.parametrize(("seconds", "grouped"), [(299, True), (300, True), (301, False)])
def test_next_image_is_at_most_five_minutes_after_the_last(seconds: int, grouped: bool) -> None:
    pair = [image("a", 1, 0), image("b", 2, seconds / 60)]
    found, left_out = group_by_stage(pair)
    assert (len(found), len(left_out)) == ((1, 0) if grouped else (0, 2))


def test_gap_counts_between_neighbours_not_over_whole_group() -> None:
    found, _ = group_by_stage(series(1, 1.5, 2, 3, step=4.9))
    assert stages_of(found) == [[1, 1.5, 2, 3]]


def test_gap_is_a_parameter() -> None:
    images = series(1, 2, 1, 2, step=3)
    assert stages_of(group_by_stage(images, timedelta(minutes=2))[0]) == []
    assert stages_of(group_by_stage(images, timedelta(minutes=3))[0]) == [[1, 2], [1, 2]]


def test_default_gap_is_five_minutes() -> None:
    assert timedelta(minutes=5) == DEFAULT_GAP


def test_groups_never_cross_folders() -> None:
    images = [image("a", 1, 0, "x"), image("b", 2, 1, "y"), image("c", 2, 2, "x"), image("d", 3, 2, "y")]
    found, left_out = group_by_stage(images)
    assert [[(i.directory, i.filename) for i in group] for group in found] == [
        [("x", "a"), ("x", "c")],
        [("y", "b"), ("y", "d")],
    ]
    assert left_out == []


def test_folder_and_its_sub_folder_are_two_folders() -> None:
    assert group_by_stage([image("a", 1, 0, "x"), image("b", 2, 1, "x/y")])[0] == []


def test_images_of_one_moment_are_taken_in_stage_order() -> None:
    images = [image("a", 3, 0), image("b", 1, 0), image("c", 2, 0)]
    assert stages_of(group_by_stage(images)[0]) == [[1, 2, 3]]


@pytest.mark.parametrize(
    ("odd", "reason"),
    [
        (image("odd", None, 0.5), "no stage in its name"),
        (image("odd", 1, None), "no timestamp in its name"),
        (image("odd", None, None), "no stage in its name"),
    ],
)
def test_only_the_image_without_stage_or_time_is_left_out(odd: Image, reason: str) -> None:
    found, left_out = group_by_stage([image("a", 1, 0), odd, image("b", 2, 1)])
    assert stages_of(found) == [[1, 2]]
    assert [(item.filename, item.reason) for item in left_out] == [("odd", reason)]


def test_image_left_alone_says_so_with_the_gap() -> None:
    (item,) = group_by_stage([image("a", 1, 0)], timedelta(minutes=2.5))[1]
    assert item.reason == "no higher stage within 2.5 minutes"


# few times and stages, so that images really meet
IMAGES = st.lists(
    st.tuples(
        st.sampled_from((1.0, 1.5, 2.0, 3.0, None)),
        st.none() | st.integers(0, 20).map(float),
        st.sampled_from(("", "x", "x/y")),
    ),
    max_size=30,
).map(lambda rows: [image(f"{n:03d}", stage, minutes, folder) for n, (stage, minutes, folder) in enumerate(rows)])
GAPS = st.integers(1, 8).map(lambda minutes: timedelta(minutes=minutes))


@settings(deadline=None)
@given(IMAGES, GAPS)
def test_every_image_is_in_one_group_or_left_out_with_a_reason(images: list[Image], gap: timedelta) -> None:
    groups, left_out = group_by_stage(images, gap)
    grouped = [member.filename for group in groups for member in group]
    alone = [item.filename for item in left_out]
    assert sorted(grouped + alone) == sorted(i.filename for i in images)
    assert all(item.reason for item in left_out)


@settings(deadline=None)
@given(IMAGES, GAPS)
def test_every_group_keeps_the_rules(images: list[Image], gap: timedelta) -> None:
    for group in group_by_stage(images, gap)[0]:
        assert 2 <= len(group) <= 4
        assert len({member.directory for member in group}) == 1
        for before, after in pairwise(group):
            assert before.stage < after.stage  # type: ignore[operator]
            assert timedelta(0) <= after.taken_at - before.taken_at <= gap  # type: ignore[operator]


@settings(deadline=None)
@given(IMAGES, GAPS, st.randoms(use_true_random=False))
def test_groups_do_not_depend_on_the_order_images_come_in(images: list[Image], gap: timedelta, random: object) -> None:
    shuffled = list(images)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert group_by_stage(shuffled, gap)[0] == group_by_stage(images, gap)[0]


def as_the_rule_reads(images: list[Image], gap: timedelta) -> list[list[str]]:
    """FORMATS.md's sentence on one folder, word by word, on a list that shrinks."""
    rest = sorted(images, key=lambda i: (i.taken_at, i.stage, i.filename))
    groups = []
    while rest:
        taken = [rest.pop(0)]
        while len(taken) < 4:
            last, ahead = taken[-1], []
            for one in rest:
                # only what comes after the last one taken is ahead of it
                if (one.taken_at, one.stage, one.filename) <= (last.taken_at, last.stage, last.filename):
                    continue
                if one.stage <= last.stage:
                    break
                if one.taken_at - last.taken_at <= gap:
                    ahead.append(one)
            if not ahead:
                break
            taken.append(min(ahead, key=lambda i: i.stage))
        if len(taken) > 1:
            rest = [one for one in rest if one not in taken]
            groups.append([one.filename for one in taken])
    return groups


@settings(deadline=None)
@given(IMAGES, GAPS)
def test_groups_are_what_the_rule_reads(images: list[Image], gap: timedelta) -> None:
    staged = [replace(i, directory="") for i in images if i.stage is not None and i.taken_at is not None]
    found = [[member.filename for member in group] for group in group_by_stage(staged, gap)[0]]
    assert found == as_the_rule_reads(staged, gap)

"""Reasons and flags in words: what spoke for an image, with the right sign, and never a flag left unanswered."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pickroom.core.records import Group, Image
from pickroom.features.blocks import BLOCKS
from pickroom.learn.picks.columns import HIGHEST
from pickroom.learn.picks.model import Explanation
from pickroom.learn.recommending import _WORDS, flags, name_of, reasons

COLUMNS = {title: spec.name for spec in BLOCKS for title in spec.columns}


def group(*stages: float | None) -> Group:
    images = [Image(f"{n}.jpg", "", 4, 4, stage, None, f"{n:064x}", 9, 9) for n, stage in enumerate(stages)]
    return Group("p_group_1", "p", "", 1, tuple(images))


def explained(
    shares: dict[str, list[float]], number: str = "", values: tuple[float, ...] = (), departure: tuple[float, ...] = ()
) -> Explanation:
    """What a model said of three images; `number` is what the share of its block comes from."""
    found = {name: np.array(share, dtype=float) for name, share in shares.items()}
    numbers = {number: found[COLUMNS[number]]} if number else {}
    place = np.array([[0.0, 0.0, 0.2, 0.2]] * 3, dtype=np.float32)
    own = {number: np.array(values, dtype=float)} if number else {}
    return Explanation(found, numbers, own, COLUMNS, np.array(departure or (1 / 3,) * 3), place)


@pytest.mark.parametrize(
    ("number", "values", "said"),
    [
        ("eyes_open_least", (0.3, 0.0, 0.28), "eyes more open than in image 2"),
        ("eyes_open_least", (0.0, 0.3, 0.3), "eyes closed more than in images 2 and 3"),
        ("mouth_open", (0.0, 0.3, 0.3), "mouth open in images 2 and 3"),
        ("smile", (0.3, 0.0, 0.0), "more of a smile than in images 2 and 3"),
        ("sharpness_fine", (2.0, 1.0, 1.0), "sharper than images 2 and 3"),
        ("sharpness_fine", (1.0, 2.0, 2.0), "softer than images 2 and 3"),
        ("highlights_clipped", (0.0, 0.2, 0.0), "highlights clipped in image 2"),
        ("noise", (0.1, 0.4, 0.1), "less noise than image 2"),
        ("warmth", (0.4, 0.1, 0.1), "warmer than images 2 and 3"),
    ],
)
def test_a_number_is_said_of_the_images_it_is_true_of(number: str, values: tuple[float, ...], said: str) -> None:
    title = next(title for title in COLUMNS if title.startswith(number))
    made = explained({COLUMNS[title]: [1.0, -0.6, -0.4 if values[2] != values[1] else -0.6]}, title, values)
    rival_first = explained({COLUMNS[title]: [1.0, -0.4, -0.6]}, title, values)
    assert said in {*reasons(group(None, None, None), 0, made), *reasons(group(None, None, None), 0, rival_first)}


def test_every_number_that_is_measured_has_words_for_both_signs() -> None:
    for start, more, less in _WORDS:
        assert any(title.startswith(start) for title in COLUMNS), start
        assert "{others}" in more and "{others}" in less


def test_a_number_that_one_image_lacks_is_not_compared() -> None:
    made = explained({"faces": [1.0, -0.5, -0.5]}, "smile", (0.4, np.nan, np.nan))
    assert reasons(group(None, None, None), 0, made) == ("the face is as you like it",)


def test_a_defect_of_the_highest_stage_is_named_with_its_place() -> None:
    departure = (0.1, 0.1, 0.8)
    made = explained({HIGHEST: [0.6, 0.6, -1.2], "stage": [-0.2, 0.0, 0.2]}, departure=departure)
    series = group(1.0, 1.5, 2.0)
    assert reasons(series, 1, made) == ("stage 2 differs from the others at the top left",)
    assert flags(series, 1, made) == ("stage 2 may have a defect at the top left",)


def test_the_share_of_passed_over_stages_can_be_the_reason() -> None:
    made = explained({HIGHEST: [0.6, 0.6, -1.2]}, departure=(0.1, 0.1, 0.8))
    said = reasons(group(1.0, 1.5, 2.0), 2, made)
    assert said == ("in spite of what may be a defect: the highest stage is seldom passed over here",)


@given(
    shares=st.dictionaries(
        st.sampled_from(["stage", "vector", "project stage", "technical", "faces", "consistency", HIGHEST, "own"]),
        st.lists(st.floats(-3, 3), min_size=3, max_size=3),
        min_size=1,
    ),
    departure=st.lists(st.floats(0.01, 1), min_size=3, max_size=3),
    stages=st.sampled_from([(1.0, 1.5, 2.0), (None, None, None), (2.0, 2.0, 3.0)]),
    picked=st.integers(0, 2),
)
def test_a_flagged_pick_says_first_what_outweighs_the_flag(
    shares: dict[str, list[float]], departure: list[float], stages: tuple[float | None, ...], picked: int
) -> None:
    made = explained(shares, departure=tuple(np.array(departure) / sum(departure)))
    own = f"{name_of(group(*stages), picked)} may"
    flagged = any(flag.startswith(own) for flag in flags(group(*stages), picked, made))
    said = reasons(group(*stages), picked, made)
    assert said[0].startswith("in spite of what may be a defect: ") == flagged
    assert not (flagged and any("agrees best" in text or "differs from" in text for text in said))
    assert not any("in spite" in text for text in said[1:]) and 1 <= len(said) <= 3

"""The records refuse what would be nonsense, and come back from JSON as they went in."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError, fields
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pickroom.core.records import Choice, CropBox, Decision, FileOp, Group, Image, Recommendation, Ungrouped

FRACTIONS = st.floats(0, 1, allow_nan=False)
BOXES = (
    st.tuples(FRACTIONS, FRACTIONS, FRACTIONS, FRACTIONS)
    .filter(lambda v: v[0] != v[2] and v[1] != v[3])
    .map(lambda v: CropBox(min(v[0], v[2]), min(v[1], v[3]), max(v[0], v[2]), max(v[1], v[3])))
)
RECOMMENDATIONS = st.builds(
    Recommendation,
    group_id=st.text(),
    source=st.sampled_from(("baseline", "model", "simulated")),
    selected_index=st.none() | st.integers(0, 3),
    crop=st.none() | BOXES,
    crop_needed=st.none() | st.booleans(),
    confidence=st.none() | FRACTIONS,
    crop_confidence=st.none() | FRACTIONS,
    reasons=st.lists(st.text()).map(tuple),
    anomaly_flags=st.lists(st.text()).map(tuple),
    versions=st.dictionaries(st.text(), st.text()),
)


@pytest.mark.parametrize("values", [(0, 0, 1, 1), (0.1, 0.2, 0.3, 0.4), (0.0, 0.999, 1e-9, 1.0)])
def test_box_within_the_image_is_stored_as_given(values: tuple[float, ...]) -> None:
    assert CropBox.of(values).to_list() == list(values)


@pytest.mark.parametrize(
    "values",
    [
        pytest.param((0.5, 0.0, 0.4, 1.0), id="x reversed"),
        pytest.param((0.0, 0.5, 1.0, 0.4), id="y reversed"),
        pytest.param((0.5, 0.0, 0.5, 1.0), id="no width"),
        pytest.param((0.0, 0.5, 1.0, 0.5), id="no height"),
        pytest.param((-0.01, 0.0, 1.0, 1.0), id="left of the image"),
        pytest.param((0.0, 0.0, 1.0, 1.01), id="below the image"),
        pytest.param((10, 20, 300, 400), id="pixels"),
        pytest.param((0.0, 0.0, float("nan"), 1.0), id="not a number"),
        pytest.param((0.0, 0.0, float("inf"), 1.0), id="infinite"),
        pytest.param((0.0, 0.0, 10**400, 1.0), id="an integer beyond floats"),
        pytest.param((False, False, True, True), id="truth values"),
        pytest.param(("0", "0", "1", "1"), id="texts"),
        pytest.param((None, 0, 1, 1), id="unknown edge"),
        pytest.param((0, 0, 1), id="three numbers"),
        pytest.param((0, 0, 1, 1, 1), id="five numbers"),
        pytest.param("0011", id="one text"),
        pytest.param({"x1": 0, "y1": 0, "x2": 1, "y2": 1}, id="an object"),
        pytest.param(None, id="nothing"),
        pytest.param(5, id="one number"),
    ],
)
def test_box_that_is_none_is_refused(values: object) -> None:
    with pytest.raises(ValueError, match="box"):
        CropBox.of(values)


@pytest.mark.parametrize("text", ["5", "null", "{}", '"0011"', "[0, 0, 1]", "[NaN, 0, 1, 1]", "not JSON", ""])
def test_box_from_json_that_holds_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        CropBox.from_json(text)


def test_box_from_null_is_unknown_not_full_frame() -> None:
    assert CropBox.from_json(None) is None


@given(BOXES)
def test_box_comes_back_from_json_to_the_last_bit(box: CropBox) -> None:
    assert CropBox.from_json(box.to_json()) == box


def test_area_is_a_fraction_of_the_image() -> None:
    assert CropBox(0.0, 0.25, 0.5, 0.75).area == 0.25


@given(RECOMMENDATIONS)
def test_recommendation_comes_back_from_json(recommendation: Recommendation) -> None:
    assert Recommendation.from_json(recommendation.to_json()) == recommendation


def test_recommendation_json_spells_its_box_as_four_numbers() -> None:
    text = Recommendation("g", "model", 0, crop=CropBox(0.1, 0.2, 0.3, 0.4)).to_json()
    assert json.loads(text)["crop"] == [0.1, 0.2, 0.3, 0.4]


@pytest.mark.parametrize(("needed", "offered"), [(True, True), (None, True), (False, False)])
def test_crop_is_offered_unless_the_model_says_none_is_needed(needed: bool | None, offered: bool) -> None:
    box = CropBox(0, 0, 0.5, 0.5)
    recommendation = Recommendation("g", "model", 1, crop=box, crop_needed=needed)
    assert recommendation.offered_crop == (box if offered else None)


@pytest.mark.parametrize(
    ("action", "decided"),
    [("undecided", False), ("skip", False), ("approve", True), ("crop", True), ("reject", True), ("keep", True)],
)
def test_finalise_acts_on_every_action_but_undecided_and_skip(action: str, decided: bool) -> None:
    assert Choice(action).decided is decided  # type: ignore[arg-type]


def test_nothing_is_chosen_until_a_key_chooses() -> None:
    assert Choice() == Choice("undecided", None, False)


@pytest.mark.parametrize("record", [CropBox, Image, Ungrouped, Group, Recommendation, Choice, Decision, FileOp])
def test_records_cannot_be_changed(record: type) -> None:
    blank = object.__new__(record)
    with pytest.raises(FrozenInstanceError):
        setattr(blank, fields(record)[0].name, 1)


def test_group_names_its_files_in_order() -> None:
    images = tuple(
        Image(name, "anna", 4, 3, stage, datetime(2025, 8, 3), "0", 1, 1) for name, stage in (("b", 1.0), ("a", 2.0))
    )
    assert Group("g", "p", "anna", 1, images).filenames == ("b", "a")

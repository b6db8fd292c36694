"""Each group has one current recommendation, which comes back as it was given."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import replace

import pytest

from pickroom.core.records import CropBox, Group, Recommendation
from pickroom.store import recommendations

FULL = Recommendation(
    group_id="",
    source="model",
    selected_index=1,
    crop=CropBox(0.1, 0.2, 0.8, 0.9),
    crop_needed=True,
    confidence=0.87,
    crop_confidence=0.5,
    reasons=("sharper", "ä"),
    anomaly_flags=("hand",),
    versions={"ranker": "v3", "crop_proposer": "v1"},
)
BARE = Recommendation("", "baseline", None)


@pytest.mark.parametrize(
    "given",
    [FULL, BARE, replace(FULL, crop_needed=False, source="simulated"), replace(FULL, crop=None, crop_needed=None)],
    ids=["all known", "much unknown", "no crop needed", "crop unknown"],
)
def test_recommendation_comes_back_as_it_was_given(
    connection: sqlite3.Connection, make_groups: Callable[..., list[Group]], given: Recommendation
) -> None:
    (group,) = make_groups(1)
    own = replace(given, group_id=group.group_id)
    recommendations.upsert(connection, [own])
    assert recommendations.of_groups(connection, [group.group_id]) == {group.group_id: own}


def test_newer_recommendation_replaces_every_field(
    connection: sqlite3.Connection, make_groups: Callable[..., list[Group]]
) -> None:
    (group,) = make_groups(1)
    for given in (FULL, BARE):
        recommendations.upsert(connection, [replace(given, group_id=group.group_id)])
    assert recommendations.of_groups(connection, [group.group_id]) == {
        group.group_id: replace(BARE, group_id=group.group_id)
    }


def test_group_without_a_recommendation_is_left_out(
    connection: sqlite3.Connection, make_groups: Callable[..., list[Group]]
) -> None:
    known, unknown = make_groups(2)
    recommendations.upsert(connection, [replace(FULL, group_id=known.group_id)])
    assert list(recommendations.of_groups(connection, [unknown.group_id, known.group_id])) == [known.group_id]


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"source": "baseline"}, id="a baseline never has a crop"),
        pytest.param({"source": "oracle"}, id="unknown source"),
        pytest.param({"selected_index": -1}, id="no place"),
        pytest.param({"confidence": 87.0}, id="percent"),
        pytest.param({"crop_confidence": -0.1}, id="negative"),
        pytest.param({"group_id": "nobody"}, id="no such group"),
    ],
)
def test_untrue_recommendation_is_refused(
    connection: sqlite3.Connection, make_groups: Callable[..., list[Group]], changes: dict[str, object]
) -> None:
    (group,) = make_groups(1)
    with pytest.raises(sqlite3.IntegrityError):
        recommendations.upsert(connection, [replace(FULL, **({"group_id": group.group_id} | changes))])  # type: ignore[arg-type]

"""The baseline: the highest stage, said to be one, with no confidence, no crop, and no pick where none is clear."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pickroom.core.records import Capture, Group, Image
from pickroom.groups.baseline import keep_all, recommend


def group(*stages: float | None) -> Group:
    images = tuple(Image(f"{n}.png", "", 48, 64, stage, None, "0", 1, 1) for n, stage in enumerate(stages))
    return Group("g", "p", "", 1, images)


@pytest.mark.parametrize(
    ("stages", "pick"),
    [((1, 1.5, 2), 2), ((1, 1.5), 1), ((1, 2, 3), 2), ((3, 1), 0), ((1, 1.5, 2, 3), 3), ((1, 1, 2), 2)],
)
def test_highest_stage_is_picked(stages: tuple[float, ...], pick: int) -> None:
    assert recommend(group(*stages)).selected_index == pick


@pytest.mark.parametrize("stages", [(1, None), (None, 2.0), (2, 2), (1, 2, 2)])
def test_no_pick_is_invented_where_a_stage_is_unknown_or_tied(stages: tuple[float | None, ...]) -> None:
    found = recommend(group(*stages))
    assert found.selected_index is None
    assert found.reasons == ("no highest stage to go by",)


def test_a_group_without_stages_has_no_recommendation_yet() -> None:
    found = recommend(group(None, None))
    assert (found.selected_index, found.reasons) == (None, ("no recommendation yet",))


@pytest.mark.parametrize("stages", [(1, 2), (None, 2)])
def test_baseline_says_that_it_is_one_and_claims_nothing_more(stages: tuple[float | None, ...]) -> None:
    found = recommend(group(*stages))
    assert (found.group_id, found.source, found.versions) == ("g", "baseline", {"ranker": "highest_stage"})
    assert (found.crop, found.crop_needed, found.confidence, found.crop_confidence) == (None, None, None, None)
    assert found.anomaly_flags == ()


def test_reason_names_the_stage() -> None:
    assert recommend(group(1, 1.5)).reasons == ("highest stage (1.5): a baseline, no model has looked yet",)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ([(0.01, 8, 100), (0.5, 8, 100), (2, 8, 100)], "exposure bracket (1/100 s, 0.5 s, 2 s): keep all"),
        ([(0.01, 8, 100), (0.01, 11, 100)], "exposure bracket (f/8, f/11): keep all"),
        ([(0.01, 8, 100), (0.01, 8, 400)], "exposure bracket (ISO 100, ISO 400): keep all"),
        ([(0.01, 8, 100), (0.01, 8, 100)], None),
    ],
)
def test_a_bracket_is_what_the_camera_says_and_exposures_show(
    settings: list[tuple[float, float, int]], reason: str | None
) -> None:
    images = tuple(Image(f"{n}.jpg", "", 8, 6, None, None, f"sha {n}", 1, 1) for n in range(len(settings)))
    own = Group("g", "p", "", 1, images)
    taken = {
        image.sha256: Capture(exposure_s=time, aperture=aperture, iso=iso, bracketed=True)
        for image, (time, aperture, iso) in zip(images, settings, strict=True)
    }
    said = keep_all(own, taken)
    assert (said.reasons if said else None) == ((reason,) if reason else None)
    assert keep_all(own, {**taken, "sha 0": replace(taken["sha 0"], bracketed=False)}) is None
    assert keep_all(own, {}) is None

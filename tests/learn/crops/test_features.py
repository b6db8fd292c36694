"""Crop features: the stored vectors as they are, where the grid lies in the image, one hash a configuration."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pickroom.core.errors import ProjectError
from pickroom.features.encoder import EncoderSpec, Preprocessing, reduce_channels
from pickroom.features.sources import FeatureSources
from pickroom.features.store import Vectors, load_vectors
from pickroom.learn.crops.features import covered, crop_features, shape_values
from pickroom.learn.examples import UncroppedImage
from pickroom.store.workspace import Project

SIDES = st.integers(1, 10_000)


def spec(resize: str) -> EncoderSpec:
    own = Preprocessing(224, 224, resize, "bicubic", (0.5,) * 3, (0.5,) * 3)
    return EncoderSpec("openclip", "m", "w", own, 8, 7, 7, 4, "", "float32")


@given(SIDES, SIDES)
def test_the_cover_is_what_the_input_spans_of_the_image(width: int, height: int) -> None:
    assert covered(spec("squash"), width, height) == (1, 1)
    cut, padded = covered(spec("shortest"), width, height), covered(spec("longest"), width, height)
    assert max(cut) == pytest.approx(1) and min(padded) == pytest.approx(1)
    # the input is a square: so what it spans is one in pixels
    for across, down in (cut, padded):
        assert across * width == pytest.approx(down * height)


def test_imported_vectors_cover_the_whole_image() -> None:
    assert covered(replace(spec("squash"), preprocessing=None), 30, 20) == (1, 1)


def test_an_unknown_stage_is_not_stage_nought() -> None:
    frame = UncroppedImage("p", "a.jpg", None, 2048, 1024, None)
    assert shape_values(frame).tolist() == pytest.approx([math.log(2), 0, 0, 0])
    assert shape_values(replace(frame, stage=1.5)).tolist() == pytest.approx([math.log(2), 0, 1, 0.5])
    assert np.abs(shape_values(replace(frame, width=90_000, height=1))).max() <= 4


def test_features_are_the_stored_vectors_and_say_what_is_missing(learned_once: Project) -> None:
    known = load_vectors(learned_once, patches=True)
    assert known.patches is not None
    frames = [
        UncroppedImage("p", str(known.filenames[place]), str(known.content_hashes[place]), 640, 480, 2.0)
        for place in (5, 0, 3)
    ]
    changed = replace(frames[0], sha256="0" * 64)  # the same name, other content
    frames = [frames[0], changed, *frames[1:], replace(changed, filename="nowhere.jpg")]
    found = crop_features(frames, FeatureSources([learned_once]))
    assert found.mask.tolist() == [True, False, True, True, False]
    assert set(found.missing) == {1, 4} and "has no vector" in found.missing[4]
    np.testing.assert_array_equal(found.vector[[0, 2, 3]], known.matrix[[5, 0, 3]])
    assert found.grid is not None
    np.testing.assert_array_equal(found.grid[[0, 2, 3]], known.patches[[5, 0, 3]])
    assert not found.vector[1].any() and not found.grid[4].any()
    taken = found.take([4, 2])
    assert taken.missing == {0: found.missing[4]} and taken.mask.tolist() == [False, True]
    np.testing.assert_array_equal(taken.vector[1], known.matrix[0])


class WithReduced(FeatureSources):
    """Project `p` with grids of 90 channels, and `old` with the same, reduced as version 0.1 did."""

    def vectors(self, project_id: str, *, patches: bool = False) -> Vectors:
        found = super().vectors("p", patches=patches)
        assert found.patches is not None
        spec, grids = replace(found.spec, patch_dim=90), np.tile(found.patches, (1, 1, 1, 30))
        if project_id == "old":
            spec, grids = spec.reduced, reduce_channels(grids)
        return replace(found, spec=spec, patches=grids)


@pytest.mark.parametrize("order", [("p", "old"), ("old", "p")])
def test_whole_and_reduced_grids_are_all_reduced(learned_once: Project, order: tuple[str, str]) -> None:
    sources = WithReduced([learned_once])
    known = sources.vectors("old", patches=True)
    name, digest = str(known.filenames[2]), str(known.content_hashes[2])
    found = crop_features([UncroppedImage(p, name, digest, 640, 480, 2.0) for p in order], sources)
    assert found.grid is not None and known.patches is not None and found.mask.all()
    np.testing.assert_array_equal(found.grid, np.stack([known.patches[2]] * 2))


def test_unopened_project_is_refused_and_no_images_are_allowed(learned_once: Project) -> None:
    with pytest.raises(ProjectError):
        crop_features([UncroppedImage("other", "a.jpg", None, 10, 10, None)], FeatureSources([learned_once]))
    nothing = crop_features([], FeatureSources([learned_once]))
    assert len(nothing) == 0

"""Regions: where siblings differ, at native resolution, and what is said when they do not."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage
from PIL import ImageFilter
from skimage.metrics import structural_similarity

from conftest import stage_name
from pickroom.features.regions import (
    RegionConfig,
    block_difference,
    comparable,
    crop_box,
    find_regions,
    members_hash,
)
from pickroom.indexing import projects
from pickroom.store.workspace import Project, Workspace
from support.encoding import photograph

CONFIG = RegionConfig()
SIZE = (900, 1200)


def spoiled(image: PillowImage.Image, box: tuple[int, int, int, int]) -> PillowImage.Image:
    """The image with one place smeared, as a bad hand is."""
    copy = image.copy()
    copy.paste(copy.crop(box).filter(ImageFilter.GaussianBlur(12)).rotate(20), box[:2])
    return copy


def start_series(workspace: Workspace, folder: Path, images: list[PillowImage.Image]) -> Project:
    start = datetime(2025, 8, 3, 6)
    for place, image in enumerate(images):
        image.save(folder / stage_name(start + timedelta(minutes=place), (1.0, 1.5, 2.0, 3.0)[place]))
    return projects.start(workspace, "p", folder)[0]


@pytest.mark.parametrize("corner", [(60, 80), (600, 900), (0, 1060), (760, 0)])
def test_the_spoiled_place_is_found_in_images_of_other_sizes(corner: tuple[int, int]) -> None:
    sharp = photograph(0, SIZE)
    box = (*corner, corner[0] + 140, corner[1] + 140)
    soft = sharp.resize((450, 600), PillowImage.Resampling.LANCZOS)
    members = [soft, sharp, spoiled(sharp, box)]
    found = find_regions(members, [image.size for image in members], 224, CONFIG)
    x1, y1, x2, y2 = found[0].box
    assert x1 <= (box[0] + 70) / SIZE[0] <= x2 and y1 <= (box[1] + 70) / SIZE[1] <= y2
    # native resolution: the region is the encoder's input in pixels of the largest member
    left, top, right, bottom = crop_box(found[0].box, SIZE)
    assert (right - left, bottom - top) == (224, 224)


def test_regions_do_not_overlap_and_fall_in_difference() -> None:
    sharp = photograph(1, SIZE)
    other = spoiled(spoiled(sharp, (100, 100, 260, 260)), (600, 800, 720, 920))
    found = find_regions([sharp, other], [SIZE, SIZE], 224, replace(CONFIG, count=3))
    assert [region.difference for region in found] == sorted((r.difference for r in found), reverse=True)
    assert len(found) >= 2
    for a in found:
        assert 0 <= a.box[0] < a.box[2] <= 1 and 0 <= a.box[1] < a.box[3] <= 1 and 0 < a.difference <= 2
        for b in found:
            apart_x = a.box[2] <= b.box[0] + 0.05 or b.box[2] <= a.box[0] + 0.05
            assert a is b or apart_x or a.box[3] <= b.box[1] + 0.05 or b.box[3] <= a.box[1] + 0.05


def test_equal_images_have_no_regions_and_small_ones_are_taken_whole() -> None:
    sharp = photograph(2, SIZE)
    assert find_regions([sharp, sharp.copy()], [SIZE, SIZE], 224, CONFIG) == []
    small = photograph(2, (90, 70))
    (region,) = find_regions([small, spoiled(small, (10, 10, 60, 60))], [(90, 70)] * 2, 224, CONFIG)
    assert region.box == (0, 0, 1, 1)
    tiny = PillowImage.new("RGB", (3, 2))
    assert find_regions([tiny, PillowImage.new("RGB", (3, 2), "white")], [(3, 2)] * 2, 224, CONFIG)


def test_block_difference_agrees_with_scikit_image() -> None:
    sharp = photograph(3, (320, 320))
    pair = [sharp, spoiled(sharp, (100, 60, 240, 200))]
    a, b = (np.asarray(image.convert("L"), dtype=np.float32) for image in pair)
    _, full = structural_similarity(a, b, data_range=255, win_size=15, full=True)
    centres = 1 - full[8::16, 8::16]
    ours = block_difference([a[..., None], b[..., None]])
    assert np.corrcoef(ours.ravel(), centres.ravel())[0, 1] > 0.95
    assert np.allclose(block_difference([a[..., None]] * 2), 0, atol=1e-5)


def test_a_wrong_colour_is_found_though_its_grey_is_right() -> None:
    sharp = photograph(4, SIZE)
    other = sharp.copy()
    luma, *chroma = other.crop((500, 200, 700, 400)).convert("YCbCr").split()
    turned = PillowImage.merge("YCbCr", (luma, *(channel.point(lambda v: 255 - v) for channel in chroma)))
    other.paste(turned.convert("RGB"), (500, 200))
    found = find_regions([sharp, other], [SIZE, SIZE], 224, CONFIG)
    x1, y1, x2, y2 = found[0].box
    assert x1 <= 600 / SIZE[0] <= x2 and y1 <= 300 / SIZE[1] <= y2


def test_members_hash_is_of_names_and_contents_in_any_order() -> None:
    assert members_hash([("a", "1"), ("b", "2")]) == members_hash([("b", "2"), ("a", "1")])
    assert len({members_hash([("a", "1"), ("b", other)]) for other in "23"}) == 2
    assert members_hash([("a", "1b")]) != members_hash([("a1", "b")])


def test_shapes_must_agree() -> None:
    assert comparable([(512, 640), (1024, 1280), (1023, 1280)], 0.02)
    assert not comparable([(512, 640), (640, 512)], 0.02)

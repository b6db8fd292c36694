"""How much siblings differ, place by place."""

from __future__ import annotations

import numpy as np
from PIL import ImageFilter
from skimage.metrics import structural_similarity

from pickroom.features.regions import block_difference, comparable
from support.encoding import photograph


def test_block_difference_agrees_with_scikit_image() -> None:
    sharp = photograph(3, (320, 320))
    spoiled = sharp.copy()
    box = (100, 60, 240, 200)
    spoiled.paste(sharp.crop(box).filter(ImageFilter.GaussianBlur(12)).rotate(20), box[:2])
    a, b = (np.asarray(image.convert("L"), dtype=np.float32) for image in (sharp, spoiled))
    _, full = structural_similarity(a, b, data_range=255, win_size=15, full=True)
    centres = 1 - full[8::16, 8::16]
    ours = block_difference([a[..., None], b[..., None]])
    assert np.corrcoef(ours.ravel(), centres.ravel())[0, 1] > 0.95
    assert np.allclose(block_difference([a[..., None]] * 2), 0, atol=1e-5)


def test_shapes_must_agree() -> None:
    assert comparable([(512, 640), (1024, 1280), (1023, 1280)], 0.02)
    assert not comparable([(512, 640), (640, 512)], 0.02)

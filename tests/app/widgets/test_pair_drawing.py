"""Where two pictures differ: outlined where that is a part of them, said in words where it is nearly all."""

from __future__ import annotations

import numpy as np
from PIL import Image as PillowImage
from PIL import ImageFilter
from skimage.metrics import structural_similarity

from pickroom.app.widgets.drawing import block_difference, differences
from support.encoding import photograph

SIZE = (256, 192)


def test_a_changed_part_is_outlined() -> None:
    one = photograph(1, SIZE)
    other = one.copy()
    other.paste(photograph(2, (64, 64)), (32, 32))
    found = differences(one, other)
    assert found.heat is not None and found.share is not None and 0 < found.share < 0.3
    rows, columns = np.nonzero(found.heat)
    assert rows.max() <= (32 + 64) / 16 and columns.max() <= (32 + 64) / 16
    assert "of the picture differs" in found.words


def test_two_other_pictures_stay_as_they_are_and_the_words_warn() -> None:
    found = differences(photograph(1, SIZE), photograph(2, SIZE))
    assert found.heat is None and found.share is not None and found.share > 0.5
    assert "different all over" in found.words


def test_the_same_picture_and_one_of_another_shape() -> None:
    one = photograph(1, SIZE)
    assert differences(one, one.copy()).words == "no visible difference"
    assert "of different shapes" in differences(one, PillowImage.new("RGB", (100, 300))).words
    near = differences(one.resize((512, 384)), one)
    assert near.share is not None


def test_block_difference_agrees_with_scikit_image() -> None:
    sharp = photograph(3, (320, 320))
    spoiled = sharp.copy()
    box = (100, 60, 240, 200)
    spoiled.paste(sharp.crop(box).filter(ImageFilter.GaussianBlur(12)).rotate(20), box[:2])
    a, b = (np.asarray(image.convert("L"), dtype=np.float32) for image in (sharp, spoiled))
    _, full = structural_similarity(a, b, data_range=255, win_size=15, full=True)
    centres = 1 - full[8::16, 8::16]
    ours = block_difference(a[..., None], b[..., None])
    assert np.corrcoef(ours.ravel(), centres.ravel())[0, 1] > 0.95
    assert np.allclose(block_difference(a[..., None], a[..., None]), 0, atol=1e-5)

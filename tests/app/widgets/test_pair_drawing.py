"""Where two pictures differ: outlined where that is a part of them, said in words where it is nearly all."""

from __future__ import annotations

import numpy as np
from PIL import Image as PillowImage

from pickroom.app.widgets.drawing import differences
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

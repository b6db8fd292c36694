"""Groups by similarity: copies, series, complete linkage, what is left out; and what must hold for any images."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pickroom.core.errors import UsageError
from pickroom.core.records import Image, Ungrouped
from pickroom.groups import similar
from pickroom.groups.similar import ImageFeatures, Thresholds, group_by_similarity

START = datetime(2025, 8, 3, 6)
AT_90 = Thresholds(cosine=0.9)


def image(name: str, directory: str = "", minutes: float | None = None, stage: float | None = None) -> Image:
    taken_at = None if minutes is None else START + timedelta(minutes=minutes)
    return Image(name, directory, 48, 64, stage, taken_at, f"{name}-hash", 1, 1)


def at(degrees: float, fingerprint: int | None = None) -> ImageFeatures:
    """A vector in this direction: the cosine of two is that of the angle between them."""
    angle = np.deg2rad(degrees)
    return ImageFeatures(fingerprint, 7 * np.array([np.cos(angle), np.sin(angle)], np.float32))


def grouped(
    looks: dict[str, ImageFeatures], thresholds: Thresholds = AT_90, images: list[Image] | None = None
) -> tuple[list[list[str]], dict[str, str]]:
    groups, left_out = group_by_similarity(images or [image(name) for name in looks], looks, thresholds)
    return [[i.filename for i in group] for group in groups], {u.filename: u.reason for u in left_out}


def test_alike_images_become_groups_and_others_do_not() -> None:
    made, left_out = grouped({"a": at(0), "b": at(5), "c": at(90), "d": at(95), "e": at(200)})
    assert made == [["a", "b"], ["c", "d"]]
    assert set(left_out) == {"e"}
    assert left_out["e"].startswith("no similar image: most like d")


def test_chain_of_small_changes_does_not_tie_its_ends() -> None:
    # neighbours are 18 and 22 degrees apart (.95, .93), the ends 40 (.77)
    made, left_out = grouped({"a": at(0), "b": at(18), "c": at(40)})
    assert made == [["a", "b"]]
    assert left_out == {"c": "not like all images of a group: most like b"}


def test_nearest_are_joined_first() -> None:
    made, _ = grouped({"a": at(0), "b": at(20), "c": at(26), "d": at(46)})
    assert made == [["b", "c"]]


def test_linkage_is_by_the_farthest_pair() -> None:
    # c is nearer to b than the pair d, e is to each other, but too far from a: single linkage would take all three
    made, left_out = grouped({"a": at(0), "b": at(10), "c": at(28), "d": at(90), "e": at(115)})
    assert made == [["a", "b"], ["d", "e"]]
    assert list(left_out) == ["c"]


@pytest.mark.parametrize("count", [2, 4, 5, 6, 9, 40])
def test_many_alike_become_groups_of_four_at_the_most(count: int) -> None:
    made, left_out = grouped({f"{place:02d}": at(place / 100) for place in range(count)})
    assert {len(group) for group in made} <= {2, 3, 4}
    assert sum(map(len, made)) + len(left_out) == count
    assert len(left_out) <= count // 8


def test_copies_are_grouped_without_any_vector() -> None:
    seen = {
        "a": ImageFeatures(0b1111, None, "x"),
        "b": ImageFeatures(0b1110, None, "x"),
        "c": ImageFeatures((1 << 64) - 1, None, "truncated"),
    }
    made, left_out = grouped(seen)
    assert made == [["a", "b"]]
    assert left_out == {"c": "no vector: truncated"}


@pytest.mark.parametrize(("bits", "together"), [(8, True), (9, False)])
def test_copies_differ_in_a_few_bits_at_the_most(bits: int, together: bool) -> None:
    made, _ = grouped({"a": at(0, 0), "b": at(90, (1 << bits) - 1)})
    assert bool(made) is together


def test_image_nobody_looked_at_is_left_out_with_its_reason() -> None:
    made, left_out = grouped({"a": at(0), "b": at(1)}, images=[image("a"), image("b"), image("c")])
    assert made == [["a", "b"]]
    assert left_out == {"c": "no vector: it has not been looked at"}


def test_folders_never_mix() -> None:
    images = [image("a", "x"), image("b", "y"), image("c", "y")]
    made, left_out = grouped({name: at(0, 5) for name in "abc"}, images=images)
    assert made == [["b", "c"]]
    assert left_out == {"a": "no other image with a vector in its folder"}


def test_gap_splits_similar_images_but_unknown_times_never_do() -> None:
    images = [image("a", minutes=0), image("b", minutes=4), image("c", minutes=20), image("d")]
    seen = {"a": at(0, 9), "b": at(1, 9), "c": at(2, 9), "d": at(120)}
    assert grouped(seen, images=images)[0] == [["a", "b", "c"]]
    made, left_out = grouped(seen, Thresholds(cosine=0.9, gap=timedelta(minutes=5)), images)
    assert made == [["a", "b"]]
    assert left_out["c"].startswith("no similar image within 5 minutes: most like ")
    assert grouped(seen | {"d": at(2)}, Thresholds(cosine=0.9, gap=timedelta(minutes=5)), images)[0] == [
        ["a", "b"],
        ["c", "d"],
    ]


def test_images_of_a_group_are_ordered_by_stage_then_time() -> None:
    staged = [image("a", minutes=2, stage=3.0), image("b", minutes=1, stage=1.0), image("c", minutes=3, stage=2.0)]
    assert grouped({n: at(0) for n in "abc"}, images=staged)[0] == [["b", "c", "a"]]
    plain = [image("a", minutes=2), image("b", minutes=1), image("c")]
    assert grouped({n: at(0) for n in "abc"}, images=plain)[0] == [["b", "a", "c"]]


def test_zero_vector_is_like_nothing() -> None:
    seen = {"a": ImageFeatures(None, np.zeros(2, np.float32)), "b": ImageFeatures(None, np.zeros(2, np.float32))}
    made, left_out = grouped(seen)
    assert made == [] and set(left_out) == {"a", "b"}


def test_no_image_makes_no_group() -> None:
    assert group_by_similarity([], {}) == ([], [])


@pytest.mark.parametrize("values", [{"cosine": 1.1}, {"bits": 65}, {"gap": timedelta(0)}])
def test_thresholds_out_of_range_are_refused(values: dict) -> None:
    with pytest.raises(UsageError):
        Thresholds(**values)


looks = st.builds(
    lambda degrees, hashed: ImageFeatures(hashed, None, "x") if degrees is None else at(degrees, hashed),
    st.one_of(st.none(), st.integers(0, 120)),
    st.one_of(st.none(), st.integers(0, 2**12 - 1)),
)
seen_images = st.lists(
    st.tuples(looks, st.sampled_from(["", "x"]), st.one_of(st.none(), st.integers(0, 30))), max_size=25
)


@settings(max_examples=150, deadline=None)
@given(seen_images, st.sampled_from([None, 5, 15]), st.sampled_from([0, 2, 6]))
def test_whatever_the_images(described: list, gap: int | None, bits: int) -> None:
    images = [image(f"{n:02d}", folder, minutes) for n, (_, folder, minutes) in enumerate(described)]
    seen = {i.filename: look for i, (look, _, _) in zip(images, described, strict=True)}
    limits = Thresholds(cosine=0.9, bits=bits, gap=None if gap is None else timedelta(minutes=gap))
    groups, left_out = group_by_similarity(images, seen, limits)

    # each image exactly once: in a group, or left out with a reason
    met = Counter([i.filename for group in groups for i in group] + [u.filename for u in left_out])
    assert met == Counter(i.filename for i in images)
    assert all(isinstance(u, Ungrouped) and u.reason for u in left_out)
    for group in groups:
        assert 2 <= len(group) <= 4
        assert len({i.directory for i in group}) == 1
        assert all(near(a, b, seen, limits) for a, b in combinations(group, 2))
    # no two groups, and no two images left out, could still be joined
    whole = [*groups, *((i,) for i in images if i.filename in {u.filename for u in left_out})]
    for one, other in combinations(whole, 2):
        if len(one) + len(other) <= 4 and one[0].directory == other[0].directory:
            assert not all(near(a, b, seen, limits) for a in one for b in other)
    # the order of the images changes nothing
    assert group_by_similarity(images[::-1], seen, limits) == (groups, left_out)


def near(a: Image, b: Image, seen: dict[str, ImageFeatures], limits: Thresholds) -> bool:
    """Whether two images are linked, computed the plain way."""
    one, other = seen[a.filename], seen[b.filename]
    if limits.gap and a.taken_at and b.taken_at and abs(a.taken_at - b.taken_at) > limits.gap:
        return False
    hashed = None not in (one.fingerprint, other.fingerprint)
    if hashed and (one.fingerprint ^ other.fingerprint).bit_count() <= limits.bits:
        return True
    if one.vector is None or other.vector is None:
        return False
    lengths = np.linalg.norm(one.vector) * np.linalg.norm(other.vector)
    return bool(one.vector @ other.vector / lengths >= limits.cosine)


def test_only_nearest_links_are_kept_among_many_similar_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(similar, "_NEIGHBOURS", 4)
    seen = {f"{place:03d}": at(place / 100) for place in range(300)}
    groups, left_out = group_by_similarity([image(n) for n in seen], seen)
    assert {len(group) for group in groups} <= {2, 3, 4}
    assert len(left_out) < 60

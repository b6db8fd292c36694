"""A burst is met round by round: every image is shown, one wins, the last round has four and the best of them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pickroom.core.records import CropBox, Recommendation
from pickroom.groups import rounds

ORDERS = st.integers(2, 40).flatmap(lambda count: st.permutations(range(count)))


@given(ORDERS, st.data())
def test_every_image_is_shown_and_one_wins(order: list[int], data: st.DataObject) -> None:
    count, won, seen = len(order), (), set[int]()
    for number in range(rounds.total(count)):
        places = rounds.shown(count, won, order)
        assert 2 <= len(places) <= 4 and len(set(places)) == len(places)
        assert set(places) & seen == ({won[-1][0]} if won else set())
        assert number == 0 or len(places) == 4, "only the first round has fewer"
        standing = rounds.standings(count, won, places)
        assert [one for one, word in enumerate(standing) if word == "on"] == sorted(places)
        assert {one for one, word in enumerate(standing) if word == "out"} == seen - set(places)
        seen |= set(places)
        if number < rounds.total(count) - 1:
            won = rounds.won(won, places, data.draw(st.sampled_from(places)))
    assert seen == set(range(count))
    assert set(places) == {*order[-3:], won[-1][0]} if won else set(places) == set(order)
    assert rounds.shown(count, won) == places, "the last round is the same in whatever order they met"


@given(ORDERS)
def test_the_recommended_image_comes_last(order: list[int]) -> None:
    count, won = len(order), ()
    for _ in range(rounds.total(count) - 1):
        places = rounds.shown(count, won, order)
        best = rounds.best(places, order[-1], order)
        assert best == max(places, key=order.index) != order[-1]
        won = rounds.won(won, places, best)
    if count > 4:
        assert rounds.shown(count, won, order) == rounds.finalists(order)


def test_sureness_is_of_the_last_four_alone() -> None:
    order = (0, 1, 2, 5, 3, 4)
    said = Recommendation("g", "model", 4, CropBox(0, 0, 0.5, 0.5), True, 0.8, 0.7, ("why",), ("flag",), ranking=order)
    assert rounds.advice(said, rounds.finalists(order)) is said
    early = rounds.advice(said, (0, 1, 2))
    assert (early.selected_index, early.confidence, early.crop, early.anomaly_flags) == (2, None, None, ())
    other = rounds.advice(said, (1, 3, 4, 5))
    assert (other.selected_index, other.confidence, other.crop) == (4, None, said.crop)
    baseline = Recommendation("g", "baseline", 4)
    assert rounds.advice(baseline, (0, 1, 2)).selected_index is None
    assert rounds.advice(baseline, (0, 3, 4, 5)) is baseline

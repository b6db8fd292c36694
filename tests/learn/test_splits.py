"""Sides: one file on one side, whatever rows share; sides that stay when rows come."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pickroom.features.candidates import Candidates
from pickroom.learn.examples import Pick
from pickroom.learn.splits import (
    HELD_OUT,
    LEFT_OUT,
    TRAIN,
    SplitConfig,
    file_keys,
    folds,
    prints,
    require_apart,
    seen,
    split,
)

NAMES = st.integers(0, 30).map(lambda n: f"{n}.png")


@st.composite
def picks(draw: st.DrawFn) -> list[Pick]:
    made = []
    for number in range(draw(st.integers(1, 24))):
        names = draw(st.lists(NAMES, min_size=2, max_size=4, unique=True))
        hashes = tuple(draw(st.one_of(st.none(), st.sampled_from("abcdefgh"))) for _ in names)
        group = Candidates(draw(st.sampled_from("pqr")), f"g{number}", tuple(names), hashes, (None,) * len(names))
        made.append(Pick(group, 0, None, False, ""))
    return made


def pick(project: str, number: int, *names: str, sha256: str | None = None) -> Pick:
    hashes = (sha256, *[None] * (len(names) - 1))
    return Pick(Candidates(project, f"{project}{number}", names, hashes, (None,) * len(names)), 0, None, False, "")


def by_file(rows: list[Pick], values: np.ndarray) -> dict[str, set[int]]:
    """File -> the values of all rows that it is in."""
    found: dict[str, set[int]] = {}
    for row, value in zip(rows, values.tolist(), strict=True):
        for key in file_keys(row):
            found.setdefault(key, set()).add(value)
    return found


@settings(suppress_health_check=[HealthCheck.too_slow])  # on a busy machine the rows are drawn too slowly for it
@given(picks(), st.sampled_from([None, "p", "q"]), st.integers(0, 5))
def test_no_file_lies_on_two_sides(rows: list[Pick], holdout: str | None, seed: int) -> None:
    made = split(rows, SplitConfig(holdout=holdout, seed=seed))
    require_apart(rows, made.sides)
    assert all(len(sides - {LEFT_OUT}) <= 1 for sides in by_file(rows, made.sides).values())
    if holdout:
        of_it = [row.candidates.project_id == holdout for row in rows]
        assert (made.sides == HELD_OUT).tolist() == of_it
    assert sum(made.counts.values()) == len(rows)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(picks())
def test_rows_of_one_file_are_in_one_fold(rows: list[Pick]) -> None:
    where = folds(rows, 3, 1)
    assert set(where.tolist()) <= {0, 1, 2}
    assert all(len(some) == 1 for some in by_file(rows, where).values())


def test_an_image_put_on_two_sides_is_noticed() -> None:
    rows = [pick("p", 0, "a.png", "b.png"), pick("p", 1, "b.png", "c.png")]
    with pytest.raises(AssertionError, match=r"p/b.png is both in train and in held_out"):
        require_apart(rows, np.array([TRAIN, HELD_OUT]))
    same = [pick("p", 0, "a.png", "b.png", sha256="x"), pick("q", 1, "c.png", "d.png", sha256="x")]
    with pytest.raises(AssertionError, match="sha256:x is both in"):
        require_apart(same, np.array([TRAIN, HELD_OUT]))
    assert split(same, SplitConfig(holdout="q")).sides.tolist() == [LEFT_OUT, HELD_OUT]


def test_what_was_held_out_stays_so_when_rows_come() -> None:
    rows = [pick("p", n, f"{n}a.png", f"{n}b.png") for n in range(300)]
    few, many = split(rows[:100], SplitConfig()), split(rows, SplitConfig())
    assert few.sides.tolist() == many.sides[:100].tolist()
    counts = many.counts
    assert 30 <= counts["held_out"] <= 90  # of 300: about 60
    assert split(rows, SplitConfig(seed=2)).sides.tolist() != many.sides.tolist()


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(picks(), st.integers(0, 24), st.integers(0, 5))
def test_new_rows_that_share_files_release_no_held_out_rows(rows: list[Pick], count: int, seed: int) -> None:
    config = SplitConfig(held_out=0.4, least=0, seed=seed)
    for order in (rows, rows[::-1]):  # the later rows may have the smaller keys
        before, after = split(order[:count], config).sides, split(order, config).sides
        assert (after[: len(before)] <= HELD_OUT).all()
        assert (after[: len(before)][before == HELD_OUT] == HELD_OUT).all()


@given(st.integers(0, 60), st.integers(0, 2**32))
def test_few_rows_hold_out_enough_but_never_more_than_half(count: int, seed: int) -> None:
    rows = [pick("p", n, f"{n}a.png", f"{n}b.png") for n in range(count)]
    config = SplitConfig(seed=seed)
    held_out = split(rows, config).counts["held_out"]
    without = split(rows, replace(config, least=0)).counts["held_out"]
    assert held_out == (max(without, config.least) if count >= 2 * config.least else without)


def test_a_version_knows_what_it_has_seen() -> None:
    rows = [pick("p", n, f"{n}a.png", f"{n}b.png") for n in range(10)]
    known = prints(frozenset().union(*(file_keys(row) for row in rows[:4])))
    assert seen(rows, known).tolist() == [True] * 4 + [False] * 6

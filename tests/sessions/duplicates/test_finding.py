"""Pairs found in blocks, next to a plain double loop; exact copies as a star; what is left out and kept apart."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as PillowImage
from PIL import ImageEnhance

from pickroom.core.errors import UsageError
from pickroom.groups.image_features import colours_of
from pickroom.sessions.duplicates import finding
from pickroom.sessions.duplicates.finding import Copy, DuplicatePair, Thresholds, find, order, to_stage, why

HUES = ("orange", "blue")


def copy(path: str, content: str = "", project: str = "p", **fields) -> Copy:
    made = Copy(project, path, content or path, 100, 80, 5000, 1_000_000_000)
    return replace(made, **fields)


def names(pairs) -> set[tuple[str, str, str]]:
    return {
        (pair.kind, *sorted((f"{pair.a.project_id}:{pair.a.path}", f"{pair.b.project_id}:{pair.b.path}")))
        for pair in pairs
    }


@st.composite
def many(draw: st.DrawFn) -> list[Copy]:
    """Up to 14 images of two projects with few contents, hashes and directions, so that everything meets everything."""
    count = draw(st.integers(0, 14))
    made = []
    for number in range(count):
        content = draw(st.integers(0, 9))
        vector = draw(st.sampled_from([None, (1, 0, 0), (1, 0.1, 0), (0, 1, 0), (0.7, 0.7, 0), (0, 0, 0)]))
        made.append(
            Copy(
                draw(st.sampled_from(["p", "q"])),
                f"{draw(st.sampled_from(['', 'selected/', 'shoot/']))}{number}.png",
                f"content{content}",
                draw(st.sampled_from([100, 200])),
                100,
                draw(st.sampled_from([5000, 6000])),
                draw(st.sampled_from([1, 2])),
                draw(st.sampled_from([None, 0, 0b111, (1 << 64) - 1, (1 << 40) - 1])),
                None if vector is None else np.array(vector, np.float32),
                draw(st.sampled_from(["e1", "e2"])),
                draw(st.sampled_from([None, "g1", "g2"])),
            )
        )
    return made


def plainly_near(a: Copy, b: Copy, thresholds: Thresholds) -> bool:
    """The rule of the docstrings, for one pair."""
    if a.sha256 == b.sha256 or (a.group and (a.project_id, a.group) == (b.project_id, b.group)):
        return False
    cosine = None
    if a.vector is not None and b.vector is not None and a.encoder == b.encoder and a.vector.any() and b.vector.any():
        cosine = float(a.vector @ b.vector / np.linalg.norm(a.vector) / np.linalg.norm(b.vector))
    if cosine is not None and cosine >= thresholds.cosine:
        return True
    if a.fingerprint is None or b.fingerprint is None:
        return False
    return (a.fingerprint ^ b.fingerprint).bit_count() <= thresholds.bits and (
        cosine is None or cosine >= thresholds.confirm
    )


def test_a_hash_alone_does_not_make_a_blue_thing_an_orange_one() -> None:
    picture = PillowImage.effect_noise((64, 48), 90).convert("RGB")
    hue = {name: PillowImage.blend(picture, PillowImage.new("RGB", picture.size, name), 0.5) for name in HUES}
    pale = ImageEnhance.Color(hue["orange"]).enhance(0.6)
    grey = hue["orange"].convert("L").convert("RGB")
    looks = {"pale": pale, "grey": grey, **hue}
    made = [copy(f"{name}.png", fingerprint=7, colours=colours_of(look)) for name, look in looks.items()]
    found = {frozenset((pair.a.path, pair.b.path)) for pair in find(made).pairs}
    assert frozenset(("orange.png", "pale.png")) in found and frozenset(("orange.png", "grey.png")) in found
    assert frozenset(("orange.png", "blue.png")) not in found
    # by their vectors they still are, and where the colours are not known the hash is all there is
    same = np.ones(3, np.float32)
    assert find([replace(one, vector=same, encoder="e") for one in made if one.path[:1] in "ob"]).pairs
    assert find([replace(one, colours=None) for one in made if one.path[:1] in "ob"]).pairs


@settings(max_examples=150, deadline=None)
@given(many())
def test_near_pairs_are_those_of_a_double_loop(copies: list[Copy]) -> None:
    thresholds = Thresholds(cosine=0.9, bits=4, confirm=0.5)
    firsts: dict[tuple[str, str], Copy] = {}
    for one in sorted(copies, key=order):
        firsts.setdefault((one.project_id, one.sha256), one)
    best = list(firsts.values())
    wanted = {frozenset((a.key, b.key)) for i, a in enumerate(best) for b in best[:i] if plainly_near(a, b, thresholds)}
    found = [pair for pair in find(copies, thresholds).pairs if pair.kind == "near"]
    assert {frozenset((pair.a.key, pair.b.key)) for pair in found} == wanted
    assert len(found) == len(wanted)


@settings(max_examples=150, deadline=None)
@given(many())
def test_exact_pairs_join_all_of_one_content_and_nothing_else(copies: list[Copy]) -> None:
    exact = [pair for pair in find(copies).pairs if pair.kind == "exact"]
    assert all(pair.a.sha256 == pair.b.sha256 and pair.score == 1 for pair in exact)
    contents = {one.sha256 for one in copies}
    assert len(exact) == len(copies) - len(contents)  # n - 1 of n: a tree
    for content in contents:
        reached = {next(one.key for one in copies if one.sha256 == content)}
        for _ in copies:
            reached |= {key for p in exact for key in (p.a.key, p.b.key) if {p.a.key, p.b.key} & reached}
        assert {one.key for one in copies if one.sha256 == content} <= reached
    for pair in exact:
        assert pair.across or order(pair.a) < order(pair.b)


@settings(max_examples=150, deadline=None)
@given(many())
def test_staged_image_has_a_kept_partner_in_its_own_project(copies: list[Copy]) -> None:
    pairs = find(copies, Thresholds(cosine=0.9, bits=4, confirm=0.5)).pairs
    for project in ("p", "q"):
        going = to_stage(pairs, project)
        own = {frozenset((p.a.path, p.b.path)) for p in pairs if p.a.project_id == p.b.project_id == project}
        assert all(frozenset(item) in own for item in going.items())
        assert not set(going.values()) & set(going)
        assert all(set(pair) & set(going) for pair in own)  # and nothing needless is left


def test_blocks_change_no_result(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(4)
    centres = rng.normal(size=(40, 16))
    copies = [
        copy(
            f"{n}.png",
            fingerprint=int(rng.integers(1 << 62)),
            vector=(centres[n % 40] + 0.1 * rng.normal(size=16)).astype(np.float32),
            encoder="e",
        )
        for n in range(120)
    ]
    whole = find(copies)
    assert len(whole.pairs) > 60
    monkeypatch.setattr(finding, "_ROWS", 7)
    assert names(find(copies).pairs) == names(whole.pairs)


def test_near_pairs_over_the_limit_are_cut_to_most_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finding, "_ROWS", 8)
    copies = [copy(f"{n:02}.png", fingerprint=(1 << (n % 5)) - 1) for n in range(40)]
    every = find(copies)
    cut = find(copies, most=50)
    assert len(every.pairs) == 40 * 39 / 2 and every.dropped == 0
    assert len(cut.pairs) == 50 and cut.dropped == len(every.pairs) - 50
    assert min(pair.score for pair in cut.pairs) == every.pairs[49].score


def test_blank_pages_with_different_vectors_are_not_duplicates() -> None:
    blank = [copy("a.png", fingerprint=0), copy("b.png", fingerprint=0)]
    assert len(find(blank).pairs) == 1
    vectors = (np.array([1.0, 0, 0], np.float32), np.array([0, 1.0, 0], np.float32))
    seen = [replace(one, vector=vector, encoder="e") for one, vector in zip(blank, vectors, strict=True)]
    assert find(seen).pairs == ()


def test_pairs_within_a_group_are_left_out_unless_exact_or_asked() -> None:
    alike = [copy("a.png", fingerprint=1, group="g"), copy("b.png", fingerprint=1, group="g")]
    assert find(alike).pairs == ()
    assert len(find(alike, Thresholds(within_groups=True)).pairs) == 1
    assert [p.kind for p in find([replace(one, sha256="same") for one in alike]).pairs] == ["exact"]
    # the same name of a group in another project is another group
    other = [alike[0], replace(alike[1], project_id="q")]
    assert [pair.across for pair in find(other).pairs] == [True]


@pytest.mark.parametrize(
    ("path", "changes", "said"),
    [
        ("selected/b.png", {}, "it is a pick, in selected/"),
        ("b.png", {"width": 200}, "more pixels: 200×80 against 100×80"),
        ("b.png", {"file_size": 90_000}, "a larger file: 90 kB against 5,000 B"),
        ("b.png", {"mtime_ns": 0}, "older: 1970-01-01 00:00:00 against 1970-01-01 00:00:01"),
        ("0.png", {}, "nothing tells them apart: the first by name"),
    ],
)
def test_the_one_to_keep_and_why(path: str, changes: dict, said: str) -> None:
    plain, better = copy("a.png", "same"), copy(path, "same", **changes)
    (pair,) = find([plain, better]).pairs
    assert (pair.a, pair.b) == (better, plain)
    assert why(pair.a, pair.b) == said


def test_a_pick_stays_before_a_larger_file() -> None:
    pick, larger = copy("selected/a.png", fingerprint=1), copy("b.png", fingerprint=1, width=400)
    assert to_stage(find([larger, pick]).pairs, "p") == {"b.png": "selected/a.png"}


def test_a_chain_keeps_both_its_ends() -> None:
    a, b, c = (copy(name, fingerprint=0, mtime_ns=age) for age, name in enumerate(("a.png", "b.png", "c.png")))
    chain = [DuplicatePair(a, b, "near", 0.9), DuplicatePair(b, c, "near", 0.9)]
    assert to_stage(chain, "p") == {"b.png": "a.png"}


@pytest.mark.parametrize("wrong", [{"cosine": 1.5}, {"bits": 65}, {"bits": -1}, {"confirm": -2}])
def test_thresholds_out_of_range_are_refused(wrong: dict) -> None:
    with pytest.raises(UsageError):
        Thresholds(**wrong)

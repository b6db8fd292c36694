"""The simulation behind benchmarks/taste.py: what it promises of splits, changes and scores holds."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from pickroom.core.errors import UsageError
from pickroom.core.records import CropBox
from pickroom.learn.metrics import rate, score_picks
from support.encoding import photograph

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"


class Parts:
    """The benchmark's modules, by name."""

    def __getattr__(self, name: str) -> ModuleType:
        return importlib.import_module(name if name == "taste" else f"_taste.{name}")


@pytest.fixture
def parts(monkeypatch: pytest.MonkeyPatch) -> Parts:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return Parts()


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight photographs; two of them are one picture at two sizes, two lie in one sub-folder, one is too small."""
    folder = tmp_path_factory.mktemp("photos")
    for number in range(4):
        photograph(number, (420, 360)).save(folder / f"{number}.png")
    photograph(0, (420, 360)).resize((560, 480)).save(folder / "again.png")
    (folder / "series").mkdir()
    for number in (12, 13):
        photograph(number, (400, 320)).save(folder / "series" / f"{number}.png")
    photograph(20, (200, 160)).save(folder / "small.png")
    return folder


def test_photographs_of_one_subject_stay_together(parts: Parts, photos: Path) -> None:
    found = {base.path.name: base for base in parts.bases.find([photos])}
    assert "small.png" not in found and len(found) == 7
    assert found["0.png"].subject == found["again.png"].subject
    assert found["12.png"].subject == found["13.png"].subject
    assert len({base.subject for base in found.values()}) == 5
    dealt = parts.bases.deal(list(found.values()), 3, np.random.default_rng(0))
    assert sorted(base.name for hand in dealt for base in hand) == sorted(base.name for base in found.values())
    subjects = [{base.subject for base in hand} for hand in dealt]
    assert all(not a & b for n, a in enumerate(subjects) for b in subjects[:n])
    with pytest.raises(UsageError, match="no such folder"):
        parts.bases.find([photos / "nothing"])


def test_projects_have_the_rates_that_are_asked_for(parts: Parts) -> None:
    bases = [parts.bases.Base(f"{n}", n, None) for n in range(40)]
    plans = parts.people.plan(bases, 60, 5)
    rates = [plan.anomaly_rate for plan in plans]
    assert all(0.02 <= rate <= 0.05 for rate in rates[::2]) and all(0.4 <= rate <= 0.6 for rate in rates[1::2])
    names = [base.name for plan in plans for base in plan.bases]
    assert len(names) == len(set(names)) == 40


def test_a_person_picks_the_highest_stage_without_a_defect(
    parts: Parts, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts.people, "_SIDES", (160,))  # small pictures: what is asked here does not hang on pixels
    bases = tuple(parts.bases.find([photos]))
    plan = parts.people.Plan("taste2", 0.4, bases, 20)
    truths = parts.people.make(plan, tmp_path / "one", 5)
    assert len(truths) == 20 and sum(truth.anomaly for truth in truths) == 8
    for truth in truths:
        assert truth.picked == len(truth.filenames) - (2 if truth.defect else 1)
        assert (truth.place is not None) == bool(truth.defect or truth.edit)
        assert all((tmp_path / "one" / name).is_file() for name in truth.filenames)
    assert sum(truth.edit is not None for truth in truths) == 3 and sum(truth.mended for truth in truths) == 1
    assert parts.people.make(plan, tmp_path / "two", 5) == truths
    name = truths[0].filenames[0]
    assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


@pytest.mark.parametrize("kinds", ["DEFECTS", "EDITS"])
def test_a_change_is_local_and_can_be_seen(parts: Parts, kinds: str) -> None:
    picture = np.asarray(photograph(3, (320, 240)), dtype=np.float32)
    names = getattr(parts.local_changes, kinds)
    for seed, name in enumerate(names):
        rng = np.random.default_rng(seed)
        changed, kind, (x1, y1, x2, y2) = parts.local_changes.change(picture, {name: names[name]}, rng)
        inside = np.zeros(picture.shape[:2], dtype=bool)
        inside[round(y1 * 240) : round(y2 * 240), round(x1 * 320) : round(x2 * 320)] = True
        assert kind == name and inside.mean() < 0.3
        np.testing.assert_array_equal(changed[~inside], picture[~inside])
        assert np.abs(changed - picture)[inside].mean() > 0.3


def test_who_is_asked_about_was_not_learned_from(parts: Parts) -> None:
    projects = np.array([name for name in ("p1", "p2", "p3", "p4") for _ in range(3)])
    asked = []
    for train, rows in parts.evaluate.folds(projects, 2):
        assert not set(projects[train]) & set(projects[rows])
        asked += rows.tolist()
    assert sorted(asked) == list(range(12))


def test_a_gain_comes_with_an_interval_that_holds_it(parts: Parts) -> None:
    ours, theirs = np.array([1.0] * 90 + [0] * 10), np.array([1.0] * 70 + [0] * 30)
    gain, low, high = parts.evaluate.paired_gain(ours, theirs)
    assert gain == pytest.approx(0.2) and 0.1 < low < gain < high < 0.3
    assert parts.evaluate.paired_gain(ours, ours) == (0, 0, 0)


def test_portraits_are_split_as_version_0_1_was_asked(parts: Parts) -> None:
    record = BENCHMARKS / "version-0.1" / "portraits.jsonl"
    lines = [json.loads(line) for line in record.read_text().splitlines()]
    first = next(line for line in lines if line["number"] == 1 and line["split"] == "blocks" and "asked" in line)
    names = [f"{number:03d}.jpg" for number in range(1, 51)]
    learned, asked = parts.portraits.split(50, 1, "blocks")
    assert [[names[place] for place in group] for group in learned] == first["learned_from"]
    assert [[names[place] for place in group] for group in asked] == first["asked"]
    assert not set(learned.ravel()) & set(asked.ravel())


def test_a_taste_is_found_by_every_way_but_a_guess(parts: Parts) -> None:
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((40, 6)).astype(np.float32)
    blocks = {"vector": vectors / np.linalg.norm(vectors, axis=1, keepdims=True)}
    utility = blocks["vector"][:, 0]
    learned, asked = parts.portraits.split(40, 0, "random")
    chosen, meant = utility[learned].argmax(axis=1), utility[asked].argmax(axis=1)
    for way in (parts.portraits.ours, lambda own, *rows: parts.portraits.bradley_terry(own["vector"], *rows)):
        assert (way(blocks, learned, chosen, asked).argmax(axis=1) == meant).mean() > 0.7
    near = parts.portraits.nearest(blocks["vector"], learned, chosen, asked)
    assert (near.argmax(axis=1) == meant).mean() > 0.5


def test_a_record_of_other_groups_is_no_comparison(parts: Parts, tmp_path: Path) -> None:
    assert parts.evaluate.version_0_1(tmp_path / "none.jsonl", "every", [], np.arange(0)) is None


def test_a_person_crops_to_the_subject_in_the_images_own_shape(parts: Parts) -> None:
    rng = np.random.default_rng(0)
    start = rng.uniform(0, 0.6, (200, 2))
    subjects = np.concatenate([start, start + rng.uniform(0.1, 0.4, (200, 2))], axis=1)
    found = parts.crops.person_crops(subjects, 1)
    size = found[:, 2:] - found[:, :2]
    np.testing.assert_allclose(size[:, 0], size[:, 1], atol=1e-6)
    assert found.min() >= 0 and found.max() <= 1
    middle = (found[:, :2] + found[:, 2:]) / 2
    assert ((middle > subjects[:, :2]) & (middle < subjects[:, 2:])).all(axis=1).mean() > 0.9
    assert not np.array_equal(found, parts.crops.person_crops(subjects, 2))


def test_framings_hold_the_subject_and_share_its_fold(parts: Parts, photos: Path, tmp_path: Path) -> None:
    paths = [photos / "0.png", photos / "1.png", photos / "again.png"]
    boxes = [CropBox(0.3, 0.3, 0.6, 0.7)] * 3
    files, subjects = parts.crops.framings(paths, boxes, tmp_path, 3, seed=1)
    assert files[::3] == paths and len(subjects) == 9
    areas = (subjects[:, 2] - subjects[:, 0]) * (subjects[:, 3] - subjects[:, 1])
    assert (areas >= 0.12 - 1e-3).all() and subjects.min() >= 0 and subjects.max() <= 1
    assert Image.open(files[1]).width <= 420
    fold = parts.crops.folds_of(paths, 2)
    assert fold[0] == fold[2]


def test_each_target_that_is_missed_is_named(parts: Parts) -> None:
    met = {
        "normal_top1": 0.98,
        "anomaly_top1": 0.92,
        "normal_top1_edits": 0.96,
        "anomaly_top1_edits": 0.83,
        "highest_stage_overall": 0.7,
        "crop_iou": 0.81,
        "crop_within5": 0.42,
    }
    assert parts.taste.targets_missed(met, 0.9, 0.1, []) == []
    for name in met:
        if name != "highest_stage_overall":
            (words,) = parts.taste.targets_missed({**met, name: 0.1}, 0.9, 0.1, [])
            assert words.startswith(f"{name} 0.100")
    assert len(parts.taste.targets_missed(met, 0.7, 0.1, ["p"])) == 2
    assert len(parts.taste.targets_missed(met, 0.9, 0.0, [])) == 1


def test_project_is_below_if_baseline_exceeds_its_interval(parts: Parts) -> None:
    found, baseline = score_picks([], np.zeros(0)), score_picks([], np.zeros(0))
    found["by_project"].update(good=rate(58, 60), bad=rate(50, 60))
    baseline["by_project"].update(good=rate(59, 60), bad=rate(59, 60))
    (words,) = parts.taste.projects_below(found, baseline)
    assert words.startswith("bad: ")


def test_a_run_is_not_taken_up_with_other_settings(parts: Parts, tmp_path: Path) -> None:
    parts.build.same_run(tmp_path / "home", {"seed": 1})
    parts.build.same_run(tmp_path / "home", {"seed": 1})
    with pytest.raises(UsageError, match="other settings"):
        parts.build.same_run(tmp_path / "home", {"seed": 2})

"""What the preference model and the crop model learn of a person's taste: one model, one run, baselines in every row.

(a) Stage series with defects: eight simulated projects over real photographs, four with 2-5 % anomalies and four with
40-60 %, by the product's own way (images written, project started, embedded, siblings compared), learned from six
projects and asked about the other two. A higher stage may carry a local defect (the user then picks the stage below)
or a clean local edit (which the user prefers). (b) Simulated people whose taste is made of the model's own numbers:
printed, no target. (c) Four real people's picks of portraits. (d) Picks without taste: how often they are promoted.

    python benchmarks/taste.py [--photos DIR ...] [--portraits DIR] [--quick] [--home DIR] [--seed N] [--splits N]

`--home` keeps what was made there, step by step, and a run that was stopped goes on from it. Settings are chosen with
another `--seed` than the one that is reported. Series use the photographs built in with `--quick`, where no folder is
given. `boxes.jsonl` in a folder names one subject a photograph: on those, crops are learned. What version 0.1 answered
is in benchmarks/version-0.1/, and is compared where it was asked about the same groups.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from _measure import finish
from _taste import crops, people, portraits, shuffled
from _taste.bases import LEAST_BASES, find
from _taste.build import Simulated, build, same_run
from _taste.evaluate import ask, paired_gain, score, version_0_1
from pickroom.core.errors import UsageError
from pickroom.core.records import CropBox
from pickroom.features.pick_features import PickFeatures, pick_features
from pickroom.features.sources import FeatureSources
from pickroom.learn.metrics import chance_right, highest_stage_right, rate_words, score_picks
from pickroom.learn.picks.task import PickTask
from pickroom.store.workspace import Workspace

SEED, GROUPS, QUICK_GROUPS = 23, 90, 12  # groups a project
# normal and anomaly groups without clean edits, then with them; crops: mean IoU and within 5 % at every corner
PLAIN, EDITED, CROPS = (0.97, 0.90), (0.95, 0.80), (0.80, 0.40)
SPLITS, QUICK_SPLITS, RUNS, QUICK_RUNS = 20, 3, 200, 20
RECORDED = Path(__file__).parent / "version-0.1"


def subjects_of(folders: Sequence[Path]) -> tuple[list[Path], list[CropBox]]:
    """The photographs whose subject is known, and the subjects' boxes."""
    photos, boxes = [], []
    for folder in folders:
        listing = folder / "boxes.jsonl"
        for line in listing.read_text(encoding="utf-8").splitlines() if listing.is_file() else ():
            values = json.loads(line)
            photos.append(folder / values["file"])
            boxes.append(CropBox.of(values["subject_box"]))
    return photos, boxes


def say(words: str) -> None:
    print(words, flush=True)


def told_now_and_then(what: str) -> Callable[[int, int], None]:
    """A progress hook that prints each tenth."""

    def tell(done: int, total: int) -> None:
        if done * 10 // total > (done - 1) * 10 // total:
            say(f"  {done} of {total} {what}")

    return tell


def report(
    title: str, simulated: Simulated, features: PickFeatures, rows: np.ndarray, record: Path, part: str
) -> tuple[dict[str, Any], np.ndarray, list[str]]:
    """The model next to its baselines and version 0.1; what it said, and where it is below version 0.1."""
    some = [simulated.picks[row] for row in rows]
    said = ask(features, simulated.picks, rows)
    found, below = score(simulated.picks, said, rows), []
    say(f"\n{title}")
    table = {"chance": chance_right(some), "highest stage": highest_stage_right(some)}
    old = version_0_1(record, part, simulated.picks, rows)
    if old is not None:
        table["version 0.1"] = old
    scores = {name: score_picks(some, right) for name, right in table.items()} | {"ours": found}
    for name, one in scores.items():
        say(f"  {name.ljust(20)} {PickTask().words(one)}")
    if old is not None:
        right = np.array([said[row].argmax() == simulated.picks[row].chosen for row in rows], dtype=np.float64)
        gain, low, high = paired_gain(right, old)
        say(f"  ours - version 0.1: {gain:+.3f} (95 %: {low:+.3f} to {high:+.3f})")
        for kind in ("normal", "anomaly", "overall"):
            own, theirs = (scores[name][kind]["value"] or 0.0 for name in ("ours", "version 0.1"))
            below += [f"{part}, {kind}: {own:.3f}, version 0.1 {theirs:.3f}"] if own < theirs else []
    return found, said, below


def by_kind(simulated: Simulated, said: np.ndarray) -> None:
    """What was found, by what had been done to the highest stage."""
    right = defaultdict(list)
    for truth, pick, chances in zip(simulated.truths, simulated.picks, said, strict=True):
        kind = truth.defect or truth.edit or ("mended" if truth.mended else "untouched")
        name = "defect" if truth.defect else "edit" if truth.edit else "other"
        right[(name, kind)].append(chances.argmax() == pick.chosen)
    say("\nright by what was done to a group")
    for (what, kind), found in sorted(right.items()):
        say(f"  {what.ljust(8)} {kind.ljust(12)} {np.mean(found):.2f} of {len(found)}")


def projects_below(found: dict[str, Any], baseline: dict[str, Any]) -> list[str]:
    """Projects in which the model is below "highest stage" by more than its interval; all are printed."""
    say("\nby project, learned from the others: ours next to highest stage")
    below = []
    for name, rate in found["by_project"].items():
        theirs = baseline["by_project"][name]["value"] or 0.0
        say(f"  {name}  {rate_words(rate)}  {theirs:.3f}")
        if theirs > rate["high"]:
            below.append(f"{name}: {rate_words(rate)}, highest stage {theirs:.3f}")
    return below


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, action="append", default=[], metavar="DIR", help="base photographs")
    parser.add_argument("--portraits", type=Path, metavar="DIR", help="portraits with ranks.csv")
    parser.add_argument("--quick", action="store_true", help="few groups, splits and runs; claims no target")
    parser.add_argument("--groups", type=int, help=f"groups a project, {GROUPS} or with --quick {QUICK_GROUPS}")
    parser.add_argument("--splits", type=int, help=f"of the portraits, {SPLITS} or with --quick {QUICK_SPLITS}")
    parser.add_argument("--home", type=Path, help="keep the simulated projects here, or take them up again")
    parser.add_argument("--seed", type=int, default=SEED, help=f"of everything that is drawn, {SEED}")
    given = parser.parse_args()
    torch.set_num_threads(1)  # small networks: more threads wait for each other
    figures: dict[str, float] = {}
    missed: list[str] = []
    with tempfile.TemporaryDirectory(prefix="pickroom-taste-") as temporary:
        home = (given.home or Path(temporary)).resolve()
        try:
            for part in (series, real_people, without_taste):
                own, short = part(given, home)
                figures, missed = figures | own, missed + short
        except UsageError as error:
            raise SystemExit(error.line) from None
    finish(figures, [] if given.quick else missed)


def series(given: argparse.Namespace, home: Path) -> tuple[dict[str, float], list[str]]:
    """(a), and the crops of the photographs whose subject is known."""
    if not given.photos and not given.quick:
        return {}, []
    bases = find(given.photos)
    if len(bases) < LEAST_BASES and not given.quick:
        words = f"{len(bases)} photographs are too few"
        raise UsageError(words, hint=f"give {LEAST_BASES} or more: --photos DIR, or --quick")
    groups = given.groups or (QUICK_GROUPS if given.quick else GROUPS)
    plans = people.plan(bases, groups, given.seed, quick=given.quick)
    same_run(home, {"seed": given.seed, "groups": groups, "quick": given.quick, "bases": [base.name for base in bases]})
    say(f"{len(bases)} photographs of {len({base.subject for base in bases})} subjects, {len(plans)} projects")
    opened, simulated = build(Workspace(home / "home"), plans, home / "images", given.seed, say)
    items = [pick.candidates for pick in simulated.picks]
    features = pick_features(items, FeatureSources(opened), told_now_and_then("groups compared"))
    every, plain = np.arange(len(features)), np.flatnonzero(~simulated.edited)
    record = RECORDED / f"series-{given.seed}.jsonl"
    without, _, first = report("without clean edits: top-1 (95 %)", simulated, features, plain, record, "without_edits")
    found, said, second = report("with clean edits: top-1 (95 %)", simulated, features, every, record, "every")
    baseline = score_picks(simulated.picks, highest_stage_right(simulated.picks))
    by_kind(simulated, said)
    below = projects_below(found, baseline) + first + second
    right = np.array([row.argmax() == pick.chosen for row, pick in zip(said, simulated.picks, strict=True)])
    gain, low, high = paired_gain(right, highest_stage_right(simulated.picks))
    say(f"\noverall next to highest stage: {gain:+.3f} ({low:+.3f} to {high:+.3f}, paired)")
    values = {
        "normal_top1": without["normal"]["value"],
        "anomaly_top1": without["anomaly"]["value"],
        "normal_top1_edits": found["normal"]["value"],
        "anomaly_top1_edits": found["anomaly"]["value"],
        "highest_stage_overall": baseline["overall"]["value"],
        "overall": found["overall"]["value"],
    }
    figures = {name: float(value or 0.0) for name, value in values.items()}
    photos, boxes = subjects_of(given.photos)
    if photos:
        say("\ncrops of a subject with a person's jitter, 5-fold")
        measured = crops.measure(photos, boxes, given.quick, home / "crops", given.seed)
        names = ("crop_iou", "crop_within5", "constant_iou", "constant_within5")
        figures |= {name: measured[name] for name in names}
    return figures, targets_missed(figures, found["overall"]["low"], low, below)


def real_people(given: argparse.Namespace, home: Path) -> tuple[dict[str, float], list[str]]:
    """(b) and (c)."""
    if given.portraits is None:
        return {}, []
    names, ranks, blocks = portraits.read(given.portraits, home / "portraits")
    numbers = given.splits or (QUICK_SPLITS if given.quick else SPLITS)
    say(f"\n{len(names)} portraits, blocks {', '.join(blocks)}: simulated people, no target")
    portraits.measure(portraits.simulated_people(blocks, 2, given.seed), blocks, min(2, numbers), None, say)
    say(f"\n{len(names)} portraits, {len(portraits.PEOPLE)} people, {numbers} splits of each kind")
    utilities = {person: -ranks[:, place] for place, person in enumerate(portraits.PEOPLE)}
    return portraits.measure(utilities, blocks, numbers, RECORDED / "portraits.jsonl", say)


def without_taste(given: argparse.Namespace, home: Path) -> tuple[dict[str, float], list[str]]:
    """(d)."""
    rng = np.random.default_rng(given.seed)
    values = rng.standard_normal((400, 24)).astype(np.float32)
    blocks = {"vector": values / np.linalg.norm(values, axis=1, keepdims=True), "technical": values[:, :8]}
    runs = QUICK_RUNS if given.quick else RUNS
    say(f"\npicks without taste: {runs} runs of {shuffled.FINALISES} finalises")
    share = shuffled.promoted_share(blocks, runs, given.seed, say)
    say(f"  promoted at any time: {share:.3f}, at most {shuffled.MOST}")
    missed = [f"shuffled picks are promoted in {share:.3f} of the runs"] if share > shuffled.MOST else []
    return {"promoted_shuffled": share}, missed


def targets_missed(figures: dict[str, float], lowest: float, gain: float, below: Sequence[str]) -> list[str]:
    """Every target of the series and crops that was not reached, in words."""
    wanted = [
        ("normal_top1", PLAIN[0]),
        ("anomaly_top1", PLAIN[1]),
        ("normal_top1_edits", EDITED[0]),
        ("anomaly_top1_edits", EDITED[1]),
        ("crop_iou", CROPS[0]),
        ("crop_within5", CROPS[1]),
    ]
    missed = [f"{key} {figures.get(key, 0):.3f}, not {least:g}" for key, least in wanted if figures.get(key, 0) < least]
    if lowest <= figures["highest_stage_overall"] or gain <= 0:
        missed.append("overall is not above highest stage with its whole interval")
    return missed + [f"below: {words}" for words in below]


if __name__ == "__main__":
    main()

"""Score every version on the decisions that it was not fitted on, and draw a sample of groups to look at.

The sample shows both models' recommendations next to the user's choices, group by group. It is logged, so that later
samples can be compared with it.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from pickroom.core.errors import ConflictError, MissingExtraError, NotYetError, PickroomError, StoreError
from pickroom.features.sources import FeatureSources
from pickroom.learn import checkpoints, metrics, splits, training_sets
from pickroom.learn.crops.model import CropTask
from pickroom.learn.examples import CropExample, Pick
from pickroom.learn.metrics import WINDOW
from pickroom.learn.models import default_task, model_of
from pickroom.learn.picks.model import baseline_scores, comparisons, right_of, scores
from pickroom.learn.picks.task import FIRST_MARKS, MARKS, PickTask
from pickroom.learn.training_sets import KINDS, Kind, TrainingSet
from pickroom.storage import append_log
from pickroom.store.workspace import Workspace, utc_now

SAMPLE_LOG = "phase2_testing.jsonl"
Progress = Callable[[int, int], None]
Task = PickTask | CropTask


@dataclass(frozen=True, slots=True)
class VersionScore:
    """One version on one project.

    Attributes:
        rows: decisions it was not fitted on, or predicted before it learned them; seen: the others, left out.
        figure: mean top-1, or mean IoU; None of nothing.
        metrics, baselines: as in a version's metadata, on the same rows.
        rolling: accuracy over the last 100 decisions, decision by decision; empty for crops.
        note: why it could not be evaluated, "" where it was.
        damaged: because its files cannot be read.
    """

    kind: Kind
    version: int
    current: bool
    project_id: str
    rows: int
    seen: int
    figure: float | None = None
    metrics: dict[str, Any] = field(default_factory=dict)
    baselines: dict[str, Any] = field(default_factory=dict)
    rolling: tuple[float, ...] = ()
    note: str = ""
    damaged: bool = False

    def to_dict(self) -> dict[str, Any]:
        return {
            "model": self.kind,
            "version": self.version,
            "current": self.current,
            "project_id": self.project_id,
            "rows": self.rows,
            "seen_left_out": self.seen,
            "figure": self.figure,
            "metrics": self.metrics,
            "baselines": self.baselines,
            "rolling_100": self.rolling[-1] if self.rolling else None,
            "note": self.note,
        }


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Every version on every project, and a sample of groups side by side with the user's choice."""

    versions: tuple[VersionScore, ...]
    sample: tuple[dict[str, Any], ...]
    log: Path | None

    def to_dict(self) -> dict[str, Any]:
        log = str(self.log) if self.log else None
        return {"versions": [v.to_dict() for v in self.versions], "sample": list(self.sample), "log": log}


@dataclass(frozen=True, slots=True)
class _Used:
    """A usable version and its predictions for all rows of its kind."""

    checkpoint: checkpoints.Checkpoint
    model: Any
    unseen: np.ndarray


_Current = tuple[
    list[Any], Any, _Used | None
]  # examples of one kind, their features, and the current version if usable
_UNTRAINED: _Current = ([], None, None)


def evaluate(
    workspace: Workspace,
    project_ids: Sequence[str],
    sample: int = 0,
    seed: int | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Score every version on every decision that it was not fitted on.

    Args:
        sample: groups drawn at random from those that neither current model was fitted on; 0 for none.
        seed: of the draw; None draws others each time.
        progress: called after each group that had to be read from its files.

    Raises:
        NotYetError: no model was trained yet, or no group is left for a sample.
        ConflictError, StoreError: decisions or vectors are not fit to use.
    """
    scores: list[VersionScore] = []
    current: dict[str, _Current] = {}
    for kind in KINDS:
        numbers = checkpoints.versions(workspace, kind)
        if not numbers:
            continue
        made = training_sets.collect(workspace, kind, project_ids)
        found, current[kind] = _evaluate_kind(workspace, made, numbers, progress)
        scores += found
    if not current:
        names = " ".join(project_ids)
        raise NotYetError(
            "no model was trained yet", doing="evaluating", hint=f"train one: pickroom train ranker {names}"
        )
    drawn = _sample(current, sample, seed, project_ids) if sample else []
    return Evaluation(tuple(scores), tuple(drawn), _log(workspace, drawn) if drawn else None)


def _evaluate_kind(
    workspace: Workspace, made: TrainingSet, numbers: Sequence[int], progress: Progress | None
) -> tuple[list[VersionScore], _Current]:
    kind, task = made.kind, default_task(made.kind)
    sources = FeatureSources(workspace.project(project_id) for project_id in made.projects)
    everything: list[Any] = list(made.examples)
    features = task.features(everything, sources, progress) if everything else None
    kept = [row for row in range(len(everything)) if features is not None and row not in features.missing]
    examples = [everything[row] for row in kept]
    features = features.take(kept) if features is not None else None
    chosen = checkpoints.current(workspace, kind)
    scores: list[VersionScore] = []
    used: _Used | None = None
    for number in numbers:
        try:
            checkpoint = checkpoints.load(workspace, kind, number)
            checkpoint.require_features(task.feature_hash, made.encoder)
            unseen = ~splits.seen(examples, checkpoint.seen)
            one = _Used(checkpoint, model_of(checkpoint), unseen)
        except (ConflictError, MissingExtraError, StoreError) as error:
            unread = VersionScore(
                kind, number, number == chosen, "", 0, 0, note=error.what, damaged=not isinstance(error, ConflictError)
            )
            scores += [replace(unread, project_id=project_id) for project_id in made.projects]
            continue
        scores += [_score(task, one, examples, features, p, number == chosen) for p in made.projects]
        used = one if number == chosen else used
    return scores, (examples, features, used)


def _pick_chances(used: _Used, picks: Sequence[Pick], features: Any) -> np.ndarray:
    """(N, 4): a version's chances for each group, predicted before it learned the pick; NaN where unknown."""
    said = PickTask().scored_before(used.checkpoint, picks)
    if used.unseen.any():
        said[used.unseen] = used.model.chances(features.take(np.flatnonzero(used.unseen)))
    return said


def _score(
    task: Task, used: _Used, examples: Sequence[Any], features: Any, project_id: str, current: bool
) -> VersionScore:
    own = np.array([splits.project_of(example) == project_id for example in examples], dtype=bool)
    is_ranker = task.name == "ranker"
    own &= ~comparisons(examples) if is_ranker else True
    said = _pick_chances(used, examples, features) if is_ranker else np.zeros((len(examples), 4))
    rows = np.flatnonzero(own & ~np.isnan(said[:, 0]) & (used.unseen | is_ranker))
    some = [examples[row] for row in rows.tolist()]
    seen, number = int(own.sum()) - len(rows), used.checkpoint.version
    if not some:
        why = "it was fitted on all of them" if seen else "nothing of this kind was decided"
        return VersionScore(task.name, number, current, project_id, 0, seen, note=why)
    here = features.take(rows)
    if is_ranker:
        figures = right_of(some, said[rows])
        found = (float(figures.mean()), scores(some, said[rows]), baseline_scores(some))
        rolling = tuple(metrics.rolling_in_time(some, figures))
        return VersionScore(task.name, number, current, project_id, len(rows), seen, *found, rolling)
    # what a baseline learns, it learns from the rows of other sides
    others = np.flatnonzero(~used.unseen)
    learned = ([examples[row] for row in others.tolist()], features.take(others))
    assert isinstance(task, CropTask)
    baselines = task.baselines(*learned, some, here).scored if len(others) else {}
    figure, scored = task.evidence(used.model, some, here).figure, task.score(used.model, some, here)
    return VersionScore(task.name, number, current, project_id, len(rows), seen, figure, scored, baselines)


def _sample(
    current: Mapping[str, _Current], count: int, seed: int | None, project_ids: Sequence[str]
) -> list[dict[str, Any]]:
    """Random groups with the predictions made before either current model had learned them."""
    images, image_features, crop_model = current.get("crop_proposer", _UNTRAINED)
    crops = {(i.project_id, i.directory, i.filename): row for row, i in enumerate(images)} if crop_model else {}
    picks, features, ranker = current.get("ranker", _UNTRAINED)
    if ranker is None:
        hint = f"see why: pickroom evaluate {' '.join(project_ids)}"
        raise NotYetError("no ranker recommends yet, so there is nothing to sample", doing="evaluating", hint=hint)
    said = _pick_chances(ranker, picks, features)
    rows = []
    for row in np.flatnonzero(~np.isnan(said[:, 0]) & ~comparisons(picks)).tolist():
        place = crops.get(_chosen_key(picks[row]))
        if place is None or crop_model is None or crop_model.unseen[place]:
            rows.append(row)
    if not rows:
        hint = "decide more groups, then evaluate again"
        raise NotYetError("every group was trained on, none is left to sample", doing="evaluating", hint=hint)
    drawn = np.random.default_rng(seed).permutation(rows)[:count].tolist()
    some = [picks[row] for row in drawn]
    label = ranker.checkpoint.label
    entries = [
        _entry(pick, int(own.argmax()), float(own.max()), label) for pick, own in zip(some, said[drawn], strict=True)
    ]
    for pick, entry in zip(some, entries, strict=True):
        place = crops.get(_chosen_key(pick))
        if place is not None and crop_model is not None:
            boxed = crop_model.model.box(image_features.take([place]))
            _add_crop(entry, images[place], boxed, gate_enabled=crop_model.model.gate_enabled)
            entry["versions"]["crop_proposer"] = crop_model.checkpoint.label
    return entries


def _entry(pick: Pick, index: int, confidence: float, version: str) -> dict[str, Any]:
    return {
        "evaluated_at": utc_now(),
        "project_id": pick.candidates.project_id,
        "group_id": pick.candidates.group_id,
        "images": list(pick.candidates.filenames),
        "hashes": list(pick.candidates.hashes),
        "user_selected_index": pick.chosen,
        "ai_selected_index": index,
        "ai_confidence": round(confidence, 4),
        "selection_match": index == pick.chosen,
        "final_crop_coords": None,
        "ai_crop_coords": None,
        "crop_iou": None,
        "crop_match": None,
        "versions": {"ranker": version},
    }


def _add_crop(entry: dict[str, Any], image: CropExample, boxed: Any, *, gate_enabled: bool) -> None:
    """The proposer's box of the picked image next to the user's; without `gate_enabled` there always is one."""
    needed = bool(boxed.needed[0] >= 0.5) or not gate_enabled
    entry["final_crop_coords"] = image.box.to_list() if image.box is not None else None
    entry["ai_crop_coords"] = [round(float(edge), 5) for edge in boxed.boxes[0]] if needed else None
    entry["ai_crop_confidence"] = round(float(boxed.confidence[0] if needed else 1 - boxed.needed[0]), 4)
    meant = metrics.boxes_of([image])
    entry["crop_iou"] = round(float(metrics.ious(boxed.boxes if needed else boxed.offered, meant)[0]), 4)
    if image.box is not None and needed:
        entry["crop_match"] = bool(metrics.within_corners(boxed.boxes, meant)[0])


def _chosen_key(pick: Pick) -> tuple[str, str, str]:
    return pick.candidates.project_id, pick.candidates.directory, pick.candidates.filenames[pick.chosen]


def _log(workspace: Workspace, entries: Sequence[dict[str, Any]]) -> Path:
    path = workspace.logs / SAMPLE_LOG
    try:
        append_log.append(path, entries)
    except OSError as error:
        raise PickroomError(f"it cannot be written ({error})", doing="logging a sample", subject=path) from None
    return path


def lines_of(task: Task, version: int, metadata: Mapping[str, Any]) -> list[str]:
    """The short report of a version, from its metadata."""
    data, counts = metadata["data"], metadata["data"]["used"]
    if task.name == "ranker":
        learned, how = f"{counts['learned']} {task.unit} learned", f"headline: {metadata['headline']}"
    else:
        sides = "the whole project held out" if metadata["split"]["by"] == "project" else "split by group"
        learned = f"{counts['train']} {task.unit} learned from, {metadata['fitted']}"
        how = f"{counts['held_out']} held out ({sides})"
    lines = [
        f"{task.name} v{version}: {task.plain(metadata['metrics'], metadata['baselines'])}",
        f"{task.name} v{version} of {', '.join(metadata['projects'])}: {learned}, {how}, {metadata['seconds']:.0f} s",
    ]
    left_out = Counter[str]()
    for project in data["projects"].values():
        left_out.update(project["left_out"])
    left_out.update(data["without_features"])
    if left_out:
        lines.append("left out: " + ", ".join(f"{count} {reason}" for reason, count in left_out.most_common()))
    if task.name == "ranker":
        lines += [f"{name}: {task.words(scored)}" for name, scored in metadata.get("splits", {}).items()]
        lines += marks(metadata["metrics"])
    else:
        lines.append(f"held out: {task.words(metadata['metrics'])}")
    lines += [f"  {name}: {task.words(scored)}" for name, scored in metadata["baselines"].items()]
    previous = metadata["previous"]
    if previous and previous["metrics"]:
        lines.append(
            f"  v{previous['version']} on the {previous['rows']} of them it was not trained on: "
            f"{task.words(previous['metrics'])}; v{version} there: {task.words(previous['new'])}"
        )
    for one in metadata["tried"]:
        kept = " (kept)" if one["chosen"] else ""
        lines.append(f"  anomaly weight {one['setting']:g}{kept}: {task.words(one['held_out'])}")
    verdict = metadata["verdict"]
    state = "it recommends from now on" if verdict["current"] else "kept, and not used"
    need = verdict.get("crop_or_none")
    if need is not None and not need["counts"]:
        lines.append(
            f"it does not predict whether a crop is needed: right in {need['new']:.0%}, "
            f"the same answer for all in {need['majority']:.0%}; its boxes are scored separately"
        )
    return [*lines, f"{state}: {verdict['reason']}"]


def marks(scored: Mapping[str, Any]) -> list[str]:
    """The targets for picks, each as reached or not (docs/LESSONS.md)."""
    found = []
    for title, least in (("first version", FIRST_MARKS), ("success", MARKS)):
        parts = [
            f"{kind} {value:.0%} of {share:.0%} ({'' if value >= share else 'not '}reached)"
            for kind, share in least.items()
            if (value := scored[kind]["value"]) is not None
        ]
        found += [f"mark for {title}: {', '.join(parts)}"] if parts else []
    return found


def evaluation_lines(found: Evaluation) -> list[str]:
    """Every version on every project next to its baselines, then the sample, group by group."""
    lines = []
    for one in found.versions:
        head = f"{one.kind} v{one.version}{' (current)' if one.current else ''} on {one.project_id}"
        if not one.metrics:
            lines.append(f"{head}: {one.note}")
            continue
        task = default_task(one.kind)
        left_out = f", {one.seen} it was fitted on left out" if one.seen else ""
        lines.append(f"{head}, {one.rows} {task.unit}{left_out}: {task.words(one.metrics)}")
        lines += [f"  {name}: {task.words(scored)}" for name, scored in one.baselines.items()]
        if one.rolling:
            lines.append(f"  over the last {min(len(one.rolling), WINDOW)}: {one.rolling[-1]:.3f}")
    for entry in found.sample:
        lines.append(sample_line(entry))
    if found.log:
        right = sum(entry["selection_match"] for entry in found.sample)
        lines.append(f"the user's pick in {right} of {len(found.sample)}; logged in {found.log}")
    return lines


def sample_line(entry: Mapping[str, Any]) -> str:
    """One group of a sample: the user's pick and crop next to the models'."""
    same = "same" if entry["selection_match"] else "OTHER"
    parts = [
        f"{entry['group_id']}: person {entry['user_selected_index'] + 1}, "
        f"AI {entry['ai_selected_index'] + 1} ({entry['ai_confidence']:.0%}): {same}"
    ]
    if entry["crop_iou"] is not None:
        person, ai = (_box_words(entry[name]) for name in ("final_crop_coords", "ai_crop_coords"))
        parts.append(f"crop of the user's pick: user {person}, AI {ai}: overlap {entry['crop_iou']:.2f}")
    return "; ".join(parts)


def _box_words(box: list[float] | None) -> str:
    return "none" if box is None else "[" + " ".join(f"{edge:.2f}" for edge in box) + "]"

"""Score every version on the decisions that it was not fitted on, and draw a sample of groups to look at.

The sample shows both models' recommendations next to the user's choices, group by group. It is logged, so that later
samples can be compared with it.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from pickroom.core.errors import ConflictError, NotYetError, PickroomError, StoreError
from pickroom.features.sources import FeatureSources
from pickroom.learn import checkpoints, metrics, splits, training_sets
from pickroom.learn.checkpoints import default_task, model_of
from pickroom.learn.crops.model import CropTask
from pickroom.learn.examples import CropExample, Pick
from pickroom.learn.metrics import WINDOW
from pickroom.learn.picks.model import baseline_scores, comparisons, scores
from pickroom.learn.picks.task import FIRST_MARKS, MARKS, PickTask
from pickroom.learn.training_sets import KINDS, Kind
from pickroom.storage import append_log
from pickroom.store.workspace import Workspace, utc_now

Progress = Callable[[int, int], None]
Task = PickTask | CropTask


@dataclass(frozen=True, slots=True)
class VersionScore:
    """One version on one project, as `pickroom evaluate --json` prints it but for `damaged`.

    Attributes:
        rows: decisions it was not fitted on, or predicted before it learned them; seen_left_out: the others.
        figure: mean top-1, or mean IoU; None of nothing.
        metrics, baselines: as in a version's metadata, on the same rows.
        rolling_100: accuracy over the last 100 decisions; None for crops.
        note: why it could not be evaluated, "" where it was.
        damaged: because its files cannot be read.
    """

    model: Kind
    version: int
    current: bool
    project_id: str
    rows: int = 0
    seen_left_out: int = 0
    figure: float | None = None
    metrics: dict[str, Any] = field(default_factory=dict)
    baselines: dict[str, Any] = field(default_factory=dict)
    rolling_100: float | None = None
    note: str = ""
    damaged: bool = False


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Every version on every project, and a sample of groups side by side with the user's choice."""

    versions: tuple[VersionScore, ...]
    sample: tuple[dict[str, Any], ...]
    log: Path | None

    def to_dict(self) -> dict[str, Any]:
        scores = [{name: value for name, value in asdict(v).items() if name != "damaged"} for v in self.versions]
        return {"versions": scores, "sample": list(self.sample), "log": str(self.log) if self.log else None}


@dataclass(frozen=True, slots=True)
class _Used:
    """A usable version, the examples of its kind that have features, and which of them it was not fitted on."""

    checkpoint: checkpoints.Checkpoint
    model: Any
    examples: list[Any]
    features: Any
    unseen: np.ndarray

    def said(self) -> np.ndarray:
        """(N, 4): of a ranker, its chances for each group before it learned the pick; NaN where unknown."""
        found = PickTask().scored_before(self.checkpoint, self.examples)
        if self.unseen.any():
            found[self.unseen] = self.model.chances(self.features.take(np.flatnonzero(self.unseen)))
        return found


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
    current: dict[str, _Used] = {}
    for kind in KINDS:
        numbers = checkpoints.versions(workspace, kind)
        if not numbers:
            continue
        made, task = training_sets.collect(workspace, kind, project_ids), default_task(kind)
        sources = FeatureSources(workspace.project(project_id) for project_id in made.projects)
        examples: list[Any] = list(made.examples)
        features: Any = task.features(examples, sources, progress)
        kept = [row for row in range(len(features)) if row not in features.missing]
        examples, features = [examples[row] for row in kept], features.take(kept)
        chosen = checkpoints.current(workspace, kind)
        for number in numbers:
            is_current = number == chosen
            try:
                checkpoint = checkpoints.load(workspace, kind, number)
                checkpoint.require_features(task.feature_hash, made.encoder)
                unseen = ~splits.seen(examples, checkpoint.seen)
                used = _Used(checkpoint, model_of(checkpoint), examples, features, unseen)
            except (ConflictError, StoreError) as error:
                damaged = not isinstance(error, ConflictError)
                unread = VersionScore(kind, number, is_current, "", note=error.what, damaged=damaged)
                scores += [replace(unread, project_id=project_id) for project_id in made.projects]
                continue
            scores += [_score(task, used, p, is_current) for p in made.projects]
            if is_current:
                current[kind] = used
    if not scores:
        hint = f"train one: pickroom train ranker {' '.join(project_ids)}"
        raise NotYetError("no model was trained yet", doing="evaluating", hint=hint)
    if not sample:
        return Evaluation(tuple(scores), (), None)
    drawn, path = _sample(current, sample, seed, project_ids), workspace.logs / "phase2_testing.jsonl"
    try:
        append_log.append(path, drawn)
    except OSError as error:
        raise PickroomError(f"it cannot be written ({error})", doing="logging a sample", subject=path) from None
    return Evaluation(tuple(scores), tuple(drawn), path)


def _score(task: Task, used: _Used, project_id: str, current: bool) -> VersionScore:
    own = np.array([splits.project_of(example) == project_id for example in used.examples], dtype=bool)
    if is_ranker := task.name == "ranker":
        own &= ~comparisons(used.examples)
        said = used.said()
        rows = np.flatnonzero(own & ~np.isnan(said[:, 0]))
    else:
        rows = np.flatnonzero(own & used.unseen)
    seen = int(own.sum()) - len(rows)
    one = VersionScore(task.name, used.checkpoint.version, current, project_id, len(rows), seen)
    if not len(rows):
        why = "it was fitted on all of them" if seen else "nothing of this kind was decided"
        return replace(one, note=why)
    some, here = [used.examples[row] for row in rows], used.features.take(rows)
    if is_ranker:
        scored = scores(some, said[rows])
        values = {"figure": scored["overall"]["value"], "rolling_100": scored["rolling_100"]}
        return replace(one, metrics=scored, baselines=baseline_scores(some), **values)
    # what a baseline learns, it learns from the rows of other sides
    others = np.flatnonzero(~used.unseen)
    learned = ([used.examples[row] for row in others], used.features.take(others))
    assert isinstance(task, CropTask)
    baselines = task.baselines(*learned, some, here)[1] if len(others) else {}
    scored = task.score(used.model, some, here)
    return replace(one, figure=scored["mean_iou"], metrics=scored, baselines=baselines)


def _sample(
    current: Mapping[str, _Used], count: int, seed: int | None, project_ids: Sequence[str]
) -> list[dict[str, Any]]:
    """Random groups with the predictions made before either current model had learned them."""
    ranker, cropper = current.get("ranker"), current.get("crop_proposer")
    if ranker is None:
        hint = f"see why: pickroom evaluate {' '.join(project_ids)}"
        raise NotYetError("no ranker recommends yet, so there is nothing to sample", doing="evaluating", hint=hint)
    images = cropper.examples if cropper else []
    crops = {(i.project_id, i.directory, i.filename): row for row, i in enumerate(images)}
    picks, said = ranker.examples, ranker.said()
    place = [
        crops.get((p.candidates.project_id, p.candidates.directory, p.candidates.filenames[p.chosen])) for p in picks
    ]
    known = np.flatnonzero(~np.isnan(said[:, 0]) & ~comparisons(picks)).tolist()
    rows = [row for row in known if place[row] is None or (cropper and cropper.unseen[place[row]])]
    if not rows:
        hint = "decide more groups, then evaluate again"
        raise NotYetError("every group was trained on, none is left to sample", doing="evaluating", hint=hint)
    entries = []
    for row in np.random.default_rng(seed).permutation(rows)[:count].tolist():
        entries.append(_entry(picks[row], said[row], ranker.checkpoint.label))
        if cropper and place[row] is not None:
            boxed = cropper.model.box(cropper.features.take([place[row]]))
            _add_crop(entries[-1], images[place[row]], boxed, gate_enabled=cropper.model.gate_enabled)
            entries[-1]["versions"]["crop_proposer"] = cropper.checkpoint.label
    return entries


def _entry(pick: Pick, chances: np.ndarray, version: str) -> dict[str, Any]:
    index = int(chances.argmax())
    return {
        "evaluated_at": utc_now(),
        "project_id": pick.candidates.project_id,
        "group_id": pick.candidates.group_id,
        "images": list(pick.candidates.filenames),
        "hashes": list(pick.candidates.hashes),
        "user_selected_index": pick.chosen,
        "ai_selected_index": index,
        "ai_confidence": round(float(chances[index]), 4),
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
        head = f"{one.model} v{one.version}{' (current)' if one.current else ''} on {one.project_id}"
        if not one.metrics:
            lines.append(f"{head}: {one.note}")
            continue
        task = default_task(one.model)
        left_out = f", {one.seen_left_out} it was fitted on left out" if one.seen_left_out else ""
        lines.append(f"{head}, {one.rows} {task.unit}{left_out}: {task.words(one.metrics)}")
        lines += [f"  {name}: {task.words(scored)}" for name, scored in one.baselines.items()]
        if one.rolling_100 is not None:
            lines.append(f"  over the last {min(one.rows, WINDOW)}: {one.rolling_100:.3f}")
    for entry in found.sample:
        line = (
            f"{entry['group_id']}: person {entry['user_selected_index'] + 1}, AI {entry['ai_selected_index'] + 1} "
            f"({entry['ai_confidence']:.0%}): {'same' if entry['selection_match'] else 'OTHER'}"
        )
        if entry["crop_iou"] is not None:
            user, ai = (_box_words(entry[name]) for name in ("final_crop_coords", "ai_crop_coords"))
            line += f"; crop of the user's pick: user {user}, AI {ai}: overlap {entry['crop_iou']:.2f}"
        lines.append(line)
    if found.log:
        right = sum(entry["selection_match"] for entry in found.sample)
        lines.append(f"the user's pick in {right} of {len(found.sample)}; logged in {found.log}")
    return lines


def _box_words(box: list[float] | None) -> str:
    return "none" if box is None else "[" + " ".join(f"{edge:.2f}" for edge in box) + "]"

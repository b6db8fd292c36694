"""The learner's state, which is kept between finalises, and how it becomes a numbered version.

`data/ai_data/models/ranker_state.npz` holds it, and `ranker_state.json` a summary. A state belongs to the version that
recommends, or to none before the first promotion. It is computed again from the decisions when it no longer fits them
(a finalise was undone), or when the features have changed.
"""

import json
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from pickroom.core.errors import ConflictError, NotYetError, StoreError
from pickroom.core.quantities import plural
from pickroom.features.pick_features import PickFeatures
from pickroom.features.sources import FeatureSources
from pickroom.learn import checkpoints, progress, splits, training_sets
from pickroom.learn.checkpoints import Checkpoint, packed, unpacked
from pickroom.learn.examples import Pick
from pickroom.learn.metrics import WINDOW
from pickroom.learn.picks.learner import CURRENT, ENOUGH, Bet, Learner, decision_prints, replay
from pickroom.learn.picks.model import BASELINES, PickModel, baseline_scores, right_of, scores
from pickroom.learn.picks.task import SAID, SCORED, PickTask, compared_weights, split_scores
from pickroom.learn.progress import ProgressReporter, Summary, TrainingStopped
from pickroom.learn.training_sets import TrainingSet
from pickroom.storage import atomic
from pickroom.store.workspace import Workspace, utc_now

NAME = "ranker"
_ABOUT = "about"  # the name of the JSON object among the arrays, as bytes


@dataclass(frozen=True, slots=True)
class State:
    """A learner with its version, features and encoder."""

    learner: Learner
    version: int  # that recommends with it; 0 before any
    # features, encoder: what its features were made with
    features: str
    encoder: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """Attributes: promoted; reason: in words, for the user; compared: the figures it rests on."""

    promoted: bool
    reason: str
    compared: dict[str, Any]


def read_state(workspace: Workspace) -> State | None:
    """The stored state; None where there is none, or it cannot be used and has to be computed again."""
    try:
        with atomic.open_plain(_state_path(workspace)) as file:
            arrays = unpacked(file)
        about = json.loads(arrays.pop(_ABOUT).tobytes())
        learner = Learner.from_arrays(arrays, about["learner"])
        return State(learner, int(about["version"]), str(about["features"]), str(about["encoder"]))
    except Exception:  # noqa: BLE001 (readers raise almost anything on damaged bytes)
        return None


def write_state(workspace: Workspace, state: State) -> None:
    """Keep the state, then its summary."""
    about = {"learner": state.learner.describe(), "version": state.version}
    text = json.dumps({**about, "features": state.features, "encoder": state.encoder})
    own = {_ABOUT: np.frombuffer(text.encode(), dtype=np.uint8)}
    workspace.models.mkdir(parents=True, exist_ok=True)
    atomic.write_bytes(_state_path(workspace), packed({**own, **state.learner.arrays()}))
    counted = state.learner.counted
    last = counted[-WINDOW:]
    progress.write_summary(workspace, Summary(len(counted), len(last), float(last.sum()), state.version))


def update(
    workspace: Workspace,
    project_ids: Sequence[str],
    task: PickTask | None = None,
    tell: Callable[[str], None] | None = None,
) -> tuple[State, list[str]]:
    """Score and learn the new decisions, and make a version of the state if it is to be promoted.

    Args:
        tell: called with the current step, in words.

    Returns:
        the state, and what happened in words.

    Raises:
        LockedError: another process trains the ranker.
        PickroomError: decisions or vectors cannot be used.
    """
    task, say = task or PickTask(), tell or (lambda words: None)
    with progress.training_lock(workspace, NAME):
        say("reading the decisions")
        made = training_sets.collect(workspace, "ranker", project_ids)
        picks = in_time([example for example in made.examples if isinstance(example, Pick)])
        sources = FeatureSources(workspace.project(project_id) for project_id in made.projects)
        state, prints = read_state(workspace), decision_prints(picks)
        fits = state is not None and (state.features, state.encoder) == (task.feature_hash, made.encoder)
        if state is None or not fits or not np.isin(state.learner.learned, prints).all():
            say("learning from all decisions")
            usable, features = usable_rows(picks, task, sources)
            rivals = rival_of_current(workspace, task, made.encoder, usable, features)
            learner = replay(usable, features, task.config, rivals)
            state = State(learner, 0, task.feature_hash, made.encoder)
            new = len(usable)
        else:
            rows = np.flatnonzero(~np.isin(prints, state.learner.learned))
            say(f"learning from {plural(len(rows), 'new decision')}")
            some, features = usable_rows([picks[row] for row in rows], task, sources)
            new = len(some)
            if some:
                rivals = rival_of_current(workspace, task, made.encoder, some, features)
                state.learner.score(some, features, rivals)
                state.learner.learn(some, features)
            if state.learner.refit_due:
                usable, features = usable_rows(picks, task, sources)
                state.learner.refit(usable, features, task.config)
        rival, _, _ = current_model(workspace, task, made.encoder)
        state = replace(state, version=rival.version if rival else 0)
        verdict = judge(workspace, state.learner, task, made.encoder)
        lines = [f"{NAME}: {plural(new, 'new decision')} learned, {len(state.learner.learned)} in all"]
        if verdict.promoted:
            state, version = promote(workspace, state, made, picks, task, verdict), checkpoints.current(workspace, NAME)
            lines.append(f"{NAME} v{version} recommends from now on: {verdict.reason}")
        elif state.version == 0:
            lines.append(f"{NAME}: {verdict.reason}")
        write_state(workspace, state)
    return state, lines


def in_time(picks: Sequence[Pick]) -> list[Pick]:
    """The picks in the order in which they were made."""
    return sorted(picks, key=lambda pick: pick.decided_at)


def usable_rows(
    picks: Sequence[Pick],
    task: PickTask,
    sources: FeatureSources,
    tell: Callable[[int, int], None] | None = None,
) -> tuple[list[Pick], PickFeatures]:
    """The picks whose groups have features, with them."""
    features = task.features(picks, sources, tell)
    kept = [row for row in range(len(picks)) if row not in features.missing]
    return [picks[row] for row in kept], features.take(kept)


def current_model(
    workspace: Workspace, task: PickTask, encoder: str
) -> tuple[Checkpoint | None, PickModel | None, str]:
    """The version that recommends as it was written, and its model; None where there is none, or why it is unusable."""
    try:
        checkpoint = checkpoints.load_current(workspace, NAME)
        if checkpoint is None:
            return None, None, ""
        model = task.rebuild(checkpoint.model, checkpoint.metadata)
        checkpoint.require_features(task.feature_hash, encoder)
    except (ConflictError, StoreError) as error:
        return None, None, error.what
    return checkpoint, model, ""


def rival_of_current(
    workspace: Workspace, task: PickTask, encoder: str, picks: Sequence[Pick], features: PickFeatures
) -> dict[str, np.ndarray]:
    """Whether the current version was right about each group; NaN where it had learned from the group's files."""
    checkpoint, model, _ = current_model(workspace, task, encoder)
    if checkpoint is None or model is None or not picks:
        return {}
    right = right_of(picks, model.chances(features))
    return {CURRENT: np.where(splits.seen(picks, checkpoint.seen), np.nan, right)}


def judge(workspace: Workspace, learner: Learner, task: PickTask, encoder: str) -> Verdict:
    """Whether a learner's predictions are good enough for a version that recommends."""
    count = len(learner.counted)
    own = float(learner.counted.mean()) if count else 0.0
    bets = {name: bet for name, bet in learner.bets.items() if name in BASELINES}
    name, bet = min(bets.items(), key=lambda one: one[1].value)
    compared: dict[str, Any] = {"rows": count, "new": own, "e_values": {n: bet.value for n, bet in bets.items()}}
    best = f'the baseline "{name}" on {plural(count, "group")} it had not learned'
    if learner.model is None or bet.value < ENOUGH:
        return Verdict(False, f"it has not yet been shown to beat {best} ({_words(bet)})", compared)
    beats = f"it beats {best} ({_words(bet)})"
    rival, _, why = current_model(workspace, task, encoder)
    if rival is None:
        note = f"; the current version can recommend no longer ({why})" if why else ""
        return Verdict(True, beats + note, compared)
    label, against = rival.label, learner.bets.get(CURRENT, Bet())
    compared["previous"] = {"version": label, "rows": against.groups, "e_value": against.value}
    on = f"{label} on {plural(against.groups, 'group')} that neither had learned ({_words(against)})"
    if against.value < ENOUGH:
        return Verdict(False, f"{beats}, but it has not been shown to beat {on}", compared)
    return Verdict(True, f"{beats}, and {on}", compared)


def promote(
    workspace: Workspace, state: State, made: TrainingSet, picks: Sequence[Pick], task: PickTask, verdict: Verdict
) -> State:
    """Write a version of the state, and let it recommend; returns the state, now the version's."""
    began = time.monotonic()
    learner = state.learner
    known = dict(zip(decision_prints(picks).tolist(), picks, strict=True))
    learned = [known[key] for key in learner.learned.tolist()]
    training_sets.freeze(workspace, made)
    metadata = metadata_of(workspace, made, task, learner, learned, verdict) | {
        "metrics": scores(learned, learner.chances.astype(np.float64)),
        "headline": "in time",
        "seconds": round(time.monotonic() - began, 1),
    }
    return save_version(workspace, state, learned, metadata, verdict)[1]


def save_version(
    workspace: Workspace, state: State, learned: Sequence[Pick], metadata: dict[str, Any], verdict: Verdict
) -> tuple[int, State]:
    """Write a numbered version, which recommends if it is promoted; returns its number and the state that goes on."""
    learner = state.learner
    assert learner.model is not None
    keys = frozenset().union(*(splits.file_keys(pick) for pick in learned))
    own = {SCORED: learner.learned, SAID: learner.chances}
    version = checkpoints.save(workspace, NAME, {**learner.model.state(), **own}, metadata, splits.prints(keys))
    if verdict.promoted:
        checkpoints.make_current(workspace, NAME, version, verdict.reason)
        learner.bets[CURRENT] = Bet()  # those against the version before it are over
        state = replace(state, version=version)
    return version, state


def metadata_of(
    workspace: Workspace,
    made: TrainingSet,
    task: PickTask,
    learner: Learner,
    learned: Sequence[Pick],
    verdict: Verdict,
) -> dict[str, Any]:
    """The metadata that every version has."""
    return {
        "made_at": utc_now(),
        "projects": list(made.projects),
        "data": made.origin(workspace) | {"used": {"learned": len(learned)}, "without_features": {}},
        "features": {"hash": task.feature_hash, "encoder": made.encoder},
        "model": learner.model.describe() if learner.model else None,
        "settings": task.to_dict(),
        "tried": [],
        "seeds": {"model": task.seed},
        "baselines": baseline_scores(learned),
        "previous": None,
        "verdict": {"current": verdict.promoted, "reason": verdict.reason, **verdict.compared},
    }


def _words(bet: Bet) -> str:
    return f"e-value {bet.value:.3g}, {ENOUGH:g} is enough"


def _state_path(workspace: Workspace) -> Path:
    return workspace.models / f"{NAME}_state.npz"


LEAST = 20  # groups; fewer would be learned by heart


def train_picks(
    workspace: Workspace, frozen: TrainingSet, task: PickTask, holdout: str | None, reporter: ProgressReporter
) -> tuple[int, bool, dict[str, Any]]:
    """Learn from all decisions of a frozen set except those held out; returns version, promoted, metadata.

    Raises:
        NotYetError: there is too little to learn from.
        TrainingStopped: somebody asked it to stop.
    """
    began = time.monotonic()
    training_sets.freeze(workspace, frozen)
    picks = in_time([example for example in frozen.examples if isinstance(example, Pick)])
    _require(frozen, len(picks), Counter())
    reporter.phase("making features")
    sources = FeatureSources(workspace.project(project_id) for project_id in frozen.projects)
    features = task.features(picks, sources, reporter.count)
    missing = Counter("no vector" if "vector" in why else why for why in features.missing.values())
    kept = np.array([row for row in range(len(picks)) if row not in features.missing], dtype=np.int64)
    own = kept[features.projects[kept] != holdout] if holdout else kept
    _require(frozen, len(own), missing)
    learned, inputs = [picks[row] for row in own], features.take(own)

    def count(done: int, of: int) -> None:
        reporter.count(done, of)
        if reporter.stopping:
            raise TrainingStopped("stopped", doing="training the ranker", hint="train again: it begins anew")

    reporter.phase("training")
    rivals = rival_of_current(workspace, task, frozen.encoder, learned, inputs)
    learner = replay(learned, inputs, task.config, rivals, count)
    assert learner.model is not None
    reporter.phase("evaluating")
    reports = split_scores(learned, inputs, task, learner.model, count)
    headline = min(reports, key=lambda name: reports[name]["overall"]["value"] or 0)
    reports["in time"] = scores(learned, learner.chances.astype(np.float64))
    if holdout:
        rest = kept[features.projects[kept] == holdout]
        others = [picks[row] for row in rest]
        headline = "project held out"
        reports[headline] = scores(others, learner.model.chances(features.take(rest)))
    verdict = judge(workspace, learner, task, frozen.encoder)
    metadata = metadata_of(workspace, frozen, task, learner, learned, verdict) | {
        "tried": compared_weights(learned, inputs, task, learner.model),
        "metrics": reports[headline],
        "headline": headline,
        "splits": reports,
    }
    if holdout:
        metadata["baselines"] = baseline_scores(others)
    metadata["data"] |= {"without_features": dict(missing)}
    metadata["seconds"] = round(time.monotonic() - began, 1)
    rival, _, _ = current_model(workspace, task, frozen.encoder)
    state = State(learner, 0, task.feature_hash, frozen.encoder)
    version, state = save_version(workspace, state, learned, metadata, verdict)
    if verdict.promoted or rival is None:  # else the other version learns on
        write_state(workspace, state)
    return version, verdict.promoted, metadata


def _require(frozen: TrainingSet, count: int, missing: Counter[str]) -> None:
    if count >= LEAST:
        return
    what = f"{count} groups"
    if missing:
        what += f"; {missing.total()} have no features, most often: {missing.most_common(1)[0][0]}"
    names = " ".join(frozen.projects)
    raise NotYetError(
        f"there is too little to learn from: {what}",
        doing="training the ranker",
        hint=f"{LEAST} are needed: decide more, embed what is new; see: pickroom check {names}",
    )

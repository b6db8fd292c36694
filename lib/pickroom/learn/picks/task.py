"""Fit, judge and report the preference model, and put the images of a burst in order by it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import pairwise
from typing import Any

import numpy as np

from pickroom.core.records import MAX_GROUP, Group
from pickroom.features.candidates import Candidates
from pickroom.features.pick_features import PickFeatures, Progress, feature_hash, pick_features
from pickroom.features.sources import FeatureSources
from pickroom.learn import metrics, splits
from pickroom.learn.checkpoints import Checkpoint
from pickroom.learn.examples import Pick
from pickroom.learn.picks import model as pick_model
from pickroom.learn.picks.columns import ColumnsConfig
from pickroom.learn.picks.learner import REFIT_BELOW, decision_prints
from pickroom.learn.picks.model import PickModel, chosen_of, even_chances, fit_model
from pickroom.learn.training_sets import Kind

NAME: Kind = "ranker"
FOLDS = 5
GROUPS_AT_ONCE = 2000  # whose features are in memory
# arrays of a version: prints of its decisions, and the chances before it learned them
SCORED, SAID = "scored", "said"
# target shares of groups, by kind: of a success, and of a first version
MARKS = {"normal": 0.90, "anomaly": 0.75}
FIRST_MARKS = {"normal": 0.85, "anomaly": 0.70}


@dataclass(frozen=True, slots=True)
class PickTask:
    """How the model is made.

    Attributes:
        anomaly_weights: of a group where a lower stage was picked; override_weight: of one where the AI's pick was
            overridden. For comparison only, by the log loss on groups not learned: a model is fitted without weights,
            since with them the evidence is not valid.
    """

    config: ColumnsConfig = field(default_factory=ColumnsConfig)
    anomaly_weights: tuple[float, ...] = ()
    override_weight: float = 1.0

    name = NAME
    unit = "groups"

    @property
    def feature_hash(self) -> str:
        return feature_hash()

    @property
    def seed(self) -> int:
        return self.config.seed

    def to_dict(self) -> dict[str, Any]:
        compared = {"anomaly_weights": list(self.anomaly_weights), "override_weight": self.override_weight}
        return {"columns": asdict(self.config), **compared}

    def features(
        self, examples: Sequence[Pick], sources: FeatureSources, progress: Progress | None = None
    ) -> PickFeatures:
        return pick_features([e.candidates for e in examples], sources, progress)

    def rebuild(self, state: Mapping[str, np.ndarray], description: Mapping[str, Any]) -> PickModel:
        """A model of its state and description; raises StoreError when this program cannot use it."""
        arrays = {name: values for name, values in state.items() if name not in (SCORED, SAID)}
        return PickModel.from_state(arrays, description.get("model", {}))

    def scored_before(self, checkpoint: Checkpoint, examples: Sequence[Pick]) -> np.ndarray:
        """(N, 4) float64: the chances predicted before each was learned, NaN where unknown."""
        said = np.full((len(examples), 4), np.nan)
        known = {int(key): row for row, key in enumerate(checkpoint.model.get(SCORED, ()))}
        for row, key in enumerate(decision_prints(examples).tolist()):
            if key in known:
                said[row] = checkpoint.model[SAID][known[key]]
        return said

    def plain(self, scored: Mapping[str, Any], baselines: Mapping[str, Mapping[str, Any]]) -> str:
        """One sentence that compares the model with "highest stage"; from the results of `score` and `baselines`."""
        own, highest = scored["overall"], baselines["highest stage"]["overall"]
        return (
            f"right in {own['right']:.0f} of {own['of']} groups it had not seen; "
            f"highest stage: {highest['right']:.3g} of {highest['of']}"
        )

    def words(self, scored: Mapping[str, Any]) -> str:
        """One line of a score, as `score` or a baseline gives it."""
        parts = [f"{name} {metrics.rate_words(scored[name])}" for name in ("overall", "normal", "anomaly")]
        if scored.get("log_loss") is not None:
            parts.append(f"log loss {scored['log_loss']:.3f}")
        if scored.get("calibration_error") is not None:
            parts.append(f"calibration error {scored['calibration_error']:.3f}")
        return "; ".join(parts)


def split_scores(
    picks: Sequence[Pick], features: PickFeatures, task: PickTask, start: PickModel, tell: Callable[[int, int], None]
) -> dict[str, dict[str, Any]]:
    """Split -> metrics of groups that were not learned: at random, by blocks of consecutive images, by project.

    Args:
        start: a model of all groups, whose variances each fit begins from.
    """
    ways = {"random": splits.folds(picks, FOLDS, task.seed), "blocks": block_folds(picks)}
    ids = sorted(set(features.projects.tolist()))
    if len(ids) > 1:
        ways["projects"] = np.array([ids.index(project_id) % FOLDS for project_id in features.projects])
    found = {}
    for number, (name, folds) in enumerate(ways.items()):
        tell(number, len(ways))
        found[name] = pick_model.scores(picks, held_out_chances(picks, features, folds, task, start))
    return found


def compared_weights(
    picks: Sequence[Pick], features: PickFeatures, task: PickTask, start: PickModel
) -> list[dict[str, Any]]:
    """Metrics of groups not learned, with each of the weights to compare and without weights."""
    if not task.anomaly_weights and task.override_weight == 1:
        return []
    folds, found = splits.folds(picks, FOLDS, task.seed), []
    overrides = np.array([task.override_weight if pick.corrected else 1.0 for pick in picks])
    lower = np.array([bool(pick.anomaly) for pick in picks])
    for setting in dict.fromkeys((1.0, *task.anomaly_weights)):
        weights = np.where(lower, setting, 1.0) * (overrides if setting != 1 or not task.anomaly_weights else 1.0)
        said = held_out_chances(picks, features, folds, task, start, weights)
        found.append({"setting": setting, "chosen": setting == 1, "held_out": pick_model.scores(picks, said)})
    return found


def held_out_chances(
    picks: Sequence[Pick],
    features: PickFeatures,
    folds: np.ndarray,
    task: PickTask,
    start: PickModel | None,
    weights: np.ndarray | None = None,
) -> np.ndarray:
    """(N, 4): chances of each group from a model of the other folds, without groups that share a file.

    With very many groups each model learns from REFIT_BELOW of them, evenly spaced.
    """
    names = np.array(splits.families(picks), dtype=object)
    said, chosen = even_chances(features.mask), chosen_of(picks)
    for fold in np.unique(folds):
        asked = np.flatnonzero(folds == fold)
        others = np.flatnonzero((folds != fold) & ~np.isin(names, names[asked]))
        if len(others) > REFIT_BELOW:
            others = others[np.linspace(0, len(others) - 1, REFIT_BELOW).astype(int)]
        if len(others):
            own = None if weights is None else weights[others]
            model = fit_model(features.take(others), chosen[others], task.config, start, own)
            said[asked] = model.chances(features.take(asked))
    return said


def block_folds(picks: Sequence[Pick], count: int = FOLDS) -> np.ndarray:
    """(N,) int64: each project's groups in the order of their names, cut into blocks of consecutive ones."""
    found = np.zeros(len(picks), dtype=np.int64)
    names = [(own.project_id, own.directory, min(own.filenames)) for own in (pick.candidates for pick in picks)]
    for project_id in {name[0] for name in names}:
        own = sorted((row for row in range(len(picks)) if names[row][0] == project_id), key=lambda row: names[row])
        for place, row in enumerate(own):
            found[row] = place * count // len(own)
    return found


def orders_of(
    bursts: Sequence[Group], model: PickModel, sources: FeatureSources, progress: Progress | None
) -> tuple[dict[str, tuple[int, ...]], dict[str, str]]:
    """Burst -> its places by rising utility; and burst -> the reason where there is no order.

    Features are of four images at most, so each burst is scored in parts: the order between parts leaves out how an
    image agrees with those of other parts.
    """
    parts = [
        (group, start, group.images[start:end])
        for group in bursts
        for count in [-(-len(group.images) // MAX_GROUP)]
        for start, end in pairwise([len(group.images) * part // count for part in range(count + 1)])
    ]
    scores: dict[str, list[float]] = {group.group_id: [] for group in bursts}
    missing: dict[str, str] = {}
    for begin in range(0, len(parts), GROUPS_AT_ONCE):
        some = parts[begin : begin + GROUPS_AT_ONCE]
        items = [Candidates.of(replace(group, images=images)) for group, _, images in some]
        features = pick_features(items, sources, progress)
        utilities = model.utilities(features)
        for row, (group, _, images) in enumerate(some):
            if row in features.missing:
                missing.setdefault(group.group_id, features.missing[row])
            scores[group.group_id] += utilities[row, : len(images)].tolist()
    found = {g: tuple(sorted(range(len(own)), key=own.__getitem__)) for g, own in scores.items() if g not in missing}
    return found, missing

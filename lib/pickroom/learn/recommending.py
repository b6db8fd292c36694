"""A recommendation for every undecided group of a project, stored before the deck opens.

Where no model can say anything, of the project or of one group, it is the baseline's, labelled so, with the reason.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from pickroom.core.errors import StoreError
from pickroom.core.quantities import plural
from pickroom.core.records import CropBox, Group, Recommendation
from pickroom.features.blocks import BLOCKS
from pickroom.features.candidates import Candidates
from pickroom.features.pick_features import pick_features
from pickroom.features.sources import FeatureSources
from pickroom.groups import baseline
from pickroom.learn import models, reasons
from pickroom.learn.crops.features import UncroppedImage, crop_features
from pickroom.learn.models import Loaded
from pickroom.learn.picks.task import PickTask
from pickroom.store import groups, recommendations, review_state
from pickroom.store.connect import connect, open_read_only, transaction
from pickroom.store.workspace import Project

Progress = Callable[[int, int], None]
_GROUPS_AT_ONCE = 2000  # whose features are in memory
_NUMBERS = {spec.name: spec.columns for spec in BLOCKS}


@dataclass(frozen=True, slots=True)
class RecommendReport:
    """What was stored.

    Attributes:
        by_model: groups with a model's pick; crops: of these, with a box; flagged: with an anomaly flag.
        changed: groups of which something else was recommended before.
        baselines: reason -> groups that got the baseline's pick.
        versions: model -> version used.
        faults: models that are there and cannot be used, in reasons.
    """

    project_id: str
    groups: int
    by_model: int
    crops: int
    flagged: int
    changed: int = 0
    baselines: dict[str, int] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    faults: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if name != "changed"}

    @property
    def words(self) -> str:
        used = ", ".join(f"{kind} {version}" for kind, version in self.versions.items())
        lines = [f"{self.project_id}: {plural(self.groups, 'undecided group')}"]
        if self.by_model:
            lines.append(
                f"  {self.by_model} by {used}: {self.crops} with a box for a crop, {self.flagged} with a warning"
            )
        lines += [f"  {count} by the baseline: {reason}" for reason, count in self.baselines.items()]
        return "\n".join(lines)


def recommend(project: Project, progress: Progress | None = None) -> RecommendReport:
    """Store a recommendation for every undecided group, in place of an earlier one; damaged ones are left out.

    Args:
        progress: called after each group that had to be read from its files.

    Raises:
        StoreError: the database cannot be read or written.
        ProjectError: the image folder is not there.
    """
    with open_read_only(project.database) as connection:
        waiting = groups.queue(connection, project.id, sound=True)
    loaded = {kind: models.load(project, kind) for kind in ("ranker", "crop_proposer")}
    made = recommendations_for(project, waiting, loaded["ranker"], loaded["crop_proposer"], progress)
    with closing(connect(project.database)) as connection, transaction(connection):
        still = groups.waiting_among(connection, made)  # somebody may have decided, or regrouped, meanwhile
        before, order = recommendations.of_groups(connection, still), recommendations.waiting(connection)
        recommendations.upsert(connection, [one for group_id, one in made.items() if group_id in still])
        if recommendations.waiting(connection) != order:
            review_state.forget_cursor_of_undecided(connection)
    kept = [made[group_id] for group_id in made if group_id in still]
    modelled = [one for one in kept if one.source == "model"]
    without = Counter(_why(one) for one in kept if one.source == "baseline")
    return RecommendReport(
        project.id,
        len(kept),
        len(modelled),
        sum(one.crop is not None for one in modelled),
        sum(bool(one.anomaly_flags) for one in modelled),
        sum(one.group_id not in before or before[one.group_id].advice != one.advice for one in kept),
        dict(without.most_common()),
        {kind: one.version for kind, one in loaded.items() if one.version is not None},
        tuple(f"{one.kind}: {one.reason}" for one in loaded.values() if one.damaged),
    )


def recommendations_for(
    project: Project,
    waiting: Sequence[Group],
    ranker: Loaded,
    crops: Loaded,
    progress: Progress | None = None,
) -> dict[str, Recommendation]:
    """Group id -> what the models say of it, or the baseline with the reason; nothing is stored."""
    if ranker.model is None or not waiting:
        why = f"a baseline: {ranker.reason}"
        return {group.group_id: baseline.recommend(group, why) for group in waiting}
    sources = FeatureSources([project])
    made: dict[str, Recommendation] = {}
    for start in range(0, len(waiting), _GROUPS_AT_ONCE):
        some = waiting[start : start + _GROUPS_AT_ONCE]
        try:
            items = [candidates_of(group) for group in some]
            features = pick_features(items, sources, PickTask().features_config, progress)
        except StoreError as error:
            return {group.group_id: baseline.recommend(group, f"a baseline: {error.what}") for group in waiting}
        chances = ranker.model.chances(features)
        for row, group in enumerate(some):
            if row in features.missing:
                made[group.group_id] = baseline.recommend(group, f"a baseline: {features.missing[row]}")
                continue
            index = int(chances[row].argmax())
            explanation = ranker.model.explain(features, row, _NUMBERS)
            made[group.group_id] = Recommendation(
                group_id=group.group_id,
                source="model",
                selected_index=index,
                confidence=round(float(chances[row, index]), 4),
                reasons=reasons.reasons(group, index, explanation),
                anomaly_flags=reasons.flags(group, index, explanation),
                versions={"ranker": str(ranker.version)},
            )
    return _with_crops(made, waiting, sources, crops)


def candidates_of(group: Group) -> Candidates:
    """A group as features see it."""
    return Candidates(
        group.project_id,
        group.group_id,
        group.filenames,
        tuple(image.sha256 for image in group.images),
        tuple(image.stage for image in group.images),
    )


def _with_crops(
    made: Mapping[str, Recommendation], waiting: Sequence[Group], sources: FeatureSources, crops: Loaded
) -> dict[str, Recommendation]:
    """The same picks, each with its image's crop where the crop proposer says something."""
    if crops.model is None:
        return dict(made)
    picked = [group for group in waiting if made[group.group_id].source == "model"]
    frames = []
    for group in picked:
        index = made[group.group_id].selected_index
        image = group.images[index or 0]
        size = (image.width, image.height)
        frames.append(UncroppedImage(group.project_id, image.filename, image.sha256, *size, image.stage))
    features = crop_features(frames, sources)
    boxed = crops.model.box(features)
    found = dict(made)
    for row, group in enumerate(picked):
        one = found[group.group_id]
        if row in features.missing:
            found[group.group_id] = replace(one, reasons=(*one.reasons, f"no crop suggested: {features.missing[row]}"))
            continue
        needed = float(boxed.needed[row]) >= 0.5 if crops.model.gate_enabled else None
        sure = float(1 - boxed.needed[row] if needed is False else boxed.confidence[row])
        found[group.group_id] = replace(
            one,
            crop=CropBox.of([float(edge) for edge in boxed.boxes[row]]) if needed is not False else None,
            crop_needed=needed,
            crop_confidence=round(sure, 4),
            versions={**one.versions, "crop_proposer": str(crops.version)},
        )
    return found


def _why(one: Recommendation) -> str:
    """The reason of a baseline, without the stage and the file that it is about."""
    reason = one.reasons[-1].rpartition("a baseline: ")[2]
    return "an image has no vector" if "has no vector" in reason else reason

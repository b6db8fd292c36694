"""A recommendation for every undecided group of a project, stored before the deck opens.

Where no model recommends, for the project or for one group, the baseline does, with the reason.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from pickroom.core.errors import StoreError
from pickroom.core.quantities import plural
from pickroom.core.records import MAX_GROUP, CropBox, Group, Recommendation
from pickroom.groups import baseline, rounds
from pickroom.learn import checkpoints
from pickroom.learn.checkpoints import Loaded
from pickroom.store import captures, groups, recommendations, review_state
from pickroom.store.connect import connect, open_read_only, transaction
from pickroom.store.workspace import Project

if TYPE_CHECKING:  # the models' modules are imported only where there is a model
    from pickroom.features.sources import FeatureSources
    from pickroom.learn.picks.model import Explanation

# flag a candidate whose difference makes it this many times less likely to be picked than by chance
_FLAG_LIFT = 1.6
_CLEAR = 0.15  # a block with this much more utility for the pick than for its rival is given as a reason
_MOST = 3  # reasons

# prefix of a number's name, text where the pick has more, text where it has less; the first match counts
_WORDS = (
    ("eye_", "eyes more open than in {others}", "eyes closed more than in {others}"),
    ("eyes_open", "eyes more open than in {others}", "eyes closed more than in {others}"),
    ("eyes_sharpness", "eyes sharper than in {others}", "eyes softer than in {others}"),
    ("mouth_open", "mouth more open than in {others}", "mouth open in {others}"),
    ("mouth_wide", "mouth wider than in {others}", "mouth narrower than in {others}"),
    ("smile", "more of a smile than in {others}", "less of a smile than in {others}"),
    ("gaze_away", "looks away more than in {others}", "looks away in {others}"),
    ("turned_away", "turned away more than in {others}", "turned away in {others}"),
    ("yaw", "face turned otherwise than in {others}", "face turned otherwise than in {others}"),
    ("pitch", "head raised or lowered otherwise than in {others}", "head raised or lowered otherwise than in {others}"),
    ("roll", "head tilted otherwise than in {others}", "head tilted otherwise than in {others}"),
    ("faces", "more faces found than in {others}", "fewer faces found than in {others}"),
    ("face_size", "face larger than in {others}", "face smaller than in {others}"),
    ("face_sharpness", "face sharper than in {others}", "face softer than in {others}"),
    ("face_brightness", "face brighter than in {others}", "face darker than in {others}"),
    ("face_contrast", "face with more contrast than in {others}", "face with less contrast than in {others}"),
    ("face_light", "face lit otherwise than in {others}", "face lit otherwise than in {others}"),
    ("face_", "face placed otherwise than in {others}", "face placed otherwise than in {others}"),
    ("gaze", "looks elsewhere than in {others}", "looks elsewhere than in {others}"),
    ("sharpness", "sharper than {others}", "softer than {others}"),
    ("brightness", "brighter than {others}", "darker than {others}"),
    ("contrast", "more contrast than {others}", "less contrast than {others}"),
    ("tonal", "more contrast than {others}", "less contrast than {others}"),
    ("highlights_clipped", "lighter highlights than {others}", "highlights clipped in {others}"),
    ("shadows_clipped", "darker shadows than {others}", "shadows clipped in {others}"),
    ("noise", "more grain than {others}", "less noise than {others}"),
    ("saturation", "more colour than {others}", "less colour than {others}"),
    ("colourfulness", "more colour than {others}", "less colour than {others}"),
    ("warmth", "warmer than {others}", "cooler than {others}"),
)


def reasons(group: Group, picked: int, explanation: Explanation) -> tuple[str, ...]:
    """Reasons for the pick: its differences from the best rival, by block, the strongest first.

    For a flagged pick, the reason that outweighs the flag comes first.
    """
    from pickroom.learn.picks.columns import source_of

    others = [place for place in range(len(group.images)) if place != picked]
    total = sum(explanation.shares.values(), np.zeros(len(group.images)))
    # a lower stage is picked in spite of a higher one: that needs a reason
    rival = max(_not_lower(group, picked) or others, key=lambda place: float(total[place]))
    flagged = picked in _suspects(group, picked, explanation)
    ahead: dict[str, float] = {}
    for title, share in explanation.shares.items():
        block = source_of(title)
        ahead[block] = ahead.get(block, 0.0) + float(share[picked] - share[rival])
    found: list[str] = []
    for block, lead in sorted(ahead.items(), key=lambda one: -one[1]):
        if lead < (0 if flagged and not found else _CLEAR):
            break
        if not (flagged and block == "consistency"):  # a flagged difference is never a reason for the pick
            found += [text] if (text := _block(group, picked, rival, block, explanation)) else []
    if not found and _stage(group, picked):  # the share of such picks decided, see `model.adapted`
        found = ["the highest stage is seldom passed over here"]
    found = list(dict.fromkeys(found))[:_MOST] or [f"hardly better than {name_of(group, rival)}"]
    return (f"in spite of what may be a defect: {found[0]}", *found[1:]) if flagged else tuple(found)


def flags(group: Group, picked: int, explanation: Explanation) -> tuple[str, ...]:
    """Candidates that deviate from their siblings, with the place; without lower stages, which always differ."""
    return tuple(
        f"{name_of(group, place)} may have a defect {place_of(explanation.peaks[place])}"
        for place in _suspects(group, picked, explanation)
    )


def _suspects(group: Group, picked: int, explanation: Explanation) -> list[int]:
    limit = _FLAG_LIFT / len(group.images)
    return [p for p in sorted((picked, *_not_lower(group, picked))) if explanation.departure[p] >= limit]


def name_of(group: Group, place: int) -> str:
    """The name of an image on screen: its stage, where that is unique in the group, else its number."""
    stages = [image.stage for image in group.images]
    own = stages[place]
    return f"stage {own:g}" if own is not None and stages.count(own) == 1 else f"image {place + 1}"


def place_of(box: Sequence[float] | np.ndarray) -> str:
    """The place of a box (in fractions) in words, by thirds of the image."""
    x, y = (float(box[0]) + float(box[2])) / 2, (float(box[1]) + float(box[3])) / 2
    column = ("left", "", "right")[min(2, int(x * 3))]
    row = ("top", "", "bottom")[min(2, int(y * 3))]
    if row:
        return f"at the {row} {column}".rstrip()
    return f"on the {column}" if column else "in the middle"


def _block(group: Group, picked: int, rival: int, block: str, explanation: Explanation) -> str:
    """The reason of a block for the pick; "" where there is no text for it."""
    if block == "stage":
        return _stage(group, picked)
    if block == "consistency":
        if explanation.departure[rival] * len(group.images) >= _FLAG_LIFT:
            return f"{name_of(group, rival)} differs from the others {place_of(explanation.peaks[rival])}"
        return "it agrees best with the others"
    if block in ("vector", "own"):
        return "it looks like what you pick"
    return _number(group, picked, rival, block, explanation)


def _number(group: Group, picked: int, rival: int, block: str, explanation: Explanation) -> str:
    """The number of a block that contributes most to the pick, in words, with the images compared."""
    is_face = block == "faces"
    best, lead = "", 0.0
    for title, share in explanation.numbers.items():
        ahead, values = float(share[picked] - share[rival]), explanation.values[title]
        differs = not np.isnan(values[[picked, rival]]).any() and values[picked] != values[rival]
        if explanation.blocks[title] == block and differs and ahead > lead and _sentence(title, 1):
            best, lead = title, ahead
    if not best:
        return "the face is as you like it" if is_face else "it is lit and focused as you like it"
    values = explanation.values[best]
    side = 1 if values[picked] > values[rival] else -1
    than = [place for place in range(len(group.images)) if side * (values[picked] - values[place]) > 0]
    # tiny differences are not mentioned
    clear = [place for place in than if abs(values[picked] - values[place]) >= abs(values[picked] - values[rival]) / 2]
    return _sentence(best, side).format(others=_listed([name_of(group, place) for place in clear or [rival]]))


def _sentence(title: str, side: int) -> str:
    return next((words[0 if side > 0 else 1] for start, *words in _WORDS if title.startswith(start)), "")


def _listed(names: Sequence[str]) -> str:
    """`image 1`, `images 1 and 3`, `stage 1 and stage 2`."""
    if all(text.startswith("image ") for text in names) and len(names) > 1:
        numbers = [text.removeprefix("image ") for text in names]
        return f"images {', '.join(numbers[:-1])} and {numbers[-1]}"
    return " and ".join(names)


def _stage(group: Group, picked: int) -> str:
    stages = [image.stage for image in group.images]
    own = stages[picked]
    known = [stage for stage in stages if stage is not None]
    return f"highest stage ({own:g})" if own is not None and len(known) == len(stages) and own == max(known) else ""


def _not_lower(group: Group, picked: int) -> list[int]:
    """The other images that would be expected to be at least as good: of a higher or unknown stage."""
    stages = [image.stage for image in group.images]
    own = stages[picked]
    return [p for p, stage in enumerate(stages) if p != picked and (own is None or stage is None or stage > own)]


Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class RecommendReport:
    """The result of a recommend run.

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
    """Store a recommendation for every undecided group, in place of the earlier one; damaged groups are left out.

    Args:
        progress: called after each group that had to be read from its files.

    Raises:
        StoreError: the database cannot be read or written.
        ProjectError: the image folder is not there.
    """
    with open_read_only(project.database) as connection:
        waiting = groups.queue(connection, project.id, sound=True)
        taken = captures.of(connection, [image.sha256 for group in waiting for image in group.images])
    brackets = {group.group_id: one for group in waiting if (one := baseline.keep_all(group, taken)) is not None}
    waiting = [group for group in waiting if group.group_id not in brackets]
    loaded = {kind: checkpoints.load_model(project, kind) for kind in ("ranker", "crop_proposer")}
    made = {**recommendations_for(project, waiting, loaded["ranker"], loaded["crop_proposer"], progress), **brackets}
    with closing(connect(project.database)) as connection, transaction(connection):
        still = groups.waiting_among(connection, made)  # groups may have been decided or made again meanwhile
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
    """Group id -> the models' recommendation, or the baseline's with the reason; nothing is stored.

    For a burst of more than four, the model recommends among the last four (`groups.rounds`) of its own order.
    """

    def by_baseline(some: Iterable[Group], why: str) -> dict[str, Recommendation]:
        return {group.group_id: baseline.recommend(group, f"a baseline: {why}") for group in some}

    if ranker.model is None or not waiting:
        return by_baseline(waiting, ranker.reason)
    from pickroom.features.blocks import BLOCKS
    from pickroom.features.candidates import Candidates
    from pickroom.features.pick_features import pick_features
    from pickroom.features.sources import FeatureSources
    from pickroom.learn.picks.task import GROUPS_AT_ONCE, orders_of

    sources, numbers = FeatureSources([project]), {spec.name: spec.columns for spec in BLOCKS}
    made: dict[str, Recommendation] = {}
    try:
        bursts = [group for group in waiting if len(group.images) > MAX_GROUP]
        orders, missing = orders_of(bursts, ranker.model, sources, progress)
        last = {group_id: rounds.finalists(order) for group_id, order in orders.items()}
        shown = []
        for group in waiting:
            if group.group_id in missing:
                made |= by_baseline([group], missing[group.group_id])
            else:
                places = last.get(group.group_id, range(len(group.images)))
                shown.append(replace(group, images=tuple(group.images[place] for place in places)))
        for start in range(0, len(shown), GROUPS_AT_ONCE):
            some = shown[start : start + GROUPS_AT_ONCE]
            items = [Candidates.of(group) for group in some]
            features = pick_features(items, sources, progress)
            chances = ranker.model.chances(features)
            for row, group in enumerate(some):
                if row in features.missing:
                    made |= by_baseline([group], features.missing[row])
                    continue
                index = int(chances[row].argmax())
                explanation = ranker.model.explain(features, row, numbers)
                made[group.group_id] = Recommendation(
                    group_id=group.group_id,
                    source="model",
                    selected_index=index,
                    confidence=round(float(chances[row, index]), 4),
                    reasons=reasons(group, index, explanation),
                    anomaly_flags=flags(group, index, explanation),
                    versions={"ranker": str(ranker.version)},
                )
    except StoreError as error:
        return by_baseline(waiting, error.what)
    _add_crops(made, shown, sources, crops)
    for group_id, places in last.items():
        one, order = made[group_id], orders[group_id]
        if one.selected_index is not None:
            picked = places[one.selected_index]
            ranking = (*(place for place in order if place != picked), picked)
            made[group_id] = replace(one, selected_index=picked, ranking=ranking)
    return made


def _add_crops(made: dict[str, Recommendation], shown: Sequence[Group], sources: FeatureSources, crops: Loaded) -> None:
    """Add a crop to each model's pick where the crop proposer has one."""
    if crops.model is None:
        return
    from pickroom.learn.crops.features import crop_features
    from pickroom.learn.examples import UncroppedImage

    picked = [group for group in shown if made[group.group_id].source == "model"]
    frames = []
    for group in picked:
        image = group.images[made[group.group_id].selected_index or 0]
        size = (image.width, image.height)
        frames.append(UncroppedImage(group.project_id, image.filename, image.sha256, *size, image.stage))
    features = crop_features(frames, sources)
    boxed = crops.model.box(features)
    for row, group in enumerate(picked):
        one = made[group.group_id]
        if row in features.missing:
            made[group.group_id] = replace(one, reasons=(*one.reasons, f"no crop suggested: {features.missing[row]}"))
            continue
        needed = float(boxed.needed[row]) >= 0.5 if crops.model.gate_enabled else None
        sure = float(1 - boxed.needed[row] if needed is False else boxed.confidence[row])
        made[group.group_id] = replace(
            one,
            crop=CropBox.of([float(edge) for edge in boxed.boxes[row]]) if needed is not False else None,
            crop_needed=needed,
            crop_confidence=round(sure, 4),
            versions={**one.versions, "crop_proposer": str(crops.version)},
        )


def _why(one: Recommendation) -> str:
    """The reason of a baseline, without the stage and the file name."""
    reason = one.reasons[-1].rpartition("a baseline: ")[2]
    return "an image has no vector" if "has no vector" in reason else reason

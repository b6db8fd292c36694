"""The order in which the images of a burst are shown: by their utilities."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from pickroom.core.records import MAX_GROUP, Group
from pickroom.features.candidates import Candidates
from pickroom.features.pick_features import Progress, pick_features
from pickroom.features.sources import FeatureSources
from pickroom.learn.picks.model import PickModel
from pickroom.learn.picks.task import PickTask

GROUPS_AT_ONCE = 2000  # whose features are in memory


def candidates_of(group: Group) -> Candidates:
    """A group as input of the features."""
    return Candidates(
        group.project_id,
        group.group_id,
        group.filenames,
        tuple(image.sha256 for image in group.images),
        tuple(image.stage for image in group.images),
    )


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
        items = [candidates_of(replace(group, images=images)) for group, _, images in some]
        features = pick_features(items, sources, PickTask().features_config, progress)
        utilities = model.utilities(features)
        for row, (group, _, images) in enumerate(some):
            if row in features.missing:
                missing.setdefault(group.group_id, features.missing[row])
            scores[group.group_id] += utilities[row, : len(images)].tolist()
    found = {g: tuple(sorted(range(len(own)), key=own.__getitem__)) for g, own in scores.items() if g not in missing}
    return found, missing

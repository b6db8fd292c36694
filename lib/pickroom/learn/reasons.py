"""What a ranker saw, in words for the person: why this image, what may be wrong with the others. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pickroom.core.records import Group
from pickroom.learn.picks.ranker import TERMS, Explanation

# a candidate is flagged that is this many times likelier to be passed over, for what was seen in it, than by chance
_FLAG_LIFT = 1.6
_DISAGREE = 0.15  # spread of the ensemble's probability above which it is said
_CLEAR = 0.25  # a term this much larger, in the ranker's score, is given as a reason
_SAYS = {
    "consistency": "it agrees best with its siblings",
    "embeddings": "it looks like what you pick",
}


def reasons(group: Group, picked: int, explanation: Explanation, spread: float) -> tuple[str, ...]:
    """Why this image was picked: against its best rival, term by term, the strongest first.

    Args:
        spread: the ensemble's disagreement, in [0, 0.5].
    """
    others = [place for place in range(len(group.images)) if place != picked]
    higher = _not_lower(group, picked, others)
    # a lower stage is picked in spite of a higher one: that is what wants a reason
    rival = max(higher or others, key=lambda place: float(explanation.terms[place].sum()))
    ahead = explanation.terms[picked] - explanation.terms[rival]
    found = []
    for place in np.argsort(-ahead):
        if ahead[place] < _CLEAR:
            continue
        term = TERMS[place]
        if term == "stage":
            found.append(_stage(group, picked))  # "" for a stage that is not the highest
        elif explanation.departure[rival] * len(group.images) >= _FLAG_LIFT:
            found.append(f"{name(group, rival)} differs {where(explanation.peaks[rival])}")
        else:
            found.append(_SAYS[term])
    found = [text for text in dict.fromkeys(found) if text] or [f"hardly better than {name(group, rival)}"]
    if spread > _DISAGREE:
        found.append("not sure: its parts disagree")
    return tuple(found)


def flags(group: Group, picked: int, explanation: Explanation) -> tuple[str, ...]:
    """Candidates in which something departs from the siblings, and where; not lower stages, which always differ."""
    limit = _FLAG_LIFT / len(group.images)
    suspects = [picked, *_not_lower(group, picked, [p for p in range(len(group.images)) if p != picked])]
    return tuple(
        f"{name(group, place)} may have a defect {where(explanation.peaks[place])}"
        for place in sorted(suspects)
        if explanation.departure[place] >= limit
    )


def name(group: Group, place: int) -> str:
    """How an image is called on screen: its stage, where that tells it from the others; else its number."""
    stages = [image.stage for image in group.images]
    own = stages[place]
    return f"stage {own:g}" if own is not None and stages.count(own) == 1 else f"image {place + 1}"


def where(box: Sequence[float] | np.ndarray) -> str:
    """A place in the image, in thirds, of a box in fractions."""
    x, y = (float(box[0]) + float(box[2])) / 2, (float(box[1]) + float(box[3])) / 2
    column = ("left", "", "right")[min(2, int(x * 3))]
    row = ("top", "", "bottom")[min(2, int(y * 3))]
    if not row and not column:
        return "in the middle"
    if not row:
        return f"on the {column}"
    return f"at the {' '.join(part for part in (row, column) if part)}"


def _stage(group: Group, picked: int) -> str:
    stages = [image.stage for image in group.images]
    own = stages[picked]
    known = [stage for stage in stages if stage is not None]
    return f"highest stage ({own:g})" if own is not None and len(known) == len(stages) and own == max(known) else ""


def _not_lower(group: Group, picked: int, others: Sequence[int]) -> list[int]:
    """Those of the others that one would expect to be at least as good: of a higher stage, or where none is known."""
    own = group.images[picked].stage
    stages = [(place, group.images[place].stage) for place in others]
    return [place for place, stage in stages if own is None or stage is None or stage > own]

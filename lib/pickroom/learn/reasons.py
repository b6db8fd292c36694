"""What the preference model saw, in words for the user: why this image, what may be wrong with the others. Pure."""

from collections.abc import Sequence

import numpy as np

from pickroom.core.records import Group
from pickroom.learn.picks.model import Explanation

# a candidate is flagged that is this many times likelier to be passed over, for how it differs, than by chance
_FLAG_LIFT = 1.6
_CLEAR = 0.15  # a block that speaks so much louder for the pick, in utility, is given as a reason
_MOST = 3  # reasons

# the beginning of a number's name, words where the pick has more of it, and where it has less; the first that fits
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
    """Why this image was picked: against its best rival, block by block, the strongest first.

    A picked image that is also flagged has the reason that outweighs the flag first.
    """
    others = [place for place in range(len(group.images)) if place != picked]
    total = sum(explanation.shares.values(), np.zeros(len(group.images)))
    # a lower stage is picked in spite of a higher one: that is what wants a reason
    rival = max(_not_lower(group, picked, others) or others, key=lambda place: float(total[place]))
    ahead: dict[str, float] = {}
    for title, share in explanation.shares.items():
        block = title.removeprefix("project ").removesuffix(", curved")
        ahead[block] = ahead.get(block, 0.0) + float(share[picked] - share[rival])
    found = []
    for block, lead in sorted(ahead.items(), key=lambda one: -one[1]):
        text = _block(group, picked, rival, block, explanation) if lead >= _CLEAR else ""
        if text:
            found.append(text)
    found = list(dict.fromkeys(found))[:_MOST] or [f"hardly better than {name(group, rival)}"]
    if any(text.startswith(f"{name(group, picked)} may have") for text in flags(group, picked, explanation)):
        found[0] = f"in spite of what may be a defect: {found[0]}"
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


def _block(group: Group, picked: int, rival: int, block: str, explanation: Explanation) -> str:
    """What a block says for the pick; "" where it has no words for that."""
    if block == "stage":
        return _stage(group, picked)
    if block == "consistency":
        if explanation.departure[rival] * len(group.images) >= _FLAG_LIFT:
            return f"{name(group, rival)} differs from the others {where(explanation.peaks[rival])}"
        return "it agrees best with the others"
    if block in ("vector", "own"):
        return "it looks like what you pick"
    return _number(group, picked, rival, block, explanation)


def _number(group: Group, picked: int, rival: int, block: str, explanation: Explanation) -> str:
    """The number of a block that speaks loudest for the pick, in words, with the images that it is said of."""
    is_face = block == "faces"
    best, lead = "", 0.0
    for title, share in explanation.numbers.items():
        ahead = float(share[picked] - share[rival])
        if explanation.blocks[title] == block and ahead > lead and _sentence(title, 1):
            best, lead = title, ahead
    if not best:
        return "the face is as you like it" if is_face else "it is lit and focused as you like it"
    values = explanation.values[best]
    side = 1 if values[picked] > values[rival] else -1
    than = [place for place in range(len(group.images)) if side * (values[picked] - values[place]) > 0]
    # what is hardly a difference is not said of an image
    clear = [place for place in than if abs(values[picked] - values[place]) >= abs(values[picked] - values[rival]) / 2]
    return _sentence(best, side).format(others=_listed([name(group, place) for place in clear or [rival]]))


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


def _not_lower(group: Group, picked: int, others: Sequence[int]) -> list[int]:
    """Those of the others that one would expect to be at least as good: of a higher stage, or where none is known."""
    own = group.images[picked].stage
    stages = [(place, group.images[place].stage) for place in others]
    return [place for place, stage in stages if own is None or stage is None or stage > own]

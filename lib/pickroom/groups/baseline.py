"""The baseline pick: the highest stage. It lets the deck work before any model exists, and is labelled so. Pure.

LESSONS.md, Picking: "highest stage" alone gets about 96.6 % of groups whose stages parse, and no anomaly at all.
"""

from pickroom.core.records import Group, Recommendation

VERSIONS = {"ranker": "highest_stage"}
NO_MODEL = "a baseline, no model has looked yet"


def recommend(group: Group, why: str = NO_MODEL) -> Recommendation:
    """The highest stage, with no confidence and no crop; no pick where a stage is unknown or tied.

    Args:
        why: why no model says anything, in words.
    """
    stages = [image.stage for image in group.images]
    known = [stage for stage in stages if stage is not None]
    if not known or len(known) < len(stages) or stages.count(max(known)) > 1:
        none = "no highest stage to go by" if known else "no recommendation yet"
        reasons = (none,) if why == NO_MODEL else (none, why)
        return Recommendation(group.group_id, "baseline", None, reasons=reasons, versions=VERSIONS)
    best = stages.index(max(known))
    reason = f"highest stage ({known[best]:g}): {why}"
    return Recommendation(group.group_id, "baseline", best, reasons=(reason,), versions=VERSIONS)

"""Recommendations without a model: the highest stage, or keeping every image of an exposure bracket. Pure.

LESSONS.md, Picking: "highest stage" alone gets about 96.6 % of groups whose stages parse, and no anomaly at all.
"""

from collections.abc import Mapping

from pickroom.core.records import Capture, Group, Recommendation

VERSIONS = {"ranker": "highest_stage"}
NO_MODEL = "a baseline, no model has looked yet"


def keep_all(group: Group, captures: Mapping[str, Capture]) -> Recommendation | None:
    """A recommendation to keep every image of an exposure bracket; None for any other group. `captures` is by content.

    In a bracket every image has ExposureMode 2 (Exif 2.32), and they differ in exposure time, aperture or sensitivity.
    """
    taken = [captures[image.sha256] for image in group.images if image.sha256 in captures]
    exposures = zip(*(one.exposure for one in taken), strict=True)
    varied = next((values for values in exposures if len(set(values)) > 1), None)
    if len(taken) < len(group.images) or not all(one.bracketed for one in taken) or varied is None:
        return None
    reason = f"exposure bracket ({', '.join(filter(None, dict.fromkeys(varied)))}): keep all"
    return Recommendation(group.group_id, "baseline", None, reasons=(reason,), keep_all=True)


def recommend(group: Group, why: str = NO_MODEL, captures: Mapping[str, Capture] | None = None) -> Recommendation:
    """The highest stage, with no confidence and no crop; no pick where a stage is unknown or tied.

    Args:
        why: why no model recommends, in words.
        captures: by content; with them, `keep_all` comes first.
    """
    if (bracket := keep_all(group, captures or {})) is not None:
        return bracket
    stages = [image.stage for image in group.images]
    known = [stage for stage in stages if stage is not None]
    if not known or len(known) < len(stages) or stages.count(max(known)) > 1:
        none = "no highest stage to go by" if known else "no recommendation yet"
        reasons = (none,) if why == NO_MODEL else (none, why)
        return Recommendation(group.group_id, "baseline", None, reasons=reasons, versions=VERSIONS)
    best = stages.index(max(known))
    reason = f"highest stage ({known[best]:g}): {why}"
    return Recommendation(group.group_id, "baseline", best, reasons=(reason,), versions=VERSIONS)

"""Groups by stage names (FORMATS.md, Groups by stage). Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import timedelta

from pickroom.records import MAX_GROUP, MIN_GROUP, Image, Ungrouped

# LESSONS.md, Picking: whole groups span up to 295 s; without a limit unrelated images join
DEFAULT_GAP = timedelta(minutes=5)


def group_by_stage(
    images: Iterable[Image], gap: timedelta = DEFAULT_GAP
) -> tuple[list[tuple[Image, ...]], list[Ungrouped]]:
    """Groups of 2-4 images of one folder with rising stages, and every other image with its reason.

    Args:
        gap: the longest time from one image taken to the next.

    Returns:
        The groups, by folder and then by time; their images in stage order. And what was left out.
    """
    by_folder: dict[str, list[Image]] = defaultdict(list)
    left_out: list[Ungrouped] = []
    for image in images:
        if image.stage is None:
            left_out.append(Ungrouped(image.directory, image.filename, "no stage in its name"))
        elif image.taken_at is None:
            left_out.append(Ungrouped(image.directory, image.filename, "no timestamp in its name"))
        else:
            by_folder[image.directory].append(image)
    groups: list[tuple[Image, ...]] = []
    for folder in sorted(by_folder):
        # every image here has both: see above
        ordered = sorted(by_folder[folder], key=lambda i: (i.taken_at, i.stage, i.filename))  # type: ignore[arg-type, return-value]
        taken, alone = _one_folder(ordered, gap)
        groups += taken
        minutes = f"{gap.total_seconds() / 60:g}"
        left_out += [Ungrouped(i.directory, i.filename, f"alone: no rising stage within {minutes} min") for i in alone]
    return groups, left_out


def _one_folder(ordered: Sequence[Image], gap: timedelta) -> tuple[list[tuple[Image, ...]], list[Image]]:
    used = [False] * len(ordered)
    groups, alone = [], []
    for start, image in enumerate(ordered):
        if used[start]:
            continue
        members = [start]
        while len(members) < MAX_GROUP and (following := _next_stage(ordered, used, members[-1], gap)) is not None:
            members.append(following)
        if len(members) < MIN_GROUP:
            alone.append(image)
            continue
        for member in members:
            used[member] = True
        groups.append(tuple(ordered[member] for member in members))
    return groups, alone


def _next_stage(ordered: Sequence[Image], used: Sequence[bool], last: int, gap: timedelta) -> int | None:
    """The place of the smallest higher stage ahead, the first of equals; None when there is none.

    Looking ahead stops at the first image whose stage is not higher than the last one taken: that is where
    the next series begins.
    """
    best = None
    for place in range(last + 1, len(ordered)):
        image = ordered[place]
        if used[place]:
            continue
        if image.stage <= ordered[last].stage or image.taken_at - ordered[last].taken_at > gap:  # type: ignore[operator]
            break
        if best is None or image.stage < ordered[best].stage:  # type: ignore[operator]
            best = place
    return best

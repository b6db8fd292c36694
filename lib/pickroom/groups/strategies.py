"""The ways to make groups of images, as a scan uses them: by stage names, by capture time, or by similarity."""

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING, Literal

from pickroom.core.errors import StoreError
from pickroom.core.records import MAX_GROUP, Capture, Image, Ungrouped
from pickroom.groups.stages import group_by_stage
from pickroom.store import decisions, groups
from pickroom.store.workspace import Project

if TYPE_CHECKING:
    import numpy as np

Kind = Literal["stage", "burst", "similar"]
Made = tuple[list[tuple[Image, ...]], list[Ungrouped]]


@dataclass(frozen=True, slots=True)
class Grouping:
    """A rule with its notes, ready to use."""

    kind: Kind
    make: Callable[[Sequence[Image]], Made]  # images -> the groups, and every other image with its reason
    notes: tuple[str, ...] = ()  # notes for the user


@dataclass(frozen=True, slots=True)
class Similarity:
    """How to group by similarity; None takes the default of `groups.similar.Thresholds`."""

    cosine: float | None = None  # the lowest cosine of two vectors, in [-1, 1]
    bits: int | None = None  # the most differing bits of copies, of 64
    gap: timedelta | None = None  # the longest time between two images of a group, None: any
    # take the cosine and the bits that agree best with the user's own decisions, where these are enough
    tune: bool = False


def by_stage(gap: timedelta) -> Grouping:
    """Group rising stages, each at most `gap` after the one before."""
    return Grouping("stage", lambda images: group_by_stage(images, gap))


def by_capture(project: Project, captures: Mapping[str, Capture], left_out: Sequence[Ungrouped]) -> Grouping:
    """Group images with a capture time into bursts; with the project's vectors, where it has them.

    `captures` is by content; `left_out` are images in no group by stage; those without a time keep that reason.
    """
    # so that a scan of images without a capture time imports no numpy, pyarrow or imagehash
    from pickroom.features.store import load_vectors
    from pickroom.groups.bursts import ALONE, group_by_capture
    from pickroom.groups.image_features import fingerprints

    vectors = None
    with suppress(StoreError):  # none were made, or their folder is gone: time and hashes decide
        vectors = load_vectors(project)
    earlier = {(one.directory, one.filename): one for one in left_out}

    def vector(image: Image) -> "np.ndarray | None":
        place = None if vectors is None else vectors.place(image.filename, image.sha256)
        return None if vectors is None or place is None else vectors.matrix[place]

    def make(images: Sequence[Image]) -> Made:
        places = {image.sha256: project.path(image.directory, image.filename) for image in images}
        hashes = cache(lambda: fingerprints(project.workspace, places))  # all at once, when the first is asked for

        def phash(image: Image) -> int | None:
            seen = hashes().get(image.sha256)
            return None if seen is None else seen.phash

        made, alone = group_by_capture(images, captures, vector, phash)
        return made, [one if one.reason == ALONE else earlier.get((one.directory, one.filename), one) for one in alone]

    return Grouping("burst", make)


def by_similarity(
    project: Project,
    connection: sqlite3.Connection,
    images: Sequence[Image],
    wanted: Similarity,
    progress: Callable[[int, int], None] | None = None,
) -> Grouping:
    """Group similar images of a scan; the notes say how well this agrees with the user's decisions.

    Raises StoreError where the project has no vectors, UsageError for a threshold out of its range.
    """
    from pickroom.groups import image_features, similar
    from pickroom.groups.similar import THRESHOLDS, group_by_similarity

    given = {name: getattr(wanted, name) for name in ("cosine", "bits") if getattr(wanted, name) is not None}
    thresholds = replace(THRESHOLDS, gap=wanted.gap, **given)
    # bursts of more than four are left out: groups by similarity are never as large
    outcomes = decisions.outcomes_by_person(connection)
    every = groups.every(connection, project.id)
    decided = [group for group in every if group.group_id in outcomes and len(group.images) <= MAX_GROUP]
    apart = [group for group in decided if outcomes[group.group_id] == "keep"]  # key K
    own = [image for group in decided for image in group.images]
    gone = groups.decided_images(connection)
    undecided = [image for image in images if (image.directory, image.filename) not in gone]
    seen = image_features.looks_of(project, [*undecided, *own], progress)
    merged = [group.filenames for group in decided if outcomes[group.group_id] != "keep"]
    notes = []
    if wanted.tune:
        if len(merged) < similar.LEAST_GROUPS:
            notes.append(f"too few decisions to tune by: {len(merged)} of {similar.LEAST_GROUPS} groups")
        thresholds = similar.tune(own, seen, merged, replace(thresholds, gap=None))
        thresholds = replace(thresholds, gap=wanted.gap)
    notes.append(f"linked from cosine {thresholds.cosine:.3f} on, or within {thresholds.bits} bits of 64")
    if merged:
        found = similar.agreement(own, seen, merged, replace(thresholds, gap=None))
        groups_of = f"{len(merged)} groups that you decided and {len(apart)} that you took apart"
        notes.append(f"on the {groups_of}: {found.words}")
    return Grouping("similar", lambda some: group_by_similarity(some, seen, thresholds), tuple(notes))

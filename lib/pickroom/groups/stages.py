"""Groups by stage names (FORMATS.md, Groups by stage). Pure."""

from collections import defaultdict
from collections.abc import Iterable, Sequence, Set
from datetime import datetime, timedelta
from typing import Generic, NamedTuple, Protocol, TypeVar

from pickroom.core.records import MAX_GROUP, MIN_GROUP, Ungrouped

# LESSONS.md, Picking: whole groups span up to 295 s; without a limit unrelated images join
DEFAULT_GAP = timedelta(minutes=5)


class Named(Protocol):
    """An image to group: of a project, of a folder or of a zip."""

    @property
    def directory(self) -> str: ...

    @property
    def filename(self) -> str: ...

    @property
    def stage(self) -> float | None: ...

    @property
    def taken_at(self) -> datetime | None: ...


T = TypeVar("T", bound=Named)


class _Known(NamedTuple, Generic[T]):
    """An image whose name has both a time and a stage; sorts in the order of a folder."""

    taken_at: datetime
    stage: float
    image: T


def group_by_stage(images: Iterable[T], gap: timedelta = DEFAULT_GAP) -> tuple[list[tuple[T, ...]], list[Ungrouped]]:
    """Groups of 2-4 images of one folder with rising stages, and every other image with its reason.

    The groups come by folder and then by time, their images in stage order, each at most `gap` after the one before.
    """
    by_folder: dict[str, list[_Known[T]]] = defaultdict(list)
    left_out: list[Ungrouped] = []
    for image in images:
        if image.stage is None:
            left_out.append(Ungrouped(image.directory, image.filename, "no stage in its name"))
        elif image.taken_at is None:
            left_out.append(Ungrouped(image.directory, image.filename, "no timestamp in its name"))
        else:
            by_folder[image.directory].append(_Known(image.taken_at, image.stage, image))
    groups: list[tuple[T, ...]] = []
    why = f"no higher stage within {gap.total_seconds() / 60:g} minutes"
    for folder in sorted(by_folder):
        ordered = sorted(by_folder[folder], key=lambda known: (known.taken_at, known.stage, known.image.filename))
        used: set[int] = set()
        for start, first in enumerate(ordered):
            if start in used:
                continue
            members = [start]
            while len(members) < MAX_GROUP and (following := _next_stage(ordered, used, members[-1], gap)) is not None:
                members.append(following)
            if len(members) < MIN_GROUP:
                left_out.append(Ungrouped(folder, first.image.filename, why))
            else:
                used.update(members)
                groups.append(tuple(ordered[member].image for member in members))
    return groups, left_out


def _next_stage(ordered: Sequence[_Known[T]], used: Set[int], last: int, gap: timedelta) -> int | None:
    """The place of the smallest higher stage ahead, the first of equals; None when there is none.

    Looking ahead stops at the first image whose stage is not higher than the last one taken: that is where
    the next series begins.
    """
    best = None
    for place in range(last + 1, len(ordered)):
        known = ordered[place]
        if place in used:
            continue
        if known.stage <= ordered[last].stage or known.taken_at - ordered[last].taken_at > gap:
            break
        if best is None or known.stage < ordered[best].stage:
            best = place
    return best

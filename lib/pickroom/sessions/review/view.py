"""The contents of the deck as plain records, built from the session's state. Pure: the widgets only draw them."""

from collections import Counter
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from pickroom.core.naming import STAGING
from pickroom.core.quantities import percent, plural
from pickroom.core.records import Capture, Choice, CropBox, FacePlace, Group, Image, Recommendation
from pickroom.files import routing
from pickroom.files.routing import RATED
from pickroom.groups import rounds
from pickroom.groups.rounds import Standing
from pickroom.sessions.review.state import ReviewState
from pickroom.sessions.session import ShownImage

Mark = Literal["keep", "reject", "none"]


@dataclass(frozen=True, slots=True)
class ImageView(ShownImage):
    """One image of the group shown."""

    mark: Mark  # keep (blue) or reject (red) as chosen so far, none while undecided
    ai_pick: bool  # draw the solid frame; badge: e.g. "AI pick 87 %", "highest stage", "" when not the AI's
    badge: str
    crop: CropBox | None  # the box to draw dashed with everything outside dimmed, None when the overlay is off
    details: str = ""  # when and with what it was taken
    face: FacePlace | None = None  # the largest one, where faces are shown
    no_face: str = ""  # why there is none to show


@dataclass(frozen=True, slots=True)
class GroupView:
    """One group as shown: the images of its round, in stage order, and the lines of text under them."""

    group_id: str
    images: tuple[ImageView, ...]
    route: str
    decided: bool
    reasons: str
    flags: tuple[str, ...]
    held_reason: str
    token: str = ""  # of what is on screen: the group, and of a burst the round
    strip: tuple[tuple[Image, Standing], ...] = ()  # of every image of a burst of more than four
    round_words: str = ""  # "Round 2 of 3", "" for a group of one round


@dataclass(frozen=True, slots=True)
class Pace:
    """Figures of the header; None where there is nothing to measure yet."""

    seconds_per_group: float | None  # mean over the groups decided here
    agreement: float | None  # share of decided groups in which the user picked the AI's image, in [0, 1]


@dataclass(frozen=True, slots=True)
class DeckView:
    """What the deck draws, in addition to the state of the session."""

    header: str
    progress: float  # share of the batch that is decided, in [0, 1]
    group: GroupView | None
    message: str
    summary: tuple[str, ...]  # what finalise would do, while it asks; else empty
    next_step: str = ""  # what to do where there is no group at all; else ""


def group_view(
    group: Group,
    choice: Choice,
    recommendation: Recommendation | None,
    *,
    held_reason: str = "",
    hidden: bool = False,
    crop_seen: bool = True,
    captures: Mapping[str, Capture] | None = None,
    places: Sequence[int] | None = None,
    in_place: bool = False,
    faces: Mapping[str, FacePlace | None] | None = None,
) -> GroupView:
    """One group with its choice and recommendation.

    Args:
        hidden: do not show the recommendation (blind).
        crop_seen: as in `routing.route`: where the choice was made.
        captures: by content, how images were taken.
        places: of the images on screen; None are those of a group of up to four.
        in_place: images are rated and stay.
        faces: by content, the largest face of each image that was measured; None where faces are not shown.
    """
    count = len(group.images)
    places = range(count) if places is None else places
    shown = None if hidden or recommendation is None else rounds.advice(recommendation, places)
    way = routing.route(choice, count, recommendation, crop_seen=crop_seen)
    stars = dict(choice.stars)
    # the overlay shows what will be recorded: no crop on a choice without one, nor while undecided
    overlay = choice.overlay and (crop_seen or way is None)
    badge = ""
    if shown is not None:
        names = {"baseline": "highest stage", "model": "AI pick", "simulated": "simulated AI pick"}
        badge = names[shown.source] + _sure(shown.confidence if shown.source != "baseline" else None)
    images = tuple(
        ImageView(
            *(image.filename, group.directory, number, _label(image, stars.get(place, 0))),
            *(image.sha256, image.width, image.height),
            mark=_mark(way, place, kept=place in choice.kept),
            ai_pick=shown is not None and shown.selected_index == place,
            badge=badge if shown and shown.selected_index == place else "",
            crop=shown.offered_crop if shown and overlay and shown.selected_index == place else None,
            details=(captures or {}).get(image.sha256, Capture()).words,
            face=(faces or {}).get(image.sha256),
            no_face="" if faces is None else "No face found" if image.sha256 in faces else "Face not measured yet",
        )
        for number, place in enumerate(places, start=1)
        for image in [group.images[place]]
    )
    total, number = rounds.total(count), len(choice.rounds) + 1
    route = routing.words(way, in_place=in_place)
    if choice.action == "skip":
        route = "Skipped: left undecided, every image stays"
    elif way is None and number < total:
        route = "Undecided: the image you pick meets the next ones"
    states = rounds.standings(count, choice.rounds, places) if total > 1 else ()
    return GroupView(
        group_id=group.group_id,
        images=images,
        route=route,
        decided=way is not None,
        reasons=_reasons(shown) if not hidden else "Blind: the recommendation shows once you have chosen",
        flags=shown.anomaly_flags if shown else (),
        held_reason=held_reason,
        token=f"{group.group_id} round {number}" if total > 1 else group.group_id,
        strip=tuple(zip(group.images, states, strict=True)) if total > 1 else (),
        round_words=f"Round {number} of {total}" if total > 1 else "",
    )


def _label(image: Image, stars: int) -> str:
    stage = "" if image.stage is None else f"stage {image.stage:g}"
    return " · ".join(filter(None, ("★" * stars, stage, f"{image.width} × {image.height}")))


def _mark(way: routing.Route | None, place: int, *, kept: bool) -> Mark:
    if way is None:  # nothing is picked yet; what is kept in addition is said already
        return "keep" if kept else "none"
    return "reject" if way.folders[place] == STAGING else "keep"


NO_GROUP = "No group yet"


def header(state: ReviewState, pace: Pace, waiting: int, made: bool = True, learned: str = "") -> str:
    """`Group 12 of 340 - reviewed 11 (3 %) - 4.1 s/group - about 22 min left - agreement 91 %`.

    `waiting` are the groups of the project that are undecided and beyond this batch; `made` tells whether there is any
    group, decided ones too; `learned` is how the model does, in words.
    """
    count = len(state.cards)
    if not made:
        return NO_GROUP
    if count == 0:
        return "No group is waiting: every group is decided"
    parts = [f"Group {state.position + 1} of {count}", f"reviewed {state.decided} ({percent(state.decided / count)})"]
    if pace.seconds_per_group is not None:
        parts.append(f"{pace.seconds_per_group:.1f} s/group")
        minutes = pace.seconds_per_group * (count - state.decided) / 60
        if state.decided < count:
            parts.append("under a minute left" if minutes < 1 else f"about {minutes:.0f} min left")
    parts += [f"agreement {percent(pace.agreement)}"] if pace.agreement is not None else []
    parts += filter(None, (learned, f"{waiting} more after this batch" if waiting else ""))
    return " - ".join(parts)


def summary(
    groups: Sequence[Group],
    state: ReviewState,
    recommendations: Mapping[str, Recommendation],
    unseen: Container[str] = (),
    *,
    in_place: bool = False,
) -> tuple[str, ...]:
    """What finalise will do, one line a kind of route, counts first; undecided groups last.

    `unseen` are the groups chosen without sight of a crop (`crop_seen` of `routing.route`).
    """
    counts: Counter[str] = Counter()
    images: Counter[str] = Counter()
    also = 0
    for card, group in zip(state.cards, groups, strict=True):
        seen = group.group_id not in unseen
        way = routing.route(state.choice(card), card.count, recommendations.get(group.group_id), crop_seen=seen)
        counts["stay" if way is None else way.sidecar or way.outcome] += 1
        if way is not None:
            images.update(map(RATED.__getitem__, routing.verdicts(way)) if in_place else way.folders)
        if way is not None and way.picked is not None:
            also += len({*state.choice(card).kept} - {way.picked})
    kinds, kept = (_KINDS_IN_PLACE, RATED["kept"]) if in_place else (_KINDS, "selected/")
    lines = [f"{plural(counts[kind], 'group')}: {text}" for kind, text in kinds.items() if counts[kind]]
    lines += [f"{plural(also, 'image')}: kept in addition to a pick → {kept}"] if also else []
    moved = [f"{count} {where}" if in_place else f"{count} to {where}/" for where, count in sorted(images.items())]
    note = ", in XMP sidecars; none moves" if in_place and moved else ""
    return (*lines, f"Images: {', '.join(moved) or 'none moves'}{note}")


_KINDS = {
    "suggestion": "the AI's pick with its crop → crop_auto/, the others → delete_staging/",
    "approve": "the picked image → selected/, the others → delete_staging/",
    "manual": "the picked image → crop/ for the crop desk, the others → delete_staging/",
    "reject": "every image → delete_staging/",
    "keep": "every image → selected/",
    "stay": "undecided or skipped: stay where they are",
}
_PICK_IN_PLACE = f"{RATED['picked']}, the others {RATED['passed over']}"
_KINDS_IN_PLACE = {
    "suggestion": f"the AI's pick {_PICK_IN_PLACE}; its crop waits for the crop desk",
    "approve": f"the picked image {_PICK_IN_PLACE}",
    "manual": f"the picked image {_PICK_IN_PLACE}; it waits for the crop desk",
    "reject": f"every image {RATED['rejected']}",
    "keep": f"every image {RATED['kept']}",
    "stay": "undecided or skipped: as they are",
}


def _sure(confidence: float | None) -> str:
    return "" if confidence is None else f" {confidence:.0%}".replace("%", " %")


def _reasons(shown: Recommendation | None) -> str:
    if shown is None:
        return "No recommendation"
    if shown.keep_all:
        return " · ".join(shown.reasons)
    parts = list(shown.reasons) or [shown.source]
    if shown.confidence is not None:
        parts.append(f"pick{_sure(shown.confidence)}")
    if shown.offered_crop is not None:
        sure = _sure(shown.crop_confidence)
        parts.append(f"crop{sure}" if shown.crop_needed else f"suggested crop{sure}; whether to crop is not predicted")
    elif shown.crop_needed is False:
        parts.append("no crop needed")
    return " · ".join(parts)

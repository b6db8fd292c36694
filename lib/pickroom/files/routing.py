"""Route the images of a group: from a choice to a decision row and a file plan. Pure.

The table is REVIEW.md's, Routes. The dry run, the summary on the deck and the real run all come from here.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Literal

from pickroom.core.naming import CROP, CROP_AUTO, SELECTED, STAGING, join, mirrored, sidecar_name
from pickroom.core.records import Choice, CropBox, Decision, FileOp, Group, Recommendation
from pickroom.groups import rounds

REVIEW = "review"  # the kind of journal steps planned here
Outcome = Literal["approve", "crop", "reject", "keep"]
Verdict = Literal["picked", "passed over", "rejected", "kept"]  # what was decided of one image


@dataclass(frozen=True, slots=True)
class Route:
    """Where a decided group's images go."""

    outcome: Outcome
    picked: int | None  # place of the picked image in the group, None for a rejected or kept group
    folders: tuple[str, ...]  # destination folder of each image, in the group's order
    # the `ai_route` of the sidecar written next to the picked image, None for no sidecar
    sidecar: Literal["manual", "suggestion"] | None = None
    crop_accepted: bool | None = None  # FORMATS.md's `ai_crop_accepted`
    places: tuple[int, ...] = ()  # of the images on screen when it was chosen, in the order of their numbers


def route(choice: Choice, count: int, recommendation: Recommendation | None, *, crop_seen: bool = True) -> Route | None:
    """The route of a group of `count` images; None while it is undecided or skipped.

    `crop_seen` is False for a blind choice: a crop that was not shown was neither accepted nor refused.
    """
    if choice.action not in ("keep", "reject", "approve", "crop"):
        return None
    # where the recommendation was hidden, images met in the group's own order
    order = recommendation.ranking if recommendation and crop_seen else ()
    places = rounds.shown(count, choice.rounds, order)
    if choice.action == "keep":
        return Route("keep", None, (SELECTED,) * count, places=places)
    if choice.action == "reject":
        return Route("reject", None, (STAGING,) * count, places=places)
    if choice.index is None:
        return None

    def others_aside(folder: str) -> tuple[str, ...]:
        also = (SELECTED if place in choice.kept else STAGING for place in range(count))
        return tuple(folder if place == choice.index else other for place, other in enumerate(also))

    if choice.action == "crop":
        return Route("crop", choice.index, others_aside(CROP), "manual", places=places)
    offered = crop_seen and recommendation is not None and recommendation.offered_crop is not None
    accepted = None
    if offered and recommendation is not None and choice.index == recommendation.selected_index:
        accepted = choice.overlay
    if accepted:
        return Route("approve", choice.index, others_aside(CROP_AUTO), "suggestion", accepted, places)
    return Route("approve", choice.index, others_aside(SELECTED), None, accepted, places)


def verdicts(route: Route) -> tuple[Verdict, ...]:
    """What a route says of each image, in the group's order."""
    others: dict[str, Verdict] = {SELECTED: "kept", STAGING: "rejected" if route.outcome == "reject" else "passed over"}
    return tuple("picked" if place == route.picked else others[to] for place, to in enumerate(route.folders))


# what a verdict is in a sidecar, in words
RATED: Mapping[Verdict, str] = {
    "picked": "rated 5 (green)",
    "kept": "rated 3 (yellow)",
    "passed over": "rated 1",
    "rejected": "rated -1 (red)",
}


def words(route: Route | None, *, in_place: bool = False) -> str:
    """The route in words, images numbered from 1, as shown under the group; `in_place` they are rated and stay."""
    if route is None:
        return "Undecided: every image stays where it is"
    if route.outcome == "keep":
        kept = RATED["kept"] if in_place else "selected/"
        return f"Keep all: every image → {kept} (never used for training)"
    if route.outcome == "reject":
        return f"Reject: every image → {RATED['rejected'] if in_place else 'delete_staging/'}"
    assert route.picked is not None
    how = {"suggestion": " with the AI's crop", "manual": " to be cropped by hand", None: ""}[route.sidecar]
    said = verdicts(route)
    where = [RATED[verdict] if in_place else f"{to}/" for to, verdict in zip(route.folders, said, strict=True)]
    parts = [f"{_numbers(route, {route.picked})} → {where[route.picked]}{how}"]
    for verdict in ("kept", "passed over"):
        others = {place for place, one in enumerate(said) if one == verdict}
        parts += [f"{_numbers(route, others)} → {where[min(others)]}"] if others else []
    return "   ·   ".join(parts)


def _numbers(route: Route, places: Set[int]) -> str:
    """The numbers on screen of some images, and how many of them are out since an earlier round."""
    on_screen = [str(number) for number, place in enumerate(route.places, start=1) if place in places]
    out = len(places) - len(on_screen)
    return ", ".join([*on_screen, *([f"{out} of earlier rounds"] if out else [])])


def decision(
    group: Group, choice: Choice, recommendation: Recommendation | None, timestamp: str, *, crop_seen: bool = True
) -> Decision | None:
    """The row a choice becomes, of the images on screen; None for a kept or undecided group; see `route`."""
    way = route(choice, len(group.images), recommendation, crop_seen=crop_seen)
    if way is None or way.outcome == "keep":
        return None
    shown = rounds.advice(recommendation, way.places) if recommendation else None
    ai_index = None if shown is None or shown.selected_index is None else way.places.index(shown.selected_index)
    # a rejected group has no pick: the AI's, else 0, stands in as a placeholder (FORMATS.md)
    selected = way.places.index(way.picked) if way.picked is not None else (ai_index or 0)
    matched = None if ai_index is None or way.outcome == "reject" else selected == ai_index
    images = [group.images[place] for place in way.places]
    return Decision(
        group_id=group.group_id,
        timestamp=timestamp,
        project_id=group.project_id,
        directory=group.directory,
        batch_number=group.batch_number,
        images=tuple(image.filename for image in images),
        ai_selected_index=ai_index,
        ai_crop_coords=shown.offered_crop if shown else None,
        ai_confidence=shown.confidence if shown and ai_index is not None else None,
        user_selected_index=selected,
        user_action=way.outcome,
        ai_crop_accepted=way.crop_accepted,
        final_crop_coords=None,
        crop_timestamp=None,
        image_width=images[selected].width,
        image_height=images[selected].height,
        selection_match=matched,
        crop_match=None,
    )


def digest(text: str) -> str:
    """Hex SHA-256 of a text in UTF-8, as a step has it."""
    return hashlib.sha256(text.encode()).hexdigest()


def write_step(batch: int, kind: str, unit: str, destination: str, text: str) -> FileOp:
    """The step that writes a small file."""
    return FileOp(batch, kind, unit, "write", None, destination, digest(text), content=text)


def sidecar_text(of: Group | Decision, filename: str, ai_route: str, box: CropBox | None) -> str:
    """The content of an image's sidecar (FORMATS.md, Sidecar); the same inputs give the same bytes."""
    said = {"group_id": of.group_id, "project_id": of.project_id, "needs_crop": True, "ai_route": ai_route}
    coordinates = box.to_list() if box else None
    return json.dumps({**said, "ai_crop_coords": coordinates, "filename": filename, "directory": of.directory})


def plan(
    group: Group,
    way: Route,
    companions: Mapping[str, Sequence[tuple[str, str]]],
    recommendation: Recommendation | None,
    batch: int,
    *,
    mirror: bool = False,
) -> list[FileOp]:
    """The journal of one group: each image with its companions, then the sidecar.

    Args:
        companions: image -> (companion's name, its sha256), of the group's folder.
        batch: the finalise number.
        mirror: the folders of the route mirror the sub-folders.
    """
    ops = []
    folders = [mirrored(folder, group.directory) for folder in way.folders] if mirror else way.folders
    for image, folder in zip(group.images, folders, strict=True):
        files = [(image.filename, image.sha256), *companions.get(image.filename, ())]
        for name, sha256 in files:
            source, destination = join(group.directory, name), join(folder, name)
            ops.append(FileOp(batch, REVIEW, group.group_id, "move", source, destination, sha256))
    if way.sidecar and way.picked is not None:
        filename = group.images[way.picked].filename
        # the box of another image than the AI's pick would mean nothing (FORMATS.md, ai_crop_coords)
        own_pick = recommendation is not None and recommendation.selected_index == way.picked
        box = recommendation.offered_crop if own_pick and recommendation else None
        text = sidecar_text(group, filename, way.sidecar, box)
        destination = join(folders[way.picked], sidecar_name(filename))
        ops.append(write_step(batch, REVIEW, group.group_id, destination, text))
    return ops

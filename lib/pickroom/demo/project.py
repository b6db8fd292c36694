"""The demo as a project of the workspace: images, groups, and if wanted recommendations and decisions."""

import hashlib
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime

import numpy as np

from pickroom.core.errors import ConflictError, UsageError
from pickroom.core.records import CropBox, Group, Image, Recommendation
from pickroom.demo.config import DemoConfig, stream
from pickroom.demo.make import Progress, make_images
from pickroom.demo.plan import square_box
from pickroom.demo.truth import Truth
from pickroom.files import cropping
from pickroom.indexing import projects
from pickroom.indexing.regrouping import ScanReport
from pickroom.sessions.review.session import ReviewSession
from pickroom.store import groups, recommendations
from pickroom.store.connect import connect, transaction
from pickroom.store.workspace import Project, Workspace, already_started

PROJECT_ID = "demo"
BATCH = 50  # groups to a finalise
_SECONDS = (1.0, 0.5)  # mean and spread of the logarithm of the seconds a look takes: about 3, a few of them 8
_PAST = 0x9A57  # a stream of its own: a demo with decisions has the pictures of one without
SCANNED_AT = datetime(2025, 9, 1, tzinfo=UTC)  # what is drawn from group ids is the same in every demo

# recommendations as a trained model might give them
VERSIONS = {"ranker": "simulated", "crop_proposer": "simulated"}

_RIGHT_PICK = 0.9  # share of groups whose pick is the reviewer's
_FINDS_CROP = 0.88  # share of the reviewer's crops that are proposed
_NEEDLESS_CROP = 0.08  # share of the other groups where a crop is proposed all the same
_UNSURE_OF_CROP = 0.06  # share of groups where nothing is known of a crop
_FALSE_ALARM = 0.06  # share of sound groups with an anomaly flag
# Beta parameters of the confidences (means .89, .61 and .47): right and wrong overlap, as real ones do
_RIGHT, _WRONG, _REJECT = (16, 2), (8, 5), (7, 8)
_BOX_SD = 0.016  # fraction of the image: most corners stay within crop_match's 0.05


def start_demo(
    workspace: Workspace,
    config: DemoConfig,
    *,
    model_like: bool = False,
    decided: int = 0,
    progress: Progress | None = None,
) -> tuple[Project, ScanReport]:
    """Make project `demo`: images in `demo_images/`, the hidden reviewer's choices in `demo_truth.jsonl`.

    Args:
        model_like: also store simulated recommendations, so that every route can be tried before training exists.
        decided: groups that the hidden reviewer has decided already: enough of them, and models can be trained.

    Raises:
        ProjectError: there is a project `demo` already.
        UsageError: the images' folder is taken, or `decided` is more than there are groups.
    """
    if decided > config.groups:
        what = f"{decided} decided of {config.groups} groups"
        raise UsageError(what, doing="making the demo", hint="ask for more groups: --groups")
    planned = workspace.planned(PROJECT_ID, workspace.root)
    if planned.manifest_file.exists():
        raise already_started(planned)
    truth = make_images(workspace.root, config, progress)
    project, report = projects.start(
        workspace, PROJECT_ID, workspace.root / "demo_images", title="Demo", progress=progress, at=SCANNED_AT
    )
    if model_like:
        with closing(connect(project.database)) as connection, transaction(connection):
            made = groups.every(connection, project.id)
            recommendations.upsert(connection, simulated_recommendations(made, truth, config.seed))
    if decided:
        decide(project, truth, decided, config.seed, progress)
    return project, report


def decide(project: Project, truths: Sequence[Truth], count: int, seed: int, progress: Progress | None = None) -> None:
    """Decide the first `count` groups of the queue as the hidden reviewer would, blind, and make the crops.

    Raises:
        ConflictError: a batch was held back, a crop not made, or a group not there or not known to the reviewer; what
            was decided before stays.
    """
    by_names = {frozenset(known.images): known for known in truths}
    pace = _Pace(stream(seed, _PAST))
    done = 0
    while done < count:
        with closing(ReviewSession(project, batch_size=min(BATCH, count - done), blind=True, clock=pace)) as session:
            shown = list(session.groups)
            _require(bool(shown), project, f"group {done + 1} was not made whole")
            orders = []
            for group in shown:
                pace.look()
                known = by_names.get(frozenset(group.filenames))
                _require(known is not None, project, f"the hidden reviewer knows nothing of group {group.group_id}")
                assert known is not None
                session.press(_key(group, known))
                if known.box is not None:
                    orders.append(cropping.Order("crop", known.images[known.pick], known.box))
            for key in ("Shift+Enter", "Shift+Enter"):
                session.press(key)
            finalised = session.last_result is not None and not session.last_result.held
            _require(finalised, project, "a batch was not made whole")
        if orders:
            with closing(connect(project.database)) as connection:
                made = cropping.submit(project, connection, orders)
            _require(len(made.done) == len(orders), project, "a crop was not made whole")
        done += len(shown)
        if progress is not None:
            progress(done, count)


class _Pace:
    """A clock that goes on by the time that a user would have looked at a group."""

    def __init__(self, random: np.random.Generator) -> None:
        self._random, self._now = random, 0.0

    def look(self) -> None:
        self._now += float(self._random.lognormal(*_SECONDS))

    def __call__(self) -> float:
        return self._now


def _key(group: Group, known: Truth) -> str:
    if known.action == "reject":
        return "x"
    index = group.filenames.index(known.images[known.pick])
    return ("1234" if known.action == "approve" else "qwer")[index]


def _require(holds: bool, project: Project, what: str) -> None:
    if not holds:
        hint = "see what waits: pickroom status demo; or make the demo again in an empty folder"
        raise ConflictError(what, doing="deciding groups of the demo", subject=project.root, hint=hint)


def simulated_recommendations(groups: Sequence[Group], truth: Sequence[Truth], seed: int) -> list[Recommendation]:
    """One recommendation for each group that the truth knows by its file names, in the order of `groups`.

    The same groups, truth and seed give the same recommendations; each depends on its own group only.
    """
    by_names = {frozenset(known.images): known for known in truth}
    matched = ((group, by_names.get(frozenset(group.filenames))) for group in groups)
    return [_recommend(group, known, seed) for group, known in matched if known is not None]


def _recommend(group: Group, truth: Truth, seed: int) -> Recommendation:
    key = hashlib.sha256(min(truth.images).encode()).digest()[:8]
    rng = stream(seed, int.from_bytes(key, "big"))
    best = group.filenames.index(truth.images[truth.pick])
    right = bool(rng.random() < _RIGHT_PICK)
    last = len(group.images) - 1
    if truth.action == "reject":
        chosen, certainty = last, _REJECT
    elif right:
        chosen, certainty = best, _RIGHT
    else:
        # the mistake that models make: the last stage, in spite of its defect; else one stage too low
        chosen, certainty = (last if best != last else last - 1), _WRONG
    alarm = bool(rng.random() < _FALSE_ALARM)
    flags: tuple[str, ...] = (f"{_name(group.images[-1])} may have a defect",) if alarm else ()
    if truth.action == "reject":
        flags = ("every image may have a defect",)
    elif best < last and right:
        flags = (f"{_name(group.images[best + 1])} may have a defect",)
    confidence = round(float(rng.beta(*certainty)), 3)
    needed, box, crop_confidence, crop_reason = _crop(truth, rng)
    sound = "sharpest image, nothing wrong seen"
    reason = sound if chosen == last else f"{_name(group.images[chosen + 1])} looks damaged"
    return Recommendation(
        group_id=group.group_id,
        source="simulated",
        selected_index=chosen,
        crop=box,
        crop_needed=needed,
        confidence=confidence,
        crop_confidence=crop_confidence,
        reasons=("simulated for the demo", reason, crop_reason),
        anomaly_flags=flags,
        versions=dict(VERSIONS),
    )


def _name(image: Image) -> str:
    return image.filename if image.stage is None else f"stage {image.stage:g}"


def _crop(truth: Truth, rng: np.random.Generator) -> tuple[bool | None, CropBox | None, float | None, str]:
    """Whether a crop is needed, its box, the confidence in that, and why in words."""
    unsure, hit, needless = rng.random(3)
    shift_x, shift_y, grow = rng.normal(0, _BOX_SD, size=3)
    found, missed = round(float(rng.beta(12, 3)), 3), round(float(rng.beta(6, 4)), 3)
    x, y, scale = rng.uniform(0.05, 0.25), 0.0, rng.uniform(0.68, 0.8)
    if unsure < _UNSURE_OF_CROP:
        return None, None, None, "no word on a crop"
    if truth.box is not None and hit < _FINDS_CROP:
        wanted = truth.box
        box = square_box(wanted.x1 + shift_x, max(0.0, wanted.y1 + shift_y), wanted.x2 - wanted.x1 + grow)
        return True, box, found, "loosely framed"
    if truth.box is None and needless < _NEEDLESS_CROP:
        return True, square_box(x, y, scale), missed, "room at the edges"
    return False, None, missed if truth.box else found, "well framed as it is"

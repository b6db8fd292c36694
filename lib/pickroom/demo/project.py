"""The demo as a project of the workspace: images, groups, and if wanted recommendations and decisions.

Images, companions and truth are made in a hidden folder first, and published whole or not at all. What lies next to and
inside each image (YAML, caption, and the generation parameters that image tools embed) does not tell of defects: only
the truth file does.
"""

import hashlib
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import numpy as np
import yaml
from PIL import Image as Pillow
from PIL.PngImagePlugin import PngInfo

from pickroom.core.errors import ConflictError, FileOperationError, UsageError
from pickroom.core.naming import stem_of
from pickroom.core.records import CropBox, Group, Image, Recommendation
from pickroom.demo.photographs import PHOTOGRAPHS, load
from pickroom.demo.plan import DemoConfig, GroupPlan, plan_group, square_box, stream
from pickroom.demo.stages import render_stages
from pickroom.demo.truth import Truth, lines_of
from pickroom.files import cropping
from pickroom.indexing import projects
from pickroom.indexing.regrouping import ScanReport
from pickroom.sessions.review.session import ReviewSession
from pickroom.storage import atomic, leftovers
from pickroom.store import groups, recommendations
from pickroom.store.connect import connect, transaction
from pickroom.store.workspace import Project, Workspace, already_started

Progress = Callable[[int, int], None]  # groups done, groups in all
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


IMAGES_FOLDER, TRUTH_FILE = "demo_images", "demo_truth.jsonl"

# Pillow, NumPy and zlib free the interpreter while they work, so threads use every core and need no fork
# inside a notebook. A group in the making holds about 60 MB at the default size, 250 MB at the largest.
_MOST_THREADS = 8

_SETTINGS = 21  # the key of this module's random stream

_NEGATIVE = "blurry, lowres, bad anatomy, extra fingers, watermark, jpeg artifacts"
_SAMPLERS = ("DPM++ 2M Karras", "DPM++ SDE Karras", "Euler a", "UniPC")
_MODEL = "pickroom-demo"  # no image generator was involved
_EXIF_IFD, _USER_COMMENT = 0x8769, 0x9286  # Exif 2.32: the Exif pointer, and the comment where tools put parameters


def make_images(home: Path, config: DemoConfig, progress: Progress | None = None) -> list[Truth]:
    """Make `home/demo_images/` and `home/demo_truth.jsonl`; the same settings give the same bytes.

    `home` is made when it is missing. An interruption leaves no images behind.

    Returns:
        the hidden reviewer's choice for each group, in the order of the file.

    Raises:
        UsageError: `demo_images` is there and is no empty folder, `demo_truth.jsonl` is there with other choices, or a
            base photograph is not installed.
        FileOperationError: the disk is full, or closed to writing.
    """
    try:
        return _make(home, config, progress)
    except OSError as error:
        what, hint = error.strerror or str(error), "free some space, or give another DIR"
        raise FileOperationError(what, "making the demo", [home / IMAGES_FOLDER], hint) from error


def _make(home: Path, config: DemoConfig, progress: Progress | None) -> list[Truth]:
    images, truth_file = home / IMAGES_FOLDER, home / TRUTH_FILE
    truth = lines_of(plan_group(config, index).truth for index in range(config.groups))
    empty = images.is_dir() and not images.is_symlink() and not any(images.iterdir())
    if os.path.lexists(images) and not empty:
        raise _taken(images)
    # a run that was cut off leaves a truth file of the same content
    if os.path.lexists(truth_file) and (not truth_file.is_file() or truth_file.read_bytes() != truth.encode()):
        raise _taken(truth_file, "a file of this name is there already")
    for photograph in PHOTOGRAPHS:  # before anything is written, and once rather than in every thread
        load(photograph)
    home.mkdir(parents=True, exist_ok=True)
    with leftovers.Folder(f".{IMAGES_FOLDER}.", home) as building:
        truths = _make_groups(building / IMAGES_FOLDER, config, progress)
        # the truth first: a run cut off between the two can simply be made again
        atomic.write_text(truth_file, truth)
        try:
            if images.is_dir():
                images.rmdir()  # fails unless it is still empty
            atomic.publish(building / IMAGES_FOLDER, images)
        except OSError as error:
            if os.path.lexists(images):
                raise _taken(images) from error
            raise
        atomic.sync_folders([home])
    return truths


def _make_groups(folder: Path, config: DemoConfig, progress: Progress | None) -> list[Truth]:
    for name in sorted({photograph.folder for photograph in PHOTOGRAPHS}):
        (folder / name).mkdir(parents=True)
    truths: list[Truth] = []
    with ThreadPoolExecutor(min(os.cpu_count() or 1, _MOST_THREADS)) as pool:
        try:
            for truth in pool.map(partial(_make_group, folder, config), range(config.groups)):
                truths.append(truth)
                if progress is not None:
                    progress(len(truths), config.groups)
        except BaseException:  # also an interrupt: what was not begun must not be finished first
            pool.shutdown(cancel_futures=True)
            raise
    return truths


def _make_group(folder: Path, config: DemoConfig, index: int) -> Truth:
    plan = plan_group(config, index)
    companions = companions_of(plan, config)
    names = dict(zip(plan.stages, plan.truth.images, strict=True))
    for stage, image in render_stages(plan, config):
        path, texts = folder / plan.photograph.folder / names[stage], companions[stage]
        if plan.jpeg:
            image.save(path, "JPEG", quality=92, exif=texts.exif())
        else:
            image.save(path, "PNG", compress_level=2, pnginfo=texts.png_info())  # a higher level is much slower
        stem = stem_of(path.name)
        path.with_name(f"{stem}.yaml").write_text(texts.yaml, encoding="utf-8", newline="\n")
        if plan.captions:
            path.with_name(f"{stem}.caption").write_text(texts.caption, encoding="utf-8", newline="\n")
    return plan.truth


def _taken(path: Path, what: str = "the demo's image folder is there already") -> UsageError:
    hint = f"give another DIR, or move {path.name} away"
    return UsageError(what, doing="making the demo", subject=path, hint=hint)


@dataclass(frozen=True, slots=True)
class Companions:
    """The texts of one image: the `parameters` that image tools embed, the YAML and the caption next to it."""

    parameters: str
    yaml: str
    caption: str

    def png_info(self) -> PngInfo:
        """The `parameters` chunk of a PNG."""
        info = PngInfo()
        info.add_text("parameters", self.parameters)
        return info

    def exif(self) -> Pillow.Exif:
        """The Exif block of a JPEG with the parameters as its user comment, in Exif's own Unicode marking."""
        exif = Pillow.Exif()
        exif.get_ifd(_EXIF_IFD)[_USER_COMMENT] = b"UNICODE\0" + self.parameters.encode("utf-16-be")
        return exif


def companions_of(plan: GroupPlan, config: DemoConfig) -> dict[float, Companions]:
    """The companions of every stage of a group: the same settings but for what each stage adds."""
    rng = stream(config.seed, plan.index, _SETTINGS)
    prompt = f"{plan.photograph.prompt}, {plan.grade.prompt}"
    seed, steps = int(rng.integers(1, 2**32)), int(rng.choice((20, 24, 28, 32, 40)))
    sampler, cfg_scale = _SAMPLERS[rng.integers(len(_SAMPLERS))], float(rng.choice((5.5, 6.0, 6.5, 7.0, 7.5)))
    denoise, weight = round(float(rng.uniform(0.25, 0.5)), 2), round(float(rng.uniform(0.6, 1.0)), 2)
    upscaled: dict[str, str | float] = {"upscaler": "Lanczos", "upscale_by": 1.25}
    extras: dict[float, dict[str, str | float]] = {
        1: {},
        1.5: {"swap_weight": weight},
        2: upscaled,
        3: {**upscaled, "denoising_strength": denoise},
    }
    found = {}
    for stage in plan.stages:
        width, height = plan.size_of(stage)
        pairs: dict[str, object] = {
            "Steps": steps,
            "Sampler": sampler,
            "CFG scale": cfg_scale,
            "Seed": seed,
            "Size": f"{width}x{height}",
            "Model": _MODEL,
            "Stage": f"{stage:g}",
            **{key.replace("_", " ").capitalize(): value for key, value in extras[stage].items()},
        }
        settings = {"model": _MODEL, "steps": steps, "sampler": sampler, "cfg_scale": cfg_scale}
        document = {
            "prompt": prompt,
            "negative_prompt": _NEGATIVE,
            "seed": seed,
            "stage": int(stage) if stage == int(stage) else stage,
            "settings": {**settings, "width": width, "height": height, **extras[stage]},
        }
        tail = ", ".join(f"{key}: {value}" for key, value in pairs.items())
        parameters = f"{prompt}\nNegative prompt: {_NEGATIVE}\n{tail}"
        text = str(yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=100))
        found[stage] = Companions(parameters, text, prompt.partition(",")[0] + "\n")
    return found

"""The demo as a project of the workspace: images, groups, and if wanted recommendations and decisions.

Images, companions and truth are made in a hidden folder first, and published whole or not at all. The YAML, caption and
embedded generation parameters of each image do not mention defects: only the truth file does.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import yaml
from PIL import Image as Pillow
from PIL.PngImagePlugin import PngInfo

from pickroom.core.errors import FileOperationError, UsageError
from pickroom.core.naming import stem_of
from pickroom.demo.photographs import PHOTOGRAPHS, load
from pickroom.demo.plan import DemoConfig, GroupPlan, Truth, plan_group, stream
from pickroom.demo.simulated_user import NOTES, Progress, decide
from pickroom.demo.stages import render_stages
from pickroom.indexing import projects
from pickroom.indexing.regrouping import ScanReport
from pickroom.storage import atomic, leftovers
from pickroom.store.workspace import Project, Workspace, already_started

PROJECT_ID = "demo"
SCANNED_AT = datetime(2025, 9, 1, tzinfo=UTC)  # fixed, so that random draws by group id are the same in every demo


def start_demo(
    workspace: Workspace, config: DemoConfig, *, decided: int = 0, progress: Progress | None = None
) -> tuple[Project, ScanReport]:
    """Make project `demo`: images in `demo_images/`, the simulated user's choices in `demo_truth.jsonl`.

    Args:
        decided: groups that the simulated user has decided; with enough of them models can be trained.

    Raises:
        ProjectError: there is a project `demo` already.
        UsageError: the images' folder is taken, `decided` is more than there are groups, or the workspace has projects
            whose models would learn from the simulated user's decisions.
    """
    if decided > config.groups:
        what = f"{decided} decided of {config.groups} groups"
        raise UsageError(what, doing="making the demo", hint="ask for more groups: --groups")
    planned = workspace.planned(PROJECT_ID, workspace.root)
    if planned.manifest_file.exists():
        raise already_started(planned)
    if decided and workspace.project_ids():
        what = "the models of this workspace would learn from a simulated user"
        hint = "give the demo a folder of its own, such as pickroom-demo"
        raise UsageError(what, doing="making the demo", subject=workspace.root, hint=hint)
    truth = make_images(workspace.root, config, progress)
    images = workspace.root / IMAGES_FOLDER
    project, report = projects.start(workspace, PROJECT_ID, images, title="Demo", progress=progress, at=SCANNED_AT)
    if decided:
        project = project.with_manifest(notes=NOTES.format(decided))
        decide(project, truth, decided, config.seed, progress)
    return project, report


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
        the simulated user's choice for each group, in the order of the file.

    Raises:
        UsageError: `demo_images` exists and is not an empty folder, `demo_truth.jsonl` exists with other choices, or a
            base photograph is not installed.
        FileOperationError: the disk is full, or closed to writing.
    """
    images, truth_file = home / IMAGES_FOLDER, home / TRUTH_FILE
    try:
        truth = "".join(plan_group(config, index).truth.to_json() for index in range(config.groups))
        empty = images.is_dir() and not images.is_symlink() and not any(images.iterdir())
        if os.path.lexists(images) and not empty:
            raise _taken(images)
        # an interrupted run leaves a truth file of the same content
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
    except OSError as error:
        what, hint = error.strerror or str(error), "free some space, or give another folder"
        raise FileOperationError(what, "making the demo", [images], hint) from error
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
        except BaseException:  # also for an interrupt: do not start the remaining groups
            pool.shutdown(cancel_futures=True)
            raise
    return truths


def _make_group(folder: Path, config: DemoConfig, index: int) -> Truth:
    plan = plan_group(config, index)
    companions = _texts_of(plan, config)
    names = dict(zip(plan.stages, plan.truth.images, strict=True))
    for stage, image in render_stages(plan, config):
        path, (parameters, text) = folder / plan.photograph.folder / names[stage], companions[stage]
        if plan.jpeg:
            exif = Pillow.Exif()
            # in Exif's own Unicode marking
            exif.get_ifd(_EXIF_IFD)[_USER_COMMENT] = b"UNICODE\0" + parameters.encode("utf-16-be")
            image.save(path, "JPEG", quality=92, exif=exif)
        else:
            chunks = PngInfo()
            chunks.add_text("parameters", parameters)
            # zlib's run lengths alone: as small for photographs, in two thirds of the time
            image.save(path, "PNG", compress_level=1, compress_type=3, pnginfo=chunks)
        stem = stem_of(path.name)
        path.with_name(f"{stem}.yaml").write_text(text, encoding="utf-8", newline="\n")
        if plan.captions:
            caption = parameters.partition(",")[0] + "\n"
            path.with_name(f"{stem}.caption").write_text(caption, encoding="utf-8", newline="\n")
    return plan.truth


def _taken(path: Path, what: str = "the demo's image folder is there already") -> UsageError:
    hint = f"give another folder, or move {path.name} away"
    return UsageError(what, doing="making the demo", subject=path, hint=hint)


def _texts_of(plan: GroupPlan, config: DemoConfig) -> dict[float, tuple[str, str]]:
    """Stage -> (`parameters` as image tools embed them, YAML): the same settings but for what each stage adds."""
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
        found[stage] = parameters, yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=100)
    return found

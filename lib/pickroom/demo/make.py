"""Write the demo's images, companions and truth: in a hidden folder first, published whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from pickroom.core.errors import FileOperationError, UsageError
from pickroom.core.naming import stem_of
from pickroom.demo.companions import companions_of
from pickroom.demo.config import DemoConfig
from pickroom.demo.photographs import PHOTOGRAPHS, load
from pickroom.demo.plan import plan_group
from pickroom.demo.stages import render_stages
from pickroom.demo.truth import Truth, lines_of
from pickroom.storage import atomic, leftovers

IMAGES_FOLDER, TRUTH_FILE = "demo_images", "demo_truth.jsonl"

# Pillow, NumPy and zlib free the interpreter while they work, so threads use every core and need no fork
# inside a notebook. A group in the making holds about 60 MB at the default size, 250 MB at the largest.
_MOST_THREADS = 8

Progress = Callable[[int, int], None]  # groups done, groups in all


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

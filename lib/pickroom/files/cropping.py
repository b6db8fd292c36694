"""Crop waiting images: render, commit the boxes with the file plan, move the originals to crop_originals/.

In a project that is rated in place, a crop is written into the image's sidecar, and nothing is rendered.

A crop is rendered next to its destination first, under a hidden name. A crash before the commit leaves a partial file
to sweep; after it, recovery goes forward. The crop of a RAW file is in its XMP sidecar, and nothing is rendered.
"""

import hashlib
import sqlite3
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from pickroom.core import naming
from pickroom.core.errors import FileOperationError, ImageError, PickroomError
from pickroom.core.geometry import compose
from pickroom.core.naming import filename_of, folder_of, join, mirrored, sidecar_name, source_folder, split
from pickroom.core.records import BoxSource, CropBox, Decision, FileOp
from pickroom.files import rating, sidecars, xmp
from pickroom.files.batch import run_batch
from pickroom.files.journal import CROP, DROP
from pickroom.files.preflight import DiskSnapshot, HeldError
from pickroom.files.routing import digest
from pickroom.images import crops as rendering
from pickroom.images import decode, raw
from pickroom.storage import atomic
from pickroom.storage.atomic import PARTIAL_SUFFIX
from pickroom.store import crops, decisions, operations
from pickroom.store.crops import Crop
from pickroom.store.workspace import Project, utc_now

NO_SIDECAR = "no sidecar: the file is cropped, no decision is changed"
_CHUNK = 20  # images rendered, then committed together: bounds memory, and what one crash leaves to sweep


@dataclass(frozen=True, slots=True)
class Order:
    """What is wanted of one waiting image: a box to crop to, or None to send it to delete_staging."""

    directory: str  # crop, crop_auto, or a folder below them
    filename: str
    box: CropBox | None
    box_source: BoxSource = "drawn"

    @property
    def unit(self) -> str:
        """The image's path below its waiting folder: its name alone in a flat project."""
        return join(source_folder(self.directory), self.filename)


@dataclass(slots=True)
class CropResult:
    """What a submit did."""

    batch: int | None = None  # its number, for `undo --batch`; None when nothing was done
    # each by `Order.unit`
    done: list[str] = field(default_factory=list)  # cropped or dropped
    refused: dict[str, str] = field(default_factory=dict)  # -> reason; those images wait as before
    # -> reason, for images half moved, their rows written: `pickroom recover` must finish them
    stuck: dict[str, str] = field(default_factory=dict)
    warnings: dict[str, str] = field(default_factory=dict)  # -> what to know


@dataclass(frozen=True, slots=True)
class _Job:
    """One order that disk and database agree with."""

    order: Order
    group_id: str | None  # whose row it completes, None when nothing says
    box: CropBox | None  # the crop in the original's frame, None for a drop
    ops: tuple[FileOp, ...]  # the steps; the first of a crop lacks its hash until it is rendered
    warning: str  # what the user must know of the crop, "" for nothing


def submit(project: Project, connection: sqlite3.Connection, orders: Sequence[Order]) -> CropResult:
    """Crop or drop waiting images. What is refused stays as it was, with its reason; the rest goes on.

    Raises LockedError, ProjectError and StoreError as `run_batch`; images not yet committed have not moved.
    """
    result, in_place = CropResult(), project.manifest.in_place
    with run_batch(project, connection, "cropping", sweep=True) as batch:
        disk = DiskSnapshot(project.root)
        for start in range(0, len(orders), _CHUNK):
            jobs = []
            for order in orders[start : start + _CHUNK]:
                try:
                    job = (_check_in_place if in_place else _check)(project, connection, disk, order, batch.number)
                    disk.require_free(job.ops)
                    jobs.append(job)
                    warnings = (NO_SIDECAR if job.group_id is None else "", job.warning)
                    if any(warnings):
                        result.warnings[order.unit] = "; ".join(filter(None, warnings))
                except (HeldError, ImageError, OSError) as error:
                    result.refused[order.unit] = _reason(error)
            try:  # render, commit and run one chunk
                batch.folder.require()
                if in_place is None:
                    if any(job.order.box is not None for job in jobs):
                        batch.folder.make(naming.CROPPED)
                    jobs = _render(project, jobs, result)
                ops = [op for job in jobs for op in job.ops]
                batch.commit(ops, partial(_write, connection, jobs, batch.number))
                ran = batch.run()
            except (FileOperationError, OSError) as error:  # the chunks before this one are done
                result.refused |= {order.unit: _reason(error) for order in orders[start:]}
                break
            result.done += ran.done
            result.refused |= ran.failed
            result.stuck = ran.stuck  # each run tries every planned step again
        result.batch = batch.number if result.done or result.stuck else None
    return result


def _reason(error: Exception) -> str:
    match error:
        case ImageError():
            return error.reason
        case PickroomError():
            return error.line
        case OSError() if error.strerror:
            return error.strerror
    return str(error)


def _check(project: Project, connection: sqlite3.Connection, disk: DiskSnapshot, order: Order, batch: int) -> _Job:
    """Compare one order with disk and database, and plan its steps; raises on any difference."""
    (directory, name), unit = (order.directory, order.filename), order.unit
    source = project.path(directory, name)
    waits = directory.partition("/")[0] in naming.WAITING_FOLDERS and naming.stays_inside(directory)
    is_image = waits and name in disk.companions_in(directory).images
    if not is_image or source.is_symlink() or not source.is_file():
        raise HeldError(f"no such image waits in {' or '.join(f'{folder}/' for folder in naming.WAITING_FOLDERS)}")
    sidecar = sidecars.read(project, connection, directory, name)
    sha256 = atomic.sha256_of(source)
    earlier = crops.by_content(connection, *split(unit), sha256)
    box, left_out, frame, kind = order.box, "", None, DROP
    # a crop that is opened again is not an original: it goes to delete_staging
    away, ops = naming.STAGING if box is None or earlier is not None else naming.CROP_ORIGINALS, list[FileOp]()
    if box is not None:
        frame, kind = raw_frame(source), CROP
        left_out = "" if frame else rendering.check_croppable(source)
        if earlier is not None:
            box = box if frame else compose(earlier.box, box)
        elif sidecar is not None:
            _require_size(source, sidecar.decision)
        if frame is not None:  # a RAW file goes to crop_cropped/ itself
            away = naming.CROPPED
        else:
            made = join(mirrored(naming.CROPPED, directory), name)
            ops.append(FileOp(batch, kind, unit, "move", partial_path(batch, unit), made, sha256=""))
    for file, content in [(name, sha256), *disk.companions_of(directory, name)]:
        if file != sidecar_name(name):
            ends = join(directory, file), join(mirrored(away, directory), file)
            ops.append(FileOp(batch, kind, unit, "move", *ends, content))
    if sidecar is not None and sidecar.text is not None:
        path, text = join(directory, sidecar_name(name)), sidecar.text
        ops.append(FileOp(batch, kind, unit, "remove", path, None, digest(text), content=text))
    if box is not None and frame is not None:
        ops = crop_in_sidecar(disk, join(directory, name), box, frame, ops)
    group_id = sidecar.decision.group_id if sidecar else earlier.group_id if earlier else None
    return _Job(order, group_id, box, tuple(ops), left_out and f"the crop is without its {left_out}")


def _require_size(source: Path, decision: Decision) -> None:
    with decode.open_image(source) as image:
        wide, tall = decode.upright_size(image)
    picked = (decision.image_width, decision.image_height)
    if (wide, tall) != picked:
        measures = f"it measures {wide} x {tall}, but the image picked measured {picked[0]} x {picked[1]}"
        raise HeldError(f"{measures}: a box drawn here would be logged in another frame")


def _check_in_place(
    project: Project, connection: sqlite3.Connection, disk: DiskSnapshot, order: Order, batch: int
) -> _Job:
    """As `_check`, where the image stays: its sidecar gets the crop, or says that it is rejected."""
    source, name = project.path(order.directory, order.filename), order.filename
    waits = sidecars.from_database(project, connection, order.directory, name)
    if waits is None or (waits.decision.directory or "") != order.directory or source.is_symlink():
        raise HeldError("no decision waits for a crop of this image")
    wanted = rating.rated("rejected")
    if order.box is not None:
        _require_size(source, waits.decision)
        wanted = rating.cropped(source, order.box)
    begun = FileOp(batch, DROP if order.box is None else CROP, order.unit, "write", None, None, "")
    assert project.manifest.in_place is not None
    op = rating.step(disk, order.directory, name, wanted, project.manifest.in_place, begun)
    cut = {key: value for key, value in wanted.items() if key[0] == xmp.CRS}
    written = xmp.properties((op.content or "").encode(), cut) == cut
    warning = "" if written else f"{op.destination} is of a RAW file: the crop is in the database only"
    return _Job(order, waits.decision.group_id, order.box, (op,), warning)


def raw_frame(source: Path) -> xmp.StoredFrame | None:
    """What the crop of a RAW file refers to; None for any other image. Raises ImageError."""
    with decode.open_image(source) as image:
        if image.format != raw.FORMAT:
            return None
        return xmp.StoredFrame(*decode.upright_size(image), decode.orientation(image))


def crop_in_sidecar(
    disk: DiskSnapshot, path: str, box: CropBox, frame: xmp.StoredFrame, ops: Sequence[FileOp]
) -> list[FileOp]:
    """The steps that move a RAW file, with its crop in its XMP sidecar.

    The sidecar is written where it goes to, and the old one removed, its text kept in the journal. It is `NAME.xmp`;
    `NAME.EXT.xmp`, where there is that one alone, or the other says that it is another file's.

    Args:
        path: of the RAW file, relative to the root; ops: the moves of it and its companions.

    Raises:
        ImageError: a crop cannot be written into the sidecar; it must be put right first.
    """
    stem, full = (rating.plan(disk, path, xmp.crop(box, frame), way) for way in ("stem", "full"))
    stem_lies, full_lies = (one.before is not None or one.held is not None for one in (stem, full))
    sidecar = full if stem.rating_only or (full_lies and not stem_lies) else stem
    if sidecar.after is None:
        why = f"its crop cannot be written into {filename_of(sidecar.path)}: {sidecar.held}; move that sidecar away"
        raise ImageError(disk.root / path, why, by_content=False)
    moved = next(op for op in ops if op.source == path)
    there = join(folder_of(moved.destination or ""), filename_of(sidecar.path))
    text, before = sidecar.after, sidecar.before or ""
    written = replace(moved, op="write", source=None, destination=there, sha256=digest(text), content=text)
    removed = replace(moved, op="remove", source=sidecar.path, destination=None, sha256=digest(before), content=before)
    others = [op for op in ops if op.source != sidecar.path]
    return [written, *others, *([removed] if len(others) < len(ops) else [])]


def partial_path(batch: int, unit: str) -> str:
    """Where the crop of an image is rendered before it is journalled: on the disk of its destination, unseen."""
    # the name itself may be as long as names can be
    return join(naming.CROPPED, f".{batch}-{digest(unit)[:16]}{PARTIAL_SUFFIX}")


def render_to(root: Path, source: Path, box: CropBox, partial: str) -> str:
    """Render one crop into its partial file; returns the crop's sha256. Raises ImageError, OSError."""
    content = rendering.render(source, box)
    atomic.write_bytes(root / partial, content)
    return hashlib.sha256(content).hexdigest()


def _render(project: Project, jobs: Sequence[_Job], result: CropResult) -> list[_Job]:
    """Write each crop next to its destination; jobs whose image will not be cropped are refused after all."""

    def render(job: _Job) -> _Job:
        crop = job.ops[0]
        if job.order.box is None or crop.source is None or not crop.source.endswith(PARTIAL_SUFFIX):
            return job
        source = project.path(job.order.directory, job.order.filename)
        ready = replace(crop, sha256=render_to(project.root, source, job.order.box, crop.source))
        return replace(job, ops=(ready, *job.ops[1:]))

    rendered = []
    with ThreadPoolExecutor() as pool:  # Pillow releases the interpreter while it encodes
        for job, future in [(job, pool.submit(render, job)) for job in jobs]:
            try:
                rendered.append(future.result())
            except ImageError as error:
                result.refused[job.order.unit] = error.reason
            except OSError as error:
                result.refused[job.order.unit] = f"the crop cannot be written: {error.strerror}"
    return rendered


def _write(connection: sqlite3.Connection, jobs: Sequence[_Job], batch: int) -> None:
    now = utc_now()
    for job in jobs:
        operations.plan(connection, job.ops)
        (directory, name), group_id = split(job.order.unit), job.group_id
        if job.box is not None:
            made = join(mirrored(naming.CROPPED, job.order.directory), name)
            # the file in crop_cropped/; where images stay, the sidecar that has the crop
            product = next((op.sha256 for op in job.ops if op.destination == made), job.ops[0].sha256)
            crop = Crop(batch, name, group_id, job.box, job.order.box_source, product, now, directory)
            crops.insert(connection, crop)
            if group_id is not None:
                decisions.set_crop(connection, group_id, crop)
        elif group_id is not None:
            decisions.set_dropped(connection, group_id, now)

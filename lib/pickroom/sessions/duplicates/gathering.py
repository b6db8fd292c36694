"""Every image of some projects where it lies now, with what is known of its content and look. Moves nothing.

Perceptual hashes and colours of previews are kept by content: made once, and read back the next time.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image as PillowImage

from pickroom.core.errors import ImageError, StoreError, UsageError
from pickroom.core.naming import CROP, CROP_AUTO, CROPPED, SELECTED
from pickroom.features.store import load_vectors
from pickroom.files import apply_marks
from pickroom.groups.image_features import fingerprint
from pickroom.images import decode, thumbnails
from pickroom.sessions.duplicates.finding import Copy
from pickroom.sessions.marking.images import ListedImage, look
from pickroom.storage import append_log
from pickroom.store import groups, images
from pickroom.store.connect import open_read_only
from pickroom.store.workspace import Project, Workspace

Progress = Callable[[int, int], None]  # (done, of)
_DRAFT = 128  # pixels: four times what the hash is computed on, and a JPEG decodes to that in a fraction of the time


_TILES = 4  # a side: colours of so many squares tell two pictures of one shape apart, and survive a trim


# what a preview is compared by: 64 bits of the brightness alone; 32 signed bytes, Cb and Cr of 4x4 squares, row by row
Fingerprint = tuple[int, bytes]


def colours_of(rgb: PillowImage.Image) -> bytes:
    """The mean Cb and Cr of 4x4 squares, as signed bytes about grey."""
    small = np.asarray(rgb.convert("YCbCr").resize((_TILES, _TILES), PillowImage.Resampling.BOX), np.int16)
    return (small[:, :, 1:] - 128).astype(np.int8).tobytes()


def log_path(workspace: Workspace) -> Path:
    """The append log: one JSON line a content: `sha256`, `phash` (16 hex digits), `colours` (64)."""
    return workspace.thumbnails.parent / "fingerprints.jsonl"


def fingerprints(
    workspace: Workspace, places: Mapping[str, Path], progress: Progress | None = None
) -> dict[str, Fingerprint]:
    """The fingerprint of each content (sha256 -> a file that has it); one that cannot be read is left out.

    Those not in the log yet are made of the previews and appended.
    """
    known = _read_log(log_path(workspace))
    found = {sha256: known[sha256] for sha256 in places if sha256 in known}
    missing = [sha256 for sha256 in places if sha256 not in known]
    if not missing:
        return found

    def make(sha256: str) -> Fingerprint | None:
        try:
            thumbnails.read(workspace.thumbnails, sha256, places[sha256])
            rgb = decode.read_rgb(thumbnails.thumbnail_path(workspace.thumbnails, sha256), draft=_DRAFT)
            return fingerprint(rgb), colours_of(rgb)
        except (ImageError, OSError):
            return None  # judged by its vector alone, or by its content alone

    with ThreadPoolExecutor(os.cpu_count() or 2) as pool:
        for done, (sha256, seen) in enumerate(zip(missing, pool.map(make, missing), strict=True), start=1):
            if seen is not None:
                found[sha256] = seen
            if progress:
                progress(done, len(missing))
    made = (
        {"sha256": sha256, "phash": f"{found[sha256][0]:016x}", "colours": found[sha256][1].hex()}
        for sha256 in missing
        if sha256 in found
    )
    append_log.append(log_path(workspace), made)
    return found


def _read_log(path: Path) -> dict[str, Fingerprint]:
    """What the log holds; a line torn by a crash, or of before the colours were kept, is made anew."""
    found = {}
    for values in append_log.read(path):
        try:
            seen = int(values["phash"], 16), bytes.fromhex(values["colours"])
            found[str(values["sha256"])] = seen
        except (ValueError, TypeError, KeyError):
            continue
    size = 2 * _TILES * _TILES
    return {sha256: seen for sha256, seen in found.items() if 0 <= seen[0] < 1 << 64 and len(seen[1]) == size}


# what was set aside is no duplicate any more, and the original of a crop is kept on purpose
FOLDERS = (SELECTED, CROPPED, CROP, CROP_AUTO, "")


@dataclass(frozen=True, slots=True)
class Gathered:
    """The images of some projects."""

    copies: tuple[Copy, ...]
    left_out: tuple[tuple[str, str, str], ...] = ()  # (project id, path, reason) of images that are not compared
    notes: tuple[str, ...] = ()  # lines for the user: what could not be compared, and why


def projects_of(workspace: Workspace, names: Sequence[str]) -> list[Project]:
    """The projects of these ids; when none is named, every one that has images.

    Raises:
        ProjectError: one cannot be opened.
        UsageError: one is named twice, or there is none.
    """
    if len(set(names)) < len(names):
        raise UsageError("a project is named twice", doing="looking for duplicates", subject=", ".join(names))
    chosen = [workspace.project(name) for name in names or workspace.project_ids()]
    chosen = [project for project in chosen if names or project.manifest.root]
    if not chosen:
        hint = "make one: pickroom start P --images FOLDER"
        raise UsageError("there is no project yet", doing="looking for duplicates", hint=hint)
    return chosen


def gather(projects: Sequence[Project], progress: Progress | None = None) -> Gathered:
    """Every image of these projects, but for those set aside and the originals of crops.

    Contents that the last scan knows are taken from it (name, size and time agree); others are hashed now: names met
    twice among them, which a scan leaves unread.

    Raises:
        ProjectError: an image folder is not there.
        StoreError: a database cannot be read.
    """
    found = [_of_project(project, progress) for project in projects]
    return Gathered(
        tuple(copy for one in found for copy in one.copies),
        tuple(entry for one in found for entry in one.left_out),
        tuple(note for one in found for note in one.notes),
    )


def _of_project(project: Project, progress: Progress | None) -> Gathered:
    project.require_root()
    listed = look(project, FOLDERS)
    with open_read_only(project.database) as connection:
        known = apply_marks.known_hashes(connection)
        sizes = {image.sha256: (image.width, image.height) for image in images.readable(connection)}
        unreadable = images.unreadable(connection)
        every = groups.every(connection, project.id)
    group_of = {name: group.group_id for group in every for name in group.filenames}
    left_out = [(project.id, path, reason) for path, reason in listed.left_out]

    def content(item: ListedImage) -> tuple[str, int, int] | str:
        path = project.path(item.directory, item.filename)
        seen = unreadable.get((item.directory, item.filename))
        if seen and seen[:2] == (item.file_size, item.mtime_ns):
            return seen[2]
        try:
            sha256 = known.get((item.filename, item.file_size, item.mtime_ns)) or decode.content_hash(path)
            size = sizes.get(sha256) or thumbnails.make(project.workspace.thumbnails, sha256, path)
        except ImageError as error:
            return error.reason
        except OSError as error:
            return f"unreadable: {error.strerror}"
        return sha256, *size

    read: list[tuple[ListedImage, tuple[str, int, int]]] = []
    with ThreadPoolExecutor() as pool:
        for item, found in zip(listed.items, pool.map(content, listed.items), strict=True):
            if isinstance(found, str):
                left_out.append((project.id, item.path, found))
            else:
                read.append((item, found))
    places = {found[0]: project.root / item.path for item, found in read}
    hashes = fingerprints(project.workspace, places, progress)
    vectors, encoder, notes = _vectors(project, read)
    copies = []
    for item, (sha256, width, height) in read:
        phash, colours = hashes.get(sha256, (None, None))
        file = (project.id, item.path, sha256, width, height, item.file_size, item.mtime_ns)
        copies.append(Copy(*file, phash, vectors.get(item), encoder, group_of.get(item.filename), colours))
    return Gathered(tuple(copies), tuple(left_out), tuple(notes))


def _vectors(
    project: Project, read: Sequence[tuple[ListedImage, tuple[str, int, int]]]
) -> tuple[dict[ListedImage, np.ndarray], str, list[str]]:
    """(vector of each image that has one, their encoder, what to say)."""
    try:
        vectors = load_vectors(project)
    except StoreError:
        return {}, "", [f"{project.id}: no vectors, so near is by hash alone (pickroom embed {project.id})"]
    # by content first: a copy under another name has the vector of the one that was embedded
    by_content = {sha256: row for row, sha256 in enumerate(vectors.content_hashes) if sha256 is not None}
    found = {}
    for item, (sha256, _, _) in read:
        row = by_content.get(sha256)
        row = vectors.place(item.filename, sha256) if row is None else row
        if row is not None:
            found[item] = vectors.matrix[row]
    without = len(read) - len(found)
    notes = [f"{project.id}: {without} of {len(read)} images have no vector: by hash alone"] if without else []
    return found, vectors.spec.encoder_id, notes

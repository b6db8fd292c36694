"""List the images of projects with their hashes, vectors and colours. Moves nothing."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from pickroom.core.errors import ImageError, StoreError, UsageError
from pickroom.core.naming import source_folder
from pickroom.core.quantities import plural
from pickroom.core.records import Image
from pickroom.images import decode, thumbnails
from pickroom.images.scan import ListedImage
from pickroom.sessions.duplicates.finding import PICKED, Copy
from pickroom.sessions.marking.images import look
from pickroom.store import groups, images
from pickroom.store.connect import open_read_only
from pickroom.store.workspace import Project, Workspace

Progress = Callable[[int, int], None]  # (done, of)
# images that were set aside no longer count, and originals of crops are kept on purpose
FOLDERS = (*PICKED, "")


@dataclass(slots=True)
class Gathered:
    """The images of some projects."""

    copies: list[Copy] = field(default_factory=list)
    # (project id, path, reason) of images that are not compared
    left_out: list[tuple[str, str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)  # lines for the user: what could not be compared, and why


def projects_of(workspace: Workspace, names: Sequence[str]) -> list[Project]:
    """The projects of these ids; when none is named, every one that has images.

    Raises UsageError where one is named twice or there is none, ProjectError where one cannot be opened.
    """
    if len(set(names)) < len(names):
        raise UsageError("a project is named twice", doing="looking for duplicates", subject=", ".join(names))
    chosen = [workspace.project(name) for name in names or workspace.project_ids()]
    chosen = [project for project in chosen if names or project.manifest.root]
    if not chosen:
        hint = "make one of the folder you are in: pickroom open ."
        raise UsageError("there are no projects yet", doing="looking for duplicates", hint=hint)
    return chosen


def gather(projects: Sequence[Project], progress: Progress | None = None, *, exact: bool = False) -> Gathered:
    """List every image of these projects, except those set aside and the originals of crops.

    Hashes are taken from the last scan where name, size and time agree. Other files are hashed now, among them
    duplicate names, which a scan does not read. With `exact` contents alone are compared: no picture is decoded, and
    sizes in pixels are 0.

    Raises ProjectError where an image folder is not there, StoreError where a database cannot be read.
    """
    found = Gathered()
    for project in projects:
        _gather(project, found, progress, exact)
    return found


def _gather(project: Project, found: Gathered, progress: Progress | None, exact: bool) -> None:
    listed = look(project, FOLDERS)
    with open_read_only(project.database) as connection:
        known, unreadable = images.known_hashes(connection), images.unreadable(connection)
        scanned = [] if exact else images.readable(connection)
        every = [] if exact else groups.every(connection, project.id)
    sizes = {image.sha256: (image.width, image.height) for image in scanned}
    members = defaultdict(list)
    for image, group_id in ((image, group.group_id) for group in every for image in group.images):
        members[image.filename].append((image, group_id))
    found.left_out += [(project.id, path, reason) for path, reason in listed.left_out]

    def content_of(item: ListedImage) -> tuple[str, int, int] | str:
        path = project.path(item.directory, item.filename)
        seen = unreadable.get((item.directory, item.filename))
        if seen and seen[:2] == (item.file_size, item.mtime_ns):
            return seen[2]
        try:
            sha256 = known.get((item.filename, item.file_size, item.mtime_ns)) or decode.content_hash(path)
            size = (0, 0) if exact else sizes.get(sha256)
            return sha256, *(size or thumbnails.make(project.workspace.thumbnails, sha256, path))
        except ImageError as error:
            return error.reason
        except OSError as error:
            return f"unreadable: {error.strerror}"

    # handing over a file takes longer than looking up its hash
    is_known = {item for item in listed.items if exact and (item.filename, item.file_size, item.mtime_ns) in known}
    with ThreadPoolExecutor() as pool:
        waiting = pool.map(content_of, (item for item in listed.items if item not in is_known))
        contents = [(item, content_of(item) if item in is_known else next(waiting)) for item in listed.items]
    found.left_out += [(project.id, item.path, reason) for item, reason in contents if isinstance(reason, str)]
    read = [(item, content) for item, content in contents if not isinstance(content, str)]
    if exact:
        found.copies += [Copy(project.id, item.path, *seen, item.file_size, item.mtime_ns) for item, seen in read]
        return
    from pickroom.groups.image_features import fingerprints

    places = {seen[0]: project.root / item.path for item, seen in read}
    hashes = fingerprints(project.workspace, places, progress)
    vectors, encoder, notes = _vectors(project, read)
    for item, (sha256, width, height) in read:
        phash, colours, flat = hashes.get(sha256, (None, None, False))
        file = (project.id, item.path, sha256, width, height, item.file_size, item.mtime_ns)
        vector = None if flat else vectors.get(item)
        group = _group_of(item, sha256, members[item.filename])
        found.copies.append(Copy(*file, phash, vector, encoder, group, colours))
    found.notes += notes
    if flats := sum(seen.flat for seen in hashes.values()):
        found.notes.append(f"{project.id}: {plural(flats, 'image')} of nearly one colour: only exact copies are found")


def _group_of(item: ListedImage, sha256: str, members: Sequence[tuple[Image, str]]) -> str | None:
    """The group of an image, wherever it went, of those that have an image of its name; None where it is not clear."""
    if len(members) > 1:
        same = [one for one in members if one[0].directory == source_folder(item.directory)]
        members = same or [one for one in members if one[0].sha256 == sha256]
    return members[0][1] if len(members) == 1 else None


def _vectors(
    project: Project, read: Sequence[tuple[ListedImage, tuple[str, int, int]]]
) -> tuple[dict[ListedImage, np.ndarray], str, list[str]]:
    """(vector of each image that has one, their encoder, notes for the user)."""
    from pickroom.features.store import load_vectors

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

"""Walk a project's root: every image in is either ready to be grouped or listed with its reason."""

import contextlib
import os
import stat
from collections import Counter, defaultdict
from collections.abc import Callable, Container, Hashable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from operator import attrgetter
from pathlib import Path

from pickroom.core import naming
from pickroom.core.companions import Companions
from pickroom.core.errors import ImageError
from pickroom.core.naming import extension_of, is_image_name, is_text, join, parse_name, split, stem_of
from pickroom.core.records import Capture, Image, Ungrouped
from pickroom.images import capture, decode, raw, thumbnails
from pickroom.storage import atomic
from pickroom.store.workspace import Project

_VIDEOS = ("3gp", "avi", "m2ts", "m4v", "mkv", "mov", "mp", "mp4", "mpeg", "mpg", "mts", "webm", "wmv")
_OTHER_PICTURES = (
    *("ai", "avifs", "clip", "dds", "dpx", "eps", "exr", "hdr", "heics", "heifs", "ico", "j2k", "jp2", "jpf", "jpx"),
    *("jxr", "kra", "pam", "pbm", "pcx", "pfm", "pgm", "ppm", "psb", "psd", "qoi", "svg", "svgz", "tga", "wdp", "xcf"),
)
# extension -> why such a file is not an image here; those of other files (texts, programs) are not counted
_UNREAD = {
    "gif": "GIF is not read: save it as PNG",
    "jxl": "JPEG XL is not read: save it as JPEG or PNG",
    **dict.fromkeys(_VIDEOS, "videos are not read"),
    **dict.fromkeys(_OTHER_PICTURES, "the format is not read: save it as PNG"),
    **dict.fromkeys(naming.ALL_EXTENSIONS, "left out by allowed_extensions in the project's manifest"),
}
Progress = Callable[[int, int], None]  # (done, of)
# (directory, filename) -> (file size in bytes, mtime in ns, why it cannot be read)
Unreadable = Mapping[tuple[str, str], tuple[int, int, str]]
_place = attrgetter("directory", "filename")
_AT_ONCE = 2_000  # files handed to the threads at a time: each one waiting costs memory
_CHUNK = 8  # files that a thread takes at once: to hand over each by itself took a sixth of a scan of small ones


@dataclass(frozen=True, slots=True)
class ListedImage:
    """One image file met on disk, not yet read; its folder relative to the root, bytes, and ns since the epoch."""

    directory: str
    filename: str
    file_size: int
    mtime_ns: int

    @property
    def place(self) -> tuple[str, str]:
        return self.directory, self.filename

    @property
    def path(self) -> str:
        return join(*self.place)


@dataclass(frozen=True, slots=True)
class Skipped:
    """Files of one extension that are not read, and why."""

    extension: str  # with its dot, in lower case
    files: int
    reason: str

    @property
    def line(self) -> str:
        return f"skipped: {self.files} {self.extension} ({self.reason})"


@dataclass(frozen=True, slots=True)
class ScanResult:
    """Every image of the root: `len(images) + len(left_out) + pending` is how many there are."""

    images: tuple[Image, ...]
    left_out: tuple[Ungrouped, ...]
    entries: Sequence[ListedImage]  # what the file system said of each file (also of those left out)
    unreadable: Unreadable  # of those left out, the ones that stay unreadable as long as size and mtime stay
    captures: Mapping[str, Capture]  # by content, of the files that were read
    skipped: tuple[Skipped, ...] = ()
    misnamed: tuple[str, ...] = ()  # images read now whose extension is another format's, each with its format
    pending: int = 0  # images that are new or changed, and were not read because so many were asked for

    @property
    def count(self) -> int:
        return len(self.images) + len(self.left_out) + self.pending


def scan(
    root: Path,
    thumbnail_folder: Path,
    known: Mapping[tuple[str, str], Image],
    extensions: Iterable[str],
    progress: Progress | None = None,
    *,
    avoid: frozenset[Path] = frozenset(),
    unreadable: Unreadable | None = None,
    at_most: int | None = None,
) -> ScanResult:
    """Read every image under `root` that is new or changed, and keep its preview.

    Args:
        known: (directory, filename) -> what the last scan found; taken over where size and mtime agree.
        unreadable: what the last scan could not read, likewise.
        progress: called after each image read, from this thread.
        avoid: absolute paths of folders that hold no sources (the workspace's own).
        at_most: how many images are read, by folder and name; None is all of them.

    Raises:
        OSError: the root itself cannot be listed, or a preview cannot be written (a full disk).
    """
    entries, left_out = walk(root, tuple(extensions), avoid)
    # RAW files that were read before stay images without the extra
    entries = [one for one in entries if raw.can_read(one.filename) or one.place in known]
    left_out += _same_stems(entries)
    refused = set(map(_place, left_out))
    images, unread, misnamed, captures = [], [], list[str](), dict[str, Capture]()
    before_unreadable, now_unreadable = unreadable or {}, dict[tuple[str, str], tuple[int, int, str]]()
    for entry in entries:
        path = entry.place
        before = known.get(path)
        if path in refused:
            continue
        same, seen = (entry.file_size, entry.mtime_ns), before_unreadable.get(path)
        if before and (before.file_size, before.mtime_ns) == same:
            images.append(before)
        # what a mislabelled file holds may be a format that is read since
        elif seen and seen[:2] == same and not seen[2].startswith("mislabelled"):
            now_unreadable[path] = seen
            left_out.append(Ungrouped(*path, seen[2]))
        else:
            unread.append(entry)

    unread.sort(key=_place)
    pending = len(unread[at_most:]) if at_most is not None else 0
    unread = unread[:at_most]

    def examine(entries: Sequence[ListedImage]) -> list[tuple[Image, Capture, str] | ImageError]:
        return [_examine(root, thumbnail_folder, entry) for entry in entries]

    # threads, not processes: Pillow and hashlib free the interpreter lock while they work
    with ThreadPoolExecutor(os.cpu_count() or 2) as pool:
        for start in range(0, len(unread), _AT_ONCE):
            some = unread[start : start + _AT_ONCE]
            chunks = [some[at : at + _CHUNK] for at in range(0, len(some), _CHUNK)]
            results = chain.from_iterable(pool.map(examine, chunks))
            for done, (entry, result) in enumerate(zip(some, results, strict=True), start=start + 1):
                if isinstance(result, ImageError):
                    left_out.append(Ungrouped(entry.directory, entry.filename, result.reason))
                    if result.by_content:
                        now_unreadable[entry.place] = (entry.file_size, entry.mtime_ns, result.reason)
                else:
                    image, captures[image.sha256], held = result
                    images.append(image)
                    misnamed += [f"{entry.path} ({held})"] if held else []
                if progress:
                    progress(done, len(unread))
    found = tuple(sorted(images, key=_place)), tuple(sorted(left_out, key=_place))
    skipped = count_skipped(root, extensions, avoid, known)
    return ScanResult(*found, entries, now_unreadable, captures, skipped, tuple(misnamed), pending)


def walk(
    root: Path, extensions: tuple[str, ...], avoid: frozenset[Path] = frozenset(), *, base: str = ""
) -> tuple[list[ListedImage], list[Ungrouped]]:
    """Every image file under `root`, without the folders Pickroom owns, links, and names with a dot in front.

    Args:
        base: the folder to begin in, relative to the root, as all that is found; also one that Pickroom owns. Only
            right below the root are folders of those names Pickroom's (FORMATS.md, Folders).

    Raises:
        OSError: the folder to begin in cannot be listed.
    """
    entries: list[ListedImage] = []
    left_out: list[Ungrouped] = []
    for directory, listing in _listings(root, avoid, base, left_out):
        names = {item.name for item in listing if is_image_name(item.name, extensions)}
        if any(extension_of(name) in naming.RAW_EXTENSIONS for name in names):
            names &= Companions(item.name for item in listing).images
        for item in listing:
            if item.name in names:
                info = item.stat(follow_symlinks=False)
                if not is_text(item.path):
                    left_out.append(Ungrouped(directory, item.name, "name is not valid UTF-8: rename it"))
                elif not stat.S_ISREG(info.st_mode):
                    link = stat.S_ISLNK(info.st_mode)
                    reason = "symbolic link: not followed" if link else "not a plain file"
                    left_out.append(Ungrouped(directory, item.name, reason))
                else:
                    entries.append(ListedImage(directory, item.name, info.st_size, info.st_mtime_ns))
    return entries, left_out


def _listings(
    root: Path, avoid: frozenset[Path], base: str, left_out: list[Ungrouped]
) -> Iterator[tuple[str, list[os.DirEntry[str]]]]:
    """(folder, what is in it but hidden files and folders, by name) of every folder that holds sources."""
    waiting = [base]
    while waiting:
        directory = waiting.pop()
        try:
            listing = sorted(os.scandir(root / directory), key=lambda e: e.name)
        except OSError as error:  # also a path that has grown too long for the system
            if directory == base:
                raise
            parent, name = split(directory)
            why = "permission denied" if isinstance(error, PermissionError) else error.strerror
            left_out.append(Ungrouped(parent, f"{name}/", f"folder cannot be opened: {why}"))
            continue
        files = []
        for item in listing:
            if item.name.startswith("."):
                continue
            if not item.is_dir(follow_symlinks=False):
                files.append(item)
            elif (directory or item.name not in naming.OWNED_FOLDERS) and Path(item.path) not in avoid:
                waiting.append(join(directory, item.name))
        yield directory, files


def count_skipped(
    root: Path,
    extensions: Iterable[str],
    avoid: frozenset[Path] = frozenset(),
    known: Container[tuple[str, str]] = (),
) -> tuple[Skipped, ...]:
    """Pictures and videos under `root` that no scan reads and that are no companions, by extension.

    Arguments are as those of `walk`; `known` are (directory, filename) of RAW files that were read, and cannot be read
    now. A root that cannot be listed holds none; the scan gives the reason.
    """
    allowed, reasons, found = set(extensions), dict(_UNREAD), Counter[str]()
    for extension in allowed.intersection(naming.RAW_EXTENSIONS):
        if not raw.can_read(f"a.{extension}"):
            reasons[extension] = raw.NOT_READ
            allowed.remove(extension)
    with contextlib.suppress(OSError):
        for directory, listing in _listings(root, avoid, "", []):
            names = [item.name for item in listing]
            unread = [name for name in names if extension_of(name) in reasons and not is_image_name(name, allowed)]
            belonging = Companions(names).all if unread else set()
            left = (name for name in unread if name not in belonging and (directory, name) not in known)
            found.update(map(extension_of, left))
    return tuple(Skipped(f".{extension}", count, reasons[extension]) for extension, count in sorted(found.items()))


def list_images(project: Project) -> tuple[list[ListedImage], list[Ungrouped]]:
    """Every image file of a project: its sources, and the folders a finalise moved them to (not finished crops)."""
    root = project.require_root()
    extensions = project.manifest.allowed_extensions
    own = project.workspace.own_folders
    entries, left_out = walk(root, extensions, own)
    for folder in naming.OWNED_FOLDERS:
        if not (root / folder).is_dir() or (root / folder).is_symlink():
            continue
        inside, refused = walk(root, extensions, own, base=folder)
        # finished crops are products, not candidates: nothing learns from them, and each bears its original's name.
        # A RAW file is its own original: its crop is in its XMP sidecar
        whole = folder != naming.CROPPED
        entries += [one for one in inside if whole or extension_of(one.filename) in naming.RAW_EXTENSIONS]
        left_out += refused
    return sorted(entries, key=_place), left_out


def _same_stems(entries: Sequence[ListedImage]) -> list[Ungrouped]:
    """Images of one folder that share a stem: whose companions are theirs would be ambiguous (FORMATS.md)."""
    found = []
    for same in repeated(entries, lambda entry: (entry.directory, stem_of(entry.filename))):
        for entry in same:
            others = ", ".join(sorted(e.filename for e in same if e is not entry))
            found.append(Ungrouped(entry.directory, entry.filename, f"ambiguous stem: also {others}"))
    return found


def repeated(entries: Sequence[ListedImage], key: Callable[[ListedImage], Hashable]) -> list[list[ListedImage]]:
    """The entries that share a key with another one, key by key: nearly none, so the others are not held."""
    once: set[Hashable] = set()
    again: set[Hashable] = set()
    for entry in entries:
        own = key(entry)
        (again if own in once else once).add(own)
    found = defaultdict(list)
    for entry in entries if again else ():
        if (own := key(entry)) in again:
            found[own].append(entry)
    return list(found.values())


def _examine(root: Path, thumbnail_folder: Path, entry: ListedImage) -> tuple[Image, Capture, str] | ImageError:
    """A file's image, what it says of when it was taken, and the format it holds where its extension is another's."""
    path = root / entry.path
    try:
        with decode.open_image(path) as opened:
            held = (opened.format or "") if decode.says_otherwise(path, opened) else ""
            try:
                sha256 = atomic.sha256_of(path)
            except OSError as error:
                return ImageError(path, f"unreadable: {error.strerror}", by_content=False)
            said = capture.read(opened)
            width, height = thumbnails.make(thumbnail_folder, sha256, path, opened)
    except ImageError as error:
        return error
    name = parse_name(entry.filename)
    image = Image(
        filename=entry.filename,
        directory=entry.directory,
        width=width,
        height=height,
        stage=name.stage,
        taken_at=name.taken_at,
        sha256=sha256,
        file_size=entry.file_size,
        mtime_ns=entry.mtime_ns,
    )
    return image, said, held


def read_captures(root: Path, images: Sequence[Image]) -> dict[str, Capture]:
    """When and with what images were taken that an earlier version scanned; what cannot be opened is left out."""

    def look(image: Image) -> Capture | None:
        try:
            with decode.open_image(root / image.directory / image.filename) as opened:
                return capture.read(opened)
        except ImageError:
            return None

    with ThreadPoolExecutor(os.cpu_count() or 2) as pool:
        found = zip(images, pool.map(look, images), strict=True)
        return {image.sha256: said for image, said in found if said is not None}

"""Pair final images with their originals, in folders or zips: the original's group, and what was done to the image.

A source is read in place: listed first, opened one at a time, never changed.
"""

from __future__ import annotations

import os
import shutil
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Literal

import numpy as np

from pickroom.core.errors import ImageError, UsageError
from pickroom.core.geometry import from_pixels, to_pixels
from pickroom.core.naming import IMAGE_EXTENSIONS, OWNED_FOLDERS, is_image_name, join, parse_name
from pickroom.core.records import CropBox, Ungrouped
from pickroom.groups.stages import group_by_stage
from pickroom.history.logged_paths import split_path
from pickroom.history.template import MAX_DIFFERENCE, find_crop
from pickroom.images import decode, scan
from pickroom.storage import atomic, leftovers
from pickroom.store.legacy import Match
from pickroom.store.workspace import utc_now

_MOST_BYTES = 1 << 30  # of one image in a zip: a larger one is a zip bomb
_UNIX_TIME = 0x5455  # APPNOTE, extra field "UT": seconds since the epoch, unlike the zone-less DOS time


@dataclass(frozen=True, slots=True)
class SourceImage:
    """One image file of a source."""

    directory: str  # POSIX path inside the source, "" for its top
    filename: str
    file_size: int
    modified: str  # when the file was last written, as ISO 8601 UTC ending in Z
    # stage, taken_at: what its name says, None where it says nothing
    stage: float | None
    taken_at: datetime | None

    @property
    def path(self) -> str:
        """Folder and name, for the user."""
        return join(self.directory, self.filename)


def open_source(path: Path, avoid: frozenset[Path] = frozenset()) -> ImageSource:
    """A folder or a zip as a source of images.

    Args:
        avoid: absolute folders that are not to be entered.

    Raises:
        UsageError: it is missing, neither of the two, or holds no image.
    """
    doing = "reading images"
    if not path.exists():
        raise UsageError("no such folder or zip", doing=doing, subject=path, hint="check its spelling")
    try:
        source = FolderSource(path.resolve(), avoid) if path.is_dir() else ZipSource(path)
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        what = f"neither a folder nor a zip that can be read ({error})"
        raise UsageError(what, doing=doing, subject=path) from None
    if not source.items and not source.left_out:
        raise UsageError("it holds no images", doing=doing, subject=path)
    return source


class ImageSource:
    """A source of images.

    Attributes:
        name: of the folder or the zip, without its path.
        items: every image that can be opened; left_out: all others, with the reason.
    """

    def __init__(self, path: Path) -> None:
        self.name, self._root = path.name, path
        self.items: list[SourceImage] = []
        self.left_out: list[Ungrouped] = []

    @contextmanager
    def as_file(self, item: SourceImage) -> Iterator[Path]:
        """The item as a file while the context lasts; raises ImageError when it cannot be read."""
        yield self._root / item.directory / item.filename

    def close(self) -> None:
        """Nothing more is read."""


class FolderSource(ImageSource):
    """The images under a folder, at any depth."""

    def __init__(self, root: Path, avoid: frozenset[Path]) -> None:
        super().__init__(root)
        # scan.walk skips the folders that Pickroom owns; here they count as any other
        for top in ("", *(name for name in OWNED_FOLDERS if (root / name).is_dir())):
            if root / top in avoid:
                continue
            entries, left_out = scan.walk(root, IMAGE_EXTENSIONS, avoid, base=top)
            self.left_out += left_out
            for entry in entries:
                modified = datetime.fromtimestamp(entry.mtime_ns / 1e9, UTC)
                self.items.append(_item(entry.directory, entry.filename, entry.file_size, modified))


class ZipSource(ImageSource):
    """The images in a zip; each is unpacked by itself into a temporary file while it is read."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._zip = zipfile.ZipFile(path)
        self._members: dict[tuple[str, str], zipfile.ZipInfo] = {}
        for info in self._zip.infolist():
            directory, filename = split_path(info.filename)
            parts = [part for part in (*directory.split("/"), filename) if part not in (".", "..")]
            hidden = any(part.startswith(".") or part == "__MACOSX" for part in parts)
            if info.is_dir() or hidden or not is_image_name(filename):
                continue
            reason = "encrypted" if info.flag_bits & 1 else "too large" if info.file_size > _MOST_BYTES else ""
            if not reason and (directory, filename) in self._members:
                reason = "twice in the archive: the first is read"
            if reason:
                self.left_out.append(Ungrouped(directory, filename, reason))
                continue
            self._members[directory, filename] = info
            self.items.append(_item(directory, filename, info.file_size, _modified(info)))

    @contextmanager
    def as_file(self, item: SourceImage) -> Iterator[Path]:
        with leftovers.Folder("pickroom-zip-") as folder:
            target = folder / f"image{PurePosixPath(item.filename).suffix}"
            try:
                member = self._members[item.directory, item.filename]
                with self._zip.open(member) as packed, target.open("wb") as file:
                    shutil.copyfileobj(packed, file)
            except (zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError, EOFError) as error:
                raise ImageError(Path(item.path), f"unreadable in the archive: {error}") from None
            yield target

    def close(self) -> None:
        self._zip.close()


def _modified(info: zipfile.ZipInfo) -> datetime:
    extra = info.extra
    while len(extra) >= 4:
        kind, size = int.from_bytes(extra[:2], "little"), int.from_bytes(extra[2:4], "little")
        if kind == _UNIX_TIME and size >= 5 and extra[4] & 1:
            return datetime.fromtimestamp(int.from_bytes(extra[5:9], "little"), UTC)
        extra = extra[4 + size :]
    try:
        return datetime(*info.date_time, tzinfo=UTC)  # no zone is stored; as of `values.timestamp`
    except ValueError:
        return datetime(1980, 1, 1, tzinfo=UTC)  # what zip writes where it knows no date


def _item(directory: str, filename: str, size: int, modified: datetime) -> SourceImage:
    said = parse_name(filename)
    moment = modified.replace(tzinfo=None).isoformat() + "Z"
    return SourceImage(directory, filename, size, moment, said.stage, said.taken_at)


Progress = Callable[[int, int], None]  # pairs compared, pairs in all

NO_ORIGINAL = "no original of this name or content"
SEVERAL_ORIGINALS = "several originals of this name, none or several of this content"
AGAIN = "the same image again"
TWICE = "its original has several final images"
SEVERAL_FINALS = "several of its group are in FINAL: which was picked is not known"


@dataclass(frozen=True, slots=True)
class ImagePair:
    """A final image and its original."""

    final: SourceImage
    original: SourceImage
    group: tuple[SourceImage, ...]  # the original's group in stage order, empty when it is in none

    @property
    def index(self) -> int:
        """The original's place in its group."""
        return self.group.index(self.original)


@dataclass(frozen=True, slots=True)
class Pairing:
    """Every final image, paired or not."""

    pairs: tuple[ImagePair, ...]  # by folder and name of the final image; at most one of each group
    unpaired: tuple[tuple[SourceImage, str], ...]  # the others, each with its reason
    undecided: int  # how many groups have no final image


def pair(originals: ImageSource, finals: ImageSource) -> Pairing:
    """ImagePair every final image with its original, by name and, where that is not enough, by content.

    An image is a pick only when no other of its group is among the final ones.
    """
    groups, _ = group_by_stage(originals.items)
    group_of = {id(item): group for group in groups for item in group}
    finder = _Finder(originals, finals)
    by_original: dict[int, list[ImagePair]] = defaultdict(list)
    unpaired: list[tuple[SourceImage, str]] = []
    for final in sorted(finals.items, key=lambda item: item.path):
        original, reason = finder.original_of(final)
        if original is None:
            unpaired.append((final, reason))
        else:
            group = group_of.get(id(original), ())
            by_original[id(original)].append(ImagePair(final, original, group))

    by_group: dict[int, list[ImagePair]] = defaultdict(list)
    for pairs in by_original.values():
        first, *again = pairs
        if again and not finder.all_alike([each.final for each in pairs]):
            unpaired += [(each.final, TWICE) for each in pairs]
        else:
            unpaired += [(each.final, AGAIN) for each in again]
            by_group[id(first.group) if first.group else id(first.original)].append(first)
    kept: list[ImagePair] = []
    for pairs in by_group.values():
        if len(pairs) == 1:
            kept += pairs
        else:
            unpaired += [(each.final, SEVERAL_FINALS) for each in pairs]
    touched = {id(group_of[original]) for original in by_original if original in group_of}
    return Pairing(
        tuple(sorted(kept, key=lambda each: each.final.path)),
        tuple(sorted(unpaired, key=lambda each: each[0].path)),
        len(groups) - len(touched),
    )


class _Finder:
    """Finds originals by name, and by content only where names are not enough, since that reads whole files."""

    def __init__(self, originals: ImageSource, finals: ImageSource) -> None:
        self._originals, self._finals = originals, finals
        self._hashes: dict[int, str | None] = {}
        self._by_name: dict[str, list[SourceImage]] = defaultdict(list)
        self._by_size: dict[int, list[SourceImage]] = defaultdict(list)
        for item in originals.items:
            self._by_name[item.filename].append(item)
            self._by_size[item.file_size].append(item)

    def original_of(self, final: SourceImage) -> tuple[SourceImage | None, str]:
        """(original, "") or (None, the reason)."""
        named = self._by_name.get(final.filename, [])
        if len(named) == 1:
            return named[0], ""
        candidates = named or self._by_size.get(final.file_size, [])
        alike = [item for item in candidates if self._same(item, final)]
        if len(alike) == 1:
            return alike[0], ""
        return None, SEVERAL_ORIGINALS if named or alike else NO_ORIGINAL

    def all_alike(self, finals: Sequence[SourceImage]) -> bool:
        """Whether several final images are the same bytes."""
        hashes = {self._hash(self._finals, item) for item in finals}
        return len(hashes) == 1 and None not in hashes

    def _same(self, original: SourceImage, final: SourceImage) -> bool:
        if original.file_size != final.file_size:
            return False
        digest = self._hash(self._finals, final)
        return digest is not None and digest == self._hash(self._originals, original)

    def _hash(self, source: ImageSource, item: SourceImage) -> str | None:
        """The content's SHA-256; None for an unreadable file, which equals no other."""
        if id(item) not in self._hashes:
            self._hashes[id(item)] = content_of(source, item)
        return self._hashes[id(item)]


def content_of(source: ImageSource, item: SourceImage) -> str | None:
    """The SHA-256 of an image's bytes; None where they cannot be read."""
    try:
        with source.as_file(item) as path:
            return atomic.sha256_of(path)
    except (OSError, ImageError):
        return None


@dataclass(frozen=True, slots=True)
class ComparedPair:
    """The result of comparing the pixels of one pair."""

    pair: ImagePair
    # "same" size, "smaller" (cropped), "larger" in a side, or "unreadable" for the reason `problem`
    change: Literal["same", "smaller", "larger", "unreadable"]
    # (width, height) in pixels of the upright original, None when it cannot be read
    size: tuple[int, int] | None = None
    match: Match | None = None  # the result of template matching, for a smaller image that was searched
    problem: str = ""
    # name -> SHA-256 of every image of the original's group, as far as they can be read
    contents: Mapping[str, str] = field(default_factory=dict)


def compare_all(
    originals: ImageSource,
    finals: ImageSource,
    pairs: Sequence[ImagePair],
    project_id: str,
    boxed: frozenset[str],
    progress: Progress | None = None,
) -> Iterator[ComparedPair]:
    """Compare every pair, in order.

    Args:
        boxed: names whose crop is known: their pixels are not searched.
    """

    def compare(pair: ImagePair) -> ComparedPair:
        found = _compare(originals, finals, pair, project_id, search=pair.original.filename not in boxed)
        known = {item.filename: sha256 for item in pair.group if (sha256 := content_of(originals, item)) is not None}
        return replace(found, contents=known)

    # NumPy and Pillow free the interpreter lock; each pair at work holds some 150 MB at 3,000 x 3,000 pixels
    with ThreadPoolExecutor(min(os.cpu_count() or 2, 8)) as pool:
        for done, found in enumerate(pool.map(compare, pairs), start=1):
            yield found
            if progress:
                progress(done, len(pairs))


def _compare(
    originals: ImageSource, finals: ImageSource, pair: ImagePair, project_id: str, *, search: bool
) -> ComparedPair:
    try:
        with originals.as_file(pair.original) as original, finals.as_file(pair.final) as final:
            size, final_size = _size_of(original), _size_of(final)
            if size == final_size:
                return ComparedPair(pair, "same", size)
            if final_size[0] > size[0] or final_size[1] > size[1]:
                return ComparedPair(pair, "larger", size)
            if not search:
                return ComparedPair(pair, "smaller", size)
            return ComparedPair(pair, "smaller", size, match_files(original, final, project_id, pair.original.filename))
    except ImageError as error:
        return ComparedPair(pair, "unreadable", problem=error.reason)
    except OSError as error:
        return ComparedPair(pair, "unreadable", problem=error.strerror or str(error))


def match_files(original: Path, final: Path, project_id: str, filename: str) -> Match:
    """Find a cropped file in its original by template matching, and check the box by cropping again.

    Raises:
        ImageError: the pixels of one of them cannot be read.
    """
    whole, part = _grey(original), _grey(final)
    found = find_crop(whole, part)
    box, difference, reason = None, found.difference, found.reason
    if found.pixels is not None:
        size = whole.shape[1], whole.shape[0]
        candidate = from_pixels(found.pixels, *size)
        difference = _difference(whole, part, candidate)
        if difference is None or difference > MAX_DIFFERENCE:
            reason = "the original cropped anew is not this picture"
        else:
            box = candidate
    return Match(project_id, filename, box, found.score, found.runner_up, difference, reason, utc_now())


def _difference(original: np.ndarray, final: np.ndarray, box: CropBox) -> float | None:
    """Mean absolute difference, 8-bit units, of the final image from its original cropped to the box; None if the
    crop comes out in another size."""
    x1, y1, x2, y2 = to_pixels(box, original.shape[1], original.shape[0])
    again = original[y1:y2, x1:x2]
    if again.shape != final.shape:
        return None
    return float(np.abs(again.astype(np.int16) - final).mean())


def _size_of(path: Path) -> tuple[int, int]:
    with decode.open_image(path) as image:
        return decode.upright_size(image)


def _grey(path: Path) -> np.ndarray:
    """(H, W) uint8, upright."""
    return np.asarray(decode.read_rgb(path).convert("L"))

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
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Literal

import numpy as np

from pickroom.core.errors import ImageError, UsageError
from pickroom.core.geometry import from_pixels, to_pixels
from pickroom.core.naming import IMAGE_EXTENSIONS, OWNED_FOLDERS, is_image_name, parse_name
from pickroom.core.records import Ungrouped
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
class SourceImage(scan.ListedImage):
    """One image file of a source, and what its name says of stage and time, None where it says nothing."""

    stage: float | None
    taken_at: datetime | None

    @property
    def modified(self) -> str:
        """When the file was last written, as ISO 8601 UTC ending in Z."""
        return datetime.fromtimestamp(self.mtime_ns / 1e9, UTC).replace(tzinfo=None).isoformat() + "Z"


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
        source = ImageSource(path, avoid)
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        what = f"neither a folder nor a zip that can be read ({error})"
        raise UsageError(what, doing=doing, subject=path) from None
    if not source.items and not source.left_out:
        raise UsageError("it holds no images", doing=doing, subject=path)
    return source


class ImageSource:
    """The images under a folder, at any depth, or in a zip.

    Attributes:
        name: of the folder or the zip, without its path.
        items: every image that can be opened; left_out: all others, with the reason.
    """

    def __init__(self, path: Path, avoid: frozenset[Path]) -> None:
        self._root = path.resolve() if path.is_dir() else path
        self.name = self._root.name
        self.items: list[SourceImage] = []
        self.left_out: list[Ungrouped] = []
        self._members: dict[tuple[str, str], zipfile.ZipInfo] = {}
        self._zip = None if path.is_dir() else zipfile.ZipFile(path)
        # scan.walk skips the folders that Pickroom owns; here they count as any other
        tops = ("", *(name for name in OWNED_FOLDERS if (self._root / name).is_dir())) if self._zip is None else ()
        for top in (top for top in tops if self._root / top not in avoid):
            entries, left_out = scan.walk(self._root, IMAGE_EXTENSIONS, avoid, base=top)
            self.left_out += left_out
            for entry in entries:
                self.items.append(_item(entry.directory, entry.filename, entry.file_size, entry.mtime_ns))
        for info in self._zip.infolist() if self._zip else ():
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
            self.items.append(_item(directory, filename, info.file_size, int(_modified(info).timestamp() * 1e9)))

    @contextmanager
    def as_file(self, item: SourceImage) -> Iterator[Path]:
        """The item as a file while the context lasts: of a zip a temporary one. ImageError when it cannot be read."""
        if self._zip is None:
            yield self._root / item.directory / item.filename
            return
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
        """Nothing more is read."""
        if self._zip is not None:
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


def _item(directory: str, filename: str, size: int, mtime_ns: int) -> SourceImage:
    said = parse_name(filename)
    return SourceImage(directory, filename, size, mtime_ns, said.stage, said.taken_at)


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


def pair(originals: ImageSource, finals: ImageSource) -> tuple[list[ImagePair], list[tuple[SourceImage, str]], int]:
    """Pair every final image with its original, by name and, where that is not enough, by content.

    An image is a pick only when no other of its group is among the final ones.

    Returns:
        the pairs by folder and name of the final image, at most one of each group; the other final images, each with
        its reason; how many groups have no final image.
    """
    groups, _ = group_by_stage(originals.items)
    group_of = {item: group for group in groups for item in group}
    by_name: dict[str, list[SourceImage]] = defaultdict(list)
    by_size: dict[int, list[SourceImage]] = defaultdict(list)
    for item in originals.items:
        by_name[item.filename].append(item)
        by_size[item.file_size].append(item)
    content = cache(content_of)  # asked for only where names are not enough, since that reads whole files
    by_original: dict[SourceImage, list[SourceImage]] = defaultdict(list)
    unpaired: list[tuple[SourceImage, str]] = []
    for final in sorted(finals.items, key=lambda item: item.path):
        named = by_name.get(final.filename, [])
        found = named
        if len(named) != 1:
            alike = [one for one in named or by_size.get(final.file_size, []) if one.file_size == final.file_size]
            found = [one for one in alike if (own := content(finals, final)) and own == content(originals, one)]
        if len(found) == 1:
            by_original[found[0]].append(final)
        else:
            unpaired.append((final, SEVERAL_ORIGINALS if named or found else NO_ORIGINAL))

    by_group: dict[tuple[SourceImage, ...], list[ImagePair]] = defaultdict(list)
    for original, several in by_original.items():
        contents = {content(finals, final) for final in several} if len(several) > 1 else {""}
        if len(contents) > 1 or None in contents:  # an unreadable file equals no other
            unpaired += [(final, TWICE) for final in several]
        else:
            unpaired += [(final, AGAIN) for final in several[1:]]
            group = group_of.get(original, ())
            by_group[group or (original,)].append(ImagePair(several[0], original, group))
    unpaired += [(each.final, SEVERAL_FINALS) for pairs in by_group.values() if len(pairs) > 1 for each in pairs]
    return (
        sorted((pairs[0] for pairs in by_group.values() if len(pairs) == 1), key=lambda each: each.final.path),
        sorted(unpaired, key=lambda each: each[0].path),
        len(groups) - len({group_of[original] for original in by_original if original in group_of}),
    )


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
    contents: Mapping[str, str]  # name -> SHA-256 of every image of the original's group, as far as they can be read
    problem: str = ""  # why one of the two cannot be read; the other fields are then unknown
    change: Literal["same", "smaller", "larger"] | None = None  # "same" size, "smaller" (cropped), "larger" in a side
    size: tuple[int, int] | None = None  # (width, height) in pixels of the upright original
    match: Match | None = None  # the result of template matching, for a smaller image that was searched


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
        known = {item.filename: sha256 for item in pair.group if (sha256 := content_of(originals, item)) is not None}
        try:
            with originals.as_file(pair.original) as original, finals.as_file(pair.final) as final:
                size, final_size = _size_of(original), _size_of(final)
                if size == final_size:
                    return ComparedPair(pair, known, change="same", size=size)
                if final_size[0] > size[0] or final_size[1] > size[1]:
                    return ComparedPair(pair, known, change="larger", size=size)
                name = pair.original.filename
                match = None if name in boxed else match_files(original, final, project_id, name)
                return ComparedPair(pair, known, change="smaller", size=size, match=match)
        except ImageError as error:
            return ComparedPair(pair, known, error.reason)
        except OSError as error:
            return ComparedPair(pair, known, error.strerror or str(error))

    # NumPy and Pillow free the interpreter lock; each pair at work holds some 150 MB at 3,000 x 3,000 pixels
    with ThreadPoolExecutor(min(os.cpu_count() or 2, 8)) as pool:
        for done, found in enumerate(pool.map(compare, pairs), start=1):
            yield found
            if progress:
                progress(done, len(pairs))


def match_files(original: Path, final: Path, project_id: str, filename: str) -> Match:
    """Find a cropped file in its original by template matching, and check the box by cropping again.

    Raises:
        ImageError: the pixels of one of them cannot be read.
    """
    whole, part = (np.asarray(decode.read_rgb(path).convert("L")) for path in (original, final))  # (H, W) uint8
    found = find_crop(whole, part)
    box, difference, reason = None, found.difference, found.reason
    if found.pixels is not None:
        size = whole.shape[1], whole.shape[0]
        box = from_pixels(found.pixels, *size)
        x1, y1, x2, y2 = to_pixels(box, *size)
        again = whole[y1:y2, x1:x2]
        difference = float(np.abs(again.astype(np.int16) - part).mean()) if again.shape == part.shape else None
        if difference is None or difference > MAX_DIFFERENCE:
            box, reason = None, "the original cropped anew is not this picture"
    return Match(project_id, filename, box, found.score, found.runner_up, difference, reason, utc_now())


def _size_of(path: Path) -> tuple[int, int]:
    with decode.open_image(path) as image:
        return decode.upright_size(image)

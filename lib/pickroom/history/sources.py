"""Images in a folder or in a zip, read where they lie: listed first, opened one at a time, never changed."""

from __future__ import annotations

import shutil
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

from pickroom.core.errors import ImageError, UsageError
from pickroom.core.naming import IMAGE_EXTENSIONS, OWNED_FOLDERS, is_image_name, join, parse_name
from pickroom.core.records import Ungrouped
from pickroom.history.logged_paths import split_path
from pickroom.images import scan
from pickroom.storage import leftovers

_MOST_BYTES = 1 << 30  # of one image in a zip: more is no image, but a bomb
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
        """Folder and name, for the person."""
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
        raise UsageError("there is no such folder or zip", doing=doing, subject=path, hint="check its spelling")
    try:
        source = FolderSource(path.resolve(), avoid) if path.is_dir() else ZipSource(path)
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        what = f"neither a folder nor a zip that can be read ({error})"
        raise UsageError(what, doing=doing, subject=path) from None
    if not source.items and not source.left_out:
        raise UsageError("it holds no images", doing=doing, subject=path)
    return source


class ImageSource:
    """Where images lie.

    Attributes:
        name: of the folder or the zip, without its path.
        items: every image that can be opened; left_out: every other one, with its reason.
    """

    def __init__(self, path: Path) -> None:
        self.name, self._root = path.name, path
        self.items: list[SourceImage] = []
        self.left_out: list[Ungrouped] = []

    @contextmanager
    def as_file(self, item: SourceImage) -> Iterator[Path]:
        """The item as a file, for as long as the context lasts; raises ImageError when it cannot be had."""
        yield self._root / item.directory / item.filename

    def close(self) -> None:
        """Nothing more is read."""


class FolderSource(ImageSource):
    """The images under a folder, at any depth."""

    def __init__(self, root: Path, avoid: frozenset[Path]) -> None:
        super().__init__(root)
        # scan.walk passes over the folders that Pickroom owns; here they are as good as any other
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
        return datetime(*info.date_time, tzinfo=UTC)  # no zone is stored; see values.timestamp
    except ValueError:
        return datetime(1980, 1, 1, tzinfo=UTC)  # what zip writes where it knows no date


def _item(directory: str, filename: str, size: int, modified: datetime) -> SourceImage:
    said = parse_name(filename)
    moment = modified.replace(tzinfo=None).isoformat() + "Z"
    return SourceImage(directory, filename, size, moment, said.stage, said.taken_at)

"""Which files of a folder belong to which of its images, by the names that other programs give them. Pure.

FORMATS.md, Companions, has the table of rules and who writes such names.
"""

import re
from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from pickroom.core.naming import RAW_EXTENSIONS, extension_of, is_image_name, join, split, stem_of

T = TypeVar("T")
_DUPLICATE = re.compile(r"(?P<stem>.+)_\d{2,}(?P<extension>\.[^.]+)\.xmp", re.DOTALL | re.IGNORECASE)
_NUMBERED = re.compile(r"(?P<title>.+?)(?P<number>\(\d+\))?", re.DOTALL)
_SUPPLEMENT = "supplemental-metadata"  # Google Takeout, since 2024
_CUT = 44  # UTF-16 units: Takeout cuts the name before ".json" at 46, sometimes one or two units earlier
_EDITED = (
    *("edited", "bearbeitet", "modifié", "modificato", "editado", "editada", "bewerkt", "redigeret", "redigerad"),
    *("redigert", "muokattu", "edytowane", "upraveno", "編集済み", "已修改", "ha editado"),
)
_EDITION = re.compile(rf"(.+)-(?:{'|'.join(_EDITED)})(\(\d+\))?", re.DOTALL)
_COVER = re.compile(r"(.+\.[A-Z_]+)-01(\.MP)?\.COVER(?:~\d+)?(\(\d+\))?", re.DOTALL)
_APPLE = re.compile(r"(.*IMG_)(E?)(\d{4}.*)", re.DOTALL)
# extensions besides those of images that Takeout numbers
_MEDIA = frozenset(("3gp", "avi", "dng", "gif", "m4v", "mkv", "mov", "mp", "mp4", "mpg", "mts", "svg", "webm"))
_MOST_STEPS = 4  # IMG_1.MOV.json is about IMG_1.MOV, which belongs to IMG_1.HEIC


class Companions:
    """The images of one folder, and the companions of each.

    Args:
        names: every file name in the folder, images and others.

    Attributes:
        images: their names. A RAW file is one where no rule gives it to another image.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._names = frozenset(names)
        self._assign(frozenset(name for name in self._names if is_image_name(name)))
        if alone := {name for name in self._unowned if is_image_name(name, RAW_EXTENSIONS)}:
            self._assign(self.images | alone)

    def _assign(self, images: frozenset[str]) -> None:
        self.images = images
        self._stems: dict[str, list[str]] = defaultdict(list)
        for image in sorted(self.images):
            self._stems[stem_of(image)].append(image)
        self._others: dict[str, list[str]] = {}  # stems whose files belong to this image where no image has that stem
        for image in sorted(self.images, key=lambda name: ("IMG_E" in name, name)):  # the original before its edition
            for stem in _other_stems(stem_of(image)):
                self._others.setdefault(stem, [image])
        # number -> (name without it, name), sorted; only made where names were cut
        self._numbered: dict[str, list[tuple[str, str]]] = defaultdict(list)
        self._owned: dict[str, list[str]] = defaultdict(list)
        self._unowned: list[str] = []
        for name in sorted(self._names - self.images):
            owners = self._owners(name) if self.images else []
            for image in owners:
                self._owned[image].append(name)
            if not owners:
                self._unowned.append(name)

    def of(self, image: str) -> tuple[str, ...]:
        """The names of an image's companions, sorted; images of one stem share the files that name none."""
        return tuple(self._owned.get(image, ()))

    def shares_stem(self, image: str) -> bool:
        """Whether another image has the stem of this one: their companions cannot be told apart."""
        return len(self._stems[stem_of(image)]) > 1

    @property
    def all(self) -> set[str]:
        """Every companion of any image."""
        return set().union(*self._owned.values())

    def left_beside(self, image: str) -> tuple[str, ...]:
        """Files whose name begins with an image's stem, and that no rule gives to any image: they stay when it goes.

        `IMG_1` does not begin `IMG_12.mov`, nor `cat` `catalogue.txt`.
        """
        stem = stem_of(image)
        found = []
        for name in _beginning_with(stem, self._unowned):
            around = name[len(stem) - 1 : len(stem) + 1]
            if not around.isalpha() and not around.isdigit():
                found.append(name)
        return tuple(found)

    def _owners(self, name: str) -> list[str]:
        stem = stem_of(name)
        if stem in self._stems and stem not in self._names and name[0] != ".":  # nearly all
            return self._stems[stem]
        for _ in range(_MOST_STEPS):
            found = self._about(name)
            if len(found) != 1 or found[0] in self.images:
                return found
            name = found[0]
        return []

    def _about(self, name: str) -> list[str]:
        """What a file belongs to: another file, an image of its stem, the images that share a stem, or nothing."""
        direct = stem_of(name)
        if name.startswith("._"):  # macOS stores there the metadata that a disk cannot hold (AppleDouble)
            return [name[2:]] if name[2:] in self._names else []
        if direct == name or direct in self._names or direct in self._stems:
            return self._by_prefix(name)
        file, colon, _ = name.partition(":")  # IMG.jpg:Zone.Identifier, a stream of Windows
        if colon and file in self._names:
            return [file]
        duplicate = _DUPLICATE.fullmatch(name)
        if duplicate and (edited := duplicate["stem"] + duplicate["extension"]) in self._names:
            return [edited]
        if extension_of(name) == "json" and (found := self._takeout(direct)) is not None:
            return found
        # the video of a Live Photo, as Image Capture writes it
        return self._by_prefix(name) or self._by_prefix(name.replace("_HEVC.", "."))

    def _by_prefix(self, name: str) -> list[str]:
        """The longest known name or stem that ends before a dot of a file's name, or at its end.

        The longest: `stage1.5_x.yaml` belongs to `stage1.5_x.png`, not to `stage1.png` (docs/decisions/005).
        """
        prefix = name
        while prefix:
            another = prefix != name and prefix in self._names
            if another and prefix in self.images:
                return [prefix]
            for stems in (self._stems, self._others):
                if prefix in stems and (prefix != name or extension_of(name)):  # PXL_1.MP is the video of PXL_1.MP.jpg
                    return stems[prefix]
            if another:
                return [prefix]
            prefix = prefix.rpartition(".")[0]
        return []

    def _takeout(self, body: str) -> list[str] | None:
        """The file that a JSON file of Google Takeout describes; None where its name is not of that kind.

        Args:
            body: its name without `.json`: the image's title, perhaps `.supplemental-metadata`, both cut at 46 units,
                and the number that the image has before its extension.
        """
        match = _NUMBERED.fullmatch(body)
        assert match is not None
        title, number = match["title"], match["number"] or ""
        before, dot, after = title.rpartition(".")
        titles = [title, before] if dot and _SUPPLEMENT.startswith(after) else [title]
        for one in titles:
            if (named := f"{stem_of(one)}{number}.{one.rpartition('.')[2]}") in self._names:
                return [named]
            for stems in (self._stems, self._others) if number else ():
                if stem_of(one) != one and stem_of(one) + number in stems:
                    return stems[stem_of(one) + number]
        if _units(title) >= _CUT:
            for one in titles:
                if found := self._cut(one, number):
                    return found
        counted = any(is_image_name(one) or extension_of(one) in _MEDIA for one in titles)
        return [] if number and counted else None

    def _cut(self, title: str, number: str) -> list[str]:
        """The file whose name begins with a JSON file's title, also where the title itself was cut."""
        if not self._numbered:
            for name in sorted(self._names):
                stem = stem_of(name)
                match = _NUMBERED.fullmatch(stem)
                if match and extension_of(name) != "json":
                    insort(self._numbered[match["number"] or ""], (match["title"] + name[len(stem) :], name))
        found = [name for _, name in _beginning_with(title, self._numbered.get(number, []), key=lambda pair: pair[0])]
        while not found and _units(title := title[:-1]) >= _CUT:
            found = self._stems.get(title + number, [])
        return found[:1] if len({stem_of(name) for name in found}) == 1 else []


def negatives_of_images(paths: Iterable[str]) -> set[str]:
    """The RAW files that belong to another image of their folder, of images and RAW files as `naming.join` writes them.

    Only folders that hold RAW files are looked at: there may be hundreds of thousands of paths.
    """
    paths = tuple(paths)
    folders: dict[str, list[str]] = {split(path)[0]: [] for path in paths if extension_of(path) in RAW_EXTENSIONS}
    for folder, name in map(split, paths if folders else ()):
        if folder in folders:
            folders[folder].append(name)
    return {join(folder, name) for folder, names in folders.items() for name in Companions(names).all}


def renamed(companion: str, image: str, new: str) -> str:
    """The new name of a companion when its image is renamed, so that it stays a companion.

    >>> renamed("a.hands.json", "a.png", "b.png"), renamed("a.jpg(1).json", "a(1).jpg", "c_a(1).jpg")
    ('b.hands.json', 'c_a.jpg(1).json')
    """
    if companion.startswith("._"):
        return "._" + new
    if new.endswith(image):
        return new[: len(new) - len(image)] + companion
    stem, new_stem = stem_of(image), stem_of(new)
    return new_stem + companion[len(stem) :] if companion.startswith(stem) else f"{new_stem}.{companion}"


def _other_stems(stem: str) -> Iterator[str]:
    """Stems of files that belong to an image of this stem, where no image has them."""
    if "COVER" in stem and (cover := _COVER.fullmatch(stem)):  # Pixel: RAW, portraits, long exposures
        kind, motion, number = cover[1], cover[2] or "", cover[3] or ""
        yield from (f"{kind}-02.ORIGINAL{number}", f"{kind}-01{number}", f"{kind}-01{motion}{number}")
    if "-" in stem and (edition := _EDITION.fullmatch(stem)):  # Google: one JSON file for both
        yield edition[1] + (edition[2] or "")
    if "IMG_" in stem and (apple := _APPLE.fullmatch(stem)):  # iPhone: edition, original
        yield from (f"{apple[1]}{kind}{apple[3]}" for kind in ("", "O", "E") if kind != apple[2])


def _beginning_with(start: str, names: Sequence[T], key: Callable[[T], str] = str) -> Iterator[T]:
    """Those of sorted names that begin so."""
    at = bisect_left(names, start, key=key)
    while at < len(names) and key(names[at]).startswith(start):
        yield names[at]
        at += 1


def _units(text: str) -> int:
    return len(text.encode("utf-16-le", "surrogatepass")) // 2

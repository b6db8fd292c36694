"""What an XMP sidecar next to an image must say of it: planned for `export --xmp`, and for a project rated in place.

In such a project (`Manifest.in_place`) no image moves: a verdict, a label, flags and a crop go into the sidecar, as
steps of the journal.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from pickroom.core.naming import RAW_EXTENSIONS, extension_of, join, split, stem_of
from pickroom.core.records import CropBox, FileOp
from pickroom.files import routing, xmp
from pickroom.files.preflight import DiskSnapshot, HeldError
from pickroom.files.routing import Verdict
from pickroom.images import decode

Naming = Literal["stem", "full"]  # name.xmp, or name.ext.xmp: docs/decisions/105 says who reads which

# What each verdict is shown as: stars, label, and whether it is flagged as a pick (False: as a reject; None: not at
# all). The label tells -1 to programs whose stars stop at 1 and that know no flag.
RATINGS: Mapping[Verdict, tuple[int, str | None, bool | None]] = {
    "picked": (5, "Green", True),
    "kept": (3, "Yellow", True),
    "passed over": (1, None, None),
    "rejected": (-1, "Red", False),
}
_LARGEST = 16 << 20  # bytes of a sidecar that is merged into; Camera Raw's with masks have a few


@dataclass(frozen=True, slots=True)
class Sidecar:
    """One sidecar to write, or the reason why it is held back.

    Attributes:
        path: of the sidecar, relative to the root.
        image: the name of the image it belongs to.
        before: what is there now, None for no file; after: what will be.
        changes: properties of ours that hold something else now, as "xmp:Rating 2 -> 5".
        rating_only: it is of a RAW file of the image's stem, whose frame and crop are not those of the image.
    """

    path: str
    image: str
    before: str | None = None
    after: str | None = None
    changes: tuple[str, ...] = ()
    held: str | None = None
    rating_only: bool = False

    @property
    def there(self) -> bool:
        """Whether the sidecar says all of it already."""
        return self.held is None and self.before == self.after


def rated(verdict: Verdict, stars: int | None = None) -> xmp.Properties:
    """The properties of a verdict; the user's stars, 1 to 5, are the rating in its place."""
    own, label, flag = RATINGS[verdict]
    return xmp.rating(stars or own, label, flag)


def cropped(path: Path, box: CropBox) -> xmp.Properties:
    """The properties of a crop of an image, a fraction of the EXIF-upright one; raises ImageError."""
    with decode.open_image(path) as image:
        orientation = decode.orientation(image)
        width, height = decode.upright_size(image)
    return xmp.crop(box, xmp.StoredFrame(width, height, orientation if 1 <= orientation <= 8 else 1))


def plan(
    disk: DiskSnapshot, image: str, wanted: xmp.Properties, naming: Naming, other: xmp.Properties | None = None
) -> Sidecar:
    """Plan one sidecar. Changes nothing.

    Args:
        image: its path, relative to the root.
        other: a crop in the sidecar that says this was written for a box that is not the user's.
    """
    folder, filename = split(image)
    name = _name(filename, naming)
    path = disk.root / folder / name
    planned = Sidecar(join(folder, name), filename)
    try:
        if path.is_symlink() or (path.exists() and not path.is_file()):
            return replace(planned, held="it is a link or a folder")
        if path.exists() and path.stat().st_size > _LARGEST:
            return replace(planned, held=f"it has more than {_LARGEST >> 20} MiB")
        packet = path.read_bytes() if path.exists() else None
        if naming == "stem":
            # Adobe's programs take NAME.xmp for that of the RAW file: its frame and its crop are not the JPEG's
            own = disk.companions_in(folder).of(filename)
            raw = any(extension_of(one) in RAW_EXTENSIONS and stem_of(one) == stem_of(filename) for one in own)
            if raw or (packet is not None and xmp.names_another(packet, filename, disk.names(folder))):
                planned = replace(planned, rating_only=True)
                wanted, other = {key: value for key, value in wanted.items() if key[0] not in (xmp.CRS, xmp.TIFF)}, None
        if packet is not None and other and xmp.properties(packet, other) == other:
            wanted = {**wanted, **xmp.NO_CROP}
        if extension_of(filename) in RAW_EXTENSIONS:
            wanted = xmp.keep_frame(packet, wanted)
        merged = xmp.merge(packet, wanted)
    except (xmp.PacketError, OSError) as error:
        return replace(planned, held=getattr(error, "strerror", None) or str(error))
    had = xmp.properties(packet, wanted) if packet is not None else {}
    changes = tuple(f"{key[1]} {had[key]} -> {value}" for key, value in wanted.items() if had.get(key, value) != value)
    before = packet.decode() if packet is not None else None
    return replace(planned, before=before, after=merged.decode(), changes=changes)


def _name(filename: str, naming: Naming) -> str:
    return f"{stem_of(filename) if naming == 'stem' else filename}.xmp"


def step(
    disk: DiskSnapshot, directory: str, filename: str, wanted: xmp.Properties, naming: Naming, op: FileOp
) -> FileOp:
    """The step of the journal that makes the sidecar of an image say this.

    The sidecar that is there is taken, unless it is that of a RAW file; else a new one is named by `naming`. One that
    says it all already has a step, too, which changes nothing: a batch without steps could not be undone. The step has
    the batch, kind and unit of `op`. Raises HeldError where the sidecar cannot be changed, OSError where the folder
    cannot be listed.
    """
    ways: tuple[Naming, ...] = ("stem", "full") if naming == "stem" else ("full", "stem")
    there = [way for way in ways if _name(filename, way) in disk.names(directory)]
    for way in (*there, naming):
        sidecar = plan(disk, join(directory, filename), wanted, way)
        if not sidecar.rating_only:
            break
    if sidecar.after is None:
        raise HeldError(f"{sidecar.path}: {sidecar.held}")
    kind: Literal["write", "replace"] = "write" if sidecar.before is None else "replace"
    op = replace(op, op=kind, source=None, destination=sidecar.path, sha256=routing.digest(sidecar.after))
    return replace(op, content=sidecar.after, content_before=sidecar.before)

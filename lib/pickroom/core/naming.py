"""Names of files and projects: timestamp, stage, extensions, ids. Pure."""

import hashlib
import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

EARLIER_EXTENSIONS = ("png", "jpg", "jpeg", "webp", "tif", "tiff", "bmp", "heic", "heif")  # those of version 0.1
IMAGE_EXTENSIONS = (*EARLIER_EXTENSIONS, "avif", "jfif", "jpe", "hif")

# Digital negatives, as cameras write them: images where they belong to no other image (core/companions.py).
RAW_EXTENSIONS = (
    *("3fr", "arw", "bay", "cap", "cr2", "cr3", "crw", "dcr", "dng", "erf", "fff", "gpr", "iiq", "k25", "kdc", "mef"),
    *("mos", "mrw", "nef", "nrw", "orf", "ori", "pef", "ptx", "raf", "raw", "rw2", "rwl", "sr2", "srf", "srw", "x3f"),
)

ALL_EXTENSIONS = (*IMAGE_EXTENSIONS, *RAW_EXTENSIONS)

# Folders inside a project's root that Pickroom owns: never scanned as sources (FORMATS.md, Folders).
SELECTED = "selected"
CROP = "crop"
CROP_AUTO = "crop_auto"
CROPPED = "crop_cropped"
CROP_ORIGINALS = "crop_originals"
STAGING = "delete_staging"
OWNED_FOLDERS = (SELECTED, CROP, CROP_AUTO, CROPPED, CROP_ORIGINALS, STAGING)
WAITING_FOLDERS = (CROP, CROP_AUTO)  # for a crop

PROJECT_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
# a prefix is allowed, since `start --rename-duplicates` puts the folder's name in front; DuckDB gets the same pattern
STAGED = re.compile(r"(?:.*_)?(?P<stamp>\d{8}_\d{6})(?:_stage(?P<stage>1\.5|1|2|3)(?:_.*)?|_.*)?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class ParsedName:
    """The timestamp and stage in a file name; None where the name has none (never 0)."""

    taken_at: datetime | None
    stage: float | None


def parse_name(filename: str) -> ParsedName:
    """Read timestamp and stage from `YYYYMMDD_HHMMSS_stage<token>_<word>.<ext>` (FORMATS.md, File names).

    >>> parse_name("20250728_040606_stage1.5_face_swapped.png").stage
    1.5
    >>> parse_name("holiday.jpg")
    ParsedName(taken_at=None, stage=None)
    """
    match = STAGED.fullmatch(stem_of(filename))
    taken_at = None
    with suppress(ValueError):  # eight digits that are not a date
        taken_at = datetime.strptime(match["stamp"], "%Y%m%d_%H%M%S") if match else None
    return ParsedName(taken_at, stage_of(filename))


def stage_of(filename: str) -> float | None:
    """The stage as `parse_name` reads it, without parsing the date: for hundreds of thousands of names."""
    match = STAGED.fullmatch(stem_of(filename))
    return float(match["stage"]) if match is not None and match["stage"] else None


def stem_of(filename: str) -> str:
    """The name without its last extension; a dot inside the stem (`stage1.5`) stays."""
    stem, dot, _ = filename.rpartition(".")
    return stem if dot and stem else filename


def extension_of(filename: str) -> str:
    """The last extension in lower case without its dot, "" when there is none."""
    stem, dot, extension = filename.rpartition(".")
    return extension.lower() if dot and stem else ""


def is_image_name(filename: str, extensions: Iterable[str] = IMAGE_EXTENSIONS) -> bool:
    """Whether a file has the extension of an image, in upper or lower case; False for a hidden file."""
    return extension_of(filename) in extensions and not filename.startswith(".")


def is_text(value: str) -> bool:
    """Whether a string is valid Unicode, which a database can hold: JSON can have half of a surrogate pair.

    >>> is_text("a.png"), is_text(chr(0xD800))
    (True, False)
    """
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def as_text(name: str) -> str:
    r"""A file name of the system as text that a database can hold: bytes that are not UTF-8 are shown as `\xff`."""
    return name.encode(errors="surrogateescape").decode(errors="backslashreplace")


def is_file_name(name: object) -> bool:
    r"""Whether a file can have this name: a backslash, a line break or a blank is a character like any other.

    >>> is_file_name("a\b.png"), is_file_name("a/b.png"), is_file_name("..")
    (True, False, False)
    """
    return isinstance(name, str) and name not in ("", ".", "..") and not {"/", "\0"} & set(name) and is_text(name)


def stays_inside(path: str) -> bool:
    """Whether a POSIX path from a table or a file, relative to a project's root, cannot lead out of it by itself.

    >>> stays_inside("selected/a.png"), stays_inside("../a.png"), stays_inside("/etc/passwd"), stays_inside("a//b")
    (True, False, False, False)
    """
    return "\0" not in path and not {"", ".", ".."} & set(path.split("/"))


def join(directory: str, filename: str) -> str:
    """The path of a file relative to a project's root, as tables and the journal hold it; "" is the root itself.

    >>> join("anna", "a.png"), join("", "a.png")
    ('anna/a.png', 'a.png')
    """
    return f"{directory}/{filename}" if directory else filename


def split(path: str) -> tuple[str, str]:
    """(folder, file name) of a path as `join` makes it.

    >>> split("anna/selected/a.png"), split("a.png")
    (('anna/selected', 'a.png'), ('', 'a.png'))
    """
    directory, _, filename = path.rpartition("/")
    return directory, filename


def folder_of(path: str) -> str:
    """The folder of a path as `join` makes it, "" for the root."""
    return split(path)[0]


def filename_of(path: str) -> str:
    """The file name at the end of a path as `join` makes it."""
    return split(path)[1]


def source_folder(directory: str) -> str:
    """The sources' folder that a folder of Pickroom's mirrors, "" for none; any other folder as it is.

    >>> source_folder("selected/DCIM/100"), source_folder("crop"), source_folder("DCIM/100")
    ('DCIM/100', '', 'DCIM/100')
    """
    top, _, below = directory.partition("/")
    return below if top in OWNED_FOLDERS else directory


def mirrored(folder: str, directory: str) -> str:
    """The folder below one of Pickroom's for images of `directory`, as a mirrored project has it (FORMATS.md, Folders).

    >>> mirrored("selected", "DCIM/100"), mirrored("delete_staging", "selected/DCIM/100"), mirrored("crop", "")
    ('selected/DCIM/100', 'delete_staging/DCIM/100', 'crop')
    """
    below = source_folder(directory)
    return f"{folder}/{below}" if below else folder


def folder_meant(logged: str | None, folders: Iterable[str]) -> str | None:
    """The one of some folders that a path of another program ends in, or is the end of; None for none or several.

    >>> folder_meant("/Volumes/card/DCIM/100", ["DCIM/100", "DCIM/101"]), folder_meant("old", ["DCIM/100"])
    ('DCIM/100', None)
    """
    path = f"/{(logged or '').strip('/')}"
    found = [own for own in folders if own and path != "/" and (path.endswith(f"/{own}") or f"/{own}".endswith(path))]
    return found[0] if len(found) == 1 else None


def sidecar_name(filename: str) -> str:
    """The name of the sidecar that waits next to an image: `<stem>.decision`."""
    return f"{stem_of(filename)}.decision"


def marked_name(filename: str, mark: str, limit: int) -> str:
    """A name that Pickroom gives to an image it moves: `<stem>.<mark>.<ext>`.

    Where that has more than `limit` bytes, the stem is cut, and a hash of the whole name keeps it unique.

    >>> marked_name("a.png", "undone-2", 255), marked_name("a" * 251 + ".png", "undone-2", 30)
    ('a.undone-2.png', 'aaaaaaaa.e685282b.undone-2.png')
    """
    stem, whole = (name.encode(errors="surrogateescape") for name in (stem_of(filename), filename))
    end = f".{mark}.{extension_of(filename)}"
    if len(stem) + len(end) > limit:
        end = f".{hashlib.sha256(whole).hexdigest()[:8]}{end}"
        stem = stem[: limit - len(end)].decode(errors="ignore").encode()  # never through the middle of a letter
    return stem.decode(errors="surrogateescape") + end


_SECOND = "%Y%m%dT%H%M%SZ"


def group_id(project_id: str, made_at: datetime, place: int) -> tuple[str, int]:
    """The id of the `place`-th group (0-based, scan order) made at one UTC second, and its batch number.

    >>> group_id("mojo1", datetime(2025, 8, 3, 6, 54, 6), 100)
    ('mojo1_group_20250803T065406Z_batch002_img001', 2)
    """
    batch, within = place // 100 + 1, place % 100 + 1
    return f"{project_id}_group_{made_at:{_SECOND}}_batch{batch:03d}_img{within:03d}", batch


def sampling_key(group_id: str, seed: str) -> bytes:
    """A group's key for random draws: it never changes, and does not depend on other groups."""
    return hashlib.sha256(f"{seed}\n{group_id}".encode()).digest()


def second_after(text: str) -> datetime:
    """The UTC second after one as group ids write it."""
    return datetime.strptime(text, _SECOND).replace(tzinfo=UTC) + timedelta(seconds=1)


def is_project_id(text: str) -> bool:
    """Whether the text may name a project: the pattern of FORMATS.md, and no `_legacy` at its end."""
    return PROJECT_ID.fullmatch(text) is not None and not text.endswith("_legacy")

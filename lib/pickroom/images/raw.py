"""RAW files as images: the picture is the embedded preview, the frame that of the sensor's image. Needs LibRaw (rawpy).

Metadata is read from the file itself: most RAW files are TIFF structures (TIFF 6.0, section 2), some with a mark of
their own; Canon's CR3 has boxes (ISO/IEC 14496-12) with a TIFF structure in each of CMT1 and CMT2; of Fujifilm's RAF,
and of all others, the preview's EXIF counts. Which mirrored and turned frame LibRaw's `flip` means is in its tiff.cpp.
"""

import io
import math
import struct
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from PIL import Image as PillowImage
from PIL import ImageFile
from PIL.ExifTags import IFD, Base
from PIL.TiffImagePlugin import ImageFileDirectory_v2
from threadpoolctl import threadpool_limits

from pickroom.core.errors import ImageError, MissingExtraError, require_extra
from pickroom.core.geometry import SIDEWAYS
from pickroom.core.naming import RAW_EXTENSIONS, extension_of

FORMAT = "RAW"
_DOING = "reading a RAW file"
NOT_READ = "a RAW file that belongs to no image is not read without rawpy: pip install 'pickroom[raw]'"
_ORIENTATION, _SUB_DIRECTORIES, _XMP = 0x0112, 0x014A, 700  # TIFF 6.0; TIFF/EP; XMP specification, part 3
# of a picture in a TIFF structure: offsets, and how many bytes lie there (strips, tiles, JPEG)
_EXTENTS = ((273, 279), (324, 325), (513, 514))
_NO_OFFSET = 0xFFFFFFFF  # Panasonic's RW2
_MOST_DIRECTORIES = 50
_NO_YEAR = 1970  # of a time that LibRaw has not found
# LibRaw's flip -> EXIF orientation
_ORIENTATIONS = {0: 1, 1: 2, 2: 4, 3: 3, 4: 5, 5: 8, 6: 6, 7: 7}
# EXIF orientation -> what makes the picture upright (Exif 2.32, table 4)
TURNS = {
    2: PillowImage.Transpose.FLIP_LEFT_RIGHT,
    3: PillowImage.Transpose.ROTATE_180,
    4: PillowImage.Transpose.FLIP_TOP_BOTTOM,
    5: PillowImage.Transpose.TRANSPOSE,
    6: PillowImage.Transpose.ROTATE_270,
    7: PillowImage.Transpose.TRANSVERSE,
    8: PillowImage.Transpose.ROTATE_90,
}
# the first four bytes of TIFF structures, the usual ones and those of Olympus and Panasonic -> the usual ones
_MARKS = {
    **{mark: mark for mark in (b"II*\0", b"MM\0*")},
    **dict.fromkeys((b"IIRO", b"IIRS", b"IIU\0"), b"II*\0"),
    b"MMOR": b"MM\0*",
}
_RAF = b"FUJIFILMCCD-RAW"
_CANON = bytes.fromhex("85c0b687820f11e08111f4ce462b6a48")  # the id of CR3's uuid box
_ENOUGH = 1024  # pixels of a preview's long side; a smaller one is taken where the sensor has no more than twice that
_OTHER_SHAPE = 0.03  # a preview whose aspect ratio differs more from the sensor's shows another frame (bars, 16:9)


def can_read(filename: str) -> bool:
    """Whether a file of this name can be read: any but a RAW file, and RAW files with the extra `raw`."""
    with suppress(MissingExtraError):
        return extension_of(filename) not in RAW_EXTENSIONS or bool(require_extra("raw", _DOING))
    return False


def open_raw(path: Path) -> "RawFile | None":
    """Open a RAW file; None where LibRaw says that it is none. The caller closes it.

    Raises ImageError where the extra is not installed, or the file is truncated or cannot be read.
    """
    try:
        rawpy = require_extra("raw", _DOING)
    except MissingExtraError:
        raise ImageError(path, NOT_READ, by_content=False) from None
    try:
        return RawFile(path, rawpy)
    except rawpy.LibRawFileUnsupportedError:
        return None
    except rawpy.LibRawIOError as error:
        raise ImageError(path, "truncated") from error
    except rawpy.LibRawError as error:
        raise ImageError(path, f"unreadable: {_words(error)}") from error


class RawFile(ImageFile.ImageFile):
    """An opened RAW file, as Pillow opens other images.

    `size` is that of the sensor's image as cameras and Camera Raw crop it, upright; once loaded, that of the picture:
    the upright preview, or half-size development where the file has no preview that shows the frame.
    """

    format = FORMAT
    format_description = "Camera RAW"

    def __init__(self, path: Path, rawpy: Any) -> None:
        self._path, self._rawpy = path, rawpy
        self._preview: PillowImage.Image | None = None
        self._turn = 1
        self._wanted: tuple[int, int] | None = None
        self._loaded = False
        super().__init__(path)

    def _open(self) -> None:
        assert self.fp is not None
        cut_off = _is_cut_off(self.fp, self.fp.seek(0, io.SEEK_END))
        # directories of old cameras may be wrong: there LibRaw tells, which writes to the terminal when it meets an end
        trusted = extension_of(self._path.name) == "dng" or _head(self.fp) is None
        if cut_off and trusted:
            raise ImageError(self._path, "truncated")
        with self._rawpy.imread(str(self._path)) as raw:
            if cut_off:
                raw.unpack()
            sizes = raw.sizes
            self._box = _frame(sizes)
            self.orientation = _ORIENTATIONS.get(sizes.flip, 1)
            width, height = self._box[2] - self._box[0], self._box[3] - self._box[1]
            self._mode, self._size = "RGB", (height, width) if self.orientation in SIDEWAYS else (width, height)
            try:
                preview = _picture(raw.extract_thumb())
            except (self._rawpy.LibRawNoThumbnailError, self._rawpy.LibRawUnsupportedThumbnailError):
                preview = None
            self._exif_read = read_exif(self.fp, preview)
            sub = self._exif_read.get_ifd(IFD.Exif)
            if Base.DateTimeOriginal not in sub:  # last: LibRaw decodes the sensor's data for it
                with suppress(self._rawpy.LibRawError):
                    taken = raw.other.timestamp
                    if taken is not None and taken.year > _NO_YEAR:
                        sub[Base.DateTimeOriginal] = f"{taken:%Y:%m:%d %H:%M:%S}"
        self._exif_read[_ORIENTATION] = self.orientation
        xmp = self._exif_read.get(_XMP)
        if isinstance(xmp, bytes):
            self.info["xmp"] = xmp
        if preview is not None and self._shows_frame(preview):
            self._preview = preview
            if "icc_profile" in preview.info:
                self.info["icc_profile"] = preview.info["icc_profile"]

    def _shows_frame(self, preview: PillowImage.Image) -> bool:
        """Whether a preview shows the sensor's image, large enough; sets how it is turned.

        Its own EXIF counts, else the RAW file's; where that does not give the frame's shape, the preview is upright.
        """
        if max(preview.size) < min(_ENOUGH, max(self.size) // 2):
            return False
        own = preview.getexif().get(_ORIENTATION)
        for turn in (own if own in TURNS or own == 1 else self.orientation, self.orientation, 1):
            wide, high = preview.size[::-1] if turn in SIDEWAYS else preview.size
            if abs(math.log(wide / high * self.size[1] / self.size[0])) < _OTHER_SHAPE:
                self._turn = turn
                return True
        return False

    def getexif(self) -> PillowImage.Exif:
        return self._exif_read

    def draft(self, mode: str | None, size: tuple[int, int] | None) -> None:
        """Decode the preview at the smallest scale of at least so many pixels, where it is a JPEG."""
        self._wanted = size

    def load(self) -> Any:
        """Decode the picture; raises almost anything on damaged data, as Pillow's own."""
        if not self._loaded:
            if self._preview is None:
                picture = self._develop()
            else:
                picture, size = self._preview, self._wanted
                if size:
                    picture.draft("RGB", size[::-1] if self._turn in SIDEWAYS else size)
                picture = turned(picture.convert("RGB"), self._turn)
            self.im, self._size, self._preview, self._loaded = picture.im, picture.size, None, True
        return PillowImage.Image.load(self)

    def _develop(self) -> PillowImage.Image:
        try:
            # a scan reads several files at once: threads of OpenMP for each would only wait for each other
            with threadpool_limits(1, "openmp"), self._rawpy.imread(str(self._path)) as raw:
                pixels = raw.postprocess(half_size=True, use_camera_wb=True, user_flip=0)
                left, top, right, bottom = (round(edge / 2) for edge in self._box)
                picture = PillowImage.fromarray(pixels).crop((left, top, right, bottom))
        except self._rawpy.LibRawIOError as error:
            raise ValueError("truncated") from error
        return turned(picture, self.orientation)


def turned(picture: PillowImage.Image, orientation: int) -> PillowImage.Image:
    """A stored picture made upright, the picture itself where it is."""
    return picture.transpose(TURNS[orientation]) if orientation in TURNS else picture


def _words(error: Exception) -> str:
    text = error.args[0] if error.args else ""
    return (text.decode(errors="replace") if isinstance(text, bytes) else str(text)) or type(error).__name__


def _frame(sizes: Any) -> tuple[int, int, int, int]:
    """The frame of the picture, as a box of pixels in what LibRaw develops: the default crop where the file has one."""
    left, top = sizes.crop_left_margin - sizes.left_margin, sizes.crop_top_margin - sizes.top_margin
    right, bottom = left + sizes.crop_width, top + sizes.crop_height
    if 0 <= left < right <= sizes.width and 0 <= top < bottom <= sizes.height:
        return left, top, right, bottom
    return 0, 0, sizes.width, sizes.height


def _picture(thumbnail: Any) -> PillowImage.Image | None:
    data = thumbnail.data
    if not isinstance(data, bytes):
        return PillowImage.fromarray(data)
    with suppress(Exception):  # Pillow's parser raises almost anything on damaged headers; the sensor's data is left
        return PillowImage.open(io.BytesIO(data), formats=("JPEG",))
    return None


def read_exif(file: IO[bytes], preview: PillowImage.Image | None) -> PillowImage.Exif:
    """What the file says of itself; empty where that cannot be read."""
    with suppress(Exception):  # as `decode.exif_of`: damaged EXIF says nothing
        found = _tiff_metadata(file) or _canon_metadata(file)
        if found is None and preview is not None:
            found = dict(preview.getexif()), dict(preview.getexif().get_ifd(IFD.Exif))
        exif, (main, sub) = PillowImage.Exif(), found or ({}, {})
        exif.update({tag: value for tag, value in main.items() if tag not in (IFD.Exif, IFD.GPSInfo)})
        exif.get_ifd(IFD.Exif).update(sub)
        return exif
    return PillowImage.Exif()


_Metadata = tuple[Mapping[int, Any], Mapping[int, Any]]  # of the main directory, and of EXIF's own


def _tiff_metadata(file: IO[bytes]) -> _Metadata | None:
    head = _head(file)
    if head is None:
        return None
    main = _directory(file, *head)
    return dict(main), dict(_directory(file, head[0], main[IFD.Exif])) if IFD.Exif in main else {}


def _canon_metadata(file: IO[bytes]) -> _Metadata | None:
    found = {}
    for kind, start, end in _boxes(file, 0, file.seek(0, io.SEEK_END)):
        for inner, at, _ in _boxes(file, start, end) if kind == b"moov" else ():
            file.seek(at)
            if inner == b"uuid" and file.read(16) == _CANON:
                for name, first, last in _boxes(file, at + 16, end):
                    file.seek(first)
                    found[name] = file.read(last - first) if name in (b"CMT1", b"CMT2") else b""
    if b"CMT1" not in found:
        return None
    main, sub = (_tiff_metadata(io.BytesIO(found.get(name, b""))) for name in (b"CMT1", b"CMT2"))
    return (main or ({}, {}))[0], (sub or ({}, {}))[0]


def _head(file: IO[bytes]) -> tuple[bytes, int] | None:
    """(the eight bytes that a TIFF structure begins with, with the usual mark, and the offset of its first directory);
    None where it is none."""
    file.seek(0)
    head = file.read(8)
    if (mark := _MARKS.get(head[:4])) is None:
        return None
    return mark + head[4:], int.from_bytes(head[4:], "little" if mark.startswith(b"I") else "big")


def _directory(file: IO[bytes], head: bytes, offset: int) -> ImageFileDirectory_v2:
    found = ImageFileDirectory_v2(head)
    file.seek(offset)
    found.load(file)
    return found


def _boxes(file: IO[bytes], at: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """(kind, where its content begins, where it ends, perhaps behind `end`) of each box of a part of a file."""
    while at + 8 <= end:
        file.seek(at)
        size, kind = struct.unpack(">I4s", file.read(8))
        start = at + 8
        if size == 1:
            size, start = int.from_bytes(file.read(8)), at + 16
        if not kind.isalnum() or size < start - at:
            return
        yield kind, start, at + size
        at += size


def _is_cut_off(file: IO[bytes], size: int) -> bool:
    """Whether a file names something that lies behind its end: the preview alone does not tell."""
    with suppress(Exception):  # a damaged directory: what LibRaw could open is shown
        file.seek(0)
        start = file.read(128)
        if start.startswith(_RAF):  # the preview, the directory and the sensor's data
            places = struct.unpack_from(">6I", start, 84)
            return any(offset + length > size for offset, length in zip(places[::2], places[1::2], strict=True))
        if start[4:8] == b"ftyp":
            return any(end > size for _, _, end in _boxes(file, 0, size))
        return any(end > size for end in _ends(file))
    return False


def _ends(file: IO[bytes]) -> Iterator[int]:
    """Where each picture of a TIFF structure ends."""
    head = _head(file)
    if head is None:
        return
    waiting = [head[1]]
    for _ in range(_MOST_DIRECTORIES):
        if not waiting:
            return
        offset = waiting.pop()
        yield offset + 2
        directory = _directory(file, head[0], offset)
        inner = directory.get(_SUB_DIRECTORIES, ())
        waiting += [directory.next] if directory.next else []
        waiting += inner if isinstance(inner, tuple) else [inner]
        for offsets, counts in _EXTENTS:
            pairs = (directory.get(tag, ()) for tag in (offsets, counts))
            starts, lengths = (value if isinstance(value, tuple) else (value,) for value in pairs)
            yield from (a + b for a, b in zip(starts, lengths, strict=False) if a < _NO_OFFSET)

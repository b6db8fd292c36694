"""Crops every image file of folders, and compares each file with its crop: pixels, sizes, and all tags by exiftool.

The files are copied into a project of a temporary home and cropped as the crop desk does it. Without --files: the
photographs of the demo and of scikit-learn, of which at most 2 % may be refused.

A tag may change only where a crop makes it untrue (the tables below). Where exiftool is not installed, tags are not
compared, and the report says so.

    python benchmarks/crop_files.py [--quick] [--files DIR ...]
"""

from __future__ import annotations

import argparse
import io
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps
from PIL.TiffImagePlugin import TiffImageFile

from _measure import finish
from pickroom.core.errors import ImageError
from pickroom.core.geometry import to_pixels
from pickroom.core.naming import CROP_ORIGINALS, CROPPED, extension_of, is_image_name
from pickroom.core.records import CropBox
from pickroom.files.cropping import Order, submit
from pickroom.images import decode
from pickroom.indexing import projects
from pickroom.store.connect import connect
from pickroom.store.workspace import Workspace

BOX = CropBox(0.113, 0.05, 0.883, 0.764)
AT_ONCE = 50  # files copied, cropped and compared before the next ones
QUICK = 40
MOST_REFUSED = 0.02  # of photographs that can be read; folders given by --files may hold anything
LOSSLESS = ("PNG", "BMP", "TIFF")
ERROR = 5.0  # levels of 255: the mean difference of a WebP or HEIC file that is coded again, at the most
# Sizes: set to the crop's. Group 1 and name as exiftool says them, group 4 (the copy) left out.
WIDTHS = re.compile(
    r"(IFD0|ExifIFD|XMP-exif):ExifImageWidth|(IFD0|XMP-tiff|PNG|File|RIFF):ImageWidth|InteropIFD:RelatedImageWidth"
    r"|BMP:ImageWidth"
)
HEIGHTS = re.compile(WIDTHS.pattern.replace("Width", "Height") + r"|InteropIFD:RelatedImageHeight")
# Other tags that follow the crop, or go with what they describe
MAY_CHANGE = re.compile(
    "|".join(
        (
            r"File:(FileName|FileSize|CurrentIPTCDigest|RAFVersion)",
            r"File:(YCbCrSubSampling|EncodingProcess)",  # where Pillow cannot write the source's
            r"(IFD1|SubIFD\d*|IFD\d|PreviewIFD):.*",  # previews
            r"(IFD0):(StripOffsets|StripByteCounts|RowsPerStrip|Tile\w+|Compression|Predictor|PlanarConfiguration)",
            r"(IFD0):(FreeOffsets|FreeByteCounts|T4Options|T6Options|FillOrder|JPEGTables|SubfileType|Thumbnail\w+)",
            r"(IFD0):(YCbCr\w+|ReferenceBlackWhite|PhotometricInterpretation|SampleFormat|ExtraSamples|PageNumber)",
            r"Photoshop:(PhotoshopThumbnail|PhotoshopBGRThumbnail|SlicesGroupName|NumSlices|Path\w*|Guides?\w*|Layer\w+)",
            r"(MPF|MPImage)\d*:.*",
            r"JFIF:ThumbnailTIFF|JFIF:Thumbnail\w+|JFXX:.*",
            r"(ExifIFD|XMP-exif):Subject(Area|Location)",
            r"XMP-(mwg-rs|MP|acdsee-rs|iptcExt):Region\w*|XMP-iptcExt:ImageRegion\w*",
            r"XMP-(GPano|GDepth|GImage|GFocus|GContainer|Container|Device):.*|XMP-GCamera:(Mo|Mi)\w+",
            r"XMP-crs:(HasCrop|Crop\w+|\w*BasedCorr\w*|Retouch\w*|RedEye\w*|Upright\w*)|XMP-photomech:Crop\w*",
            r"XMP-xmp:(Thumbnail|PageInfo)\w*|XMP-xmpGImg:.*|XMP-xmpNote:HasExtendedXMP|XMP-MP1:PanoramicStitch\w*",
            r"\w+:(Preview|Thumbnail|JpgFromRaw|OtherImage)(Image)?(Start|Length|Offset)",
            r"PNG:(Animation\w+|Filter|Interlace|ImageOffset\w*|VirtualPage\w*|VirtualImage\w*|PaletteHistogram)",
            r"(RIFF|WebP|VP8\w*|File|Meta):(VP8Version|\w+Scale|WebP_Flags|ImageSpatialExtent|MediaDataOffset)",
            r"(QuickTime|Meta|File|HEIC|Item\w*|Track\d*):.*",  # the container of HEIC
            r"Adobe:ColorTransform",  # of CMYK, where Pillow cannot write the source's
            r"JUMBF:.*|C2PA:.*|CBOR:.*|JSON:.*",  # signatures of the picture before
        )
    )
)


@dataclass(slots=True)
class Report:
    """What was seen of all files."""

    files: int = 0
    cropped: int = 0
    unreadable: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    changed: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)

    @property
    def share_refused(self) -> float:
        readable = self.cropped + sum(self.refused.values())
        return sum(self.refused.values()) / readable if readable else 0.0


def find(folders: Sequence[Path]) -> list[Path]:
    """The files in these folders that are images by their names."""
    return sorted(
        path for folder in folders for path in folder.rglob("*") if is_image_name(path.name) and path.is_file()
    )


def samples() -> list[Path]:
    """Folders of photographs that come along: the demo's and scikit-learn's."""
    package = find_spec("sklearn")
    assert package is not None and package.origin is not None
    own = Path(__file__).parents[1] / "lib" / "pickroom" / "demo" / "photos"
    return [own, Path(package.origin).parent / "datasets" / "images"]


def crop_files(paths: Sequence[Path], home: Path) -> Report:
    """Crop copies of all files in a home, and compare them."""
    report = Report(files=len(paths))
    folder = home / "images"
    folder.mkdir(parents=True)
    Image.new("RGB", (8, 8)).save(folder / "source.png")  # a project needs one
    project, _ = projects.start(Workspace(home), "files", folder)
    connection = connect(project.database)
    for start in range(0, len(paths), AT_ONCE):
        chunk = {}
        for number, path in enumerate(paths[start : start + AT_ONCE], start):
            try:
                decode.open_image(path).close()
            except ImageError as error:
                report.unreadable[error.reason] += 1
                continue
            name = f"{number:06d}.{extension_of(path.name)}"
            (folder / "crop").mkdir(exist_ok=True)
            shutil.copyfile(path, folder / "crop" / name)
            chunk[name] = path
        result = submit(project, connection, [Order("crop", name, BOX) for name in chunk])
        for name, reason in {**result.refused, **result.stuck}.items():
            report.refused[reason] += 1
            if (folder / "crop" / name).read_bytes() != chunk[name].read_bytes():
                report.problems.append(f"{chunk[name]}: refused, but changed")
        report.cropped += len(result.done)
        done = {name: chunk[name] for name in result.done}
        for name, path in list(done.items()):
            report.problems += [f"{path}: {problem}" for problem in compare_pixels(path, folder / CROPPED / name)]
            if (folder / CROP_ORIGINALS / name).read_bytes() != path.read_bytes():
                report.problems.append(f"{path}: its original changed")
            if (folder / CROPPED / name).read_bytes() == path.read_bytes():  # so small that the box is the whole
                del done[name]
        for name, changed, problem in compare_tags(folder, sorted(done)):
            if changed:
                report.changed[changed] += 1
            if problem:
                report.problems.append(f"{done[name]}: {problem}")
        for place in (CROPPED, CROP_ORIGINALS, "crop"):
            shutil.rmtree(folder / place, ignore_errors=True)
    connection.close()
    return report


def compare_pixels(source: Path, crop: Path) -> Iterator[str]:
    """What is wrong with a crop's size and pixels, next to Pillow's crop of the decoded source."""
    with Image.open(io.BytesIO(source.read_bytes())) as opened:
        kind, tables = opened.format, getattr(opened, "quantization", {})
        lossless = kind in LOSSLESS or b"VP8L" in source.read_bytes()[:4096]
        upright = ImageOps.exif_transpose(opened)
    wanted = upright.crop(to_pixels(BOX, *upright.size))
    with Image.open(io.BytesIO(crop.read_bytes())) as opened:
        got = ImageOps.exif_transpose(opened)
    if got.size != wanted.size:
        yield f"the crop has {got.size}, not {wanted.size}"
    elif lossless and (got.mode != wanted.mode or got.tobytes() != wanted.tobytes()):
        yield f"the crop's pixels are not the source's ({kind}, {wanted.mode} and {got.mode})"
    elif not lossless:
        a, b = (np.asarray(decode.flatten(picture), dtype=np.float32) for picture in (got, wanted))
        error = _difference(a, b)
        # rounding moves a coefficient of JPEG's orthonormal transform by half its step at the most
        most = 1 + max(float(np.square(table).mean()) ** 0.5 / 2 for table in tables.values()) if tables else ERROR
        if error > most:
            yield f"the crop differs by {error:.1f} of 255 on average, more than {most:.1f} ({kind})"
        shifted = [_difference(a[1:], b[:-1]), _difference(a[:-1], b[1:])]
        shifted += [_difference(a[:, 1:], b[:, :-1]), _difference(a[:, :-1], b[:, 1:])]
        if error > min(shifted) + 0.1:
            yield f"the crop is shifted by a pixel: it differs by {error:.1f}, shifted by {min(shifted):.1f}"


def _difference(a: np.ndarray, b: np.ndarray) -> float:
    """Mean absolute difference of two (H, W, 3) arrays; of no pixels, more than any."""
    return float(np.abs(a - b).mean()) if a.size else 255.0


def compare_tags(folder: Path, names: Sequence[str]) -> Iterator[tuple[str, str, str]]:
    """(file, tag that changed, problem) of each difference; the tag or the problem may be ""."""
    if not names or shutil.which("exiftool") is None:
        return
    before, after = (_tags(folder / place, names) for place in (CROP_ORIGINALS, CROPPED))
    for name in names:
        with Image.open(folder / CROPPED / name) as crop:
            # Pillow turns a TIFF file's size upright, and its tags say the stored one
            size = (crop.tag_v2[256], crop.tag_v2[257]) if isinstance(crop, TiffImageFile) else crop.size
        old, new = before[name], after[name]
        for tag in sorted(old.keys() | new.keys()):
            sides = [side for pattern, side in zip((WIDTHS, HEIGHTS), size, strict=True) if pattern.fullmatch(tag)]
            # of HEIC, exiftool says the size that was coded, in whole blocks
            wrong = sides and tag in new and new[tag] != {str(sides[0])}
            if wrong and not (tag.startswith("File:") and crop.format == "HEIF"):
                yield name, "", f"{tag} says {_short(new[tag])}, not {sides[0]}"
            if old.get(tag) == new.get(tag) or (tag == "ExifTool:Warning" and tag in old):  # of damage that was there
                continue
            allowed = bool(sides) or bool(MAY_CHANGE.fullmatch(tag))
            problem = "" if allowed else f"{tag} was {_short(old.get(tag))}, is {_short(new.get(tag))}"
            yield name, tag, problem


def _tags(folder: Path, names: Sequence[str]) -> Mapping[str, Mapping[str, set[str]]]:
    """The values of every tag of each file by "group:name", as exiftool says them without words for numbers.

    Where a file says a tag several times (HEIC says a profile for each tile), its values are one set.
    """
    arguments = ["exiftool", "-json", "-a", "-n", "-e", "-m", "-G1:4", "--System:all"]
    done = subprocess.run([*arguments, *(str(folder / name) for name in names)], capture_output=True, check=False)
    found = {}
    for one in json.loads(done.stdout.decode("utf-8", errors="replace") or "[]"):
        values: dict[str, set[str]] = {}
        name = Path(one.pop("SourceFile")).name
        for tag, value in one.items():
            group, *_, plain = tag.split(":")
            group = re.sub(r"(?<=ICC_Profile)\d+|(?<=ICC-header)\d+", "", group)
            values.setdefault(f"{group}:{plain}", set()).add(str(value))
        found[name] = values
    return found


def _short(values: set[str] | None) -> str:
    return "not there" if values is None else " and ".join(sorted(values))[:80]


def show(report: Report) -> None:
    print(f"Crops of {report.files} files")
    print(f"  cropped {report.cropped}, refused {sum(report.refused.values())} ({report.share_refused:.1%})")
    for title, counts in (("refused", report.refused), ("not read", report.unreadable), ("changed", report.changed)):
        for what, count in counts.most_common():
            print(f"  {title} {count:5d}  {what}")
    if shutil.which("exiftool") is None:
        print("  exiftool is not installed: tags were not compared")
    for problem in report.problems:
        print(f"PROBLEM: {problem}")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help=f"only {QUICK} of the files")
    parser.add_argument("--files", type=Path, action="append", help="folder of image files (repeatable)")
    options = parser.parse_args(arguments)
    for folder in options.files or ():
        if not folder.is_dir():
            sys.exit(f"crop_files.py: no folder {folder}; give --files a folder of images")
    paths = find(options.files or samples())
    if options.quick:
        paths = paths[:: max(len(paths) // QUICK, 1)]
    with tempfile.TemporaryDirectory() as home:
        report = crop_files(paths, Path(home))
    show(report)
    missed = [f"{len(report.problems)} problems"] if report.problems else []
    if not options.files and report.share_refused > MOST_REFUSED:
        missed.append(f"{report.share_refused:.1%} of the files were refused, more than {MOST_REFUSED:.0%}")
    finish(
        {
            "files": report.files,
            "cropped": report.cropped,
            "refused_share": report.share_refused,
            "problems": len(report.problems),
        },
        missed,
    )


if __name__ == "__main__":
    main()

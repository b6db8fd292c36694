"""Crops a second at 2048 px, next to plain Pillow: `Image.open(source).crop(box).save(target)`.

Plain Pillow drops PNG text, EXIF and profiles. Rendering to bytes is compared twice: with Pillow's own quality (JPEG
75), and with the source's quality and compression, as Pickroom keeps them, which is the same work.
The crop desk's submit, with its journal, hashes, checks and syncs, is compared with the save at Pillow's own quality on
the same disk. All run on the same files, in turns.

    python benchmarks/crop.py [--quick]
"""

from __future__ import annotations

import argparse
import io
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from _measure import finish, median, seconds, table
from pickroom.core.geometry import CONSTANT_CROP, to_pixels
from pickroom.files.cropping import Order, submit
from pickroom.images import crops
from pickroom.indexing import projects
from pickroom.store.connect import connect
from pickroom.store.workspace import Workspace

# of plain Pillow's rate, at the least: with the source's quality, with Pillow's own, and with all that makes it safe
SAME_TARGET, RENDER_TARGET, SUBMIT_TARGET = 1.0, 0.8, 0.5
SIDE = 2048
ROUNDS = 3
# files, quick and in full: enough that a submit's fixed cost is spread
COUNTS = {
    **{"png": (4, 10), "jpg": (16, 40), "webp": (4, 10), "tif": (4, 10), "bmp": (8, 20)},
    **{"avif": (2, 4), "heic": (2, 4)},
}


# what the files are saved with, apart from their text
SAVED = {extension: {"quality": 90} for extension in COUNTS} | {
    "png": {},
    "bmp": {},
    "tif": {"compression": "tiff_lzw"},
}


def make_files(folder: Path, count: int, extension: str) -> list[Path]:
    """Photographs of 2048 px, each shifted so that no two are alike, as generators and cameras save them."""
    folder.mkdir(parents=True)
    package = find_spec("sklearn")
    assert package is not None and package.origin is not None
    with Image.open(Path(package.origin).parent / "datasets" / "images" / "china.jpg") as image:
        large = image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.LANCZOS)
    text = PngInfo()
    text.add_text("parameters", "a pagoda\nSteps: 20, Sampler: Euler a, Seed: 1")
    made = []
    for number in range(count):
        made.append(folder / f"{number:03d}.{extension}")
        shifted = Image.new("RGB", large.size)
        shifted.paste(large, (number, 0))
        shifted.save(made[-1], **SAVED[extension], **({"pnginfo": text} if extension == "png" else {}))
    return made


def plain(source: Path, target: Path | io.BytesIO, options: dict[str, Any] | None = None) -> None:
    with Image.open(source) as image:
        box = to_pixels(CONSTANT_CROP, *image.size)
        image.crop(box).save(target, image.format, **(options or {}))


def rates(home: Path, count: int, extension: str) -> tuple[float, ...]:
    """Crops a second: rendered, by Pillow with the source's quality and with its own, submitted, saved by Pillow."""
    made = make_files(home / "images" / "crop", count, extension)
    rendered, same, plainly = [], [], []
    for _ in range(ROUNDS):
        rendered.append(seconds(lambda: [crops.render(path, CONSTANT_CROP) for path in made]))
        same.append(seconds(lambda: [plain(path, io.BytesIO(), SAVED[extension]) for path in made]))
        plainly.append(seconds(lambda: [plain(path, io.BytesIO()) for path in made]))

    target = home / "plain"
    target.mkdir()
    saved = seconds(lambda: [plain(path, target / path.name) for path in made])
    Image.new("RGB", (8, 8)).save(home / "images" / "source.png")  # a project needs one
    project, _ = projects.start(Workspace(home), "bench", home / "images")
    connection = connect(project.database)
    orders = [Order("crop", path.name, CONSTANT_CROP) for path in made]
    results = []
    submitted = seconds(lambda: results.append(submit(project, connection, orders)))
    connection.close()
    assert len(results[0].done) == count, results[0].refused
    return tuple(count / taken for taken in (*map(median, (rendered, same, plainly)), submitted, saved))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer files")
    quick = parser.parse_args().quick
    rows, figures, missed = [("", "Pickroom", "plain Pillow")], {}, []
    for extension, (few, many) in COUNTS.items():
        count = few if quick else many
        with tempfile.TemporaryDirectory() as home:
            rendered, same, plainly, submitted, saved = rates(Path(home), count, extension)
        for name, ours, theirs, target in (
            ("same", rendered, same, SAME_TARGET),
            ("render", rendered, plainly, RENDER_TARGET),
            ("submit", submitted, saved, SUBMIT_TARGET),
        ):
            ratio = ours / theirs
            rows.append(
                (f"{count} {extension}, {name}", f"{ours:.1f} crops/s", f"{theirs:.1f} crops/s   ratio {ratio:.2f}")
            )
            figures |= {
                f"{extension}_{name}_per_s": ours,
                f"{extension}_{name}_plain_per_s": theirs,
                f"{extension}_{name}_ratio": ratio,
            }
            # what an uncompressed crop takes is the journal's syncs
            if ratio < target and not (name == "submit" and extension == "bmp"):
                missed.append(f"{extension} {name}: {ratio:.2f} of plain Pillow's rate, less than {target}")
    table(f"Crops of files of {SIDE} x {SIDE} px", rows)
    finish(figures, missed)


if __name__ == "__main__":
    main()

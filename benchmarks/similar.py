"""Groups by similarity against the truth, pair by pair: precision, recall and F1, next to plainer ways.

The photographs become takes of a burst: each one two to four times, moved, turned, re-exposed, some re-encoded and
scaled (copies), under names without stage or time, all in one folder. Another photograph of the same thing is another
group: the hard case, where --photos holds folders of one thing each. Beside ours (perceptual hash or cosine, complete
linkage, at most four): the hash alone, single linkage of the same links, and ours tuned on the other half's truth.

    python benchmarks/similar.py [--quick] [--photos FOLDER]
"""

from __future__ import annotations

import argparse
import io
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image as Pillow
from PIL import ImageEnhance
from scipy.sparse.csgraph import connected_components

from _measure import finish, seconds
from _photographs import photographs
from pickroom.core.records import Image
from pickroom.features import bundled
from pickroom.groups.image_features import fingerprint
from pickroom.groups.similar import (
    THRESHOLDS,
    Agreement,
    ImageFeatures,
    Thresholds,
    compare,
    group_by_similarity,
    tune,
)

LEAST_F1 = 0.90
SIDE = 512  # pixels: what the encoder needs and no more
MOST_SECONDS = 60.0  # 10,000 images of one folder, vectors ready


def take(whole: Pillow.Image, rng: np.random.Generator) -> Pillow.Image:
    """The same scene a moment later: the camera moved and turned a little, the light changed."""
    share = rng.uniform(0.88, 1.0)
    width, height = int(whole.width * share), int(whole.height * share)
    left, top = rng.integers(0, whole.width - width + 1), rng.integers(0, whole.height - height + 1)
    turned = whole.crop((left, top, left + width, top + height)).rotate(rng.uniform(-2, 2), Pillow.Resampling.BICUBIC)
    lit = ImageEnhance.Brightness(turned).enhance(rng.uniform(0.85, 1.15))
    return ImageEnhance.Color(lit).enhance(rng.uniform(0.8, 1.2))


def copy(whole: Pillow.Image, rng: np.random.Generator) -> Pillow.Image:
    """The same picture, smaller and compressed."""
    share = rng.uniform(0.5, 0.9)
    small = whole.resize((int(whole.width * share), int(whole.height * share)), Pillow.Resampling.LANCZOS)
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=60)
    return Pillow.open(buffer).convert("RGB")


def bursts(base: dict[str, Pillow.Image], rng: np.random.Generator) -> dict[str, list[Pillow.Image]]:
    """Photograph -> its two to four pictures; one in five is a copy."""
    made = {}
    for name, whole in base.items():
        count = int(rng.integers(2, 5))
        made[name] = [whole] + [copy(whole, rng) if rng.random() < 0.2 else take(whole, rng) for _ in range(count - 1)]
    return made


def looks_of(made: dict[str, list[Pillow.Image]]) -> dict[str, ImageFeatures]:
    tower = bundled.load()
    encoder = tower.encoder(tower.spec(), "cpu")
    found = {}
    for name, pictures in made.items():
        vectors = encoder.encode([encoder.prepare(picture) for picture in pictures]).vectors
        for number, (picture, vector) in enumerate(zip(pictures, vectors, strict=True)):
            found[f"{name}_{number}"] = ImageFeatures(fingerprint(picture), vector)
    return found


def grouped(looks: dict[str, ImageFeatures], thresholds: Thresholds) -> list[list[str]]:
    return [
        [image.filename for image in group] for group in group_by_similarity(images_of(looks), looks, thresholds)[0]
    ]


def images_of(looks: Iterable[str]) -> list[Image]:
    return [Image(name, "", SIDE, SIDE, None, None, name, 1, 1) for name in looks]


def hash_alone(looks: dict[str, ImageFeatures], bits: int) -> list[list[str]]:
    """What ours is without any vector."""
    return grouped({name: ImageFeatures(look.fingerprint, None) for name, look in looks.items()}, Thresholds(bits=bits))


def single_linkage(looks: dict[str, ImageFeatures], thresholds: Thresholds) -> list[list[str]]:
    """Everything that hangs together by any chain, of any size: what most scripts do."""
    names = list(looks)
    unit = np.stack([looks[name].vector for name in names])  # type: ignore[misc]
    unit = unit / np.linalg.norm(unit, axis=1, keepdims=True)
    hashes = np.array([looks[name].fingerprint for name in names], np.uint64)
    near = (unit @ unit.T >= thresholds.cosine) | (np.bitwise_count(hashes[:, None] ^ hashes) <= thresholds.bits)
    _, labels = connected_components(near, directed=False)
    chains: dict[int, list[str]] = defaultdict(list)
    for name, label in zip(names, labels, strict=True):
        chains[int(label)].append(name)
    return list(chains.values())


def busy(count: int) -> float:
    """Seconds for `count` images of one folder, in series of three, a tenth of them much like each other."""
    rng = np.random.default_rng(1)
    centres = rng.normal(size=(count // 3 + 1, 128)).astype(np.float32)
    centres[: len(centres) // 10] = centres[0] + 0.4 * rng.normal(size=(len(centres) // 10, 128))
    names = [f"{number:06d}" for number in range(count)]
    vectors = np.repeat(centres, 3, axis=0)[:count] + 0.2 * rng.normal(size=(count, 128)).astype(np.float32)
    looks = {
        name: ImageFeatures(int(rng.integers(1 << 62)), vector) for name, vector in zip(names, vectors, strict=True)
    }
    return seconds(lambda: grouped(looks, THRESHOLDS))


def shown(name: str, found: Agreement) -> None:
    print(f"  {name:<52}{found.precision or 0:>10.3f}{found.recall or 0:>8.3f}{found.f1 or 0:>8.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--quick", action="store_true", help="the built-in photographs alone, and 3,000 images for speed"
    )
    parser.add_argument("--photos", type=Path, help="a folder of photographs, in sub-folders of one thing each")
    args = parser.parse_args()
    torch.set_num_threads(1)
    folder = None if args.quick else args.photos
    made = bursts(photographs(folder, SIDE), np.random.default_rng(20250803))
    truth = [[f"{name}_{number}" for number in range(len(pictures))] for name, pictures in made.items()]
    looks = looks_of(made)

    # folders of one thing go to one half as a whole: nothing is tuned on what it is measured on
    things = sorted({name.rpartition("-")[0] or name for name in made})
    first = {thing for place, thing in enumerate(things) if place % 2}
    halves: list[list[list[str]]] = [[], []]
    for group in truth:
        name = group[0].rpartition("_")[0]
        halves[(name.rpartition("-")[0] or name) in first].append(group)
    within = [{name: looks[name] for group in half for name in group} for half in halves]
    tuned = [tune(images_of(within[1 - side]), within[1 - side], halves[1 - side]) for side in (0, 1)]
    after = [compare(grouped(within[side], tuned[side]), halves[side]) for side in (0, 1)]
    before = [compare(grouped(within[side], THRESHOLDS), halves[side]) for side in (0, 1)]

    ways = {
        "ours": compare(grouped(looks, THRESHOLDS), truth),
        "single": compare(single_linkage(looks, THRESHOLDS), truth),
        "hash": compare(hash_alone(looks, 12), truth),
        "halves": total(before),
        "tuned": total(after),
    }
    count = 3000 if args.quick else 10_000
    took = busy(count)
    print(f"{len(looks)} pictures of {len(made)} photographs, {len(truth)} true groups, bundled encoder")
    print(f"  {'':<52}{'precision':>10}{'recall':>8}{'F1':>8}")
    shown(f"ours: cosine {THRESHOLDS.cosine}, {THRESHOLDS.bits} bits, complete linkage", ways["ours"])
    shown("single linkage of the same links", ways["single"])
    shown("perceptual hash alone, 12 bits", ways["hash"])
    shown("ours in two halves, as it comes", ways["halves"])
    shown("  tuned on the other half: " + " and ".join(f"{t.cosine:.3f}" for t in tuned), ways["tuned"])
    print(f"  {count:,} images of one folder, vectors ready: {took:.1f} s")

    figures = {
        f"{name}_{key}": getattr(w, key) or 0.0 for name, w in ways.items() for key in ("precision", "recall", "f1")
    }
    missed = [f"F1 {figures['ours_f1']:.3f} < {LEAST_F1}"] if figures["ours_f1"] < LEAST_F1 else []
    if took > MOST_SECONDS:
        missed.append(f"{took:.0f} s > {MOST_SECONDS:.0f} s for {count:,} images")
    finish({**figures, "seconds": took, "images": count}, missed)


def total(parts: Sequence[Agreement]) -> Agreement:
    counts = [(p.both, p.grouping_only, p.person_only) for p in parts]
    return Agreement(*(sum(column) for column in zip(*counts, strict=True)))


if __name__ == "__main__":
    main()

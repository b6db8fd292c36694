"""Embedding 1024-px JPEGs next to the plain loop (open_clip, one image at a time) and next to the forward pass alone.

All three run the same ViT-B-32 on the same images, in turns, so that another program slows all of them; its weights
are seeded random ones, which costs the same time as trained ones. No thumbnails are used. Then 77,304 vectors of 512
floats are loaded, next to one .npy file an image.

    python benchmarks/embed.py [--quick]
"""

from __future__ import annotations

import argparse
import logging
import shutil
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import open_clip
import torch
from PIL import Image

from _measure import finish, seconds, table
from pickroom.demo.photographs import PHOTOGRAPHS, load
from pickroom.features import device as devices
from pickroom.features import openclip
from pickroom.features.choice import Chosen
from pickroom.features.encoder import EncoderSpec, Pixels
from pickroom.features.reading import EmbedItem, ImageSource
from pickroom.features.store import VectorRow, VectorStore, cosines, read_vectors
from pickroom.indexing import engines
from pickroom.indexing.engines import EmbedConfig, in_batches
from pickroom.indexing.pipeline import ProcessedLine, ProcessedLog
from pickroom.indexing.plan import IndexedRows, IndexTask
from pickroom.storage import atomic
from pickroom.store.workspace import Workspace

# Targets: times the plain loop; share of the limit; cosine to the plain loop; times one .npy each
LEAST_SPEEDUP, LEAST_OF_LIMIT, LEAST_COSINE, LEAST_LOAD = 2.0, 0.75, 0.999, 20.0
VECTORS, DIM = 77_304, 512
SPEC = EncoderSpec("openclip", "ViT-B-32", "", None, DIM, 0, 0, 0, "", "float32")  # of the vectors that are loaded


def write_images(folder: Path, count: int) -> list[Path]:
    """Real photographs as square JPEGs of 1024 pixels, each with a window of its own."""
    folder.mkdir(parents=True)
    paths = []
    for number in range(count):
        whole = load(PHOTOGRAPHS[number % len(PHOTOGRAPHS)])
        rng = np.random.default_rng(number)
        side = int(min(whole.size) * rng.uniform(0.6, 1.0))
        left, top = rng.integers(0, whole.width - side + 1), rng.integers(0, whole.height - side + 1)
        paths.append(folder / f"{number:04d}.jpg")
        window = whole.crop((left, top, left + side, top + side))
        window.resize((1024, 1024), Image.Resampling.LANCZOS).save(paths[-1], quality=92)
    return paths


def items_of(paths: Sequence[Path]) -> list[EmbedItem]:
    found = []
    for path in paths:
        info = path.stat()
        found.append(EmbedItem("", path.name, atomic.sha256_of(path), info.st_size, info.st_mtime_ns))
    return found


class Setting:
    """One model, the same images, and the three ways to embed them."""

    def __init__(self, folder: Path, count: int, plain_count: int) -> None:
        self.paths, self.folder = write_images(folder / "images", count), folder
        self.items = items_of(self.paths)
        self.plain_paths = self.paths[:plain_count]
        torch.manual_seed(0)
        logging.disable(logging.WARNING)  # it warns of random weights, which are meant
        self.model, _, self.transform = open_clip.create_model_and_transforms("ViT-B-32")
        self.model.eval()
        tower = openclip.adapt(self.model, self.transform, "ViT-B-32", "seeded random weights")
        source = ImageSource(folder / "images", None)
        self.pixels: list[Pixels] = [
            tower.prepare(source.read(item, tower.preprocessing.least_side)[0]) for item in self.items
        ]
        self.chosen = Chosen(tower, tower.spec(), "cpu")
        self.engine = engines.LocalEngine(self.chosen, source, EmbedConfig())
        self.encoder = self.chosen.encoder()

    def plain(self) -> tuple[float, np.ndarray]:
        """Seconds an image of what everyone writes first, and its vectors."""
        started, found = time.perf_counter(), []
        with torch.no_grad():
            for path in self.plain_paths:
                found.append(self.model.encode_image(self.transform(Image.open(path)).unsqueeze(0)))
        return (time.perf_counter() - started) / len(self.plain_paths), torch.cat(found).numpy()

    def ours(self, turn: int) -> tuple[float, VectorStore]:
        """Seconds an image from the file to the published part and the log, and the store."""
        workspace = Workspace(self.folder / f"home{turn}")
        store = VectorStore(workspace, self.chosen.spec, "p")
        log = ProcessedLog(workspace.processed_log)

        def publish(count: int, made: IndexedRows) -> None:
            rows = made.vectors
            store.append(rows)
            log.append(ProcessedLine("p", "e", row.filename, row.content_hash, 0, 0, "embedded") for row in rows)

        started = time.perf_counter()
        self.engine.images(
            in_batches([IndexTask(item) for item in self.items], self.engine.batch, self.engine.workers), publish
        )
        return (time.perf_counter() - started) / len(self.items), store

    def limit(self) -> float:
        """Seconds an image of the forward pass on ready tensors: the quicker of PyTorch's own threads, and of ours."""
        network, count = self.encoder.network, len(self.items)
        batch = torch.stack([torch.from_numpy(np.array(p)) for p in self.pixels[: 2 * self.engine.batch]])
        ready = (batch.permute(0, 3, 1, 2).float() - 120) / 65
        halves = [ready[: self.engine.batch]] * (count // self.engine.batch)

        def alone() -> None:
            with torch.inference_mode():
                for _ in range(count // len(ready)):
                    network(ready)

        def in_threads() -> None:
            sharing = partial(self.encoder.threads, 1)
            engines.run(halves, lambda one: _pass(network, one), lambda one, done: None, self.engine.workers, sharing)

        first = seconds(alone) / (count // len(ready) * len(ready))
        return min(first, seconds(in_threads) / (len(halves) * self.engine.batch))


def _pass(network: torch.nn.Module, batch: torch.Tensor) -> None:
    with torch.inference_mode():
        network(batch)


def loading(folder: Path, count: int, turns: int) -> tuple[float, float]:
    """Seconds to load `count` vectors from our store, and from one .npy an image; the best of some turns, in turns."""
    rng = np.random.default_rng(0)
    matrix = rng.standard_normal((count, DIM), dtype=np.float32)
    names = [f"20250803_{number:06d}_stage1.5_face_swapped.png" for number in range(count)]
    files = folder / "npy"
    files.mkdir()
    for name, vector in zip(names, matrix, strict=True):
        np.save(files / f"{name}.npy", vector)
    store = VectorStore(Workspace(folder / "load"), SPEC, "p")
    for start in range(0, count, 4096):
        rows = zip(names[start : start + 4096], matrix[start : start + 4096], strict=True)
        store.append([VectorRow(name, f"{name:0>64}", 1, 1, 1, 1, vector, None, None) for name, vector in rows])
    ours = plain = float("inf")
    for _ in range(turns):
        ours = min(ours, seconds(lambda: read_vectors(store)))
        plain = min(plain, seconds(lambda: np.stack([np.load(files / f"{name}.npy") for name in names])))
    found = read_vectors(store)
    assert found.matrix.shape == matrix.shape and np.allclose(found.matrix, matrix, atol=4e-3)
    return ours, plain


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer images and vectors; the same targets")
    quick = parser.parse_args().quick
    count, plain_count, turns = (64, 12, 3) if quick else (256, 32, 5)
    folder = Path(tempfile.mkdtemp(prefix="pickroom-embed-"))
    try:
        setting = Setting(folder, count, plain_count)
        plain = ours = limit = float("inf")
        for turn in range(turns):
            took, plain_vectors = setting.plain()
            plain = min(plain, took)
            took, store = setting.ours(turn)
            ours = min(ours, took)
            limit = min(limit, setting.limit())
        vectors = read_vectors(store)
        places = [vectors.place(item.filename, item.content_hash) for item in setting.items[:plain_count]]
        cosine = float(cosines(vectors.matrix[places], plain_vectors).min())
        vector_count = VECTORS // 4 if quick else VECTORS
        load_ours, load_plain = loading(folder, vector_count, turns)
    finally:
        shutil.rmtree(folder)

    speedup, of_limit, load_times = plain / ours, limit / ours, load_plain / load_ours
    table(
        f"{count} JPEGs of 1024 px, ViT-B-32, float32, {devices.device_words('cpu')}; best of {turns} turns",
        [
            ("", "ours", "alternative"),
            ("images/s, next to the plain loop in float32", f"{1 / ours:.1f}", f"{1 / plain:.1f}"),
            ("images/s, next to the forward pass alone", f"{1 / ours:.1f}", f"{1 / limit:.1f}"),
            ("times the plain loop, next to the target", f"{speedup:.2f}", f"{LEAST_SPEEDUP:g}"),
            ("share of the limit, next to the target", f"{of_limit:.2f}", f"{LEAST_OF_LIMIT:g}"),
            ("lowest cosine to the plain loop, next to the target", f"{cosine:.5f}", f"{LEAST_COSINE:g}"),
            (f"s to load {vector_count:,} x {DIM}, next to one .npy each", f"{load_ours:.3f}", f"{load_plain:.2f}"),
            ("times one .npy each, next to the target", f"{load_times:.1f}", f"{LEAST_LOAD:g}"),
        ],
    )
    missed = [
        words
        for words, met in (
            (f"{speedup:.2f} times the plain loop, not {LEAST_SPEEDUP:g}", speedup >= LEAST_SPEEDUP),
            (f"{of_limit:.2f} of the limit, not {LEAST_OF_LIMIT:g}", of_limit >= LEAST_OF_LIMIT),
            (f"cosine {cosine:.5f}, not {LEAST_COSINE:g}", cosine >= LEAST_COSINE),
            (f"loading {load_times:.1f} times as fast, not {LEAST_LOAD:g}", load_times >= LEAST_LOAD),
        )
        if not met
    ]
    figures = {
        "images_per_s": 1 / ours,
        "plain_images_per_s": 1 / plain,
        "limit_images_per_s": 1 / limit,
        "speedup": speedup,
        "of_limit": of_limit,
        "cosine": cosine,
        "load_s": load_ours,
        "load_npy_s": load_plain,
        "load_speedup": load_times,
    }
    finish(figures, missed)


if __name__ == "__main__":
    main()

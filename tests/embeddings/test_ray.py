"""The Ray engine: the same rows, hashes and errors as the local one, also when a worker is killed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from pickroom import projects
from pickroom.embeddings.choice import EncoderConfig
from pickroom.embeddings.device import cosines
from pickroom.embeddings.engines import EmbedConfig
from pickroom.embeddings.pipeline import EmbedReport, embed
from pickroom.embeddings.progress import Bar
from pickroom.embeddings.regions import RegionConfig
from pickroom.embeddings.vectors import load_regions, load_vectors, open_store
from pickroom.errors import UsageError
from pickroom.workspace import Project, Workspace

pytestmark = pytest.mark.slow
MakeProject = Callable[..., Project]


def ray_workers() -> list[int]:
    """Process ids of the actors that a Ray of this process runs (Ray names its processes)."""
    listed = subprocess.run(["ps", "-A", "-o", "pid=,args="], capture_output=True, text=True, check=True).stdout
    return [int(line.split()[0]) for line in listed.splitlines() if "ray::" in line and "Map(RayWorker)" in line]


class KillingBar:
    """Kills every worker when the first batch has come back."""

    total: object = None

    def __init__(self) -> None:
        self.killed: list[int] = []
        self.count = 0

    def update(self, n: int) -> None:
        self.count += n
        if not self.killed:
            self.killed = ray_workers()
            for pid in self.killed:
                os.kill(pid, signal.SIGKILL)


def test_equal_stores_though_a_worker_was_killed(photo_project: MakeProject, tmp_path: Path) -> None:
    project = photo_project(8)
    (project.root / "bad.png").write_text("no image")
    names = sorted(path.name for path in project.root.iterdir())
    cut = project.root / names[3]
    cut.write_bytes(cut.read_bytes()[:900])
    projects.rescan(project)
    other = Workspace(tmp_path / "other")
    shutil.copytree(project.workspace.root, other.root)

    config = EmbedConfig(EncoderConfig("bundled", dtype="float32"), batch=2, workers=1, regions=RegionConfig(count=1))
    local = embed(project, config)
    bar = KillingBar()

    @contextmanager
    def bars(doing: str, total: int | None) -> Iterator[Bar]:
        yield bar if doing == "Embedding" else KillingBar.__new__(_Quiet)

    through_ray = embed(other.project(project.id), replace(config, engine="ray"), bars)
    assert bar.killed and bar.count == 17  # two of them bad
    assert "Ray: 1 workers" in through_ray.device

    assert summary(through_ray) == summary(local)
    here, there = open_store(project.workspace.project("p")), open_store(other.project("p"))
    assert here.known() == there.known() and here.known_regions() == there.known_regions()
    a, b = load_vectors(project.workspace.project("p"), patches=True), load_vectors(other.project("p"), patches=True)
    order_a, order_b = a.filenames.argsort(), b.filenames.argsort()
    assert a.filenames[order_a].tolist() == b.filenames[order_b].tolist() and len(a) == 15
    assert cosines(a.matrix[order_a], b.matrix[order_b]).min() >= 0.9999
    assert a.patches is not None and b.patches is not None
    flat = [v.patches[o].reshape(15, -1).astype("float32") for v, o in ((a, order_a), (b, order_b))]
    assert cosines(*flat).min() >= 0.9999
    first, second = (load_regions(p) for p in (project.workspace.project("p"), other.project("p")))
    assert len(first.filenames) == len(second.filenames) > 0
    orders = [sorted(range(len(r.filenames)), key=lambda i, r=r: r.filenames[i]) for r in (first, second)]
    assert cosines(first.matrix[orders[0]], second.matrix[orders[1]]).min() >= 0.9999


class _Quiet(KillingBar):
    def update(self, n: int) -> None:
        """Kill nobody."""


def summary(report: EmbedReport) -> tuple[object, ...]:
    return (
        report.encoder_id,
        report.images,
        report.embedded,
        report.recognised,
        report.waiting,
        report.errors,
        report.groups,
        report.regions,
    )


def test_an_address_where_no_cluster_answers_is_one_line(photo_project: MakeProject) -> None:
    project = photo_project(1)
    encoder = EncoderConfig("bundled", dtype="float32")
    with pytest.raises(UsageError, match="no Ray cluster can be used") as caught:
        embed(project, EmbedConfig(encoder, engine="ray", address="127.0.0.1:1"))
    assert "\n" not in caught.value.line and "127.0.0.1:1" in caught.value.line
    assert project.workspace.project("p").manifest.encoder is None

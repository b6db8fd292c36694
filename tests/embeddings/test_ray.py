"""The Ray engine: the same rows, hashes and errors as the local one, also when a worker is killed."""

from __future__ import annotations

import os
import pickle
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from pickroom import projects
from pickroom.embeddings import bundled, ray_engine
from pickroom.embeddings.choice import EncoderConfig
from pickroom.embeddings.device import cosines
from pickroom.embeddings.encoder import TorchEncoder
from pickroom.embeddings.engines import EmbedConfig
from pickroom.embeddings.pipeline import embed
from pickroom.embeddings.plan import make_plan, plan_groups
from pickroom.embeddings.progress import Bar
from pickroom.embeddings.ray_engine import RayWorker
from pickroom.embeddings.reading import Source
from pickroom.embeddings.regions import RegionConfig
from pickroom.embeddings.report import EmbedReport
from pickroom.embeddings.vectors import load_vectors, open_store
from pickroom.embeddings.work import embed_groups, embed_images
from pickroom.errors import UsageError
from pickroom.store import groups, images
from pickroom.store.connect import open_read_only
from pickroom.workspace import Project, Workspace

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
        self.seen: set[int] = set()
        self.count = 0

    def update(self, n: int) -> None:
        self.count += n
        running = ray_workers()
        self.seen |= set(running)
        if not self.killed:
            self.killed = running
            for pid in self.killed:
                os.kill(pid, signal.SIGKILL)


@pytest.mark.slow
def test_equal_stores_though_a_worker_was_killed(photo_project: MakeProject, tmp_path: Path) -> None:
    project = photo_project(8)
    (project.root / "bad.png").write_text("no image")
    names = sorted(path.name for path in project.root.iterdir())
    cut = project.root / names[3]
    cut.write_bytes(cut.read_bytes()[:900])
    projects.rescan(project)
    other = Workspace(tmp_path / "other")
    shutil.copytree(project.workspace.root, other.root)

    config = EmbedConfig(EncoderConfig("bundled", dtype="float32"), batch=2, workers=1, regions=None)
    local = embed(project, config)
    bar = KillingBar()

    @contextmanager
    def bars(doing: str, total: int | None) -> Iterator[Bar]:
        yield bar if doing == "Embedding" else KillingBar.__new__(_Quiet)

    through_ray = embed(other.project(project.id), replace(config, engine="ray"), bars)
    assert bar.killed and bar.seen > set(bar.killed)  # another worker went on
    assert bar.count == 17  # two of them bad
    assert "Ray: 1 workers" in through_ray.device

    assert summary(through_ray) == summary(local)
    here, there = open_store(project.workspace.project("p")), open_store(other.project("p"))
    assert here.known() == there.known()
    a, b = load_vectors(project.workspace.project("p"), patches=True), load_vectors(other.project("p"), patches=True)
    order_a, order_b = a.filenames.argsort(), b.filenames.argsort()
    assert a.filenames[order_a].tolist() == b.filenames[order_b].tolist() and len(a) == 15
    assert cosines(a.matrix[order_a], b.matrix[order_b]).min() >= 0.9999
    assert a.patches is not None and b.patches is not None
    flat = [v.patches[o].reshape(15, -1).astype("float32") for v, o in ((a, order_a), (b, order_b))]
    assert cosines(*flat).min() >= 0.9999


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


def test_a_worker_does_what_the_local_engine_does(
    photo_project: MakeProject, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # without the seconds that Ray takes to start: the class that Ray runs, called as Ray calls it
    project = photo_project(2)
    tower = bundled.load()
    monkeypatch.setattr(ray_engine, "_fetched", lambda tower: tower)
    source = Source(project.root, None)
    with open_read_only(project.database) as connection:
        made, scanned = groups.every(connection, "p"), images.readable(connection)
    plan = make_plan(project, {}, scanned, {})
    config = RegionConfig()
    wanted, _ = plan_groups(made, plan, set(), config, 288)
    for regions, batch, count in ((None, plan.todo, 4), (config, wanted, 4)):
        found = RayWorker(tower, tower.spec(), source, regions)({"batch": pickle.dumps(batch)})
        encoder = TorchEncoder(tower, tower.spec(), "cpu")
        expected = embed_groups(encoder, source, batch, regions) if regions else embed_images(encoder, source, batch)
        rows = pickle.loads(found["rows"])
        assert found["count"] == count and len(rows) == len(expected) == 4
        for row, other in zip(rows, expected, strict=True):
            assert replace(row, vector=None, **NO_PATCHES[regions is None]) == replace(
                other, vector=None, **NO_PATCHES[regions is None]
            )
            assert cosines(row.vector[None], other.vector[None])[0] > 0.9999
    gone = RayWorker(tower, tower.spec(), Source(tmp_path / "gone", None), None)({"batch": pickle.dumps(plan.todo)})
    assert gone["kind"] == "no folder" and gone["count"] == 0


NO_PATCHES: dict[bool, dict[str, None]] = {True: {"patches": None}, False: {}}


def test_an_address_where_no_cluster_answers_is_one_line(photo_project: MakeProject) -> None:
    project = photo_project(1)
    encoder = EncoderConfig("bundled", dtype="float32")
    with pytest.raises(UsageError, match="no Ray cluster can be used") as caught:
        embed(project, EmbedConfig(encoder, engine="ray", address="127.0.0.1:1"))
    assert "\n" not in caught.value.line and "127.0.0.1:1" in caught.value.line
    assert project.workspace.project("p").manifest.encoder is None

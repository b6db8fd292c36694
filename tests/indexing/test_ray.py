"""The Ray engine: the same rows, hashes and errors as the local one, also when a node is lost."""

from __future__ import annotations

import os
import pickle
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pickroom.core.errors import UsageError
from pickroom.features import bundled
from pickroom.features.blocks import load_blocks
from pickroom.features.choice import EncoderConfig
from pickroom.features.reading import EmbedItem, ImageSource
from pickroom.features.store import load_vectors, open_store
from pickroom.indexing import engines, projects
from pickroom.indexing.engines import EmbedConfig, Publish, RayEngine, RayWorker
from pickroom.indexing.pipeline import embed
from pickroom.indexing.plan import IndexedRows, IndexTask, index_images, make_plan
from pickroom.indexing.report import EmbedReport
from pickroom.store import images
from pickroom.store.connect import open_read_only
from pickroom.store.workspace import Project, Workspace

MakeProject = Callable[..., Project]


@pytest.fixture
def cluster() -> Iterator[Any]:
    """A Ray cluster of two nodes, of one core each, that runs on this machine before anyone asks for it."""
    engines._import()  # as the engine itself: with patience, where the machine is busy
    from ray.cluster_utils import Cluster

    node = {"num_cpus": 1, "object_store_memory": 256 << 20}
    running = Cluster(initialize_head=True, head_node_args=node)
    running.add_node(**node)
    yield running
    running.shutdown()


class SlowRay:
    """Answers as Ray does on a busy machine: its `init` gives up some times, with an Exception of no type."""

    def __init__(self, times: int) -> None:
        self.times, self.calls = times, 0

    def init(self, **_: object) -> None:
        self.calls += 1
        if self.calls <= self.times:
            raise Exception("The current node timed out during startup. This could happen because ...")


def test_slow_ray_start_is_retried_without_a_traceback() -> None:
    busy = SlowRay(1)
    engines._start(busy, None)
    assert busy.calls == 2
    with pytest.raises(UsageError, match=r"no Ray cluster can be used .*timed out") as caught:
        engines._start(SlowRay(9), None)
    assert "\n" not in caught.value.line and "--engine local" in caught.value.line


def watched(folder: Path) -> type[ImageSource]:
    """An `ImageSource` that writes who reads what to `folder/reads`, a line each: process, its node's, file name.

    The node that is ready first waits until the other one has begun, or else would have read everything by then.

    A class of this function's own, so that it travels to Ray's workers by value: they do not see the tests.
    """
    reads = folder / "reads"

    class Watched(ImageSource):
        __slots__ = ()

        def read(self, item: EmbedItem, least_side: int) -> Any:
            with reads.open("a") as file:
                file.write(f"{os.getpid()} {os.getppid()} {item.filename}\n")
            end = time.monotonic() + 60
            while len({line.split()[1] for line in reads.read_text().splitlines()}) < 2 and time.monotonic() < end:
                time.sleep(0.05)
            return ImageSource.read(self, item, least_side)

    return Watched


CONFIG = EmbedConfig(EncoderConfig("bundled"), batch=2, workers=1)


@pytest.mark.ci
def test_lost_node_repeats_its_batch_and_loses_nothing(
    photo_project: MakeProject, tmp_path: Path, cluster: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = photo_project(12)
    (project.root / "bad.png").write_text("no image")
    names = sorted(path.name for path in project.root.iterdir())
    cut = project.root / names[3]
    cut.write_bytes(cut.read_bytes()[:900])
    projects.rescan(project)
    other = Workspace(tmp_path / "other")
    shutil.copytree(project.workspace.root, other.root)
    local = embed(project, CONFIG)

    reads, second = tmp_path / "reads", cluster.list_all_nodes()[-1]
    raylet = second.all_processes["raylet"][0].process.pid
    monkeypatch.setattr("pickroom.indexing.pipeline.ImageSource", watched(tmp_path))
    published: list[str] = []
    publish = RayEngine.images

    def images(self: RayEngine, batches: Sequence[Sequence[IndexTask]], tell: Publish) -> None:
        def told(count: int, rows: IndexedRows) -> None:
            tell(count, rows)
            if second in cluster.list_all_nodes():
                published.extend(row.filename for row in rows.vectors)
            # half way, once the second node has read something, it is killed with all its processes
            if len(published) >= 6 and str(raylet) in who_read(reads, 1) and second in cluster.list_all_nodes():
                cluster.remove_node(second, allow_graceful=False)

        publish(self, batches, told)

    monkeypatch.setattr(RayEngine, "images", images)
    through_ray = embed(other.project(project.id), replace(CONFIG, workers=2, engine="ray", address=cluster.address))
    assert "Ray: 2 workers, 2 cores, 2 machines" in through_ray.device
    assert second not in cluster.list_all_nodes(), "the second node read nothing"
    assert str(os.getpid()) not in who_read(reads, 0)
    again = {name for name in names if who_read(reads, 2).count(name) > 1}
    assert len(again) <= CONFIG.batch and again.isdisjoint(published)
    assert summary(through_ray) == summary(local) and len(local.errors) == 2
    assert_equal_stores(project, other.project(project.id))


def who_read(reads: Path, column: int) -> list[str]:
    return [line.split(maxsplit=2)[column] for line in reads.read_text().splitlines()]


@pytest.mark.ci
def test_ray_started_here_ends_with_the_work(photo_project: MakeProject, tmp_path: Path) -> None:
    import ray

    project = photo_project(1)
    other = Workspace(tmp_path / "other")
    shutil.copytree(project.workspace.root, other.root)
    local, through_ray = embed(project, CONFIG), embed(other.project("p"), replace(CONFIG, engine="ray"))
    assert not ray.is_initialized() and through_ray.device.startswith("Ray: 1 workers")
    assert summary(through_ray) == summary(local) and local.embedded == 2
    assert_equal_stores(project, other.project("p"))


def assert_equal_stores(project: Project, other: Project) -> None:
    """The same rows, hashes and errors, and the same bytes of every vector, patch grid and block."""
    project, other = project.workspace.project(project.id), other.workspace.project(other.id)
    assert open_store(project).known() == open_store(other).known() != {}
    a, b = load_vectors(project, patches=True), load_vectors(other, patches=True)
    order_a, order_b = a.filenames.argsort(), b.filenames.argsort()
    assert a.filenames[order_a].tolist() == b.filenames[order_b].tolist() and a.errors == b.errors
    assert a.content_hashes[order_a].tolist() == b.content_hashes[order_b].tolist()
    assert a.matrix[order_a].tobytes() == b.matrix[order_b].tobytes()
    assert a.patches is not None and b.patches is not None
    assert a.patches[order_a].tobytes() == b.patches[order_b].tobytes()
    blocks, others = load_blocks(project), load_blocks(other)
    for name, block in blocks.items():
        order_a, order_b = block.content_hashes.argsort(), others[name].content_hashes.argsort()
        assert block.values[order_a].tobytes() == others[name].values[order_b].tobytes()


def summary(report: EmbedReport) -> tuple[object, ...]:
    return (
        report.encoder_id,
        report.images,
        report.embedded,
        report.recognised,
        report.waiting,
        report.errors,
    )


def test_a_worker_does_what_the_local_engine_does(
    photo_project: MakeProject, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # without the seconds that Ray takes to start: the class that Ray runs, called as Ray calls it
    project = photo_project(2)
    tower = bundled.load()
    monkeypatch.setattr(engines, "_fetched", lambda tower: tower)
    source = ImageSource(project.root, None)
    with open_read_only(project.database) as connection:
        scanned = images.readable(connection)
    tasks = make_plan(project, {}, scanned, {}, {"technical": set()}).tasks
    found = RayWorker(tower, tower.spec(), source)({"number": 7, "batch": pickle.dumps(tasks)})
    expected = index_images(tower.encoder(tower.spec(), "cpu"), source, tasks)
    rows = pickle.loads(found["rows"])
    assert (found["number"], found["count"]) == (7, 4) and rows.done == expected.done == 4
    assert len(rows.blocks) == 4
    for (name, row), (other_name, other) in zip(rows.blocks, expected.blocks, strict=True):
        assert name == other_name == "technical" and row.values.tolist() == other.values.tolist()
    for row, other in zip(rows.vectors, expected.vectors, strict=True):
        assert replace(row, vector=None, patches=None) == replace(other, vector=None, patches=None)
        assert row.vector.tobytes() == other.vector.tobytes()
    worker = RayWorker(tower, tower.spec(), ImageSource(tmp_path / "gone", None))
    gone = worker({"number": 0, "batch": pickle.dumps(tasks)})
    assert gone["kind"] == "no folder" and gone["count"] == 0


def test_an_address_where_no_cluster_answers_is_one_line(photo_project: MakeProject) -> None:
    project = photo_project(1)
    encoder = EncoderConfig("bundled")
    with pytest.raises(UsageError, match="no Ray cluster can be used") as caught:
        embed(project, EmbedConfig(encoder, engine="ray", address="127.0.0.1:1"))
    assert "\n" not in caught.value.line and "127.0.0.1:1" in caught.value.line
    assert project.workspace.project("p").manifest.encoder is None

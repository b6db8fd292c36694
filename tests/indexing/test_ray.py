"""The Ray engine: the same rows, hashes and errors as the local one, also when a worker is killed."""

from __future__ import annotations

import os
import pickle
import shutil
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pickroom.core.errors import UsageError
from pickroom.features import bundled
from pickroom.features.choice import EncoderConfig
from pickroom.features.reading import DecodedImage, EmbedItem, ImageSource
from pickroom.features.store import cosines, load_vectors, open_store
from pickroom.indexing import engines, projects
from pickroom.indexing.engines import EmbedConfig, RayWorker
from pickroom.indexing.pipeline import embed
from pickroom.indexing.plan import index_images, make_plan
from pickroom.indexing.report import EmbedReport
from pickroom.store import images
from pickroom.store.connect import open_read_only
from pickroom.store.workspace import Project, Workspace

MakeProject = Callable[..., Project]


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """The address of a Ray cluster of one core that runs on this machine before anyone asks for it."""
    engines._import()  # as the engine itself: with patience, where the machine is busy
    from ray.cluster_utils import Cluster

    running = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "object_store_memory": 256 << 20})
    yield running.address
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


def killed_at(victim: str, folder: Path) -> type[ImageSource]:
    """An `ImageSource` whose process is killed when it first reads the victim; `folder/reads` lists who read.

    A class of this function's own, so that it travels to Ray's workers by value: they do not see the tests.
    """
    here, first, reads = os.getpid(), folder / "first", folder / "reads"

    class Dying(ImageSource):
        __slots__ = ()

        def read(self, item: EmbedItem, least_side: int) -> DecodedImage:
            with reads.open("a") as file:
                file.write(f"{os.getpid()} {item.filename}\n")
            if item.filename == victim and os.getpid() != here and not first.exists():
                first.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            return ImageSource.read(self, item, least_side)

    return Dying


CONFIG = EmbedConfig(EncoderConfig("bundled"), batch=2, workers=1)


@pytest.mark.ci
def test_killed_worker_of_a_running_cluster_leaves_equal_stores(
    photo_project: MakeProject, tmp_path: Path, cluster: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = photo_project(4)
    (project.root / "bad.png").write_text("no image")
    names = sorted(path.name for path in project.root.iterdir())
    cut = project.root / names[3]
    cut.write_bytes(cut.read_bytes()[:900])
    projects.rescan(project)
    other = Workspace(tmp_path / "other")
    shutil.copytree(project.workspace.root, other.root)

    local = embed(project, CONFIG)
    victim = names[4]
    monkeypatch.setattr("pickroom.indexing.pipeline.ImageSource", killed_at(victim, tmp_path))
    through_ray = embed(other.project(project.id), replace(CONFIG, engine="ray", address=cluster))
    assert "Ray: 1 workers, 1 cores, 1 machine" in through_ray.device

    reads = [line.split(maxsplit=1) for line in (tmp_path / "reads").read_text().splitlines()]
    readers = {name: [pid for pid, read in reads if read == name] for name in names}
    assert len(set(readers[victim])) == 2  # the process that was killed, and the one that went on
    assert str(os.getpid()) not in {pid for pid, _ in reads}
    again = {name for name, pids in readers.items() if len(pids) > 1}
    assert victim in again and len(again) <= 2  # its batch, and no other, is done twice

    assert summary(through_ray) == summary(local) and len(local.errors) == 2 and local.embedded == 7
    assert_equal_stores(project, other.project(project.id))


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
    """The same rows, hashes and errors, and a cosine of .9999 for every vector and patch grid."""
    project, other = project.workspace.project(project.id), other.workspace.project(other.id)
    assert open_store(project).known() == open_store(other).known() != {}
    a, b = load_vectors(project, patches=True), load_vectors(other, patches=True)
    order_a, order_b = a.filenames.argsort(), b.filenames.argsort()
    assert a.filenames[order_a].tolist() == b.filenames[order_b].tolist() and a.errors == b.errors
    assert a.content_hashes[order_a].tolist() == b.content_hashes[order_b].tolist()
    assert cosines(a.matrix[order_a], b.matrix[order_b]).min() >= 0.9999
    assert a.patches is not None and b.patches is not None
    flat = [v.patches[order].reshape(len(v), -1).astype("float32") for v, order in ((a, order_a), (b, order_b))]
    assert cosines(*flat).min() >= 0.9999


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
        assert cosines(row.vector[None], other.vector[None])[0] > 0.9999
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

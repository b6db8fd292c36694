"""Killed anywhere: nothing half written, nothing lost, at most the batch in flight done twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pickroom.features import parts
from pickroom.features.choice import EncoderConfig
from pickroom.features.store import load_vectors, open_store
from pickroom.indexing import plan
from pickroom.indexing.engines import EmbedConfig
from pickroom.indexing.pipeline import embed
from pickroom.indexing.plan import IndexTask
from pickroom.storage import atomic
from pickroom.store.workspace import Project

pytestmark = pytest.mark.slow
MakeProject = Callable[..., Project]
MakeConfig = Callable[..., EmbedConfig]
BATCH = 2


class Killed(BaseException):
    """Stands for the process's death: nothing may catch it."""


def contents(project: Project) -> dict[tuple[str, str], np.ndarray]:
    """Vectors by identity."""
    project = project.workspace.project(project.id)
    vectors = load_vectors(project)
    kept = zip(vectors.filenames, vectors.content_hashes, strict=True)
    return dict(zip(kept, vectors.matrix, strict=True))


def embedded(tasks: list[IndexTask]) -> list[str]:
    """File names of the images that a forward pass is wanted for."""
    return [task.item.filename for task in tasks if task.vector]


def same(a: dict[tuple[str, str], np.ndarray], b: dict[tuple[str, str], np.ndarray]) -> bool:
    return a.keys() == b.keys() and all(np.allclose(a[key], b[key], atol=2e-3) for key in a)


def test_dying_at_any_write_leaves_a_whole_store(
    photo_project: MakeProject, config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "MANY_PARTS", 2)  # merges in the middle of the run, too
    project = photo_project(3)
    made = config(batch=BATCH, workers=1)
    embed(project, made)
    expected = contents(project)
    assert len(expected) == 6

    done: list[str] = []
    real_work, real_write, real_unlink = plan.index_images, os.write, Path.unlink
    monkeypatch.setattr(
        "pickroom.indexing.engines.index_images",
        lambda encoder, source, tasks: [done.extend(embedded(tasks)), real_work(encoder, source, tasks)][1],
    )
    deaths = half_written = 0
    for after in (False, True):  # the write happened, or it did not
        for step in range(100):
            forget(project)
            left = [step]

            def dying(
                real: Callable[..., object], left: list[int] = left, after: bool = after
            ) -> Callable[..., object]:
                def call(*given: object, **more: object) -> object:
                    left[0] -= 1
                    if left[0] == -1 and not after:
                        raise Killed
                    result = real(*given, **more)
                    if left[0] == -1:
                        raise Killed
                    return result

                return call

            done.clear()
            with monkeypatch.context() as patch:
                patch.setattr(atomic, "create_bytes", dying(atomic.create_bytes))
                patch.setattr(atomic, "rename_noreplace", dying(atomic.rename_noreplace))  # written, not yet there
                patch.setattr(os, "write", dying(real_write))
                patch.setattr(Path, "unlink", dying(real_unlink))
                try:
                    embed(reopened(project), made)
                    finished = True
                except Killed:
                    finished = False
            deaths += not finished
            half_written += len(partial_files(project))
            embed(reopened(project), made)
            assert same(contents(project), expected)
            assert partial_files(project) == []
            twice = [name for name, times in Counter(done).items() if times > 1]
            assert len(twice) <= BATCH and max(Counter(done).values()) <= 2
            lines = project.workspace.processed_log.read_text().splitlines()
            logged = {json.loads(line)["filename"] for line in lines}
            assert logged == {name for name, _ in expected}
            if finished:
                break
    assert deaths > 10 and half_written > 3


def partial_files(project: Project) -> list[Path]:
    """What a kill left half written next to the part files."""
    folder = open_store(reopened(project)).folder
    return [path for path in folder.iterdir() if path.name.endswith(atomic.PARTIAL_SUFFIX)]


def reopened(project: Project) -> Project:
    return project.workspace.project(project.id)


def forget(project: Project) -> None:
    """As if the project had never been embedded, but for its encoder."""
    folder = open_store(reopened(project)).folder
    for path in [*folder.iterdir(), project.workspace.processed_log]:
        path.unlink(missing_ok=True)


CHILD = """
    import os, signal, sys
    from pathlib import Path
    from pickroom.indexing import engines, plan
    from pickroom.features.choice import EncoderConfig
    from pickroom.indexing.engines import EmbedConfig
    from pickroom.indexing.pipeline import embed
    from pickroom.store.workspace import Workspace

    home, names = sys.argv[1:]
    real, batches = plan.index_images, []

    def dying(encoder, source, tasks):
        with open(names, "a") as file:
            file.writelines(f"{task.item.filename}\\n" for task in tasks)
        batches.append(real(encoder, source, tasks))
        if len(batches) == 4:
            os.kill(os.getpid(), signal.SIGKILL)  # the batch is computed, and not yet published
        return batches[-1]

    engines.index_images = dying
    encoder = EncoderConfig("bundled")
    embed(Workspace(Path(home)).project("p"), EmbedConfig(encoder, batch=2, workers=1))
"""


def test_a_killed_process_is_gone_on_with(
    photo_project: MakeProject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = photo_project(6)
    names = tmp_path / "names"
    line = [sys.executable, "-c", textwrap.dedent(CHILD), str(project.workspace.root), str(names)]
    child = subprocess.run(line, check=False, capture_output=True, text=True)
    assert child.returncode == -signal.SIGKILL, child.stderr
    before = names.read_text().split()
    assert len(before) == 8

    done: list[str] = []
    real = plan.index_images
    monkeypatch.setattr(
        "pickroom.indexing.engines.index_images",
        lambda encoder, source, tasks: [done.extend(embedded(tasks)), real(encoder, source, tasks)][1],
    )
    encoder = EncoderConfig("bundled")
    report = embed(reopened(project), EmbedConfig(encoder, batch=BATCH, workers=1))
    assert (report.images, report.unchanged, report.embedded) == (12, 6, 6)
    assert sorted(done) == sorted({path.name for path in project.root.iterdir()} - set(before[:6]))
    assert set(before) & set(done) == set(before[6:])  # the batch in flight, and no other image, is done twice
    vectors = load_vectors(reopened(project))
    assert len(vectors) == 12 and np.isfinite(vectors.matrix).all()

"""Templates built once a module, and projects staged from them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from faults.census import Tree, tree_of
from faults.launcher import end_all
from faults.scenarios import SCENARIOS, Stage, Way, stage, template


@pytest.fixture(scope="module")
def templates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where each scenario's project is built, the first time that it is asked for."""
    return tmp_path_factory.mktemp("templates")


@pytest.fixture
def staged(templates: Path, tmp_path: Path) -> Iterator[Callable[..., Stage]]:
    """A scenario's project on disk: `staged("review")`, or elsewhere: `staged("review", folder=disk / "run")`."""

    def make(name: str, way: Way | None = None, folder: Path | None = None) -> Stage:
        scenario = SCENARIOS[name]
        if not (templates / name).exists():
            template(templates / name, scenario)
        return stage(templates / name, folder or tmp_path / "run", scenario, way, words=tmp_path)

    yield make
    end_all()


@pytest.fixture
def ends_as(templates: Path, tmp_path: Path, staged: Callable[..., Stage]) -> Callable[[str], Tree]:
    """The files that a scenario's command leaves when nothing disturbs it."""

    def tree(name: str) -> Tree:
        kept = templates / f"{name}.tree"
        if not kept.exists():
            made = staged(name, folder=tmp_path / "undisturbed")
            assert made.run().code == 0
            kept.write_text(json.dumps(tree_of(made.project)))
        return json.loads(kept.read_text())

    return tree

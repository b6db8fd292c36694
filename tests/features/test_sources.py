"""What features are made from is loaded when asked for, of a few projects at a time."""

from __future__ import annotations

from pathlib import Path

import pytest

from conftest import SCANNED_AT
from pickroom.core.errors import ProjectError
from pickroom.features.sources import FeatureSources
from pickroom.indexing import projects
from pickroom.store.workspace import Project, Workspace
from support.learning import embed_colours, write_groups


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> list[Project]:
    root = tmp_path_factory.mktemp("sources")
    made = []
    for number, name in enumerate("pqr"):
        write_groups(root / name, 1, seed=number)
        made.append(embed_colours(projects.start(Workspace(root / "home"), name, root / name, at=SCANNED_AT)[0]))
    return made


def test_a_project_that_was_not_opened_is_named(three: list[Project]) -> None:
    with pytest.raises(ProjectError, match="'r' was not opened for this work \\(opened: p, q\\)"):
        FeatureSources(three[:2]).vectors("r")


def test_vectors_are_loaded_once(three: list[Project]) -> None:
    sources = FeatureSources(three)
    first = sources.vectors("p")
    assert sources.vectors("p") is first and first.patches is None
    with_patches = sources.vectors("p", patches=True)
    assert with_patches.patches is not None
    assert sources.vectors("p") is with_patches, "the fuller ones serve both"
    second = sources.vectors("q")
    sources.vectors("r")
    assert sources.vectors("q") is second


def test_a_file_is_found_where_it_lies_now(three: list[Project]) -> None:
    sources, project = FeatureSources(three), three[0]
    path = next(path for path in Path(project.root).iterdir() if path.suffix == ".png")
    assert sources.path("p", path.name) == path
    assert sources.path("p", "nothing.png") is None
    moved = path.parent / "selected" / path.name
    moved.parent.mkdir()
    path.rename(moved)
    assert sources.path("p", path.name) == path, "what was listed is not listed again for each file"
    assert FeatureSources(three).path("p", path.name) == moved

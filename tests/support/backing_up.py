"""What the tests of backups share: a workspace with all that belongs to a backup, and files changed inside one."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

from conftest import SCANNED_AT, read_tree, write_series
from pickroom.indexing import projects
from pickroom.maintenance.backup.reading import LISTING
from pickroom.store.legacy import connect_legacy, legacy_path
from pickroom.store.workspace import Project, Workspace
from support.reviewing import FINALISE, review

LEFT_BEHIND = ("data/ai_data/cache/", "data/ai_data/embeddings/")


def used_project(folder: Path, project_id: str = "p") -> Project:
    """A project in `folder/home`: one batch finalised, one choice made since, imports, a model, logs, vectors."""
    write_series(folder / f"images-{project_id}" / "anna", [(1, 2)] * 4)
    images = folder / f"images-{project_id}"
    project = projects.start(Workspace(folder / "home"), project_id, images, at=SCANNED_AT)[0]
    review(project, "1", "w", *FINALISE)
    review(project, "2")
    workspace = project.workspace
    connect_legacy(legacy_path(workspace, project_id)).close()
    for path, text in {
        workspace.models / "ranker_v1.pt": "weights",
        workspace.models / "ranker_v1_metadata.json": "{}",
        workspace.models / "ranker_current.json": '{"version": 1}',
        workspace.logs / "reclaimed.jsonl": "{}\n",
        workspace.summaries / "training.md": "# trained\n",
        workspace.embeddings / "encoder" / project_id / "part-0.parquet": "vectors",
        workspace.root / "data" / "README.md": "the checkout's",
        workspace.root / "sandbox" / project_id / "approved_decisions.jsonl": "{}\n",
    }.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return project


def kept(home: Path) -> dict[str, str]:
    """Path -> sha256 of what a backup of this home holds, databases apart, and nothing else that lies there."""
    tree = {name: sha for name, sha in read_tree(home).items() if name.startswith("data/")}
    passing = (".lock", "-wal", "-shm", ".db", "README.md")
    return {n: sha for n, sha in tree.items() if not n.startswith(LEFT_BEHIND) and not n.endswith(passing)}


def rewritten(file: Path, target: Path, change: Callable[[dict[str, bytes]], None]) -> Path:
    """A zip with other members: `change` is given name -> content, the list among them."""
    with zipfile.ZipFile(file) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    with zipfile.ZipFile(target, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return target


def listing_changed(change: Callable[[dict], None]) -> Callable[[dict[str, bytes]], None]:
    """A change of the list alone."""

    def changed(members: dict[str, bytes]) -> None:
        values = json.loads(members[LISTING])
        change(values)
        members[LISTING] = json.dumps(values).encode()

    return changed

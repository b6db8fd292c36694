"""Where everything lies: the workspace's folders, and each project's manifest and paths in one frozen record.

This module owns the manifest file (FORMATS.md, Manifest); nobody else reads or writes it.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

from platformdirs import user_data_path

from pickroom.core.errors import ProjectError
from pickroom.core.naming import is_project_id
from pickroom.storage import atomic
from pickroom.storage.locking import exclusive
from pickroom.store.manifest import DECISIONS, Manifest, NewerManifestError

_MANIFESTS = Path("data", "projects")  # what makes a folder a workspace
_MOST_BYTES = 1 << 20  # of a manifest: it holds a page
_PATIENCE_S = 10.0  # a manifest is written in milliseconds, on a slow disk in a second


def utc_now() -> str:
    """Now as FORMATS.md writes every time: ISO 8601 UTC ending in Z, to the microsecond."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


@dataclass(frozen=True, slots=True)
class Project:
    """One project: its manifest and every path that belongs to it."""

    workspace: Workspace
    manifest: Manifest

    @property
    def id(self) -> str:
        return self.manifest.project_id

    @property
    def root(self) -> Path:
        """The folder of its images; raises nothing when it has gone (see `require_root`)."""
        return Path(self.manifest.root)

    @property
    def database(self) -> Path:
        return self.workspace.decisions / f"{self.id}.db"

    @property
    def lock_file(self) -> Path:
        """What the kernel's `flock` is taken on while files move; never removed."""
        return self.workspace.decisions / f"{self.id}.lock"

    @property
    def manifest_file(self) -> Path:
        return self.workspace.manifests / f"{self.id}.json"

    def path(self, directory: str | None, filename: str) -> Path:
        """The absolute path of a file given its folder relative to the root."""
        return self.root / (directory or "") / filename

    def require_root(self) -> Path:
        """The image folder, or ProjectError when it is not there (an unplugged disk, a moved folder)."""
        if not self.root.is_dir():
            hint = f"plug its disk in, or: pickroom relocate {self.id} NEW_FOLDER"
            raise _unusable(self.id, "the image folder is not there", self.root, hint)
        return self.root

    def with_manifest(self, **changes: Any) -> Project:
        """Change the manifest as it is on disk now, and return the project that it describes.

        What another command changed since this project was opened stays, whatever this one was at meanwhile.

        Raises:
            ProjectError: the manifest is gone or damaged.
            LockedError: another process has been writing it for seconds.
        """
        path = self.manifest_file
        lock = path.with_suffix(".lock")
        with exclusive(lock, f"the manifest of {self.id}", f"saving what is known of {self.id}", patience=_PATIENCE_S):
            project = self.workspace.project(self.id)
            manifest = replace(project.manifest, **changes)
            if manifest != project.manifest:
                atomic.write_text(path, manifest.to_json())
        return replace(project, manifest=manifest)


@dataclass(frozen=True, slots=True)
class Workspace:
    """The folder that holds `data/`, `notebooks/`, `sandbox/`, `reports/` and `archives/` (FORMATS.md, Folders)."""

    root: Path

    @classmethod
    def find(cls, home: Path | str | None = None) -> Workspace:
        """`home` if given, else $PICKROOM_HOME, else the nearest parent with `data/projects/`, else the user's data."""
        chosen = home or os.environ.get("PICKROOM_HOME")
        if chosen:
            return cls(Path(chosen).expanduser().resolve())
        here = Path.cwd()
        for folder in (here, *here.parents):
            if (folder / _MANIFESTS).is_dir():
                return cls(folder)
        return cls(user_data_path("pickroom"))

    @property
    def own_folders(self) -> frozenset[Path]:
        """The folders that are no sources of images, even where the images lie next to them."""
        return frozenset((self.root / "data", self.sandbox, self.reports, self.archives))

    @property
    def notebooks(self) -> Path:
        return self.root / "notebooks"

    @property
    def sandbox(self) -> Path:
        return self.root / "sandbox"

    @property
    def reports(self) -> Path:
        return self.root / "reports"

    @property
    def archives(self) -> Path:
        return self.root / "archives"

    @property
    def manifests(self) -> Path:
        return self.root / _MANIFESTS

    @property
    def decisions(self) -> Path:
        return self.root / DECISIONS

    @property
    def embeddings(self) -> Path:
        return self.root / "data" / "ai_data" / "embeddings"

    @property
    def blocks(self) -> Path:
        return self.root / "data" / "ai_data" / "blocks"

    @property
    def thumbnails(self) -> Path:
        return self.root / "data" / "ai_data" / "cache" / "thumbnails"

    @property
    def processed_log(self) -> Path:
        return self.root / "data" / "ai_data" / "cache" / "processed_images.jsonl"

    @property
    def models(self) -> Path:
        return self.root / "data" / "ai_data" / "models"

    @property
    def logs(self) -> Path:
        return self.root / "data" / "ai_data" / "logs"

    @property
    def summaries(self) -> Path:
        return self.root / "data" / "daily_summaries"

    def project(self, project_id: str) -> Project:
        """Open a project by id; raises ProjectError when the id, the manifest or its content is no good."""
        if not is_project_id(project_id):
            raise bad_project_id(project_id)
        path = self.manifests / f"{project_id}.json"
        try:
            manifest = Manifest.from_json(atomic.read_small(path, _MOST_BYTES).decode())
        except FileNotFoundError:
            known = self.project_ids()
            close = difflib.get_close_matches(project_id, known, 1)
            meant = f"did you mean {close[0]}? " if close else ""
            here = f"{meant}projects here: {', '.join(known) or 'none yet'}"
            if len(known) == 1:
                here += f', in a notebook project = "{known[0]}"'
            what, doing = f"there is no project {project_id!r}, as seen", "looking for its manifest"
            hint = f"{here}; make one: pickroom start {project_id} --images FOLDER"
            raise ProjectError(what, doing=doing, subject=path, hint=hint) from None
        except NewerManifestError as error:
            raise _unusable(project_id, str(error), path, "update pickroom") from None
        except (OSError, ValueError, RecursionError) as error:
            hint = "restore it from a backup, or mend it by hand"
            raise _unusable(project_id, f"the manifest is damaged ({error})", path, hint) from None
        if manifest.project_id != project_id:
            what, hint = (
                f"the manifest names project {manifest.project_id!r}",
                "its file name and its project_id must agree",
            )
            raise _unusable(project_id, what, path, hint)
        if PurePosixPath(manifest.decisions_db) != PurePosixPath(DECISIONS, f"{project_id}.db"):  # FORMATS.md, Folders
            what = f"the manifest names another database, {manifest.decisions_db!r}"
            hint = f"its decisions_db is {DECISIONS}/{project_id}.db: move the database there, and say so"
            raise _unusable(project_id, what, path, hint)
        return Project(self, manifest)

    def project_ids(self) -> list[str]:
        """The ids of every project that has a manifest, sorted."""
        return sorted(p.stem for p in self.manifests.glob("*.json") if is_project_id(p.stem))

    def projects(self) -> Iterator[Project]:
        """Every project; raises ProjectError at the first damaged manifest."""
        return (self.project(project_id) for project_id in self.project_ids())

    def planned(self, project_id: str, root: Path, title: str | None = None) -> Project:
        """A project that has not been saved; `save_new` publishes its manifest."""
        manifest = Manifest(
            project_id=project_id,
            title=title or project_id,
            root=str(root),
            decisions_db=f"{DECISIONS}/{project_id}.db",
            created_at=utc_now(),
        )
        return Project(self, manifest)

    def save_new(self, project: Project) -> None:
        """Publish a new project's manifest; raises ProjectError when there is one by that id."""
        self.manifests.mkdir(parents=True, exist_ok=True)
        try:
            atomic.create_bytes(project.manifest_file, project.manifest.to_json().encode())
        except FileExistsError:
            raise already_started(project) from None
        atomic.sync_folders([self.manifests])


def package_notebooks(kind: str = "") -> list[Path]:
    """The notebooks that this version comes with; kind "reports": those of reports. Nothing writes there."""
    return sorted((Path(__file__).parents[1] / "notebooks" / kind).glob("[!.]*.ipynb"))


def _unusable(project_id: str, what: str, path: Path, hint: str) -> ProjectError:
    return ProjectError(what, doing=f"opening project {project_id}", subject=path, hint=hint)


def bad_project_id(project_id: str) -> ProjectError:
    what, hint = f"{project_id!r} cannot be a project's name", "up to 64 letters, digits, _ and -"
    hint += ", a letter or digit first, not ending in _legacy"
    return ProjectError(what, doing="reading a project name", hint=hint)


def already_started(project: Project) -> ProjectError:
    what, path = f"project {project.id!r} is there already", project.manifest_file
    hint = f"see: pickroom status {project.id}; rescan it: pickroom groups {project.id}"
    return ProjectError(what, doing="starting a project", subject=path, hint=hint)

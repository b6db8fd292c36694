"""Where everything lies: the workspace's folders, and each project's manifest and paths in one frozen record.

This module owns the manifest file (FORMATS.md, Manifest): no other module reads or writes it.
"""

from __future__ import annotations

import contextlib
import difflib
import json
import os
import re
import shlex
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any, Literal, Self

import msgspec
from platformdirs import user_data_path

from pickroom.core.errors import ProjectError
from pickroom.core.naming import ALL_EXTENSIONS, EARLIER_EXTENSIONS, IMAGE_EXTENSIONS, is_project_id
from pickroom.storage import atomic
from pickroom.storage.json_records import NonEmpty, from_json, from_values
from pickroom.storage.locking import exclusive

SCHEMA_VERSION = 1
DECISIONS = "data/training/ai_training_decisions"  # the folder of databases, relative to the workspace
INNER = ".pickroom"  # the workspace of a copy in a sandbox, in the copy's folder
_ENCODER_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")


class NewerManifestError(ValueError):
    """A manifest is of a schema that this program does not know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What `data/projects/<project>.json` holds, in its order. `root` is the only absolute path stored anywhere.

    A finished project that was registered without images has the root "".
    """

    schema_version: int = SCHEMA_VERSION
    project_id: NonEmpty
    aliases: tuple[str, ...] = ()
    title: str
    status: Literal["active", "finished", "archived"] = "active"
    root: str
    decisions_db: str
    created_at: str
    finished_at: str | None = None
    image_count: int = 0
    group_count: int = 0
    allowed_extensions: tuple[str, ...] = ALL_EXTENSIONS
    encoder: str | None = None
    notes: str = ""
    layout: Literal["flat", "mirror"] = "flat"  # of Pickroom's folders: see `Project.is_mirrored`
    # decisions go into XMP sidecars, of which new ones are name.xmp (stem) or name.ext.xmp; None: images move
    in_place: Literal["stem", "full"] | None = None

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read a manifest.

        Raises:
            ValueError: a field is missing or of the wrong type; the message names it.
            NewerManifestError: a newer Pickroom wrote it, so that its fields may mean something else.
        """
        values = from_json(dict[str, Any], text)
        version = values.get("schema_version")
        if isinstance(version, int) and version > SCHEMA_VERSION:
            raise NewerManifestError(f"the manifest has schema {version}, this program knows up to {SCHEMA_VERSION}")
        project_id = str(values.get("project_id", ""))
        defaults = {"title": project_id, "decisions_db": f"{DECISIONS}/{project_id}.db", "created_at": ""}
        manifest = from_values(cls, {**defaults, **values})
        if manifest.allowed_extensions in (EARLIER_EXTENSIONS, IMAGE_EXTENSIONS):  # nobody has chosen these
            manifest = replace(manifest, allowed_extensions=ALL_EXTENSIONS)
        without_images = not manifest.root and manifest.status != "active"
        if not without_images and (not Path(manifest.root).is_absolute() or "\0" in manifest.root):
            raise ValueError(f"its root {manifest.root!r} is not an absolute path")
        if manifest.encoder is not None and not _ENCODER_ID.fullmatch(manifest.encoder):  # it names a folder
            raise ValueError(f"its encoder {manifest.encoder!r} is not an encoder's id")
        return manifest


class _EarlierPaths(msgspec.Struct):
    root: str = ""


class EarlierProject(msgspec.Struct, rename="camel"):
    """A `<project>.project.json` of the earlier system, as far as Pickroom uses it; `paths.root` is relative to it."""

    project_id: NonEmpty
    title: str | None = None
    created_at: str | None = None
    started_at: str | None = None
    finished_at: str | None = None
    paths: _EarlierPaths = msgspec.field(default_factory=_EarlierPaths)


_EARLIER = ".project.json"  # the end of the name of the earlier system's manifests
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
        """The folder of its images; raises nothing when it has gone (see `require_root`).

        Of a project registered without images it is a path in the workspace where nothing lies.
        """
        return Path(self.manifest.root or self.manifest_file.with_suffix(".no-images"))

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

    @property
    def is_mirrored(self) -> bool:
        """Whether Pickroom's folders mirror the sub-folders of the sources, as the manifest on disk says now.

        A scan that meets a name in two folders changes it, also while a window has the project open.
        """
        with contextlib.suppress(ProjectError):  # it has not been saved yet
            return self.workspace.project(self.id).manifest.layout == "mirror"
        return self.manifest.layout == "mirror"

    def path(self, directory: str | None, filename: str) -> Path:
        """The absolute path of a file given its folder relative to the root."""
        return self.root / (directory or "") / filename

    def require_root(self) -> Path:
        """The image folder, or ProjectError when it is not there (an unplugged disk, a moved folder)."""
        if not self.manifest.root:
            hint = f"give it the folder you are in: pickroom start {self.id} --images ."
            raise _unusable(self.id, "it was registered without images", self.manifest_file, hint)
        if not self.root.is_dir():
            raise _unusable(self.id, "the image folder is not there", self.root, self.relocate_hint)
        return self.root

    @property
    def relocate_hint(self) -> str:
        """What to do where the images are not in the root."""
        command = f"pickroom relocate {self.id} . --home {shlex.quote(str(self.workspace.root))}"
        return f"plug its disk in, or in the folder where its images are now: {command}"

    def with_manifest(self, **changes: Any) -> Project:
        """Change the manifest as it is on disk now, and return the project that it describes.

        Changes that another command made since this project was opened are kept.

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


class _Folder:
    """A path below the workspace's root."""

    def __init__(self, *parts: str) -> None:
        self._parts = parts

    def __get__(self, workspace: Workspace, owner: object) -> Path:
        return workspace.root.joinpath(*self._parts)


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
            if cls(folder).manifests.is_dir():
                return cls(folder)
        return cls(user_data_path("pickroom"))

    @property
    def own_folders(self) -> frozenset[Path]:
        """The folders that are no sources of images, even where the images lie next to them."""
        return frozenset((self.root / "data", self.sandbox, self.reports, self.archives))

    notebooks = _Folder("notebooks")
    sandbox = _Folder("sandbox")
    reports = _Folder("reports")
    archives = _Folder("archives")
    manifests = _Folder("data", "projects")
    decisions = _Folder(DECISIONS)
    embeddings = _Folder("data", "ai_data", "embeddings")
    blocks = _Folder("data", "ai_data", "blocks")
    thumbnails = _Folder("data", "ai_data", "cache", "thumbnails")
    processed_log = _Folder("data", "ai_data", "cache", "processed_images.jsonl")
    models = _Folder("data", "ai_data", "models")
    logs = _Folder("data", "ai_data", "logs")
    summaries = _Folder("data", "daily_summaries")

    def project(self, project_id: str) -> Project:
        """Open a project by id; raises ProjectError when the id, the manifest or its content is not good."""
        if not is_project_id(project_id):
            raise bad_project_id(project_id)
        path = self.manifests / f"{project_id}.json"
        try:
            if not self._is_project(path):
                raise FileNotFoundError
            manifest = Manifest.from_json(atomic.read_small(path, _MOST_BYTES).decode())
        except FileNotFoundError:
            known = self.project_ids()
            close = difflib.get_close_matches(project_id, known, 1)
            meant = f"did you mean {close[0]}? " if close else ""
            here = f"{meant}projects here: {', '.join(known) or 'none yet'}"
            if len(known) == 1:
                here += f', in a notebook project = "{known[0]}"'
            what, doing = f"no project is named {project_id!r}, as seen", "looking for its manifest"
            hint = f"{here}; make one of the folder you are in: pickroom start {project_id} --images ."
            raise ProjectError(what, doing=doing, subject=path, hint=hint) from None
        except NewerManifestError as error:
            raise _unusable(project_id, str(error), path, "update pickroom") from None
        except (OSError, ValueError, RecursionError) as error:
            hint = "restore it from a backup, or mend it by hand"
            raise _unusable(project_id, f"the manifest is damaged ({error})", path, hint) from None
        if manifest.project_id != project_id:
            what = f"the manifest names project {manifest.project_id!r}"
            raise _unusable(project_id, what, path, "its file name and its project_id must agree")
        if PurePosixPath(manifest.decisions_db) != PurePosixPath(DECISIONS, f"{project_id}.db"):  # FORMATS.md, Folders
            what = f"the manifest names another database, {manifest.decisions_db!r}"
            hint = f"its decisions_db is {DECISIONS}/{project_id}.db: move the database there, and say so"
            raise _unusable(project_id, what, path, hint)
        return Project(self, manifest)

    def project_ids(self) -> list[str]:
        """The ids of every project that has a manifest, sorted."""
        return sorted(p.stem for p in self.manifests.glob("*.json") if is_project_id(p.stem) and self._is_project(p))

    def other_files(self) -> list[str]:
        """The names of JSON files among the manifests that are other programs', sorted."""
        earlier = {f"{name}{_EARLIER}" for name in self.earlier_projects()}
        own = {f"{project_id}.json" for project_id in self.project_ids()}
        return sorted({path.name for path in self.manifests.glob("[!.]*.json")} - own - earlier)

    def earlier_projects(self) -> dict[str, EarlierProject]:
        """Project id -> what its `<project>.project.json` of the earlier system says, where that can be read."""
        found = {}
        for path in sorted(self.manifests.glob(f"*{_EARLIER}")):
            with contextlib.suppress(OSError, ValueError):
                earlier = from_json(EarlierProject, atomic.read_small(path, _MOST_BYTES))
                if is_project_id(earlier.project_id) and path.name == f"{earlier.project_id}{_EARLIER}":
                    found[earlier.project_id] = earlier
        return found

    def _is_project(self, path: Path) -> bool:
        """Whether a JSON file is a project's manifest, maybe a damaged one, and not another program's."""
        if (self.decisions / f"{path.stem}.db").exists():
            return True
        try:
            values = from_json(object, atomic.read_small(path, _MOST_BYTES))
        except FileNotFoundError:
            return False
        except (OSError, ValueError):
            return True
        return isinstance(values, dict) and not {"project_id", "schema_version", "decisions_db"}.isdisjoint(values)

    def projects(self) -> Iterator[Project]:
        """Every project; raises ProjectError at the first damaged manifest."""
        return (self.project(project_id) for project_id in self.project_ids())

    def planned(self, project_id: str, root: Path | None, title: str | None = None) -> Project:
        """A project that has not been saved; `save_new` publishes its manifest. `root` None: one without images."""
        manifest = Manifest(
            project_id=project_id,
            title=title or project_id,
            root="" if root is None else str(root),
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
    if project.id not in project.workspace.project_ids():
        what, hint = "a file of another program has this project's name", "choose another name, or move the file"
    return ProjectError(what, doing="starting a project", subject=path, hint=hint)

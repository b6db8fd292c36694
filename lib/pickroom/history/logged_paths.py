"""Convert any path of an old log to (project, file name).

Old logs name one image as an absolute path, a relative one, one with a prefix such as PROJECT_ROOT, or a Windows
path. What they share is the file name at the end, and folders on the way that may name the project.
"""

from __future__ import annotations

import functools
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import unquote

from pickroom.core.errors import ProjectError
from pickroom.core.naming import is_project_id
from pickroom.store.workspace import Workspace

_CACHED_FOLDERS = 10_000  # folders whose project is remembered; a log repeats a few folders many times


def split_path(text: str) -> tuple[str, str]:
    """A logged path as (folder, file name); the folder is "" without one, the name "" when nothing is named.

    The folder keeps its parts as written, with `/` between them, for `ProjectNames`.

    >>> split_path(r"C:\\Users\\x\\mojo1\\a.png")
    ('C:/Users/x/mojo1', 'a.png')
    >>> split_path("PROJECT_ROOT/training data/mojo1/a.png")
    ('PROJECT_ROOT/training data/mojo1', 'a.png')
    """
    # a backslash inside a POSIX file name is possible, but in these logs it is always a Windows path
    text = text.strip().replace("\\", "/")
    if text.startswith("file://"):
        text = unquote(text[7:])
    folder, _, filename = text.rpartition("/")
    return folder, "" if filename in (".", "..") else filename


@dataclass(frozen=True, slots=True)
class Found:
    """A project's name in a path: `folder` is the path up to the name, `projects` are those with this name."""

    folder: str
    projects: frozenset[str]


class ProjectNames:
    """Find the project of a name or a folder, by ids and by the aliases in manifests.

    An alias may be several parts long (`training data/mojo1_final`). An exact match comes before one that differs in
    capitals only.
    """

    def __init__(
        self, aliases: Mapping[str, Iterable[str]], roots: Mapping[str, str] | None = None, *, ids: bool = True
    ) -> None:
        """Make the table.

        Args:
            aliases: project id -> its aliases.
            roots: project id -> the absolute path of its images.
            ids: whether the id is one of its own names.
        """
        self._owners: dict[str, set[str]] = {}
        for project_id, others in aliases.items():
            for name in (project_id, *others) if ids else others:
                if parts := "/".join(parts_of(name)):
                    self._owners.setdefault(parts, set()).add(project_id)
        self._folded: dict[str, set[str]] = {}
        for name, owners in self._owners.items():
            self._folded.setdefault(folded(name), set()).update(owners)
        self._roots = {"/".join(parts_of(root)): project_id for project_id, root in (roots or {}).items()}
        # a cache of this object: another one may know other projects
        self.found_in = functools.lru_cache(_CACHED_FOLDERS)(self._found_in)

    @classmethod
    def of(cls, workspace: Workspace, given: Iterable[str] = ()) -> ProjectNames:
        """Names of all projects: registered ones, those of the earlier system's files, and given ones.

        Raises:
            ProjectError: a manifest is damaged, so that its aliases are unknown.
        """
        started = {project.id: project.manifest for project in workspace.projects()}
        aliases: dict[str, Iterable[str]] = dict.fromkeys((*workspace.earlier_projects(), *given), ())
        aliases |= {name: manifest.aliases for name, manifest in started.items()}
        return cls(aliases, {name: manifest.root for name, manifest in started.items() if manifest.root})

    def ids(self) -> frozenset[str]:
        """Every project that has a name here."""
        return frozenset().union(*self._owners.values())

    def known(self, text: str) -> frozenset[str]:
        """The projects that have this name."""
        return frozenset(self._owners.get(text) or self._folded.get(folded(text)) or ())

    def named(self, text: str) -> frozenset[str]:
        """The projects of a text in a `project` column; empty when it cannot be a name."""
        return self.known(text) or (frozenset((text,)) if is_project_id(text) else frozenset())

    def in_folder(self, folder: str) -> frozenset[str]:
        """The projects with an id or alias in a folder's path (one part or several), else with images there."""
        return frozenset(owner for found in self.found_in(folder) for owner in found.projects)

    def _found_in(self, folder: str) -> tuple[Found, ...]:
        """Every name in a folder's path, the longest first."""
        parts = parts_of(folder)
        path = "/" + "/".join(parts) + "/"
        for owners, text in ((self._owners, path), (self._folded, folded(path))):
            found = [
                (text[: text.index(f"/{name}/")].count("/") + name.count("/") + 1, name, owners[name])
                for name in owners
                if f"/{name}/" in text
            ]
            if found:
                found.sort(key=lambda match: (-match[1].count("/"), match[0]))
                start = "/" if folder.startswith("/") else ""
                return tuple(Found(start + "/".join(parts[:end]), frozenset(who)) for end, _, who in found)
        if folder.startswith("/"):
            for root, owner in self._roots.items():
                if root and path.startswith(f"/{root}/"):
                    return (Found(f"/{root}", frozenset((owner,))),)
        return ()


def given_project(workspace: Workspace, project_id: str) -> str:
    """The project id of `--project`, which may be an alias; the project need not be started.

    Raises:
        ProjectError: the text can name no project, or is an alias of several.
    """
    owners = ProjectNames.of(workspace).named(project_id)
    if len(owners) == 1:
        return next(iter(owners))
    alias = f"an alias of {' and '.join(sorted(owners))}"
    what = f"{project_id!r} is {alias if owners else 'not a name'}"
    hint = "up to 64 letters, digits, _ and -, a letter or digit first, not ending in _legacy"
    raise ProjectError(what, doing="reading a project name", hint=hint)


def new_aliases(workspace: Workspace, project_id: str, names: Iterable[str]) -> tuple[str, ...]:
    """Names in the form in which aliases are stored, each once.

    Raises:
        ProjectError: a name is empty, or is a name of another project: its rows would be in two projects.
    """
    others = ProjectNames.of(workspace)
    found = dict.fromkeys("/".join(parts_of(name)) for name in names)
    for name in found:
        owners = others.known(name) - {project_id}
        if owners or not name or not name.isprintable():
            what = f"{name!r} is a name of project {min(owners)}" if owners else f"{name!r} is not a name"
            hint = f"see: pickroom alias {min(owners)}" if owners else "give a folder's name, or a run of folders"
            raise ProjectError(what, doing=f"naming project {project_id}", hint=hint)
    return tuple(name for name in found if name != project_id)


def parts_of(folder: str) -> list[str]:
    """The parts of a path without blanks around them; `..` removes its parent."""
    parts: list[str] = []
    for text in folder.replace("\\", "/").split("/"):
        part = text.strip()
        if part == "..":
            if parts:
                parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    return parts


def folded(text: str) -> str:
    """A name for comparisons that ignore case and the two Unicode forms of accents."""
    return unicodedata.normalize("NFC", text).casefold()

"""The one way from any path an old log holds to (project, file name).

Old logs name one image as an absolute path, a relative one, one with a prefix such as PROJECT_ROOT, or a Windows
path. What they share is the file name at the end, and folders on the way that may name the project.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from urllib.parse import unquote

from pickroom.errors import ProjectError
from pickroom.naming import is_project_id
from pickroom.workspace import Workspace

_CACHED_FOLDERS = 10_000  # folders whose project is remembered; a log repeats a few folders many times


def split_path(text: str) -> tuple[str, str]:
    """A logged path as (folder, file name); the folder is "" without one, the name "" when nothing is named.

    The folder keeps its parts as written, with `/` between them, for `ProjectNames.in_folder`.

    >>> split_path(r"C:\\Users\\x\\mojo1\\a.png")
    ('C:/Users/x/mojo1', 'a.png')
    >>> split_path("PROJECT_ROOT/training data/mojo1/a.png")
    ('PROJECT_ROOT/training data/mojo1', 'a.png')
    """
    text = text.strip()
    if "\\" in text:
        # a backslash inside a POSIX file name is possible, but in these logs it is always a Windows path
        text = text.replace("\\", "/")
    if text.startswith("file://"):
        text = unquote(text[7:])
    folder, _, filename = text.rpartition("/")
    return folder, "" if filename in (".", "..") else filename


class ProjectNames:
    """Which project a name or a folder speaks of: ids, and the table of aliases from the manifests.

    An alias may be several parts long (`training data/mojo1_final`). Names are compared as written, capitals too.
    """

    def __init__(self, aliases: Mapping[str, Iterable[str]]) -> None:
        """`aliases`: project id -> its aliases; the id is always one of its own names."""
        self._owners: dict[str, set[str]] = {}
        for project_id, others in aliases.items():
            for name in (project_id, *others):
                parts = "/".join(_parts(name.replace("\\", "/")))
                if parts:
                    self._owners.setdefault(parts, set()).add(project_id)
        # bound to this table: another one may know other projects
        self.in_folder = functools.lru_cache(_CACHED_FOLDERS)(self._in_folder)

    @classmethod
    def of(cls, workspace: Workspace, given: str | None = None) -> ProjectNames:
        """The names of every started project, and of one that is given but may not be started.

        Raises:
            ProjectError: a manifest is damaged, so that its aliases are unknown.
        """
        aliases = {project.id: project.manifest.aliases for project in workspace.projects()}
        if given is not None:
            aliases.setdefault(given, ())
        return cls(aliases)

    def table(self) -> list[tuple[str, str]]:
        """(name or alias, project id), sorted: what `in_folder` looks for."""
        return sorted((name, owner) for name, owners in self._owners.items() for owner in owners)

    def named(self, text: str) -> frozenset[str]:
        """The projects that a `project` column means; empty when the text cannot name one."""
        owners = self._owners.get(text)
        if owners is None:
            return frozenset((text,)) if is_project_id(text) else frozenset()
        return frozenset(owners)

    def _in_folder(self, folder: str) -> frozenset[str]:
        """The projects whose id or alias is one part, or a run of parts, of a folder's path."""
        path = "/" + "/".join(_parts(folder.strip().replace("\\", "/"))) + "/"
        found: set[str] = set()
        for name, owners in self._owners.items():
            if f"/{name}/" in path:
                found |= owners
        return frozenset(found)


def given_project(workspace: Workspace, project_id: str) -> str:
    """The id that `--project` means, by itself or as an alias; it need not be started.

    Raises:
        ProjectError: the text can name no project, or is an alias of several.
    """
    owners = ProjectNames.of(workspace).named(project_id)
    if len(owners) == 1:
        return next(iter(owners))
    what = f"{project_id!r} is an alias of {' and '.join(sorted(owners))}" if owners else f"{project_id!r} is no name"
    raise ProjectError(
        what,
        doing="reading a project name",
        hint="up to 64 letters, digits, _ and -, a letter or digit first, not ending in _legacy",
    )


def _parts(folder: str) -> list[str]:
    parts: list[str] = []
    for part in folder.split("/"):
        if part == "..":
            if parts:
                parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    return parts

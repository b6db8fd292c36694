"""Find the folder that names the project in the paths of an old log, from all folders of the log. Pure.

The rule: leave out the folders of tools (`crop`, `training data`), then the folders that the paths have in common; the
next folder names the project, so that `mojo1/faces` and `mojo1/hands` are one project.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from pickroom.core.naming import OWNED_FOLDERS
from pickroom.history.logged_paths import folded, parts_of

# folders that the tools of a project made inside it
_INSIDE = frozenset((*OWNED_FOLDERS, "cropped", "crops", "approved", "rejected", "kept", "deleted", "trash"))
# folders that never name a project, also those above projects, and the earlier system's PROJECT_ROOT
TOOL_FOLDERS = _INSIDE | frozenset(
    (
        *("training data", "training_data", "training-data", "training", "data", "sandbox", "projects", "project_root"),
        *("images", "raw", "final", "original", "originals"),
    )
)
# where machines mount disks and keep home folders: not projects, and each has a prefix of its own
_DISKS = frozenset(("volumes", "mnt", "media", "net", "private", "tmp", "var", "srv", "opt"))
_PEOPLE = frozenset(("users", "home"))
_DRIVE = re.compile(r"[A-Za-z]:")
_WORKING = re.compile(r"__.*|_*character_group_?\w*")  # folders that the earlier system's tools worked in
_FINAL = "_final"  # the earlier system kept the final images of `mojo1` in `mojo1_final`
_FEW = 20  # one row in this many may lie elsewhere without changing the common prefix of the others


@dataclass(frozen=True, slots=True)
class Named:
    """The project that a folder names."""

    folder: str  # the path up to the folder that names it
    name: str  # that folder's name, in one spelling for the whole log; it may be no valid project id


@dataclass(slots=True)
class ProjectFolders:
    """The projects that the folders of a log name."""

    # folder as logged -> the project that it names; folders that name none are left out
    named: dict[str, Named] = field(default_factory=dict)
    # the folders that the paths have in common; relative paths, and those of each machine, have their own
    common: list[str] = field(default_factory=list)
    # folders outside the common ones, although nearly all others are inside
    outside: list[str] = field(default_factory=list)
    # folders that count as one project only because a few paths lie elsewhere
    doubtful: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _Path:
    """One logged folder: its parts, and the places and folded texts of those that are not a tool's."""

    folder: str
    rows: int
    # where an absolute path begins: `/`, a drive, a server, a person's folder; empty for a relative one
    start: tuple[str, ...]
    parts: list[str]
    places: list[int]
    keys: tuple[str, ...]
    depth: int = 0  # how many of them it takes to name a project; 0 where none is named

    @property
    def name(self) -> str:
        return self.keys[self.depth - 1]

    @property
    def spelled(self) -> str:
        return self.parts[self.places[self.depth - 1]]

    def upto(self, depth: int) -> str:
        """The path up to its first `depth` parts that are not a tool's."""
        text = "/".join(self.parts[: self.places[depth - 1] + 1]) if depth else ""
        return f"/{text}" if self.folder.startswith("/") else text


def project_folders(
    rows: Mapping[str, int], known: Mapping[str, str], projects: Iterable[str] = (), *, only_siblings: bool = False
) -> ProjectFolders:
    """Which project each folder names.

    Args:
        rows: folder as logged (see `logged_paths.split_path`) -> rows that have it.
        known: those among them whose project is known already -> their path as far as the known folder. Folders next
            to a known project's folder are projects too.
        projects: names of known projects, and others that the log mentions: `mojo1_final` then means `mojo1`.
        only_siblings: whether only folders next to a known project's count, since others may be parts of one project.
    """
    found = ProjectFolders()
    paths = [_path(folder, rows[folder]) for folder in sorted(rows)]
    parents = {(place.start, place.keys[:-1]) for place in (_path(place, 0) for place in set(known.values()))}
    above = {(start, keys[:n]) for start, keys in parents for n in range(len(keys) + 1)}
    skipped = known.keys() | _inside_a_project(paths)
    rest: dict[tuple[str, ...], list[_Path]] = defaultdict(list)
    for path in paths:
        if path.folder in skipped or (path.start, path.keys) in above:
            continue
        lengths = range(len(path.keys) - 1, -1, -1)
        length = next((n for n in lengths if (path.start, path.keys[:n]) in parents), None)
        if length is not None:
            path.depth = length + 1
        elif path.keys and not only_siblings:
            rest[path.start].append(path)
    names = {path.name for path in paths if path.depth}
    for start in sorted(rest, key=lambda start: (-sum(path.rows for path in rest[start]), start)):
        _judge(rest[start], names, found)
    naming, mentioned = [path for path in paths if path.depth], {folded(name) for name in projects}
    spellings: dict[str, Counter[str]] = defaultdict(Counter)
    for path in naming:
        spellings[path.name][path.spelled] += path.rows
    for path in naming:
        base = path.name.removesuffix(_FINAL)
        if base not in spellings and base in mentioned:
            name = path.spelled[: -len(_FINAL)]
        else:  # the most frequent spelling
            counts = spellings[base if base in spellings else path.name]
            name = min(counts, key=lambda spelling: (-counts[spelling], spelling))
        found.named[path.folder] = Named(path.upto(path.depth), name)
    return found


def _path(folder: str, rows: int) -> _Path:
    parts = parts_of(folder)
    keys = [folded(part) for part in parts]
    length = 1 if keys and (_DRIVE.fullmatch(keys[0]) or folder.startswith("//") or keys[0] == "~") else 0
    absolute = length > 0 or folder.startswith("/")
    if absolute and keys[length : length + 1]:
        length += 1 if keys[length] in _DISKS else 2 if keys[length] in _PEOPLE else 0
    start = ("/", *keys[:length]) if absolute else ()
    places = [place for place, key in enumerate(keys) if place >= length and not is_tool_folder(key)]
    return _Path(folder, rows, start, parts, places, tuple(keys[place] for place in places))


def is_tool_folder(name: str) -> bool:
    """Whether a folder of this name holds images of any project."""
    return (key := folded(name)) in TOOL_FOLDERS or _WORKING.fullmatch(key) is not None


def _inside_a_project(paths: Iterable[_Path]) -> set[str]:
    """Folders below a tool's folder that has images of its own, such as `crop/faces` next to `crop/a.png`.

    The tool's folder then lies in one project, and so does a folder in it. Several folders in it may be projects.
    """
    relative = [path for path in paths if not path.start and path.parts]
    holds_images = {tuple(path.parts) for path in relative if not path.keys}
    below: dict[tuple[str, ...], list[_Path]] = defaultdict(list)
    for path in relative:
        tool = tuple(path.parts[: path.places[0]]) if path.keys else ()
        if tool in holds_images and folded(tool[-1]) in _INSIDE:
            below[tool].append(path)
    one = (found for found in below.values() if len({path.keys[0] for path in found}) == 1)
    return {path.folder for found in one for path in found}


def _judge(paths: list[_Path], names: set[str], found: ProjectFolders) -> None:
    """Find the depth at which each path names its project; `names` are the names found in other paths so far."""
    for path in paths:
        path.depth = next((n for n, key in enumerate(path.keys, start=1) if key in names), 0)
    left = [path for path in paths if not path.depth]
    if not left:
        return
    common, doubtful = _common(left, bool(paths[0].start))
    for path in left:
        if path.keys[: len(common)] != common:
            if path.keys != common[: len(path.keys)]:
                found.outside.append(path.folder)
                path.depth = len(path.keys)
        elif len(path.keys) > len(common):
            path.depth = len(common) + 1
            names.add(path.name)
    for keys, places in ((common, found.common), (doubtful, found.doubtful)):
        if keys:
            places.append(next(path for path in left if path.keys[: len(keys)] == keys).upto(len(keys)))


def _common(paths: list[_Path], absolute: bool) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The parts of the folder that holds the projects, and of a project that may itself hold projects.

    The folders in it are the projects. Where all paths are the same, an absolute path names the project by its last
    folder, a relative one by its first. A few paths may be elsewhere.
    """
    keys: tuple[str, ...] = ()
    while True:
        children, direct = _below(paths, keys)
        heavy = max(sorted(children), key=lambda key: children[key])
        end = (*keys, heavy)
        inner, images = _below(paths, end)
        while len(inner) == 1 and images <= (inner.total() + images) // _FEW:  # a step on the way
            end = (*end, *inner)
            inner, images = _below(paths, end)
        splits = len(inner) > 1 and images <= max(1, (inner.total() + images) // _FEW)
        total = children.total() + direct
        apart = total - children[heavy]
        if len(children) > 1:
            few = splits and apart <= max(1, total // _FEW)
            # a folder of projects differs from a project by the folders above it, or by being first in a path
            if not (few and absolute and (len(end) > len(keys) + 1 or (not keys and apart <= total // _FEW))):
                return keys, (*keys, heavy) if few else ()
        if not splits:
            return (end[:-1] if absolute else keys), ()
        keys = end


def _below(paths: list[_Path], keys: tuple[str, ...]) -> tuple[Counter[str], int]:
    """(each folder in this one -> rows in it, rows of images that lie directly in this one)."""
    children: Counter[str] = Counter()
    direct = 0
    for path in paths:
        if path.keys == keys:
            direct += path.rows
        elif path.keys[: len(keys)] == keys:
            children[path.keys[len(keys)]] += path.rows
    return children, direct

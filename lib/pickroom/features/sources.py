"""What features are made from: each project's vectors, blocks, and where its files lie now. Loaded when asked for."""

from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from pickroom.core.errors import ProjectError
from pickroom.features.blocks import Block, load_blocks
from pickroom.features.store import Vectors, load_vectors
from pickroom.images.scan import list_images
from pickroom.storage import atomic
from pickroom.store.workspace import Project

T = TypeVar("T")
_KEPT = 2  # projects whose floats stay in memory: 80,000 images with patches are some 2.9 GB


class FeatureSources:
    """Vectors, blocks and file places of several projects; those not used lately are dropped.

    Features ask project by project, so that what was dropped is seldom read again.
    """

    def __init__(self, projects: Iterable[Project]) -> None:
        self._projects = {project.id: project for project in projects}
        self._loaded: OrderedDict[tuple[str, str], Any] = OrderedDict()

    def project(self, project_id: str) -> Project:
        """One of the projects given.

        Raises:
            ProjectError: it is none of them.
        """
        try:
            return self._projects[project_id]
        except KeyError:
            known = ", ".join(sorted(self._projects)) or "none"
            raise ProjectError(
                f"project {project_id!r} was not opened for this work (opened: {known})", doing="making features"
            ) from None

    def vectors(self, project_id: str, *, patches: bool = False) -> Vectors:
        """All vectors of a project, with the patch grids where asked for.

        Raises:
            StoreError: it has none, or they are damaged.
        """
        project = self.project(project_id)
        if patches or ("patches", project_id) in self._loaded:
            return self._once("patches", project_id, lambda: load_vectors(project, patches=True))
        return self._once("vectors", project_id, lambda: load_vectors(project))

    def blocks(self, project_id: str) -> dict[str, Block]:
        """All feature blocks of a project by name; raises StoreError when a file of them is damaged."""
        project = self.project(project_id)
        return self._once("blocks", project_id, lambda: load_blocks(project))

    def path(self, project_id: str, filename: str, sha256: str | None = None) -> Path | None:
        """Where an image lies now, in the folders a finalise moved files to as well; None when it is nowhere.

        A finished crop is never meant: it has its original's name and is not compared. Of a name in several folders
        the file of this content is taken, the first in folder order where none is known.

        Raises:
            ProjectError: the image folder is not there.
        """
        project = self.project(project_id)

        def load() -> dict[str, list[Path]]:
            places = defaultdict(list)
            for entry in list_images(project)[0]:
                places[entry.filename].append(project.path(entry.directory, entry.filename))
            return places

        found = self._once("places", project_id, load).get(filename, [])
        for path in found if len(found) > 1 and sha256 is not None else ():
            with suppress(OSError):
                if atomic.sha256_of(path) == sha256:
                    return path
        return next(iter(found), None)

    def _once(self, kind: str, project_id: str, load: Callable[[], T]) -> T:
        key = (kind, project_id)
        if key not in self._loaded:
            same = [other for other in self._loaded if other[0] == kind]
            if len(same) >= _KEPT:
                del self._loaded[same[0]]
            self._loaded[key] = load()
        self._loaded.move_to_end(key)
        loaded: T = self._loaded[key]
        return loaded

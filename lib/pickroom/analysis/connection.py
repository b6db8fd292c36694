"""One connection over every project: typed views, refreshed as the databases change, with the exceptions named."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import duckdb

from pickroom.analysis import folders, queries
from pickroom.analysis.cache import Cache, Problem
from pickroom.analysis.catalogue import collect
from pickroom.analysis.engine import open_engine
from pickroom.analysis.views import Catalogue, define
from pickroom.core.errors import UsageError
from pickroom.core.naming import is_project_id
from pickroom.store.workspace import Workspace

if TYPE_CHECKING:
    import pandas


class Analysis:
    """DuckDB with views over every project: `decisions crops groups images recommendations operations models`, also
    `outcomes sessions projects legacy_selections`.

    Attributes:
        problems: projects that are left out, or had to be read in a special way, each with its reason.
        duckdb: the connection itself, for whatever is not offered here; its views are as of the last `refresh`.
    """

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.problems: tuple[Problem, ...] = ()
        self._cache = Cache.of(workspace)
        self._spill = self._cache.spill()
        self.duckdb: duckdb.DuckDBPyConnection = open_engine(self._spill.path)
        self._catalogue: Catalogue | None = None
        self.refresh()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.duckdb.close()
        self._spill.close()

    @property
    def catalogue(self) -> Catalogue:
        """What the views are made of now."""
        assert self._catalogue is not None
        return self._catalogue

    @property
    def project_ids(self) -> tuple[str, ...]:
        """The projects that the views hold."""
        return tuple(project_id for project_id in self._copies.folders if is_project_id(project_id))

    def copied_from(self, project_id: str) -> Path:
        """The folder of a project's copied views; its name changes when its rows do."""
        return self._copies.folders[project_id]

    def vector_files(self, project_id: str) -> list[str]:
        """A project's files of vectors, of every encoder."""
        return [
            file for encoder in self.catalogue.encoders for file in encoder.files if file.split("/")[-2] == project_id
        ]

    def refresh(self) -> None:
        """Bring in what was decided, added or repaired since; costs next to nothing when nothing changed."""
        self._copies = self._cache.refresh(self.workspace)
        found, self.problems = collect(self.workspace, self._copies)
        if found != self._catalogue:
            define(self.duckdb, found)
            self._catalogue = found

    def execute(self, sql: str, parameters: object = None) -> duckdb.DuckDBPyConnection:
        """Run SQL on what the databases hold now; the result is fetched as DuckDB's are (`fetchall`, `df`)."""
        self.refresh()
        return self.duckdb.execute(sql, parameters)

    def query(self, name: str, project_id: str | None = None) -> pandas.DataFrame:
        """The rows of a named query (`queries.names()`), of one project or of all.

        Raises:
            UsageError: there is no query of this name.
        """
        return self.execute(*self._named(name, project_id)).df()

    def rows(self, name: str, project_id: str | None = None) -> list[dict[str, Any]]:
        """As `query`, as plain rows: a missing value is None."""
        result = self.execute(*self._named(name, project_id))
        columns = [column[0] for column in result.description]
        return [dict(zip(columns, row, strict=True)) for row in result.fetchall()]

    def _named(self, name: str, project_id: str | None) -> tuple[str, list[str]]:
        text = queries.text(name)
        if name == "data_health":
            folders.list_files(self.duckdb, self.workspace, project_id)
        if project_id is None:
            return text, []
        if project_id not in self.workspace.project_ids():
            raise UsageError(f"there is no project {project_id!r}", doing=f"asking {name}")
        return f"SELECT * FROM ({text}) WHERE project_id = ?", [project_id]


def connect(workspace: Workspace) -> Analysis:
    """Open the analysis of a workspace. A project that cannot be read is left out and named in `problems`."""
    return Analysis(workspace)

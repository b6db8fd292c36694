"""`%sql` and `%%sql` in a notebook, after `%load_ext pickroom`: SQL on every project, answered with a data frame.

`%%sql NAME` also keeps the data frame as NAME. `%sql_home DIR` asks another workspace than the one found from here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pickroom.analysis.connection import Analysis, connect
from pickroom.store.workspace import Workspace

if TYPE_CHECKING:
    import pandas
    from IPython.core.interactiveshell import InteractiveShell


class SqlMagics:
    """The magics of one shell, with one connection."""

    def __init__(self, shell: InteractiveShell) -> None:
        self._shell = shell
        self._analysis: Analysis | None = None

    def home(self, line: str) -> None:
        """`%sql_home DIR`: the workspace to ask; without DIR the one found from the current folder."""
        if self._analysis is not None:
            self._analysis.close()
        self._analysis = connect(Workspace.find(line.strip() or None))

    def sql(self, line: str, cell: str | None = None) -> pandas.DataFrame:
        """The rows that the cell, or the line, gives; raises PickroomError where it cannot be answered."""
        if self._analysis is None:
            self.home("")
        assert self._analysis is not None
        rows = self._analysis.execute(line if cell is None else cell).df()
        for problem in self._analysis.problems:
            print(f"pickroom: {problem.line}")
        if cell is not None and line.strip():
            self._shell.user_ns[line.strip()] = rows
        return rows


def load(shell: Any) -> None:
    """Register the magics with a shell of IPython."""
    magics = SqlMagics(shell)
    shell.register_magic_function(magics.sql, "line_cell", "sql")
    shell.register_magic_function(magics.home, "line", "sql_home")

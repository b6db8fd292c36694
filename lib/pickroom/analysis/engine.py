"""DuckDB without downloads or files in the home folder, with SQLite where the extension is installed."""

import shutil
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import duckdb

from pickroom.analysis.queries import quoted, read_sql
from pickroom.core import naming
from pickroom.storage.leftovers import Folder

# DuckDB 1.5 takes two scans of tables with the same columns for one and gives the first one's rows for both, and
# projects' tables all have the same columns (https://github.com/duckdb/duckdb/issues/24781, also 25819)
_UNSOUND = "common_subplan"
# the error about a text that is not UTF-8 contains it, and Python cannot read the message
ERRORS = (duckdb.Error, UnicodeDecodeError)


def open_engine(spill: Path | None = None, **settings: str | int) -> duckdb.DuckDBPyConnection:
    """A new DuckDB in memory, times in UTC, the macros of `sql/macros.sql` defined.

    Args:
        spill: a private folder for what does not fit into memory; None refuses such a query instead.
        settings: more of DuckDB's configuration.
    """
    offline: dict[str, str | int] = {
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        "disabled_optimizers": _UNSOUND,
        "temp_directory": "" if spill is None else str(spill),
    }
    if spill is not None:  # the next decisions need room on that disk too
        offline["max_temp_directory_size"] = f"{shutil.disk_usage(spill).free // 2} B"
    connection = duckdb.connect(config={**offline, **settings})
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute(read_sql("macros"))
    # one pattern of file names for Python and SQL (LESSONS.md: two parsers gave two results)
    staged = naming.STAGED.pattern.replace(r"\d", r"\p{Nd}")
    stem = r"regexp_replace(filename, '(?s)^(.+)\.[^.]*$', '\1')"
    found = f"regexp_extract({stem}, {quoted(f'(?s)^(?:{staged})$')}, 2)"
    connection.execute(f"CREATE MACRO stage_of(filename) AS TRY_CAST({found} AS DOUBLE)")
    return connection


@cache
def sqlite_extension() -> Path | None:
    """The file of DuckDB's SQLite extension that came with the packages, None where it is missing.

    It is never installed from the network, nor into the home folder as `INSTALL` would.
    """
    spec = find_spec("duckdb_extension_sqlite")
    if spec is None or not spec.submodule_search_locations:
        return None
    folder = Path(next(iter(spec.submodule_search_locations)))
    file = folder / "extensions" / f"v{duckdb.__version__}" / "sqlite.duckdb_extension"
    return file if file.is_file() else None


def load_sqlite(connection: duckdb.DuckDBPyConnection) -> bool:
    """Let a connection attach SQLite databases; False where the extension is missing, or of another version."""
    file = sqlite_extension()
    if file is None:
        return False
    # DuckDB expects an extension's own name as file name, and the package's file has another
    with Folder("pickroom-extension-") as folder:
        link = folder / "sqlite_scanner.duckdb_extension"
        try:
            link.symlink_to(file)
        except OSError:  # a temporary folder on a disk without links
            shutil.copyfile(file, link)
        try:
            connection.load_extension(str(link))
        except duckdb.Error:
            return False
    return True

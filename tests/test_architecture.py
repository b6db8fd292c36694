"""The rules of DESIGN.md that no single module can keep alone: directions, sizes, owners, thin notebooks."""

from __future__ import annotations

import ast
import json
import re
import tokenize
from collections import defaultdict
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from pickroom.store.workspace import package_notebooks

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "lib" / "pickroom"
MODULES = sorted(PACKAGE.rglob("*.py"))
NOTEBOOKS = [*package_notebooks(), *package_notebooks("reports")]
LONGEST_MODULE = 400  # lines

# the packages, lowest first (docs/architecture.md): one imports only from those above it in this list
PACKAGES = (
    "core",
    "storage",
    "store",
    "images",
    "features",
    "groups",
    "integrity",
    "learn",
    "files",
    "indexing",
    "history",
    "analysis",
    "exports",
    "automation",
    "sessions",
    "maintenance",
    "demo",
    "app",
    "cli",
)
LAYER = {package: number for number, package in enumerate(PACKAGES)}
# analysis reads files, not the store's functions; but the store says which file another library may open (invariant 10)
ANALYSIS_MAY = {"pickroom.store.workspace", "pickroom.core.records", "pickroom.core.errors", "pickroom.core.naming"}
ANALYSIS_MAY |= {
    "pickroom.core.companions",  # pure: which RAW files are images
    "pickroom.store.snapshot",
    "pickroom.core.quiet",
    "pickroom.storage.leftovers",
    "pickroom.store.written_files",
    "pickroom.integrity.checks",  # which rows its views leave out
}
# databases that are no project's: the temporary facts of an import, the <project>_legacy.db it publishes, and one that
# is made to try whether WAL works
OWN_DATABASES = ("history/", "store/connections.py")
WRITE = re.compile(r"\b(?:INSERT\s+(?:OR\s+\w+\s+)?INTO|REPLACE\s+INTO|UPDATE|DELETE\s+FROM)\s+(\w+)")


def shown(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def docstring_of(path: Path) -> str:
    """A module's docstring, read without parsing the rest: this happens whenever the tests are collected."""
    text = path.read_text(encoding="utf-8")
    return text[3 : text.index('"""', 3)] if text.startswith('"""') else ""


def part_of(path: Path) -> str:
    """The part of the package that a module belongs to: the folder, or the module itself."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


@cache
def imports_of(path: Path) -> set[str]:
    """The parts of the package that a module imports, also inside its functions."""
    found = set()
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("pickroom.")}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{shown(path)}: an import relative to its place"
            package, *inner = (node.module or "").split(".")
            if package == "pickroom":
                found |= {inner[0]} if inner else {alias.name for alias in node.names}
    return found - {"__version__"}


@cache
def texts_in(path: Path) -> list[str]:
    """The string literals of a module, the fixed parts of f-strings among them; or the whole of an SQL file."""
    if path.suffix == ".sql":
        return [path.read_text(encoding="utf-8")]
    return [n.value for n in ast.walk(tree_of(path)) if isinstance(n, ast.Constant) and isinstance(n.value, str)]


def named_tables(path: Path) -> set[str]:
    """The tables that a module hands to store/review_state.py, whose SQL has a place for their names."""
    calls = (n for n in ast.walk(tree_of(path)) if isinstance(n, ast.Call))
    made = [call for call in calls if ast.unparse(call.func) in ("ReviewTables", "UndoLog")]
    given = [value for call in made for value in (*call.args, *(k.value for k in call.keywords))]
    return {value.value for value in given if isinstance(value, ast.Constant)}


@cache
def writers() -> dict[str, set[str]]:
    """Table -> the modules that write to it, migrations left aside."""
    found = defaultdict(set)
    for path in [*MODULES, *PACKAGE.rglob("*.sql")]:
        if shown(path).startswith(("store/migrations/", *OWN_DATABASES)) or shown(path) == "store/connect.py":
            continue
        for text in texts_in(path):
            for table in WRITE.findall(text):
                found[table].add(shown(path))
        for table in named_tables(path) if path.suffix == ".py" else ():
            found[table].add(shown(path))
    return found


@cache
def tables() -> set[str]:
    """Every table of a project's database."""
    scripts = [path.read_text(encoding="utf-8") for path in (PACKAGE / "store" / "migrations").glob("*.sql")]
    return {name for script in scripts for name in re.findall(r"CREATE TABLE (\w+)", script)}


# ------------------------------------------------------------------------------------------------ imports


def test_the_package_has_no_loose_modules() -> None:
    assert {path.stem for path in PACKAGE.glob("*.py")} == {"__init__"}


def test_every_package_is_in_the_list() -> None:
    assert {path.name for path in PACKAGE.iterdir() if any(path.glob("**/*.py"))} == set(PACKAGES)
    assert len(PACKAGES) <= 20


def test_packages_import_only_from_those_below() -> None:
    wrong = {
        shown(path): above
        for path in MODULES
        if path.parent != PACKAGE
        if (above := {part for part in imports_of(path) if LAYER[part] > LAYER[part_of(path)]})
    }
    assert wrong == {}


def test_analysis_imports_only_allowed_modules() -> None:
    own = [path for path in MODULES if part_of(path) == "analysis" and "reports" not in path.parts]
    found = set()
    for node in (node for path in own for node in ast.walk(tree_of(path)) if isinstance(node, ast.ImportFrom)):
        module = node.module or ""
        found |= {name for alias in node.names if module_file(name := f"{module}.{alias.name}")} or {module}
    ours = {name for name in found if name.startswith("pickroom.") and not name.startswith("pickroom.analysis")}
    assert ours <= ANALYSIS_MAY


# as a module's own docstring says: "Pure." with its reason behind it, or what kind of machine it is
SAYS_PURE = re.compile(r"(?<!\w)Pure[.:;]|\bas a pure state machine\b")
PURE = [shown(path) for path in MODULES if SAYS_PURE.search(docstring_of(path))]
MUST_BE_PURE = {"core/records.py", "core/naming.py", "core/geometry.py", "files/routing.py", "sessions/review/state.py"}
MUST_BE_PURE |= {"sessions/crop/state.py", "sessions/marking/board.py", "automation/guarantee.py"}
MUST_BE_PURE |= {"groups/stages.py", "files/xmp.py"}


def test_modules_that_must_be_pure_say_so() -> None:
    assert set(PURE) > MUST_BE_PURE


# files, databases, clocks, pictures; errors carry paths as values, and open nothing
OUTSIDE = {"os", "io", "pathlib", "shutil", "sqlite3", "tempfile", "time", "PIL"}
CARRY_PATHS = {"core/errors.py"}


def module_file(name: str) -> Path | None:
    """`pickroom.store.groups` -> its file, None for what is not a module."""
    place = PACKAGE.joinpath(*name.split(".")[1:])
    return next((path for path in (place.with_suffix(".py"), place / "__init__.py") if path.is_file()), None)


@cache
def reaches_outside(path: Path) -> frozenset[str]:
    """What of OUTSIDE a module imports, or calls a function of. A class or a constant of another module is a value."""
    if shown(path) in CARRY_PATHS:
        return frozenset()
    found: set[str] = set()
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names} & OUTSIDE
        elif isinstance(node, ast.ImportFrom) and not (node.module or "").startswith("pickroom"):
            found |= {(node.module or "").split(".")[0]} & OUTSIDE
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                whole = module_file(f"{node.module}.{alias.name}")
                called = module_file(node.module or "") if alias.name.islower() else None
                if (other := whole or called) is not None:
                    found |= {f"{shown(other)}: {name}" for name in reaches_outside(other)}
    return frozenset(found)


@pytest.mark.parametrize("name", PURE)
def test_pure_module_touches_no_file_and_no_database(name: str) -> None:
    assert reaches_outside(PACKAGE / name) == set()


# ------------------------------------------------------------------------------------------------ modules


def test_modules_can_be_read_in_one_sitting() -> None:
    lines = {shown(path): len(path.read_text(encoding="utf-8").splitlines()) for path in MODULES}
    assert {name: count for name, count in lines.items() if count > LONGEST_MODULE} == {}


def test_modules_say_what_they_are_for() -> None:
    silent = [shown(path) for path in MODULES if not ast.get_docstring(tree_of(path))]
    assert [name for name in silent if not name.endswith("__main__.py")] == []


def test_no_module_is_named_like_a_catch_all_or_second_version() -> None:
    drawers = re.compile(r"(utils?|helpers?|misc|common)(_\w+)?|\w+_(v\d+|new|old|copy|utils?)")
    assert [shown(path) for path in PACKAGE.rglob("*") if drawers.fullmatch(path.stem)] == []


def test_no_exception_is_caught_without_a_name() -> None:
    handlers = [(shown(p), n) for p in MODULES for n in ast.walk(tree_of(p)) if isinstance(n, ast.ExceptHandler)]
    assert [(name, node.lineno) for name, node in handlers if node.type is None] == []


# a line, or a whole file, that ruff or mypy is told to pass over; and the only two ways to tell them
SET_ASIDE = re.compile(r"#\s*((ruff|flake8):\s*)?noqa|#\s*type:\s*ignore|#\s*mypy:")
SAYS_WHY = re.compile(
    r"# noqa: [A-Z]+\d+(, [A-Z]+\d+)* \([^)]{8,}\)"
    r"|# type: ignore\[[a-z-]+(, [a-z-]+)*\]  # .{8,}"
)


def test_every_check_that_is_set_aside_says_which_one_and_why() -> None:
    unsaid = []
    for path in MODULES:
        with tokenize.open(path) as source:
            comments = [token for token in tokenize.generate_tokens(source.readline) if token.type == tokenize.COMMENT]
        marks = [comment for comment in comments if SET_ASIDE.match(comment.string)]
        unsaid += [f"{shown(path)}:{mark.start[0]}" for mark in marks if not SAYS_WHY.fullmatch(mark.string)]
    assert unsaid == []


@pytest.mark.parametrize(
    ("comment", "enough"),
    [
        ("# noqa: BLE001 (a broken package raises anything)", True),
        ("# type: ignore[override]  # the library's own override of it", True),
        ("# type: ignore[arg-type, misc]  # the stubs take no bytearray", True),
        ("# noqa: BLE001", False),
        ("# noqa", False),
        ("# ruff: noqa", False),
        ("# type: ignore", False),
        ("# type: ignore[arg-type]", False),
        ("# type: ignore  # because", False),
        ("# mypy: ignore-errors", False),
    ],
)
def test_a_code_and_a_reason_are_asked_for(comment: str, enough: bool) -> None:
    assert SET_ASIDE.match(comment)
    assert bool(SAYS_WHY.fullmatch(comment)) is enough


# ------------------------------------------------------------------------------------------------ the database


def test_every_table_has_one_writer_and_that_lies_in_the_store() -> None:
    found = writers()
    assert len(tables()) > 10
    assert {table: found[table] for table in tables() if len(found[table]) != 1} == {}
    assert {module for table in tables() for module in found[table] if not module.startswith("store/")} == set()


def test_only_one_module_leaves_open_which_table_it_writes_to() -> None:
    # then the names that owners hand to it are all that it can write to
    open_ended = re.compile(r"\b(?:INSERT\s+(?:OR\s+\w+\s+)?INTO|UPDATE|DELETE\s+FROM)\s+$")
    found = {shown(p) for p in MODULES for text in texts_in(p) if open_ended.search(text)}
    # analysis fills tables of its own DuckDB, and opens projects for reading only
    assert {name for name in found if not name.startswith((*OWN_DATABASES, "analysis/"))} == {"store/review_state.py"}


def test_no_row_is_replaced_unseen() -> None:
    # UPSERT, never INSERT OR REPLACE: it deletes the row that was there, and what hangs on it
    every = [(shown(path), text) for path in [*MODULES, *PACKAGE.rglob("*.sql")] for text in texts_in(path)]
    assert [name for name, text in every if re.search(r"\bINSERT OR REPLACE\b|\bREPLACE INTO\b", text)] == []


def test_projects_databases_are_opened_for_writing_in_one_place() -> None:
    calls = {}
    for path in MODULES:
        source = path.read_text(encoding="utf-8")
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "sqlite3.connect":
                calls[shown(path), node.lineno] = ast.get_source_segment(source, node) or ""
    # one in memory is nobody's
    writing = {name for (name, _), call in calls.items() if "mode=ro" not in call and '":memory:"' not in call}
    assert {name for name in writing if not name.startswith(OWN_DATABASES)} == {"store/connect.py"}


def test_migrations_are_numbered_and_named_by_table_and_verb() -> None:
    names = sorted(path.name for path in (PACKAGE / "store" / "migrations").iterdir())
    assert [name for name in names if not re.fullmatch(r"\d{3}-\w+-[a-z]+(-\w+)*\.sql", name)] == []
    assert [int(name[:3]) for name in names] == list(range(1, len(names) + 1))


# ------------------------------------------------------------------------------------------------ notebooks


def cells_of(path: Path) -> list[dict[str, Any]]:
    return json.loads(path.read_text(encoding="utf-8"))["cells"]


def code_of(path: Path) -> list[dict[str, Any]]:
    return [cell for cell in cells_of(path) if cell["cell_type"] == "code"]


def test_there_are_notebooks() -> None:
    assert {"00_start.ipynb", "20_review.ipynb"} <= {path.name for path in NOTEBOOKS}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_notebook_starts_with_its_title(path: Path) -> None:
    first = cells_of(path)[0]
    assert first["cell_type"] == "markdown"
    assert "".join(first["source"]).startswith("# ")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_notebook_has_one_cell_of_parameters(path: Path) -> None:
    tagged = [cell for cell in code_of(path) if "parameters" in cell["metadata"].get("tags", ())]
    assert len(tagged) == 1
    statements = ast.parse("".join(tagged[0]["source"])).body
    assert all(isinstance(node, ast.Assign | ast.AnnAssign) for node in statements)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_notebook_holds_no_output_and_no_widget_state(path: Path) -> None:
    notebook = json.loads(path.read_text(encoding="utf-8"))
    assert [cell for cell in code_of(path) if cell["outputs"] or cell["execution_count"] is not None] == []
    assert set(notebook["metadata"]) <= {"kernelspec", "language_info"}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_no_key_that_misses_the_desk_cuts_a_cell(path: Path) -> None:
    assert [cell["id"] for cell in cells_of(path) if cell["metadata"].get("deletable") is not False] == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_notebook_only_calls_the_package(path: Path) -> None:
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.For, ast.While, ast.Try, ast.Lambda)
    for cell in code_of(path):
        source = "".join(cell["source"])
        assert [node for node in ast.walk(ast.parse(source)) if isinstance(node, kinds)] == []
        assert source.count("\n") < 25

"""pyproject.toml, requirements.lock and environment.yml agree, and what they install works offline."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import sqlite3
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import duckdb
import pytest
import yaml
from duckdb_extensions import import_extension
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")
HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}")


def direct_requirements() -> list[Requirement]:
    """Every requirement pyproject.toml names, with the extras; one extra naming another is not counted."""
    extras = PROJECT["optional-dependencies"].values()
    named = [Requirement(text) for text in (*PROJECT["dependencies"], *(text for extra in extras for text in extra))]
    return [requirement for requirement in named if canonicalize_name(requirement.name) != PROJECT["name"]]


def lock_entries() -> list[tuple[Requirement, list[str]]]:
    """Each entry of the lock: its requirement, and what follows it on its continued lines."""
    logical = re.sub(r"\\\n", " ", re.sub(r"(?m)^\s*#.*\n", "", LOCK)).splitlines()
    entries = []
    for line in logical:
        text, *options = re.split(r"\s+(?=--)", line.strip())
        entries.append((Requirement(text), options))
    return entries


def locked_versions(name: str) -> set[Version]:
    """The versions the lock pins for a package; more than one where markers split it by Python."""
    wanted = canonicalize_name(name)
    return {
        Version(specifier.version)
        for requirement, _ in lock_entries()
        if canonicalize_name(requirement.name) == wanted
        for specifier in requirement.specifier
    }


def test_every_lock_entry_is_an_exact_pin_with_hashes() -> None:
    entries = lock_entries()
    assert len(entries) > 100
    for requirement, options in entries:
        operators = [specifier.operator for specifier in requirement.specifier]
        assert operators == ["=="], f"{requirement}: not one exact pin"
        assert "*" not in str(requirement.specifier), f"{requirement}: a prefix, not a version"
        assert requirement.url is None, f"{requirement}: an address"
        assert options, f"{requirement}: no hash"
        assert all(HASH.fullmatch(option) for option in options), f"{requirement}: more than hashes: {options}"


def test_lock_names_no_index_and_no_path() -> None:
    # The file must serve anyone's index and leak nobody's machine; comments count too.
    found = re.findall(r"(?m)^.*(?:://|--(?!hash=sha256:)|\bfile:|(?:^|\s)[./~]+/|@ ).*$", LOCK)
    assert found == []
    # A local build (torch 2.13.0+cpu, say) is on no registry.
    assert [str(requirement) for requirement, _ in lock_entries() if "+" in str(requirement.specifier)] == []


@pytest.mark.parametrize("requirement", direct_requirements(), ids=str)
def test_direct_dependency_is_pinned_within_its_range(requirement: Requirement) -> None:
    versions = locked_versions(requirement.name)
    assert versions, f"{requirement.name} is not in requirements.lock: run `make lock`"
    outside = [str(version) for version in versions if version not in requirement.specifier]
    assert outside == [], f"{requirement}: locked at {outside}: run `make lock`"


# what `pickroom install faces` installs with hashes: no extra can say that their dependencies are not needed
FACES = set(re.findall(r"(?m)^([\w-]+)==", (ROOT / "lib/pickroom/features/faces.txt").read_text(encoding="utf-8")))


def imported_modules(*folders: str) -> dict[str, Path]:
    """The top-level modules that Python files of some folders import, without Python's own, each with a file."""
    found: dict[str, Path] = {}
    for path in (path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                names = [node.module]
            else:
                continue
            found |= {name.partition(".")[0]: path.relative_to(ROOT) for name in names}
    return {name: path for name, path in found.items() if name not in sys.stdlib_module_names}


def test_every_import_is_a_direct_dependency() -> None:
    # What comes along with another package today may stop coming with its next version.
    providers = importlib.metadata.packages_distributions()
    direct = {canonicalize_name(requirement.name) for requirement in direct_requirements()}
    own = {
        "pickroom",
        *(path.stem for folder in ("tests", "benchmarks") for path in (ROOT / folder).rglob("*")),
    }
    own |= {name.replace("-", "_") for name in FACES}
    undeclared = {
        f"{path}: {module}"
        for module, path in imported_modules("lib", "tests", "benchmarks").items()
        if module not in own and not direct & {canonicalize_name(name) for name in providers.get(module, [])}
    }
    assert undeclared == set(), "name their packages in pyproject.toml, then `make lock`"


# packages of the base that no module imports by name -> who needs them
NOT_IMPORTED = {
    "duckdb-extension-sqlite": "analysis/tables.py finds its file",
    "ipykernel": "notebooks and reports run in it",
    "jupyterlab": "`pickroom lab` starts it",
    "tzdata": "read by zoneinfo, for pyarrow",
}


def test_base_has_no_unused_package_and_no_pytorch() -> None:
    providers = importlib.metadata.packages_distributions()
    used = {canonicalize_name(name) for module in imported_modules("lib") for name in providers.get(module, [])}
    base = {canonicalize_name(Requirement(text).name) for text in PROJECT["dependencies"]}
    assert base - used == set(NOT_IMPORTED)
    extras = {canonicalize_name(Requirement(text).name) for text in PROJECT["optional-dependencies"]["learn"]}
    assert used - base - {"pickroom"} - FACES == {*extras, "ray"}


def test_this_environment_is_the_locked_one() -> None:
    here = default_environment()
    wrong = []
    for requirement, _ in lock_entries():
        if requirement.marker is not None and not requirement.marker.evaluate(here):
            continue
        try:
            installed = importlib.metadata.version(requirement.name)
        except importlib.metadata.PackageNotFoundError:
            wrong.append(f"{requirement} is not installed")
            continue
        if Version(installed) not in requirement.specifier:
            wrong.append(f"{requirement} is installed at {installed}")
    assert wrong == [], "run `make env`"


def test_duckdb_and_its_sqlite_extension_are_one_version() -> None:
    pinned = {
        requirement.name: str(requirement.specifier)
        for requirement in direct_requirements()
        if requirement.name in ("duckdb", "duckdb-extension-sqlite")
    }
    assert pinned["duckdb"] == pinned["duckdb-extension-sqlite"]
    assert pinned["duckdb"].startswith("==")
    names = ("duckdb", "duckdb-extensions", "duckdb-extension-sqlite")
    expected = {Version(pinned["duckdb"].removeprefix("=="))}
    assert [locked_versions(name) for name in names] == [expected] * 3
    assert {Version(importlib.metadata.version(name)) for name in names} == expected
    assert Version(duckdb.__version__) in expected


def test_environment_yml_takes_python_from_conda_rest_from_lock() -> None:
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    plain = [entry for entry in environment["dependencies"] if isinstance(entry, str)]
    (pip_section,) = [entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict)]
    # Any package next to these could come in two versions, one from each place.
    assert {re.split(r"[=<> ]", entry)[0] for entry in plain} == {"python", "pip", "make"}
    assert pip_section == ["-r requirements.lock"]
    (python,) = [entry for entry in plain if entry.startswith("python")]
    version = python.split("=", 1)[1]
    assert version in SpecifierSet(PROJECT["requires-python"])


def test_requires_python_is_what_the_makefile_looks_for() -> None:
    (lowest,) = SpecifierSet(PROJECT["requires-python"])
    assert lowest.operator == ">="
    major, minor = lowest.version.split(".")
    assert f"sys.version_info < ({major}, {minor})" in (ROOT / "Makefile").read_text(encoding="utf-8")


def test_sqlite_extension_loads_without_network(tmp_path: Path) -> None:
    database = tmp_path / "project.db"
    with sqlite3.connect(database) as connection:
        connection.execute(
            "CREATE TABLE ai_decisions (group_id TEXT PRIMARY KEY, user_selected_index INTEGER NOT NULL)"
        )
        connection.executemany("INSERT INTO ai_decisions VALUES (?, ?)", [("g1", 2), ("g2", 0)])
    connection.close()

    # An address that answers nothing stands for the missing network. A folder of its own, because the default
    # one in the user's home may already hold a downloaded extension, which would prove nothing.
    settings = {
        "extension_directory": str(tmp_path / "extensions"),
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        "custom_extension_repository": "http://127.0.0.1:9/",
    }
    with duckdb.connect(config=settings) as analysis:
        with pytest.raises(duckdb.Error):
            analysis.execute("LOAD sqlite")
        import_extension("sqlite", con=analysis)
        analysis.execute("LOAD sqlite")
        analysis.execute(f"ATTACH '{database}' AS project (TYPE sqlite, READ_ONLY)")
        rows = analysis.execute("SELECT * FROM project.ai_decisions ORDER BY group_id").fetchall()
        assert rows == [("g1", 2), ("g2", 0)]
        with pytest.raises(duckdb.Error):
            analysis.execute("DELETE FROM project.ai_decisions")


@pytest.mark.ci
def test_wheel_carries_what_is_not_python(tmp_path: Path) -> None:
    # Migrations, queries and widget scripts are read at run time; an editable install hides a missing one.
    # Built from a copy, because setuptools leaves its build folder beside pyproject.toml.
    source = tmp_path / "source"
    package = ROOT / "lib" / "pickroom"
    modules = [
        path
        for path in package.rglob("*")
        if path.is_file() and not any(part.startswith((".", "__pycache__")) for part in path.relative_to(ROOT).parts)
    ]
    for path in [ROOT / "pyproject.toml", ROOT / "LICENSE", *modules]:
        target = source / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--no-deps",
        "--no-build-isolation",
        "--no-index",
        "--quiet",
    ]
    subprocess.run([*command, "--wheel-dir", str(tmp_path), str(source)], check=True, timeout=120)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        shipped = {name for name in archive.namelist() if name.startswith("pickroom/")}
        (entry_points,) = [name for name in archive.namelist() if name.endswith("/entry_points.txt")]
        assert "pickroom = pickroom.cli:main" in archive.read(entry_points).decode()
    assert shipped == {path.relative_to(ROOT / "lib").as_posix() for path in modules}

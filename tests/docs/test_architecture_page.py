"""docs/architecture.md matches the code: its diagram is drawn from the imports, its references exist.

PICKROOM_WRITE_DOCS=1 writes the map instead of comparing it.
"""

from __future__ import annotations

import ast
import os
import re
from collections import defaultdict
from functools import cache

import test_architecture as code
from docs.pages import ROOT, page

PAGE = "docs/architecture.md"
_MAP = re.compile(r"(?<=<!-- drawn from the code -->\n).*(?=<!-- end -->)", re.DOTALL)
_REFERENCE = re.compile(r"`([\w/]+\.py):(\w+)`")


def imports() -> dict[str, set[str]]:
    """Package -> the packages that it imports."""
    found: dict[str, set[str]] = {package: set() for package in code.PACKAGES}
    for path in code.MODULES:
        if path.parent != code.PACKAGE:
            found[code.part_of(path)] |= code.imports_of(path) - {code.part_of(path)}
    return found


def reduced(graph: dict[str, set[str]]) -> dict[str, set[str]]:
    """Only the arrows that do not follow from others (the transitive reduction); the graph has no circle."""

    @cache
    def below(node: str) -> frozenset[str]:
        return frozenset({node}).union(*(below(other) for other in graph[node]))

    return {node: {o for o in own if not any(o in below(via) for via in own - {o})} for node, own in graph.items()}


def drawing() -> str:
    """The diagram: a box per package, and an arrow per import that does not follow from others."""
    lines = ["flowchart TB", *(f"    {package}" for package in reversed(code.PACKAGES))]
    for package, others in reversed(reduced(imports()).items()):
        lines += [f"    {package} --> {other}" for other in code.PACKAGES if other in others]
    return "```mermaid\n" + "\n".join(lines) + "\n```\n"


def owners() -> str:
    """Every table with the one module of the store that writes it."""
    found, writers = defaultdict(list), code.writers()
    for table in sorted(code.tables()):
        (module,) = writers[table]
        found[module].append(f"`{table}`")
    lines = ["| module | the tables that only it writes |", "| --- | --- |"]
    return "\n".join([*lines, *(f"| `{module}` | {', '.join(own)} |" for module, own in sorted(found.items()))]) + "\n"


def test_map_of_the_code_is_true() -> None:
    path = ROOT / PAGE
    text = path.read_text(encoding="utf-8")
    true = f"\n{drawing()}\n{owners()}\n"
    if os.environ.get("PICKROOM_WRITE_DOCS") == "1":
        path.write_text(_MAP.sub(lambda _: true, text), encoding="utf-8")
        return
    (drawn,) = _MAP.findall(text)
    how = 'PICKROOM_WRITE_DOCS=1 make test PYTEST_ARGS="-k map_of_the_code" PYTEST_JOBS=0'
    assert drawn.splitlines() == true.splitlines(), f"draw it again: {how}"


def test_functions_that_the_page_names_are_there() -> None:
    references = _REFERENCE.findall(page(PAGE).text)
    assert len(references) > 10
    missing = []
    for name, function in references:
        tree = ast.parse((code.PACKAGE / name).read_text(encoding="utf-8"))
        if function not in {n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)}:
            missing.append(f"{name}:{function}")
    assert missing == []


def test_page_can_be_read_in_five_minutes() -> None:
    prose = _MAP.sub("", page(PAGE).text)
    assert len(prose.split()) < 1000  # at 200 words a minute


def test_every_package_is_in_the_table_of_contributing() -> None:
    cells = re.findall(r"^\| `(\w+)/` \|", page("CONTRIBUTING.md").text, re.MULTILINE)
    assert cells == list(code.PACKAGES)

"""docs/architecture.md is as the code is: its map is drawn from the imports and the SQL, its references exist.

PICKROOM_WRITE_DOCS=1 writes the map instead of comparing it.
"""

from __future__ import annotations

import ast
import os
import re
from collections import defaultdict

import test_architecture as code
from docs.pages import ROOT, page

PAGE = "docs/architecture.md"
_MAP = re.compile(r"(?<=<!-- drawn from the code -->\n).*(?=<!-- end -->)", re.DOTALL)
_REFERENCE = re.compile(r"`([\w/]+\.py):(\w+)`")


def imports() -> dict[str, set[str]]:
    """Part -> the parts that it imports."""
    found: dict[str, set[str]] = {part: set() for layer in code.LAYERS for part in layer}
    for path in code.MODULES:
        found[code.part_of(path)] |= code.imports_of(path) - {code.part_of(path)}
    return found


def reduced(graph: dict[int, set[int]]) -> dict[int, set[int]]:
    """Only the arrows that do not follow from others (the transitive reduction); the graph has no circle."""

    def below(node: int) -> set[int]:
        return {node}.union(*(below(other) for other in graph[node]))

    return {node: {o for o in own if not any(o in below(via) for via in own - {o})} for node, own in graph.items()}


def drawing() -> str:
    """The map: a box a layer, lowest last, its parts in it; the store's modules with the tables they write."""
    leans: dict[int, set[int]] = {number: set() for number in range(len(code.LAYERS))}
    for part, others in imports().items():
        leans[code.LAYER[part]] |= {code.LAYER[other] for other in others} - {code.LAYER[part]}
    lines = ["flowchart TB"]
    for number in reversed(leans):
        parts = [part for part in code.LAYERS[number] if part != "__init__"]
        lines.append(f'    L{number}["{"<br/>".join(", ".join(parts[i : i + 6]) for i in range(0, len(parts), 6))}"]')
    lines += [
        f"    L{n} --> L{o}" for n, others in sorted(reduced(leans).items(), reverse=True) for o in sorted(others)
    ]
    tables, writers = defaultdict(list), code.writers()
    for table in sorted(code.tables()):
        (module,) = writers[table]
        tables[module.removeprefix("store/").removesuffix(".py")].append(table)
    store = code.LAYER["store"]
    for module, own in sorted(tables.items()):
        lines.append(f'    L{store} --- {module}(["{module}"]) --- {module}_t[("{"<br/>".join(own)}")]')
    return "```mermaid\n" + "\n".join(lines) + "\n```\n"


def listing() -> str:
    """Every part with its modules, lowest layer first."""
    lines = ["| part | its modules | imports |", "| --- | --- | --- |"]
    graph = imports()
    for part in (part for layer in code.LAYERS for part in layer if part != "__init__"):
        own = [code.shown(path) for path in code.MODULES if code.part_of(path) == part]
        names = [name.removeprefix(f"{part}/").removesuffix(".py") for name in own if not name.endswith("__init__.py")]
        room, modules = (f"{part}/", ", ".join(names)) if (code.PACKAGE / part).is_dir() else (part, "")
        lines.append(f"| `{room}` | {modules} | {', '.join(sorted(graph[part]))} |")
    return "\n".join(lines) + "\n"


def test_map_of_the_code_is_true() -> None:
    path = ROOT / PAGE
    text = path.read_text(encoding="utf-8")
    true = f"\n{drawing()}\n{listing()}\n"
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


def test_every_room_is_in_the_table_of_contributing() -> None:
    cells = re.findall(r"^\| (`.+?) \|", page("CONTRIBUTING.md").text, re.MULTILINE)
    named = {name.strip("/") for cell in cells for name in cell.split("`")[1::2]}
    small = {"__init__", "atomic", "locking", "logged_paths", "projects", "regrouping", "lab", "demo", "jupyter"}
    assert {part for layer in code.LAYERS for part in layer} - named - small == set()

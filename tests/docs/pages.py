"""The pages of the documentation: every Markdown file, and the Markdown of every notebook, taken apart."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_FENCE = re.compile(r"^ *```(?P<language>\w*)[^\n]*\n(?P<body>.*?)^ *```\s*$", re.DOTALL | re.MULTILINE)  # in lists too
_SPAN = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)(?:\s+\"[^\"]*\")?\)")
_SOURCE = re.compile(r'\bsrc(?:set)?="([^"\s]+)"')
_HEADING = re.compile(r"^#{1,6}\s+(.+?)\s*#*$", re.MULTILINE)
# folders that hold no page of ours: hidden ones, what is built, what the user owns
_ELSEWHERE = ("build", "node_modules", "data", "reports", "sandbox", "archives")


@dataclass(frozen=True, slots=True)
class Page:
    """One page: `name` is its path in the repository, `text` its Markdown."""

    name: str
    text: str

    @property
    def folder(self) -> Path:
        return (ROOT / self.name).parent

    @property
    def prose(self) -> str:
        """The text without its fenced blocks."""
        return _FENCE.sub("", self.text)

    def blocks(self, language: str) -> list[str]:
        """The bodies of its fenced blocks of one language."""
        return [match["body"] for match in _FENCE.finditer(self.text) if match["language"] == language]

    @property
    def spans(self) -> list[str]:
        """What stands between backticks, outside of fenced blocks."""
        return _SPAN.findall(self.prose)

    @property
    def links(self) -> list[str]:
        """The targets of its links and images, also of those in HTML, outside of code."""
        prose = _SPAN.sub("", self.prose)
        return _LINK.findall(prose) + _SOURCE.findall(prose)

    @property
    def anchors(self) -> set[str]:
        """What `#...` may lead to, as GitHub makes it of headings."""
        found: set[str] = set()
        for heading in _HEADING.findall(self.prose):
            words = re.sub(r"[^\w\- ]", "", re.sub(r"[`*]|\]\([^)]*\)|\[", "", heading).lower())
            slug, number = words.replace(" ", "-"), 1
            while slug in found:
                slug, number = f"{words.replace(' ', '-')}-{number}", number + 1
            found.add(slug)
        return found | set(re.findall(r'<a (?:id|name)="([^"]+)"', self.text))


@cache
def pages() -> tuple[Page, ...]:
    """Every page of the checkout, by name."""
    found = [path for path in ROOT.rglob("*.md") if _ours(path)] + [ROOT / f"{name}/README.md" for name in _ELSEWHERE]
    made = [Page(_name(path), path.read_text(encoding="utf-8")) for path in sorted(set(found)) if path.is_file()]
    notebooks = sorted(ROOT.glob("lib/pickroom/notebooks/**/*.ipynb"))
    return (*made, *(Page(_name(path), _markdown_of(path)) for path in notebooks))


def page(name: str) -> Page:
    return next(one for one in pages() if one.name == name)


def _ours(path: Path) -> bool:
    parts = path.relative_to(ROOT).parts
    return parts[0] not in _ELSEWHERE and not any(part.startswith(".") for part in parts)


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def _markdown_of(notebook: Path) -> str:
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    return "\n\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")

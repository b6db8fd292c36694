"""Every relative link and image leads to something that is there, every anchor to a heading."""

from __future__ import annotations

from urllib.parse import unquote

import pytest

from docs.pages import ROOT, Page, pages


def broken(page: Page) -> list[str]:
    """The links of a page that lead nowhere."""
    found = []
    for link in page.links:
        if ":" in link.partition("/")[0]:  # another site: not ours to keep
            continue
        place, _, anchor = unquote(link).partition("#")
        target = (page.folder / place).resolve() if place else ROOT / page.name
        if not target.exists() or not target.is_relative_to(ROOT):
            found.append(link)
        elif anchor:
            name = target.relative_to(ROOT).as_posix()
            there = page if name == page.name else next((other for other in pages() if other.name == name), None)
            if there is None or anchor not in there.anchors:
                found.append(link)
    return found


def test_the_pages_are_found() -> None:
    names = {page.name for page in pages()}
    assert {
        "README.md",
        "CONTRIBUTING.md",
        "docs/LOG.md",
        "docs/architecture.md",
        "lib/pickroom/notebooks/20_review.ipynb",
    } <= names
    assert sum(len(page.links) for page in pages()) > 30


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_links_lead_somewhere(page: Page) -> None:
    assert broken(page) == []


def test_a_broken_link_is_found() -> None:
    links = "[a](nowhere.md) ![b](docs/none.png) [c](#no-heading) [d](LICENSE) `[e](code)` [f](#here) [g](../outside)"
    assert broken(Page("README.md", f"{links}\n\n# Here\n")) == [
        "nowhere.md",
        "docs/none.png",
        "#no-heading",
        "../outside",
    ]

"""Fixtures that drive a real JupyterLab in a real Chromium; every test of this folder is marked `browser`.

Those of `QUICK` are in `make test`, one for each kind of view; the others are marked `ci`.
Without a Chromium they skip, saying so; with PICKROOM_REQUIRE_BROWSER=1 they fail instead.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from browser.lab import Lab, NotebookPage, find_chromium, open_browser, start_lab

WINDOW = {"width": 1280, "height": 800}
QUICK = {
    "test_picks_without_a_recommendation",
    "test_the_desk_fits_the_window_and_its_buttons_do_what_keys_do",
    "test_only_what_is_seen_is_in_the_page_and_headers_stay_on_top",
}
WITHOUT_LAB = {"test_report.py", "test_zoom.py"}  # a Chromium is all that they start
PATIENCE_MS = 20_000  # how long one condition is waited for: this machine may be busy with other work


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)
            if item.name not in QUICK and item.path.name not in WITHOUT_LAB:
                item.add_marker(pytest.mark.ci)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    if find_chromium() is None:
        words = "no Chromium on this machine (on Debian: apt-get install chromium)"
        if os.environ.get("PICKROOM_REQUIRE_BROWSER") == "1":
            pytest.fail(words)
        pytest.skip(words)
    with open_browser() as browser:
        yield browser


@pytest.fixture(scope="session")
def lab(chromium: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """One JupyterLab for all tests; each opens its own copy of a notebook."""
    with start_lab(tmp_path_factory.mktemp("lab")) as running:
        yield running


FAILED = pytest.StashKey[bool]()
OpenNotebook = Callable[..., NotebookPage]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.when == "call":
        item.stash[FAILED] = report.failed
    return report


@pytest.fixture
def open_notebook(
    lab: Lab, chromium: Browser, request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[OpenNotebook]:
    """Open a notebook of the project with these parameters: `open_notebook("20_review.ipynb", project="p", ...)`.

    Each has a kernel and a browser profile of its own; `tail` adds that many tall cells under it. When the test
    fails, what every page shows is kept as a picture in its temporary folder.
    """
    contexts = []

    def make(name: str, *, tail: int = 0, **parameters: Any) -> NotebookPage:
        context = chromium.new_context(viewport=WINDOW)  # type: ignore[arg-type]
        context.set_default_timeout(PATIENCE_MS)
        contexts.append(context)
        lab.add_notebook(name, parameters, tail=tail)
        return lab.open(context, name)

    yield make
    for context in contexts:
        for page in context.pages if request.node.stash.get(FAILED, False) else ():
            picture = tmp_path / f"page{context.pages.index(page)}.png"
            page.screenshot(path=picture)
            print(f"what the page showed: {picture}")
        context.close()
    lab.shut_down_kernels()

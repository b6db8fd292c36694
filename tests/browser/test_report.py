"""A report in the browser: nothing sticks out on screen or on paper, every picture is there, nothing is fetched."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from pickroom.analysis.reports import render
from pickroom.analysis.reports.sections import Report
from pickroom.store.workspace import Project
from support.analysing import SERIES, decide

A4_PX = 680  # 180 mm between the margins, at 96 px an inch
STICKING_OUT = """() => [...document.querySelectorAll('body *')]
    .filter(one => one.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
    .map(one => one.outerHTML.slice(0, 80))"""


@pytest.fixture
def report(make_project: Callable[..., Project], tmp_path: Path) -> Path:
    project = make_project(SERIES)
    decide(project)
    with Report.open(project.id, project.workspace.root) as opened:
        sections = [opened.heading, opened.overview, opened.work, opened.agreement, opened.mistakes, opened.crops]
        body = "".join(section().html for section in (*sections, opened.health))
    path = tmp_path / "report.html"
    path.write_text(render.page(body, "p"), encoding="utf-8")
    return path


@pytest.mark.parametrize(("media", "width"), [("screen", 1280), ("screen", 800), ("print", A4_PX)])
def test_report_fits_and_is_whole(chromium: Browser, report: Path, media: str, width: int) -> None:
    page = chromium.new_page(viewport={"width": width, "height": 900})
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.emulate_media(media=media)  # type: ignore[arg-type]
    page.goto(report.as_uri())
    assert page.evaluate(STICKING_OUT) == []
    assert page.evaluate("[...document.images].map(one => one.complete && one.naturalWidth > 100)") == [True] * 6
    assert [url[:60] for url in asked if not url.startswith(("data:", report.as_uri()))] == []
    page.close()


def test_report_prints_on_few_pages(chromium: Browser, report: Path) -> None:
    page = chromium.new_page()
    page.goto(report.as_uri())
    pdf = page.pdf(prefer_css_page_size=True)
    assert 1 <= len(re.findall(rb"/Type\s*/Page\b", pdf)) <= 5
    page.close()

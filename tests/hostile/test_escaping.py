"""Texts of images, of file names and of rows are shown, never run: in widgets, reports, terminals and spreadsheets."""

from __future__ import annotations

import csv
import io
import re
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import PngImagePlugin

from conftest import write_image
from hostile.mutations import TEXTS
from pickroom.analysis.reports import html, render
from pickroom.app.widgets import desk_html
from pickroom.app.widgets.app import AppPlace
from pickroom.app.widgets.projects_page import Card, cards
from pickroom.cli import console
from pickroom.core.errors import UsageError
from pickroom.history import anomalies
from pickroom.history.importing import read_logs
from pickroom.images import metadata
from pickroom.images.metadata import InfoRow
from pickroom.sessions.sorting.suggest import GroupRow
from pickroom.store.workspace import Project, Workspace

JAVASCRIPT = Path(desk_html.__file__).parents[1] / "js"
MARKUP = (
    "<img src=x onerror=alert(1)>",
    "<script>alert(1)</script>",
    "</script><script>alert(1)</script>",
    '" onmouseover="alert(1)',
    "' autofocus onfocus='alert(1)",
    "</style><svg/onload=alert(1)>",
    "</td></table><iframe srcdoc='<script>alert(1)</script>'>",
    "&lt;script&gt;",
    "javascript:alert(1)",
    "<!--",
    "]]><x>",
)
_OURS = {
    *("html", "head", "body", "meta", "title", "style", "div", "span", "b", "i", "p", "h1", "h2", "h3", "small", "br"),
    *("table", "thead", "tbody", "tr", "th", "td", "button", "kbd", "img", "section", "nav", "a"),
}


class Tags(HTMLParser):
    """What a browser would make of a page: its tags, its attributes, its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.text += data


PAGES: dict[str, Callable[[str], str]] = {
    "header": desk_html.header,
    "message": lambda text: desk_html.line(text, "error"),
    "button": lambda text: desk_html.button(text, text, key=text, title=text),
    "keys": lambda text: desk_html.legend([("A", text)]),
    "candidates": lambda text: desk_html.info([InfoRow(text, (text, ""))], ()),
    "routes": lambda text: desk_html.routes([(text, text)]),
    "written": lambda text: desk_html.texts(text, {text: text, "prompt": text}),
    "sort by a field": lambda text: desk_html.dry_run(
        text, [GroupRow(text, text, ("a",)), GroupRow(text, None, ())], 1
    ),
    "notice": desk_html.notice,
    "panel": desk_html.panel,
    "question": lambda text: desk_html.summary(text, [(text, text)], desk_html.answers(text, text)),
    "crop question": desk_html.crop_question,
    "cards": lambda text: cards(
        [Card(text, text, 1, 2, 1, 1), Card(text, problem=text, away=True)], lambda project, page: project + page, text
    ),
    # a query is UTF-8, so that no place has another text
    "bar of the app": lambda text: AppPlace(text.encode(errors="replace").decode(), folder="/").bar(),
    "report": lambda text: render.page(
        (
            html.table((text,), [(text,), (html.label(text),), (html.Number(text, 1),)])
            + html.paragraph(text, html.Number(text, 3, "count"))
            + html.tiles([(text, text)])
        ).html,
        text,
    ),
}


@pytest.mark.parametrize("name", PAGES)
def test_no_text_becomes_a_tag_or_an_attribute(name: str) -> None:
    plain = Tags(PAGES[name]("words"))
    assert plain.tags <= _OURS and not {word for word in plain.attributes if word.startswith("on")}
    for text in (*MARKUP, *filter(None, TEXTS)):
        hostile = Tags(PAGES[name](text))
        assert (hostile.tags, hostile.attributes) == (plain.tags, plain.attributes), text


def test_candidates_are_compared_in_escaped_words(tmp_path: Path) -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("parameters", f"{MARKUP[0]}\nSteps: 2, Sampler: {MARKUP[1]}")
    info.add_text(MARKUP[2][:70], MARKUP[3])
    path = write_image(tmp_path / "a.png")
    from PIL import Image as PillowImage

    with PillowImage.open(path) as image:
        image.load()
        image.save(path, pnginfo=info)
    (tmp_path / "a.yaml").write_text(f'"{MARKUP[0]}": "{MARKUP[4]}"\n')
    (tmp_path / "a.caption").write_text(MARKUP[5])
    said = metadata.read(path)
    assert MARKUP[0] in said["prompt"] and said["caption"] == MARKUP[5]
    page = Tags(desk_html.texts(path.name, said))
    assert page.tags <= _OURS and all(text in page.text for text in (MARKUP[0], MARKUP[5]))
    assert InfoRow("prompt", (MARKUP[0], "")).differs


def test_scripts_of_the_desks_write_texts_as_texts() -> None:
    """`innerHTML` is for words that Python has escaped, in the two places that show them."""
    found = []
    for script in JAVASCRIPT.glob("*.js"):
        for line in script.read_text().splitlines():
            if re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", line):
                found.append((script.name, line.strip()))
    shown = ("image_view.js", "if (captions !== this.said) this.captions.innerHTML = captions;")
    assert sorted(found) == [shown, ("links.js", 'el.innerHTML = model.get("html");')]


def test_a_report_runs_nothing_even_if_something_got_into_it() -> None:
    page = render.page("<script>alert(1)</script>", "t")
    assert "default-src 'none'" in page and "script-src" not in page  # tests/browser/test_hostile.py shows it


FORMULAS = ("=cmd|' c calc'!A1.png", "+1.png", "-1.png", "@SUM(1).png", "\t=1.png", "'=1.png", "plain.png")


@pytest.mark.parametrize("name", FORMULAS)
def test_no_cell_of_an_exported_table_is_a_formula(workspace: Workspace, name: str) -> None:
    others = (f"{name}2.png",)
    pick = anomalies.Pick("p", f"{name}:3", name, others, "2025-08-03T06:00:00Z", "=1+1.db")
    written, _ = anomalies.write(workspace, anomalies.Summary({}), [(pick, 1.0, 2.0)])
    for row in csv.reader(io.StringIO(written.read_text())):
        assert not [cell for cell in row if cell[:1] in ("=", "+", "-", "@", "\t", "\r", "\n")]
    # and an import reads it back
    if name.strip() == name:
        with read_logs(workspace, [written], "p") as found:
            assert found.report.to_dict()["imported"] == 1


def test_a_terminal_is_not_moved_by_a_name(capsys: pytest.CaptureFixture[str]) -> None:
    hostile = "\x1b[2Jred\x1b]0;title\x07\x9b31m\u202ename\rover"
    console.show(f"one {hostile}\ntwo")
    console.say(hostile)
    console.say(UsageError(hostile, subject=hostile).line)
    out, err = capsys.readouterr()
    assert out.endswith("\ntwo\n") and not set("\x1b\x07\x9b\r\u202e") & set(out + err)


def test_status_shows_a_hostile_title_on_its_own_line(
    make_project: Callable[..., Project], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    project = make_project([(1, 2)])
    project.with_manifest(title="\x1b[31m\nExit: 0")
    monkeypatch.setattr(sys, "argv", ["pickroom", "status", "p", "--home", str(project.workspace.root)])
    with pytest.raises(SystemExit) as done:
        console.main()
    out, err = capsys.readouterr()
    assert done.value.code == 0 and "\x1b" not in out + err

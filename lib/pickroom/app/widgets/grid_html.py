"""The words of the boards of thumbnails as HTML: header, buttons, line, summary, table. Pure.

File names, folder names and metadata are other people's text: everything passes through `html.escape`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from pickroom.sessions.sorting.fields import GroupRow

_ROWS = 14  # values of a field shown in the table of a dry run
_TEXT = 400  # characters shown of one value


def header(text: str) -> str:
    """The line over the board, and the way to the keys."""
    return f'<div class="top"><span>{escape(text)}</span>{button("?", "? keys", kind="plain")}</div>'


def line(text: str, *, error: bool = False) -> str:
    """The line under the board; it keeps its place when there is nothing to say."""
    return f'<div class="line {"error" if error else "message"}" title="{escape(text)}">{escape(text)}</div>'


def row(*buttons: str) -> str:
    """Buttons beside each other."""
    return f'<div class="row">{"".join(buttons)}</div>'


def space() -> str:
    return '<span class="space"></span>'


def button(press: str, text: str, key: str = "", *, kind: str = "", enabled: bool = True, title: str = "") -> str:
    """A button that presses a key; `key` is shown on it."""
    shown = f"<kbd>{escape(key)}</kbd>" if key else ""
    off = "" if enabled else " disabled"
    attributes = f'class="{kind}" title="{escape(title)}" tabindex="-1"{off}'
    return f'<button data-press="{escape(press)}" {attributes}>{escape(text)}{shown}</button>'


def summary(lines: Sequence[tuple[str, str]]) -> str:
    """Every route that an apply would take, before it does."""
    rows = "".join(f"<tr><th>{escape(head)}</th><td>{escape(rest)}</td></tr>" for head, rest in lines)
    return (
        f'<h3>Move these files?</h3><table class="routes">{rows}</table>'
        "<p>Companions go along; nothing is overwritten or deleted; the batch can be undone.</p>"
        f"<p>{button('Shift+Enter', 'Move', kind='main')} <kbd>Shift+Enter</kbd> &emsp; "
        f"{button('Escape', 'Return')} <kbd>Esc</kbd></p>"
    )


def written(path: str, fields: Mapping[str, str]) -> str:
    """What is written about one image, on I."""
    rows = "".join(f"<tr><th>{escape(name)}</th><td>{escape(_short(text))}</td></tr>" for name, text in fields.items())
    nothing = "" if rows else "<p>Nothing is written about this image.</p>"
    return f"<h3>{escape(path)}</h3><table class='info'>{rows}</table>{nothing}"


def dry_run(field: str, rows: Sequence[GroupRow], without: int) -> str:
    """What sorting by a field would do, before anything is marked."""
    shown = [
        f'<tr><th>{escape(_short(row.value))}</th><td class="number">{len(row.paths)}</td>'
        f"<td>{f'→ {escape(row.folder)}/' if row.folder else 'no folder name in it: they stay'}</td></tr>"
        for row in rows[:_ROWS]
    ]
    if len(rows) > _ROWS:
        images = sum(len(row.paths) for row in rows[_ROWS:])
        shown.append(f'<tr><th>… {len(rows) - _ROWS} more values</th><td class="number">{images}</td><td></td></tr>')
    if without:
        shown.append(f'<tr><th>(not written)</th><td class="number">{without}</td><td>they stay</td></tr>')
    return (
        f"<h3>Sort what is unsorted by {escape(field)}</h3><table class='routes'>{''.join(shown)}</table>"
        "<p>This only marks them; U takes it back, Shift+Enter shows the summary.</p>"
        f"<p>{button('by field', 'Mark them so', kind='main')} &emsp; {button('no field', 'Return')}</p>"
    )


def _short(text: str) -> str:
    return text if len(text) <= _TEXT else f"{text[:_TEXT]}…"

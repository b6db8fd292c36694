"""The deck's words as HTML: header, lines, legend, info table, summary. Pure.

File names, prompts and settings are other people's text: everything passes through `html.escape`.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from pickroom.images.metadata import InfoRow
from pickroom.sessions.review.keys import REVIEW_LEGEND
from pickroom.sessions.review.view import DeckView, GroupView, ImageView


def header(view: DeckView) -> str:
    """The header line and the progress bar."""
    share = max(0.0, min(view.progress, 1.0))
    return (
        f'<div class="top"><span>{escape(view.header)}</span>{button("?", "? keys", kind="plain")}</div>'
        f'<div class="bar"><div style="width: {share:.2%}"></div></div>'
    )


def lines(group: GroupView | None, message: str, *, error: bool = False) -> str:
    """The three lines under the images: the route; reasons and flags; the message or why the group was held."""
    if group is None:
        return _line("route undecided", "") + _line("reasons", "") + _message("", message, error)
    flags = "".join(f'<span class="flag">{escape(flag)}</span> ' for flag in group.flags)
    return (
        _line(f"route {_outcome(group)}", escape(group.route), title=group.route)
        + _line("reasons", flags + escape(group.reasons), title=" · ".join((*group.flags, group.reasons)))
        + _message(group.held_reason, message, error)
    )


def _outcome(group: GroupView) -> str:
    if not group.decided:
        return "undecided"
    return "keep" if any(image.mark == "keep" for image in group.images) else "reject"


def _message(held_reason: str, message: str, error: bool) -> str:
    if held_reason and not error:
        text = f"Held back: {held_reason}" + (f" · {message}" if message else "")
        return _line("held", escape(text), title=text)
    return _line("error" if error else "message", escape(message), title=message)


def _line(kind: str, content: str, title: str = "") -> str:
    return f'<div class="line {kind}" title="{escape(title)}">{content}</div>'


def legend(keys: Sequence[tuple[str, str]] = REVIEW_LEGEND) -> str:
    """The table of keys and of what the mouse does, on `?`."""
    rows = "".join(f"<tr><th>{_keys(names)}</th><td>{escape(effect)}</td></tr>" for names, effect in keys)
    return f'<h3>Keys and mouse</h3><table class="keys">{rows}</table>'


def _keys(text: str) -> str:
    return " ".join(f"<kbd>{escape(key)}</kbd>" for key in text.split())


def info(rows: Sequence[InfoRow], images: Sequence[ImageView]) -> str:
    """What is written about the candidates, on `I`; fields that differ are marked and come first."""
    names = "".join(f"<th>{image.number}<br><small>{escape(image.filename)}</small></th>" for image in images)
    body = "".join(_info_row(row, len(images)) for row in rows)
    nothing = "" if rows else "<p>Nothing is written about these images.</p>"
    return f"<h3>Prompt and settings</h3><table class='info'><tr><th></th>{names}</tr>{body}</table>{nothing}"


def _info_row(row: InfoRow, count: int) -> str:
    if not row.differs:
        return f'<tr><th>{escape(row.field)}</th><td colspan="{count}">{escape(row.values[0])}</td></tr>'
    cells = "".join(f"<td>{escape(value) or '–'}</td>" for value in row.values)
    return f'<tr class="differs"><th>≠ {escape(row.field)}</th>{cells}</tr>'


def summary(what: Sequence[str], question: str = "Finalise this batch?", answer: str = "again moves the files") -> str:
    """Every route that finalise would take, before it does: the question above them, what a yes does below."""
    parts = [line.partition(": ") for line in what]
    rows = "".join(f"<tr><th>{escape(head)}</th><td>{escape(rest)}</td></tr>" for head, _, rest in parts)
    return (
        f'<h3>{escape(question)}</h3><table class="routes">{rows}</table>'
        f"<p><kbd>Shift+Enter</kbd> {escape(answer)} &nbsp; <kbd>Esc</kbd> returns</p>"
    )


def busy(text: str) -> str:
    """A panel while the kernel is at work."""
    return f"<h3>{escape(text)}</h3>"


def next_step(what: str, text: str) -> str:
    """A panel where there is nothing to review: why, and what to do."""
    return f"<h3>{escape(what)}</h3><p>{escape(text[:1].upper() + text[1:])}.</p>"


def notice(line: str) -> str:
    """One line in place of a desk that cannot be opened."""
    style = "color: var(--jp-error-color1, #c4232f); font-weight: 600; line-height: 1.5"
    return f'<div style="{style}">{escape(line)}</div>'


def button(press: str, text: str, key: str = "", *, kind: str = "", enabled: bool = True, title: str = "") -> str:
    """A button that presses a key; `key` is shown on it."""
    shown = f"<kbd>{escape(key)}</kbd>" if key else ""
    return (
        f'<button data-press="{escape(press)}" class="{kind}" title="{escape(title)}" tabindex="-1"'
        f"{'' if enabled else ' disabled'}>{escape(text)}{shown}</button>"
    )

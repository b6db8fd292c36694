"""The words of the desks as HTML: header, buttons, lines, help, summaries, tables. Pure.

File names, prompts and settings are other people's text: everything passes through `html.escape`.
"""

import base64
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from pickroom.app.widgets.overlay import Caption, Slot
from pickroom.app.widgets.stage import Viewport
from pickroom.app.widgets.words import escape
from pickroom.groups.rounds import Standing
from pickroom.images.metadata import InfoRow
from pickroom.sessions.crop.state import FREE, OWN, RATIOS, CropDeskView, CropImageView
from pickroom.sessions.keys import show_key
from pickroom.sessions.review.view import GroupView, ImageView
from pickroom.sessions.sorting.suggest import GroupRow

FRAME, WORDS = 5.0, 19.0  # CSS pixels: over the words under an image; height of their lines (desk.css)
SPACE = '<span class="space"></span>'
_ROWS = 14  # values of a field shown in the table of a dry run
_TEXT = 400  # characters shown of one value


def header(text: str, progress: float | None = None, buttons: str = "") -> str:
    """The line over a desk, its buttons, the way to the keys; below it a bar where a progress, in [0, 1], is given."""
    way = button("?", "? keys", kind="plain")
    top = f'<div class="top"><span>{escape(text)}</span><div class="row">{buttons}{way}</div></div>'
    if progress is None:
        return top
    return f'{top}<div class="bar"><div style="width: {max(0.0, min(progress, 1.0)):.2%}"></div></div>'


def line(*parts: tuple[str, str] | str) -> str:
    """Texts next to each other, each by itself or as (kind, text); they wrap where the room ends."""
    both = (("message", part) if isinstance(part, str) else part for part in parts)
    return f'<div class="line">{"".join(_span(kind, escape(text)) for kind, text in both if text)}</div>'


def sentence(text: str) -> str:
    """A message with a capital letter, unless it begins with a key, a path or a file name."""
    return text[:1].upper() + text[1:] if re.match(r"[a-z]{2,}\b(?![./_-])", text) else text


def _span(kind: str, content: str) -> str:
    return f'<span class="{kind}">{content}</span>'


def captions(said: Sequence[Caption], slots: Sequence[Slot], viewport: Viewport, *, zoom: bool) -> str:
    """The words under each image of a stage, and over its crop; they lie where the kernel's layout has the images."""
    found = []
    for number, (caption, slot) in enumerate(zip(said, slots, strict=True), start=1):
        x, y, w, h = slot.window if zoom else slot.box
        top = y + h + FRAME
        lines = max(1, int((slot.bottom - top) / WORDS))
        clamp = f"-webkit-line-clamp: {lines}" + ("; word-break: break-all" if lines == 1 else "")
        # a quantity stays on one line; a long name may be broken at its underscores
        quiet = (escape(part).replace(" ", "&nbsp;").replace("-", "-&#8288;") for part in caption.quiet)
        said_quietly = " · ".join(quiet).replace("_", "_<wbr>")
        flag = f'<em class="flag">{escape(caption.flag)}</em>' if caption.flag else ""
        found.append(
            f'<div class="pickroom-caption" data-mark="{caption.mark}" title="{escape(" · ".join(caption.quiet))}"'
            f' style="{_placed(viewport, x, top, w)}; {clamp}"><b>{number}</b>{caption.button}{flag}'
            f"{escape(caption.title)} <small>· {said_quietly}</small></div>"
        )
        if caption.crop and not zoom:
            box, words = caption.crop
            place = _placed(viewport, *slot.placement.rectangle(box))
            found.append(f'<div class="pickroom-crop" style="{place}"><span>{escape(words)}</span></div>')
    return "".join(found)


def _placed(viewport: Viewport, *lengths: float) -> str:
    """CSS of (x, y, width, height), as far as given, in percent of the layout: a narrower view shows it scaled down."""
    sides = zip(("left", "top", "width", "height"), lengths, (viewport.width, viewport.height) * 2, strict=False)
    return "; ".join(f"{name}: {100 * length / side:.4f}%" for name, length, side in sides)


def button(press: str, text: str, key: str = "", *, kind: str = "", enabled: bool = True, title: str = "") -> str:
    """A button that presses a key; `key` is shown on it."""
    shown = f"<kbd>{escape(key)}</kbd>" if key else ""
    return (
        f'<button data-press="{escape(press)}" class="{kind}" title="{escape(title)}" tabindex="-1"'
        f"{'' if enabled else ' disabled'}>{escape(text)}{shown}</button>"
    )


def short(key: str) -> str:
    """A key as a button shows it: ⇧⏎, ⇧A, A."""
    return show_key(key).replace("Shift+", "⇧").replace("Enter", "⏎")


def row(*parts: str) -> str:
    """Buttons next to each other."""
    return f'<div class="row">{"".join(parts)}</div>'


def legend(lines: Sequence[tuple[str, str]]) -> str:
    """The keys and what the mouse does, on `?`, in two tables side by side."""
    rows = [
        f"<tr><th>{' '.join(f'<kbd>{escape(key)}</kbd>' for key in names.split())}</th><td>{escape(what)}</td></tr>"
        for names, what in lines
    ]
    half = (len(rows) + 1) // 2
    tables = "".join(f'<table class="keys">{"".join(some)}</table>' for some in (rows[:half], rows[half:]))
    return f'<h3>Keys and mouse</h3><div class="pair" style="align-items: start; flex-wrap: nowrap">{tables}</div>'


def summary(question: str, routes: Sequence[tuple[str, str]], foot: str) -> str:
    """Every route that an apply would take, before it does: the question above them, the answers below, as HTML."""
    rows = "".join(f"<tr><th>{escape(head)}</th><td>{escape(rest)}</td></tr>" for head, rest in routes)
    return f'<h3>{escape(question)}</h3><table class="routes">{rows}</table>{foot}'


def answers(press: str, text: str) -> str:
    """The two buttons of a question: the key of its yes, and Escape."""
    yes, no = button(press, text, kind="main"), button("Escape", "Return")
    return f"<p>{yes} <kbd>{escape(press)}</kbd> &emsp; {no} <kbd>Esc</kbd></p>"


def panel(head: str, text: str = "") -> str:
    """A panel with a heading and a sentence: while the kernel is at work, or where there is nothing to do."""
    return f"<h3>{escape(head)}</h3>" + (f"<p>{escape(text)}</p>" if text else "")


def notice(text: str) -> str:
    """One line in place of a desk that cannot be opened."""
    style = "color: var(--pickroom-reject, var(--jp-error-color1, #c4232f)); font-weight: 600; line-height: 1.5"
    return f'<div style="{style}">{escape(text)}</div>'


def defect(error: Exception) -> str:
    """An error that nobody expected, as one line."""
    return f"A defect in Pickroom, please report it: {type(error).__name__}: {error}"


# --- the review deck ----------------------------------------------------------------------------------------------


def picture_source(jpeg: bytes) -> str:
    """The `src` of an <img> for a small picture."""
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"


_STANDINGS: Mapping[Standing, str] = {"out": "out", "on": "on screen", "coming": "to come"}


def film_strip(group: GroupView | None, pictures: Mapping[str, bytes]) -> str:
    """Every image of a burst of more than four, in time order: out, on screen, or to come; no words for other groups.

    Args:
        pictures: small JPEGs by content, of the images that have one already.
    """
    if group is None or not group.strip:
        return '<div class="strip"></div>'
    count = Counter(standing for _, standing in group.strip)
    words = f"{group.round_words} · {count['coming']} to come" if count["coming"] else group.round_words
    images = (
        f'<img class="{standing}" title="{escape(image.filename)}" alt="{_STANDINGS[standing]}"'
        + (f' src="{picture_source(pictures[image.sha256])}">' if image.sha256 in pictures else ">")
        for image, standing in group.strip
    )
    return f'<div class="strip"><b>{words}</b>{"".join(images)}</div>'


def lines(group: GroupView | None, message: str, *, error: bool = False) -> str:
    """The lines under the images: the route, and the message or why the group was held; flags and reasons."""
    kind, message = ("error", message) if error else ("message", sentence(message))
    if group is None:
        return line((kind, message))
    if group.held_reason and not error:
        kind, message = "held", f"Held back: {group.held_reason}" + (f" · {message}" if message else "")
    flags = "".join(_span("flag", escape(flag)) for flag in group.flags)
    outcome = "undecided"
    if group.decided:
        outcome = "keep" if any(image.mark == "keep" for image in group.images) else "reject"
    reasons = f'<div class="line reasons">{flags}{escape(sentence(group.reasons))}</div>'
    return line((f"route {outcome}", group.route), (kind, message)) + reasons


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


# --- boards of thumbnails -----------------------------------------------------------------------------------------


def routes(lines: Sequence[tuple[str, str]], *, in_place: bool = False) -> str:
    """The summary of a board or of the duplicates desk; `in_place`: images are rated and stay."""
    if in_place:
        note = "<p>Ratings go into XMP sidecars; no image moves; the batch can be undone.</p>"
        return summary("Write these ratings?", lines, note + answers("Shift+Enter", "Write"))
    companions = "<p>Companions go along; nothing is overwritten or deleted; the batch can be undone.</p>"
    return summary("Move these files?", lines, companions + answers("Shift+Enter", "Move"))


def texts(path: str, fields: Mapping[str, str]) -> str:
    """What is written about one image, on `I`."""
    rows = "".join(f"<tr><th>{escape(name)}</th><td>{escape(_cut(text))}</td></tr>" for name, text in fields.items())
    nothing = "" if rows else "<p>Nothing is written about this image.</p>"
    return f"<h3>{escape(path)}</h3><table class='info'>{rows}</table>{nothing}"


def dry_run(field: str, rows: Sequence[GroupRow], without: int) -> str:
    """What sorting by a field would do, before anything is marked."""
    found = [
        (_cut(row.value), len(row.paths), f"→ {row.folder}/" if row.folder else "no folder name in it: they stay")
        for row in rows[:_ROWS]
    ]
    if len(rows) > _ROWS:
        found.append((f"… {len(rows) - _ROWS} more values", sum(len(row.paths) for row in rows[_ROWS:]), ""))
    if without:
        found.append(("(not written)", without, "they stay"))
    table = "".join(
        f'<tr><th>{escape(value)}</th><td class="number">{count}</td><td>{escape(where)}</td></tr>'
        for value, count, where in found
    )
    return (
        f"<h3>Sort what is unsorted by {escape(field)}</h3><table class='routes'>{table}</table>"
        "<p>This only marks them; U takes it back, Shift+Enter shows the summary.</p>"
        f"<p>{button('by field', 'Mark them so', kind='main')} &emsp; {button('no field', 'Return')}</p>"
    )


def _cut(text: str) -> str:
    return text if len(text) <= _TEXT else f"{text[:_TEXT]}…"


SHAPE = "shape "  # before the name of a shape: what its button presses, since no keyboard has such a key
SHAPES = (OWN, FREE, *RATIOS)
_KEEPS = {OWN: "keeps the image's shape", FREE: "any shape"} | {ratio: f"keeps {ratio}" for ratio in RATIOS}


def crop_tools(view: CropDeskView, command: Callable[..., str]) -> str:
    """The row of buttons: the active box's shape, and what is done to the page; `command` is `Desk.button`."""
    active = _active(view)
    shapes = (
        button(
            f"{SHAPE}{shape}",
            shape,
            kind="on" if active and active.shape == shape else "",
            enabled=active is not None,
            title=f"The box {_KEEPS[shape]}",
        )
        for shape in SHAPES
    )
    count = len(view.images)
    submit = f"Submit crop {active.number}" if active and count > 1 else "Submit crop"
    return row(
        '<span class="label">Shape</span>',
        *shapes,
        SPACE,
        command("apply ai", f"Apply all AI crops ({view.ai_crops})", enabled=view.ai_crops > 0),
        command("back", "Back", title="Bring the image submitted last back, with its box"),
        command("skip", "Skip", enabled=count > 0, title="These images still wait"),
        command("submit", submit, kind="main", enabled=count > 0),
    )


def crop_lines(view: CropDeskView, message: str, *, error: bool = False) -> str:
    """Under the images: the active box; its file and the page's warnings; the message; what cannot be cropped."""
    active = _active(view)
    box = f"{active.number}: {active.coordinates} · {_KEEPS[active.shape]} · {active.note}" if active else ""
    path = f"{active.directory}/{active.filename}" if active else ""
    warnings = [f"{image.number}: {image.warning}" for image in view.images if image.warning]
    kind = "error" if error else "route" if view.asked else "message"
    parts = [("path", path), *(("flag", warning) for warning in warnings)]
    problems = "".join(map(line, view.problems))
    return (
        line(("route", box), (kind, message if error else sentence(message)))
        + line(*parts)
        + (problems and f'<div class="problems">{problems}</div>')
    )


def crop_question(question: str) -> str:
    """The panel before all AI crops are applied."""
    note = "<p>They are recorded as the AI's boxes, not as yours: no model learns from them.</p>"
    return f"<h3>{escape(question)}</h3>{note}{answers('Enter', 'Apply')}"


def _active(view: CropDeskView) -> CropImageView | None:
    return next((image for image in view.images if image.active), None)

"""The building blocks of pages: parts with buttons, a status line, and work in the background.

A page shows what the functions of the commands say, and calls them. It holds no data.
"""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import ipywidgets

from pickroom.app.widgets import desk_html
from pickroom.app.widgets.stage import style_sheet
from pickroom.app.widgets.words import escape
from pickroom.core.errors import PickroomError
from pickroom.store import copies, snapshot

_TELL_S = 0.2  # between two counts on the line


class Work:
    """The progress of a part's work as a line; the work stops at its next count when asked to."""

    def __init__(self, doing: str, say: Callable[[str], None]) -> None:
        self._say, self._told, self._end = say, 0.0, threading.Event()
        self.phase(doing)

    def phase(self, doing: str) -> None:
        """Say what begins now; raises as `count`."""
        self.doing = doing
        self.check()
        self._say(f"{doing}…")

    def count(self, done: int, of: int) -> None:
        """Say how far it is; raises PickroomError where the work was asked to end."""
        self.check()
        if time.monotonic() - self._told > _TELL_S:
            self._told = time.monotonic()
            self._say(f"{self.doing}: {done:,} of {of:,}…")

    def check(self) -> None:
        """Raise PickroomError where the work was asked to end."""
        if self._end.is_set():
            raise PickroomError("stopped", doing=f"{self.doing[:1].lower()}{self.doing[1:]}", hint="it can begin again")

    def end(self) -> None:
        """Ask the work to end."""
        self._end.set()


class Part(ipywidgets.VBox):
    """A part of a page: a heading, what it shows (`body`), its controls, and the line of what happened, or why not.

    While it works, in `thread`, its controls are disabled, and `stop` is there where it can be stopped.
    """

    def __init__(self, title: str, *controls: ipywidgets.Widget) -> None:
        self.body, self.line, self.controls = ipywidgets.HTML(), ipywidgets.HTML(), controls
        self.stop = button("Stop", lambda: self._stop and self._work and self._stop(self._work))
        self.stop.layout.display = "none"
        self.thread: threading.Thread | None = None
        self._work: Work | None = None
        self._stop: Callable[[Work], object] | None = None
        self._begin = threading.Lock()  # JupyterLab hands messages to several threads
        heading = [ipywidgets.HTML(f"<h3>{escape(title)}</h3>")] if title else []
        super().__init__([*heading, self.body, ipywidgets.HBox([*controls, self.stop]), self.line])
        self.add_class("pickroom-part")

    def say(self, text: str, *, error: bool = False) -> None:
        """Write the line."""
        role, kind = ("alert", "error") if error else ("status", "message")
        self.line.value = f'<p role="{role}" class="{kind}">{escape(text)}</p>' if text else ""

    def enable(self, control: ipywidgets.Widget, on: bool) -> None:
        """Let a control be used, once no work is going on."""
        control.disabled = not on or self._work is not None

    def attempt(self, action: Callable[[], Any]) -> Any:
        """Run it; an expected failure becomes the line, anything else is a defect but is not silent either."""
        try:
            return action()
        except PickroomError as error:
            self.say(error.line, error=True)
        except Exception as error:
            self.say(desk_html.defect(error), error=True)
            raise
        return None

    def start(
        self,
        doing: str,
        work: Callable[[Work], str],
        then: Callable[[], None],
        stop: Callable[[Work], object] | None = None,
    ) -> None:
        """Do it in a thread, unless the part is at work already.

        Args:
            work: returns what came of it, for the line.
            then: called when it has ended, however it did.
            stop: what the Stop button does: `Work.end`, where the work counts; None where it cannot be stopped.
        """
        with self._begin:
            if self._work is not None:
                return
            self._work = Work(doing, self.say)
        begun, before = self._work, [(control, control.disabled) for control in self.controls]

        def run() -> None:
            try:
                self.attempt(lambda: self.say(work(begun)))
                for problem in snapshot.keep(copies.asked()):  # the databases of what it has moved
                    self.say(problem, error=True)
            finally:
                self._work = None
                self.stop.layout.display = "none"
                for control, disabled in before:
                    control.disabled = disabled
                then()

        for control in self.controls:
            control.disabled = True
        self._stop = stop
        self.stop.layout.display = None if stop is not None else "none"
        self.thread = threading.Thread(target=run, name=doing, daemon=True)
        self.thread.start()


class Page(ipywidgets.VBox):
    """Parts one below the other; `looking` reads something as the page opens.

    Work that runs when the page is closed continues to its end.
    """

    def __init__(self, *parts: Part, looking: Part | None = None) -> None:
        self.parts, self.looking = parts, looking
        self._style = ipywidgets.HTML(f"<style>{style_sheet('theme.css', 'page.css')}</style>")
        super().__init__([self._style, *parts])
        self.add_class("pickroom-page")

    def settle(self) -> None:
        """Wait for what is read as the page opens: a browser loses what changes while it takes the widgets up."""
        if self.looking is not None and self.looking.thread is not None:
            self.looking.thread.join()


def button(text: str, press: Callable[[], Any], style: str = "") -> ipywidgets.Button:
    """A button as wide as its text; `style` is "primary", "danger" or ""."""
    made = ipywidgets.Button(description=text, button_style=style, layout=ipywidgets.Layout(width="auto"))
    made.on_click(lambda _: press())
    return made


def listed(lines: Sequence[str]) -> str:
    """Sentences as HTML, one under the other."""
    return "".join(f"<p>{escape(line)}</p>" for line in lines)


def table(names: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Rows of texts as an HTML table; "" without any."""
    if not rows:
        return ""
    top = "".join(f"<th>{escape(desk_html.sentence(name))}</th>" for name in names)
    body = "".join("<tr>" + "".join(f"<td>{escape(text)}</td>" for text in row) + "</tr>" for row in rows)
    return f"<table><tr>{top}</tr>{body}</table>"


def block(lines: Sequence[str]) -> str:
    """Steps, or rows of figures, as HTML: each stays on its line."""
    text = escape("\n".join(lines))
    return f"<pre style='white-space: pre; overflow-x: auto; font-size: 12px'>{text}</pre>"

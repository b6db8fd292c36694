"""The app's lines of links, and the lines that follow what goes on in the background: indexing, and learning."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import anywidget
import ipywidgets
import traitlets

from pickroom.app.widgets.stage import style_sheet, widget_module
from pickroom.app.widgets.words import escape
from pickroom.core.errors import PickroomError
from pickroom.indexing.opening import job_name
from pickroom.learn import progress
from pickroom.learn.progress import Background, Status
from pickroom.storage.locking import SharedLock
from pickroom.store.workspace import Project, Workspace

_LOOK_S = 0.5  # between two looks at the background's status
_STEADY_S = 2.0  # of a phase before its rate says anything
_ANOTHER = "This project is open in another window, too. Click a window to show the choices of the other one."


class Links(anywidget.AnyWidget):
    """HTML whose `<button data-go="QUERY">` lead to other places of the app.

    `query` is what the address bar shows, and what the browser's back and forward bring back; None leaves it alone.
    """

    _esm = widget_module("links.js")
    _css = style_sheet("theme.css", "links.css")
    html = traitlets.Unicode().tag(sync=True)
    query = traitlets.Unicode(None, allow_none=True).tag(sync=True)

    def __init__(self, go: Callable[[str], None]) -> None:
        super().__init__()
        self.on_msg(lambda _, content, buffers: go(str(content.get("go", ""))))


class IndexingLine(Links):
    """How far the background is with a project, with a button that pauses it, and whether another window shows it.

    Empty while nothing goes on.
    """

    def __init__(self, workspace: Workspace, news: Callable[[], None]) -> None:
        super().__init__(self._press)
        self.add_class("pickroom-indexing")
        self._workspace, self._news = workspace, news  # news: called when the background has brought in something
        self._project_id, self._end = "", threading.Event()

    def follow(self, project_id: str) -> None:
        """Show how far it is with this project from now on; "" for none."""
        if project_id == self._project_id:
            return
        self._end.set()
        self._project_id, self._end, self.html = project_id, threading.Event(), ""
        if project_id:
            threading.Thread(target=self._watch, args=(project_id, self._end), daemon=True).start()

    def _watch(self, project_id: str, end: threading.Event) -> None:
        before: Status | None = None
        began, done = time.monotonic(), 0  # of the phase
        window = SharedLock(window_lock(self._workspace, project_id))
        while not end.wait(_LOOK_S):
            try:
                status = progress.read_status(self._workspace, job_name(project_id))
            except PickroomError:  # a damaged file: the next write mends it
                status = None
            line = "" if window.is_alone() else f"<span>{_ANOTHER}</span>"
            if status is not None:
                if before is None or (status.phase, status.state) != (before.phase, before.state):
                    began, done = time.monotonic(), status.done
                spent = time.monotonic() - began
                line += indexing_line(status, (status.done - done) / spent if spent > _STEADY_S else 0.0)
            if end.is_set():
                break
            self.html = line
            if status != before:
                self._news()
            before = status
        window.close()

    def _press(self, press: str) -> None:
        if press == "pause":
            progress.request_stop(self._workspace, job_name(self._project_id))
        elif self._project_id:
            self.start(self._project_id)

    def start(self, project_id: str) -> None:
        """Have the background look for new images of a project, unless it is at it."""
        if not progress.is_running(self._workspace, name := job_name(project_id)):
            progress.start_command(self._workspace, name, ["index", project_id])


def window_lock(workspace: Workspace, project_id: str) -> Path:
    """What every window of the app that shows a project holds, with the others."""
    return workspace.logs / f"window_{project_id}.lock"


def indexing_line(status: Status, rate: float) -> str:
    """What the line says of a status, as HTML.

    Args:
        rate: images a second; 0 while that is not known.
    """
    if status.state == "done":
        return ""
    if status.state != "running":
        why = "Paused" if status.state == "stopped" else f"Reading stopped: {status.message}"
        return f'<span>{escape(why)}</span><button data-go="resume">Go on</button>'
    doing = status.phase[:1].upper() + status.phase[1:]
    pause = '<button data-go="pause">Pause</button>'
    if not status.of:
        return f"<span>{escape(doing)}…</span>{pause}"
    left = ""
    if rate > 0:
        minutes, seconds = divmod(round((status.of - status.done) / rate), 60)
        left = f" · {rate:,.0f} a second · {f'{minutes} min' if minutes else f'{seconds} s'} left"
    return (
        f"<span>{escape(doing)}: {status.done:,} of {status.of:,} images{left}</span>"
        f'<div class="bar"><div style="width: {status.done / status.of:.1%}"></div></div>{pause}'
    )


class Retrain(ipywidgets.HTML):
    """After a finalise, learning from it in a process of its own, and a line that follows it; hidden until then.

    The deck never waits for it: a thread looks at the process's small progress file, and only changes this line.
    """

    def __init__(self, project: Project) -> None:
        self.project = project
        self.background: Background | None = None
        self.following: threading.Thread | None = None
        self._closed, self._again = threading.Event(), threading.Event()
        super().__init__()
        self.layout.display = "none"

    def start(self) -> None:
        """A batch has just been finalised: learn from it, or after what is being learned now."""
        self.layout.display = None
        if self.following is not None and self.following.is_alive():
            self._again.set()
            return
        try:
            if self.project.workspace.project(self.project.id).manifest.encoder is None:
                self._say(f"Not learned from yet: the images have no vectors (pickroom embed {self.project.id})")
                return
            self._begin()
        except PickroomError as error:
            self._say(error.line)
            return
        self.following = threading.Thread(target=self._follow, daemon=True)
        self.following.start()

    def close(self) -> None:
        """Stop following; the process goes on, and its recommendations are stored."""
        self._closed.set()
        super().close()

    def _begin(self) -> None:
        from pickroom.learn import retraining  # brings SciPy, half a second of it: a deck opens without

        self._again.clear()
        self.background = retraining.start_retraining(self.project)
        self._say("Learning from these decisions…")

    def _follow(self) -> None:
        try:
            while not self._closed.is_set():
                background = self.background
                assert background is not None
                running = background.running  # first: what it has written when it has ended is its last word
                status = progress.read_status(background.workspace, background.name)
                if status is not None and status.pid != background.process.pid:  # an earlier retraining's
                    status = None
                if running:
                    if status is not None:
                        self._say(status.line)
                    self._closed.wait(_LOOK_S)
                    continue
                done = status is not None and status.state == "done"
                self._say(status.message if status and done else background.words or "It ended without a message.")
                if not self._again.is_set():
                    break
                self._begin()
        except PickroomError as error:
            self._say(error.line)

    def _say(self, text: str) -> None:
        self.value = "<br>".join(escape(line.strip()) for line in text.splitlines())

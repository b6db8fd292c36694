"""After a finalise, the offer to learn from it: a button that starts a process of its own, and a line that follows it.

The deck never waits for it: a thread looks at the process's small progress file, and only changes this line.
"""

from __future__ import annotations

import threading
from html import escape

import ipywidgets

from pickroom.core.errors import PickroomError
from pickroom.learn import progress
from pickroom.learn.background import Background
from pickroom.store.workspace import Project

_LOOK_S = 0.5  # between two looks at the progress
_OFFER = "Learn from these decisions, and recommend anew; the deck stays free meanwhile."


class Retrain(ipywidgets.HBox):
    """Hidden until there is something to offer."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.background: Background | None = None
        self._following: threading.Thread | None = None
        self._closed = threading.Event()
        self.button = ipywidgets.Button(description="Retrain", tooltip=_OFFER)
        self.button.on_click(lambda _: self.start())
        self.line = ipywidgets.HTML()
        super().__init__([self.button, self.line])
        self.layout.display = "none"

    def offer(self) -> None:
        """A batch has just been finalised."""
        if self.background is not None and self.background.running:
            return  # it says how far it is; what was just decided is for the next one
        self.button.disabled = False
        self._say(_OFFER)
        self.layout.display = None

    def start(self) -> None:
        """Start the process, and follow it without waiting."""
        from pickroom.learn import retraining  # brings PyTorch, seconds of it: a deck opens without

        self.button.disabled = True
        try:
            self.background = retraining.start_retraining(self.project)
        except PickroomError as error:
            self._ended(error.line)
            return
        self._say("Starting…")
        self._following = threading.Thread(target=self._follow, args=(self.background,), daemon=True)
        self._following.start()

    def wait(self, seconds: float) -> bool:
        """Wait until the process has ended and its result is shown; False when that takes longer."""
        if self._following is None:
            return True
        self._following.join(seconds)
        return not self._following.is_alive()

    def close(self) -> None:
        """Stop following; the process goes on, and its recommendations are stored."""
        self._closed.set()
        super().close()

    def _follow(self, background: Background) -> None:
        try:
            while background.running and not self._closed.is_set():
                if status := self._status(background):
                    self._say(status.line)
                self._closed.wait(_LOOK_S)
            if self._closed.is_set():
                return
            status = self._status(background)
        except PickroomError as error:
            self._ended(error.line)
            return
        done = status is not None and status.state == "done"
        self._ended(status.message if status and done else background.words or "It ended without a word.")

    @staticmethod
    def _status(background: Background) -> progress.Status | None:
        """What this retraining says of itself; None while the file is an earlier one's."""
        status = progress.read_status(background.workspace, background.name)
        return status if status is not None and status.pid == background.process.pid else None

    def _ended(self, text: str) -> None:
        self._say(text)
        self.button.disabled = False

    def _say(self, text: str) -> None:
        self.line.value = "<br>".join(escape(line.strip()) for line in text.splitlines())

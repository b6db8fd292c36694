"""The line under the review deck that follows how the models learn from the latest decisions."""

import threading

import ipywidgets

from pickroom.app.widgets.words import escape
from pickroom.core.errors import PickroomError
from pickroom.learn import progress
from pickroom.learn.progress import Background
from pickroom.store.workspace import Project

_LOOK_S = 0.5  # between two looks at the progress


class Retrain(ipywidgets.HTML):
    """After a finalise, learning from it in a process of its own, and a line that follows it; hidden until then.

    The deck never waits for it: a thread looks at the process's small progress file, and only changes this line.
    """

    def __init__(self, project: Project) -> None:
        self.project = project
        self.background: Background | None = None
        self._following: threading.Thread | None = None
        self._closed, self._again = threading.Event(), threading.Event()
        super().__init__()
        self.layout.display = "none"

    def start(self) -> None:
        """A batch has just been finalised: learn from it, or after what is being learned now."""
        self.layout.display = None
        if self._following is not None and self._following.is_alive():
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
        self._following = threading.Thread(target=self._follow, daemon=True)
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

"""What stage and grid share on the kernel's side: the keys of several views, each taken once and in order."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, Protocol, TypeVar

import anywidget
import traitlets

VIEWS_KEPT = 32  # views whose key numbers are remembered; each reload of the page makes a new one


class KeyQueue:
    """The number of the last key taken from each view; go-back-N, with the page as the one that repeats (keys.js)."""

    def __init__(self) -> None:
        self.applied: dict[str, int] = {}

    def take(self, view: str, number: int, oldest: object) -> Literal["new", "again", "lost"]:
        """Whether a key is to be applied now, was applied before, or one before it did not arrive.

        Args:
            number: of the key, from 1 in each view; oldest: the first that the page still has to hear of.
        """
        expected = self.expected(view)
        if number < expected:  # repeated by a page that has not heard our answer yet
            return "again"
        if number > expected and number != oldest:
            return "lost"
        self.applied.pop(view, None)
        self.applied[view] = number
        while len(self.applied) > VIEWS_KEPT:
            del self.applied[next(iter(self.applied))]
        return "new"

    def expected(self, view: str) -> int:
        """The number of the next key of a view."""
        return self.applied.get(view, 0) + 1


@dataclass(frozen=True, slots=True)
class KeyPress:
    """One key, spelled as FORMATS.md says; `seen` is the token of what was on screen when it was pressed."""

    key: str
    seen: str


class KeyListener(Protocol):
    """Who a surface tells."""

    def key_pressed(self, press: KeyPress) -> None:
        """A key that was not applied before; answer with `show`, whatever it did."""

    def focus_changed(self, on: bool) -> None:
        """The surface got or lost the keyboard."""


Listener = TypeVar("Listener", bound=KeyListener)


class Surface(anywidget.AnyWidget, Generic[Listener]):
    """A widget that takes keys. A kind of it adds `show`, and says what a scene is and what else pages send.

    The listener is called with `lock` held; it takes the same lock for whatever it does of its own accord.

    Args:
        listener: who is told.
        keys: the keys it takes, spelled as FORMATS.md says; every other key is left to the notebook.
        repeating: keys that count again while they are held down.

    A `<button data-press="KEY">` anywhere on the desk presses that key when it is clicked; the name may be one that
    no keyboard has.
    """

    key_names = traitlets.List(traitlets.Unicode()).tag(sync=True)
    repeating = traitlets.List(traitlets.Unicode()).tag(sync=True)

    def __init__(self, listener: Listener, keys: Sequence[str], repeating: Sequence[str] = (), **traits: str) -> None:
        super().__init__(key_names=list(keys), repeating=list(repeating), **traits)
        # JupyterLab hands messages to another thread than the one that runs the cells (comms over subshells)
        self.lock = threading.RLock()
        self._listener = listener
        self._queue = KeyQueue()
        self._number = 0
        self._scene: dict[str, Any] = {}  # the last one, for a page that missed it
        self.on_msg(lambda _, content, buffers: self.on_message(content))

    def on_message(self, content: Mapping[str, Any]) -> None:
        """One message of a page; a form that is not ours (a page of another version) is passed over."""
        with self.lock:
            match content:
                case {"type": "key", "view": str(view), "number": int(number), "key": str(key), "seen": str(seen)}:
                    self._take_key(view, number, content.get("oldest"), KeyPress(key, seen))
                case {"type": "focus", "on": bool(on)}:
                    self._listener.focus_changed(on)
                case _:
                    self.take(content)

    def take(self, content: Mapping[str, Any]) -> None:
        """A message of a page that is about neither keys nor focus."""
        raise NotImplementedError

    def whole_scene(self) -> dict[str, Any]:
        """The last scene with everything in it."""
        return self._scene

    def send_scene(self, scene: Mapping[str, Any]) -> None:
        """Send a scene to every view; it says which of that view's keys it already contains."""
        if self._scene:
            self.send({**scene, "applied": dict(self._queue.applied)})

    def _take_key(self, view: str, number: int, oldest: object, press: KeyPress) -> None:
        match self._queue.take(view, number, oldest):
            case "again":
                self.send_scene(self.whole_scene())
            case "lost":
                self.send({"type": "resend", "view": view, "number": self._queue.expected(view)})
            case "new":
                self._listener.key_pressed(press)

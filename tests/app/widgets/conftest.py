"""A deck on a real small project, with what it sends to the browser kept for the test to read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pickroom.app.widgets.deck import Deck
from pickroom.app.widgets.stage import Stage
from pickroom.sessions.review.session import ReviewSession
from pickroom.store.workspace import Project

Sent = list[tuple[dict[str, Any], list[bytes]]]


class Page:
    """The browser's side of one view, played by the test: numbers its keys and says what it saw."""

    def __init__(self, deck: Deck, sent: Sent, view: str = "v1") -> None:
        self.deck, self.sent, self.view = deck, sent, view
        self.number = 0
        self.size(1000, 560)

    def size(self, width: int, height: int, *, dpr: float = 1.0, dark: bool = False) -> None:
        room = {"width": width, "height": height, "dpr": dpr, "dark": dark}
        self.deck.stage.on_message({"type": "hello", "view": self.view, **room})

    @property
    def frame(self) -> dict[str, Any]:
        """The last frame that was sent."""
        return next(message for message, _ in reversed(self.sent) if message["type"] == "frame")

    @property
    def shown(self) -> str:
        """The token of what is on screen."""
        return self.frame["frame"]["token"]

    def press(self, *keys: str) -> None:
        """Press keys one after the other, each when the answer to the last one is on screen."""
        for key in keys:
            self.number += 1
            self.send_key(self.number, key, self.shown)

    def send_key(self, number: int, key: str, seen: str, oldest: int | None = None) -> None:
        message = {"type": "key", "view": self.view, "number": number, "oldest": oldest or number}
        self.deck.stage.on_message({**message, "key": key, "seen": seen})

    def want(self, name: str, kind: str = "preview") -> tuple[dict[str, Any], list[bytes]]:
        """Ask for a picture; the answer and its bytes."""
        self.deck.stage.on_message({"type": "want", "page": "p1", "kind": kind, "names": [name]})
        return self.sent[-1]


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Sent:
    """Every message that stages send, oldest first."""
    kept: Sent = []
    monkeypatch.setattr(Stage, "send", lambda self, content, buffers=(): kept.append((content, list(buffers))))
    return kept


@pytest.fixture
def open_page(sent: Sent) -> Iterator[Callable[..., Page]]:
    """A deck on a project, and a page that shows it."""
    decks: list[Deck] = []

    def make(project: Project, **options: Any) -> Page:
        decks.append(Deck(ReviewSession(project, **options)))
        return Page(decks[-1], sent)

    yield make
    for deck in decks:
        deck.close()

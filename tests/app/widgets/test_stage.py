"""The messages between a page and the kernel: each key once and in order, pictures as they are asked for."""

from __future__ import annotations

from typing import Any

import pytest

from pickroom.app.widgets.stage import PointerEvent, Stage, Viewport
from pickroom.core.errors import PickroomError


class ProgressReporter:
    """A listener that keeps what it hears and shows a frame after each key, as it has to."""

    def __init__(self) -> None:
        self.keys: list[str] = []
        self.heard: list[Any] = []
        self.stage = Stage(self, ("a", "b"), pointer="drag")

    def viewport_changed(self, viewport: Viewport) -> None:
        self.heard.append(viewport)

    def key_pressed(self, key: str, seen: str) -> None:
        self.keys.append(key)
        self.stage.show(Viewport(100, 100), {"token": "t", "cells": ()})

    def pointer_moved(self, event: PointerEvent) -> None:
        self.heard.append(event)

    def focus_changed(self, on: bool) -> None:
        self.heard.append(on)

    def picture(self, name: str, kind: str) -> tuple[str, bytes] | None:
        if name == "bad":
            raise PickroomError("zero bytes", doing="reading an image", subject="/secret/path.png")
        return None if name == "gone" else ("image/jpeg", f"{kind} {name}".encode())

    def key(self, number: int, key: str, oldest: int | None = None, view: str = "v") -> None:
        message = {"type": "key", "view": view, "number": number, "oldest": oldest or number, "key": key, "seen": ""}
        self.stage.on_message(message)


@pytest.fixture
def listener(sent: list) -> ProgressReporter:
    return ProgressReporter()


def test_a_key_sent_twice_is_taken_once_and_answered_twice(listener: ProgressReporter, sent: list):
    listener.key(1, "a")
    listener.key(1, "a")
    assert listener.keys == ["a"]
    assert [message["applied"] for message, _ in sent] == [{"v": 1}, {"v": 1}]


def test_a_key_that_got_lost_is_asked_for_and_the_order_is_kept(listener: ProgressReporter, sent: list):
    listener.key(1, "a")
    listener.key(3, "b", oldest=2)  # 2 never arrived
    assert sent[-1][0] == {"type": "resend", "view": "v", "number": 2}
    listener.key(2, "a", oldest=2)
    listener.key(3, "b", oldest=2)
    assert listener.keys == ["a", "a", "b"]


def test_views_are_numbered_each_on_its_own(listener: ProgressReporter):
    listener.key(1, "a", view="one")
    listener.key(1, "b", view="two")
    listener.key(2, "a", view="one")
    assert listener.keys == ["a", "b", "a"]


def test_unknown_view_starts_at_its_oldest_key(listener: ProgressReporter):
    listener.key(7, "a", oldest=7)
    listener.key(8, "b", oldest=7)
    assert listener.keys == ["a", "b"]


def test_views_of_old_pages_are_forgotten(listener: ProgressReporter):
    for number in range(100):
        listener.key(1, "a", view=f"view{number}")
    assert len(listener.stage._applied) <= 32 and listener.stage._applied["view99"] == 1


def test_pictures_are_sent_as_bytes_and_refusals_without_paths(listener: ProgressReporter, sent: list):
    names = ["x", "bad", "gone"]
    listener.stage.on_message({"type": "want", "page": "p", "kind": "preview", "names": names})
    (ok, data), (refused, none), (gone, nothing) = sent
    assert ok["mime"] == "image/jpeg" and data == [b"preview x"]
    assert refused["reason"] == "zero bytes" and "secret" not in str(refused) and none == []
    assert gone["mime"] is None and "reason" not in gone and nothing == []
    assert {message["page"] for message, _ in sent} == {"p"}


def test_room_focus_and_pointer_are_passed_on(listener: ProgressReporter):
    stage = listener.stage
    stage.on_message({"type": "size", "view": "v", "width": 900.4, "height": 500, "dpr": 2, "dark": True})
    stage.on_message({"type": "focus", "view": "v", "on": True})
    pointer = {"type": "pointer", "phase": "move", "x": 3, "y": 4.5, "seen": "t"}
    stage.on_message(pointer)
    assert listener.heard == [Viewport(900, 500, 2.0, True), True, PointerEvent("move", 3.0, 4.5, "t")]


@pytest.mark.parametrize(
    "message",
    [
        {},
        {"type": "key"},
        {"type": "key", "view": "v", "number": "1", "key": "a", "seen": ""},
        {"type": "want", "page": "p", "kind": "everything", "names": ["x"]},
        {"type": "pointer", "phase": "sideways", "x": 1, "y": 1},
    ],
)
def test_messages_of_another_form_are_passed_over(listener: ProgressReporter, sent: list, message: dict):
    listener.stage.on_message(message)
    assert listener.keys == [] and listener.heard == [] and sent == []


def test_a_scene_carries_what_the_browser_needs_to_go_on_alone(listener: ProgressReporter, sent: list):
    ahead = {3: {"token": "g3", "cells": ()}, 1: {"token": "g1", "cells": ()}}
    frame = {"token": "g2", "cells": ({"name": "sha", "box": (1.0, 2.0, 3.0, 4.0)},)}
    moves = {"destinations": {"Enter": 3}, "steps": {"Enter": 1}}
    listener.stage.show(Viewport(10, 20), frame, position=2, count=9, ahead=ahead, **moves)
    message = sent[-1][0]
    assert message["frame"]["cells"][0]["box"] == (1.0, 2.0, 3.0, 4.0)
    assert [position for position, _ in message["ahead"]] == [3, 1]
    assert (message["position"], message["count"], message["destinations"]) == (2, 9, {"Enter": 3})

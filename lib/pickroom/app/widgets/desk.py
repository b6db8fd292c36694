"""The base of all desks: a surface with text around it, errors as one line, and the end of the session.

A desk draws a session and forwards the user's keys to it; it holds no data.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import ipywidgets

from pickroom.app.widgets import desk_html
from pickroom.app.widgets.overlay import Caption, Overlay, Slot, arrange
from pickroom.app.widgets.stage import PointerEvent, Stage, Surface, Viewport
from pickroom.core.errors import PickroomError
from pickroom.sessions.duplicates.finding import Copy
from pickroom.sessions.session import PictureKind, ShownImage
from pickroom.store import copies, snapshot
from pickroom.store.workspace import Project, Workspace

Home = Path | str | None  # the workspace, None for the one that is found
COPYING = "copying databases"  # the name of the thread
FIRST_VIEWPORT = Viewport(960, 480)  # until the first view says how much it has
ASKED = "summary"  # the token while the session asks something


class Desk(ipywidgets.VBox):
    """A surface (stage or grid) with text around it; each tool defines what is drawn and what its keys do.

    Args:
        session: a `ProjectSession`, which knows and decides everything.
        layers: what lies over the surface; below: what stands under the words.
    """

    busy = "Moving files…"  # while the summary's answer is carried out

    def __init__(
        self,
        session: Any,
        surface: Surface,
        *,
        layers: Sequence[ipywidgets.Widget] = (),
        below: Sequence[ipywidgets.Widget] = (),
    ) -> None:
        self.session, self.surface = session, surface
        self.error = ""  # a failure to be shown under the surface
        self.header, self.tools = html("pickroom-header"), html("pickroom-tools")
        self.panel, self.words = html("pickroom-panel"), html("pickroom-words")
        stack = ipywidgets.Box([surface, *layers, self.panel])
        stack.add_class("pickroom-layers")
        super().__init__([self.header, *self.tool_rows(), stack, self.words, *below])
        self.add_class("pickroom-desk")
        self.redraw()

    def tool_rows(self) -> Sequence[ipywidgets.Widget]:
        """What stands between header and surface."""
        return [self.tools]

    def draw(self) -> None:
        """Draw everything from the session: words first, and last the surface, which shows that a key was applied."""
        raise NotImplementedError

    def token(self) -> str:
        """Names what is on screen; a key that decides must have been pressed on it."""
        raise NotImplementedError

    def catch_up(self) -> None:
        """Before a key counts: another window may have taken away what was on screen here."""
        self.attempt(self.session.refresh)

    def only_looks(self, key: str) -> bool:
        """Whether a key, or a button that no key stands for, counts whatever was on screen when it was pressed."""
        command = self.session.keys.commands.get(key)
        return bool(command and command.effect == "looks")

    def apply(self, key: str) -> None:
        """Give a key to the session."""
        if self.session.asks and self.session.keys.is_command(key, "finalise"):
            self.panel.value = desk_html.panel(self.busy)
        self.session.press(key)

    def focus_changed(self, on: bool) -> None:
        """The surface got or lost the keyboard."""
        # the user comes back, perhaps from another window on the same project
        if on and self.attempt(self.session.refresh):
            self.redraw()

    def key_pressed(self, key: str, seen: str) -> None:
        """A key that was not applied before; `seen` is the token of what was on screen when it was pressed."""
        self.error = ""
        self.catch_up()
        if seen != self.token() and not self.only_looks(key):
            # what it would decide was not on screen when it was pressed: a slow kernel, a double press
            self.error = f"{key.partition(':')[0]} was too early: the desk was still changing. Look, and do it again"
        else:
            self.attempt(lambda: self.apply(key))
        self.redraw()
        keep_copies(self.words)

    def redraw(self) -> None:
        """Draw everything; nothing else is drawn meanwhile."""
        with self.surface.lock:
            self.draw()

    def close(self) -> None:
        """End the session too: a desk that is gone must not keep the database open."""
        with self.surface.lock:
            self.session.close()
        self.surface.close()
        super().close()

    def attempt(self, action: Callable[[], Any]) -> Any:
        """Run it; an expected failure becomes the message, anything else is a defect but is not silent either."""
        try:
            return action()
        except PickroomError as error:
            self.error = error.line
        except Exception as error:
            self.error = desk_html.defect(error)
            self.redraw()
            raise
        return None

    def button(self, command: str, text: str, *, index: int | None = None, **how: Any) -> str:
        """A button that presses the key of a command; `how` as for `desk_html.button`."""
        key = self.session.keys.key_of(command, index)
        return desk_html.button(key, text, desk_html.short(key), **how)


class StageDesk(Desk):
    """A desk whose surface is a stage of photographs, with drawings over them."""

    pictures_kept = 200  # pictures that the browser may still ask for

    def __init__(self, session: Any, *, pointer: str = "keys", below: Sequence[ipywidgets.Widget] = ()) -> None:
        self.viewport = FIRST_VIEWPORT
        self._pictures: dict[str, Any] = {}
        self.overlay = Overlay()
        self.stage = Stage(self, tuple(session.keys.commands), pointer, session.keys.repeating)
        super().__init__(session, self.stage, layers=[self.overlay.canvas], below=below)

    def viewport_changed(self, viewport: Viewport) -> None:
        """A view appeared, came back or changed its size or theme: lay out again and show everything."""
        self.viewport = viewport
        self.attempt(self.session.refresh)
        self.redraw()

    def pointer_moved(self, event: PointerEvent) -> None:
        """Clicks come as keys, where a tool does not say otherwise."""

    def picture(self, name: str, kind: PictureKind) -> tuple[str, bytes] | None:
        """(mime, encoded bytes) of a picture by its name, None when nothing near shows it any more.

        Raises:
            PickroomError: it cannot be read; its `what` is written in its place.
        """
        image = self._pictures.get(name)
        found: tuple[str, bytes] | None = None if image is None else self.session.picture(image, kind)
        return found

    def announce(self, pictures: Mapping[str, Any]) -> None:
        """Name -> picture that the browser may ask for from now on; those longest unseen are forgotten."""
        for name, picture in pictures.items():
            self._pictures.pop(name, None)
            self._pictures[name] = picture
        for name in list(self._pictures)[: -self.pictures_kept]:
            del self._pictures[name]

    def steps(self, ways: Mapping[str, int]) -> dict[str, int]:
        """Key -> relative step, of commands that always mean the same way; none while the session asks something."""
        commands = {} if self.session.asks else self.session.keys.commands
        return {key: ways[command.name] for key, command in commands.items() if command.name in ways}

    def slots(self, images: Sequence[ShownImage | Copy]) -> tuple[Slot, ...]:
        """Where images go in the room there is."""
        return arrange([(image.width, image.height) for image in images], self.viewport.width, self.viewport.height)

    def frame(
        self, token: str, images: Sequence[tuple[str, tuple[int, int], Caption]], *, head: str = "", zoom: bool = False
    ) -> dict[str, Any]:
        """What is on the stage at one time, for `Stage.show`; the images are numbered from 1, as their keys are.

        Args:
            images: (name, which the browser asks for and keeps the picture by; (width, height) in upright pixels; the
                words under it) of each.
            head: what is read aloud before the words under the images.
            zoom: the images fill their windows.
        """
        slots = arrange([size for _, size, _ in images], self.viewport.width, self.viewport.height)
        # box: (x, y, width, height) of the whole image, in CSS pixels of the layout; window: what it fills when zoomed
        cells = tuple(
            {"name": name, "number": number, "box": slot.box, "window": slot.window, "size": size}
            for number, ((name, size, _), slot) in enumerate(zip(images, slots, strict=True), start=1)
        )
        said = [caption for _, _, caption in images]
        spoken = (
            f"{n}: {', '.join((c.title.lstrip('✓✕ ·'), *c.quiet, *filter(None, [c.flag])))}"
            for n, c in enumerate(said, 1)
        )
        return {
            "token": token,
            "cells": cells,
            "label": ". ".join(filter(None, (head, *spoken))) or "No image",  # read aloud
            "captions": desk_html.captions(said, slots, self.viewport, zoom=zoom),
        }


def keep_copies(words: ipywidgets.HTML) -> None:
    """Copy the databases of what a key has moved, in a thread: it takes seconds. `words` say why one was not copied."""
    databases = copies.asked()

    def keep() -> None:
        for line in snapshot.keep(databases):
            words.value = desk_html.notice(line)

    if databases:  # no daemon: a kernel that ends waits until the copy is whole
        threading.Thread(target=keep, name=COPYING).start()


def html(name: str) -> ipywidgets.HTML:
    """A box of words with a class of the style sheet."""
    widget = ipywidgets.HTML()
    widget.add_class(name)
    return widget


def reopen(kind: str, project_id: str, home: Home, make: Callable[[Project], Desk]) -> Desk:
    """A desk for a notebook's cell, in place of the one of its kind that this kernel had open on the project.

    Raises PickroomError where it cannot be opened.
    """
    before = _open.pop((kind, project_id), None)
    if before is not None:
        before.close()
    desk = make(Workspace.find(home).project(project_id))
    _open[kind, project_id] = desk
    return desk


# by kind and project, the desks of this kernel: a closed cell must not go on holding its session
_open: dict[tuple[str, str], Desk] = {}

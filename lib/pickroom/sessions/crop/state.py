"""The crop desk as a pure state machine: a page of 1-3 images, each with its box. No files, no SQL, no clock."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from pickroom.core.geometry import to_pixels, with_ratio
from pickroom.core.naming import join, source_folder
from pickroom.core.records import BoxSource, CropBox
from pickroom.sessions.crop import editing
from pickroom.sessions.crop.editing import Handle, Point, Size
from pickroom.sessions.keys import CROP, normalise
from pickroom.sessions.session import ShownImage

RATIOS: dict[str, float] = {"1:1": 1.0, "4:5": 4 / 5, "3:2": 3 / 2, "16:9": 16 / 9}
OWN, FREE = "own", "free"
PAGE_SIZES = (1, 2, 3)
_STEP = 1.05  # [ and ]: about a dozen presses halve or double a side
_ASK = "Image {} still has its default box: press Enter again to crop to it, or draw the box first"


@dataclass(frozen=True, slots=True)
class CropCard:
    """The properties of one waiting image that the state machine needs."""

    filename: str
    directory: str
    size: Size  # (width, height) in pixels, EXIF-upright
    start: CropBox  # the box to begin with: the AI's proposal, or the constant
    proposed: bool = False  # whether `start` is the AI's
    warning: str = ""  # what to know before cropping it, e.g. that no decision will be changed
    accepted: bool = False  # whether the review has accepted the AI's crop

    @property
    def unit(self) -> str:
        """As `cropping.Order.unit`."""
        return join(source_folder(self.directory), self.filename)


Shaped = tuple[CropBox, str]  # a box and its shape
Edit = tuple[str, Shaped, Shaped]  # `CropCard.unit`, and its box before and after


@dataclass(frozen=True, slots=True)
class Drag:
    """A drag under way: what it does, where it began, and the box it began with."""

    mode: Literal["draw", "move", "handle"]
    start: Point
    box: CropBox
    handle: Handle | None = None


@dataclass(frozen=True, slots=True)
class CropState:
    """Everything the desk shows."""

    cards: tuple[CropCard, ...]  # the page's images
    # `CropCard.unit` -> box and shape (OWN, FREE, or a key of RATIOS) where the user changed them
    boxes: Mapping[str, Shaped] = field(default_factory=dict)
    active: int = 0  # index of the active image
    drag: Drag | None = None
    undo: tuple[Edit, ...] = ()
    redo: tuple[Edit, ...] = ()
    help: bool = False
    # Enter was pressed on the active image's default box, which nobody has drawn; a second Enter submits it
    asked: bool = False
    confirming: bool = False  # "apply all AI crops" was asked for and waits for Enter
    # what the session is to do now ("submit", "skip", "delete", "back", "apply ai"): the machine touches no file
    pending_action: str | None = None
    message: str = ""

    @property
    def card(self) -> CropCard | None:
        """The active image, None on an empty desk."""
        return self.cards[self.active] if self.cards else None

    def box(self, card: CropCard) -> CropBox:
        return self.shaped(card)[0]

    def shaped(self, card: CropCard) -> Shaped:
        return self.boxes.get(card.unit, (card.start, OWN))

    def source(self, card: CropCard) -> BoxSource:
        """The source of an image's box, if the image were submitted alone now (FORMATS.md, Crops)."""
        if to_pixels(self.box(card), *card.size) != to_pixels(card.start, *card.size):
            return "drawn"
        return "ai" if card.proposed else "default"

    def ratio(self, card: CropCard, shape: str = "") -> float | None:
        """The ratio that the box keeps, or would with another shape (width / height in pixels), None for a free one."""
        shape = shape or self.shaped(card)[1]
        return None if shape == FREE else RATIOS.get(shape, card.size[0] / card.size[1])


def press(state: CropState, key: str) -> CropState:
    """The state after a key (REVIEW.md, The crop desk); raises UsageError where the text is not a key."""
    command = CROP.commands.get(normalise(key))
    asked, state = state.asked, replace(state, message="", pending_action=None, asked=False)
    if state.drag is not None and command is not None:
        # a key during a drag ends the drag there; Escape cancels it
        state = _drag_back(state) if command.name == "close" else drag_end(state)
    if command is None:
        return replace(state, message=f"{key} does nothing here; ? shows the keys")
    if state.confirming:
        if command.name == "submit":
            return replace(state, confirming=False, pending_action="apply ai")
        return replace(state, confirming=False, message="no AI crop was applied")
    if command.name in _VIEWS:
        return _VIEWS[command.name](state)
    if state.card is None:
        return replace(state, message="no image waits for its crop")
    if command.name == "activate":
        return activate(state, command.index or 0)
    if command.name in ("next image", "previous image"):
        step = 1 if command.name == "next image" else -1
        return activate(state, (state.active + step) % len(state.cards))
    if command.name == "submit" and state.source(state.card) == "default" and not asked:
        return replace(state, asked=True, message=_ASK.format(state.active + 1))
    if command.name in ("submit", "skip", "delete"):
        return replace(state, pending_action=command.name, drag=None)
    return _edit(state, command.name)


def activate(state: CropState, index: int) -> CropState:
    """Make an image of the page the active one."""
    if not 0 <= index < len(state.cards):
        return replace(state, message=f"this page has {len(state.cards)} images")
    return replace(state, active=index)


def drag_start(state: CropState, index: int, point: Point, reach: Point) -> CropState:
    """The pointer goes down on an image: on a handle it resizes, inside the box it moves, outside it draws.

    A handle counts within `reach`, (x, y) in fractions of the image.
    """
    state = activate(replace(state, message="", pending_action=None, asked=False), index)
    if state.card is None or state.confirming:
        return state
    return replace(state, drag=aim(state.box(state.card), point, reach))


def aim(box: CropBox, point: Point, reach: Point) -> Drag:
    """The drag that would begin at a point; `reach` as for `drag_start`."""
    handle = editing.handle_at(box, point, reach)
    if handle is not None:
        return Drag("handle", point, box, handle)
    # a box over the whole image leaves no outside: a drag then draws
    inside = box != editing.FULL and editing.contains(box, point)
    return Drag("move" if inside else "draw", point, box)


def drag_to(state: CropState, point: Point) -> CropState:
    """The pointer moves while it is down."""
    drag, card = state.drag, state.card
    if drag is None or card is None:
        return state
    ratio = state.ratio(card)
    box: CropBox | None
    if drag.mode == "draw":
        box = editing.draw(drag.start, point, card.size, ratio)
    elif drag.mode == "move":
        dx, dy = ((point[i] - drag.start[i]) * card.size[i] for i in (0, 1))
        box = editing.move(drag.box, round(dx), round(dy), card.size)
    else:
        assert drag.handle is not None
        # the handle keeps its distance from the pointer, so that it does not jump at the first move
        grip = editing.handle_point(drag.box, drag.handle)
        x, y = (grip[i] + point[i] - drag.start[i] for i in (0, 1))
        box = editing.resize(drag.box, drag.handle, (x, y), card.size, ratio)
    return _with(state, card, (box or drag.box, state.shaped(card)[1]))


def drag_end(state: CropState) -> CropState:
    """The pointer goes up: the whole drag is one edit to undo."""
    drag, card = state.drag, state.card
    if drag is None or card is None:
        return state
    return _record(_drag_back(state), card, *state.shaped(card))


def _drag_back(state: CropState) -> CropState:
    drag, card = state.drag, state.card
    if drag is None or card is None:
        return state
    return replace(_with(state, card, (drag.box, state.shaped(card)[1])), drag=None)


def set_shape(state: CropState, shape: str) -> CropState:
    """Give the active box a shape: OWN, FREE or a key of RATIOS (the desk's buttons)."""
    card, state = state.card, replace(state, asked=False)
    if card is None:
        return state
    return _record(state, card, with_ratio(state.box(card), state.ratio(card, shape), card.size), shape)


def _edit(state: CropState, name: str) -> CropState:
    card = state.card
    assert card is not None
    box, shape = state.shaped(card)
    if name == "free":
        return set_shape(state, OWN if shape == FREE else FREE)
    if name == "next ratio":
        order = [*RATIOS, OWN]
        following = order[(order.index(shape) + 1) % len(order)] if shape in order else order[0]
        return set_shape(state, following)
    if name == "full":
        return _record(state, card, editing.FULL, OWN)
    if name in ("smaller", "larger"):
        factor = _STEP if name == "larger" else 1 / _STEP
        return _record(state, card, editing.scale(box, factor, card.size), shape)
    far = 10 if name.startswith("far ") else 1
    dx, dy = _ARROWS[name.removeprefix("far ")]
    return _record(state, card, editing.move(box, dx * far, dy * far, card.size), shape)


def _record(state: CropState, card: CropCard, box: CropBox, shape: str) -> CropState:
    edit = (card.unit, state.shaped(card), (box, shape))
    if edit[1] == edit[2]:
        return state
    return replace(_with(state, card, edit[2]), undo=(*state.undo, edit), redo=(), drag=None)


def _with(state: CropState, card: CropCard, shaped: Shaped) -> CropState:
    return replace(state, boxes={**state.boxes, card.unit: shaped})


def _step(state: CropState, way: Literal["undo", "redo"]) -> CropState:
    steps = state.undo if way == "undo" else state.redo
    if not steps:
        hint = "; B brings the last image back" if way == "undo" else ""
        return replace(state, message=f"nothing to {way}{hint}")
    unit, before, after = steps[-1]
    place = next(i for i, card in enumerate(state.cards) if card.unit == unit)
    state = replace(_with(state, state.cards[place], before if way == "undo" else after), active=place)
    if way == "undo":
        return replace(state, undo=steps[:-1], redo=(*state.redo, steps[-1]))
    return replace(state, undo=(*state.undo, steps[-1]), redo=steps[:-1])


_VIEWS: dict[str, Callable[[CropState], CropState]] = {
    "help": lambda state: replace(state, help=not state.help),
    "close": lambda state: replace(state, help=False, drag=None),
    "undo": lambda state: _step(state, "undo"),
    "redo": lambda state: _step(state, "redo"),
    "back": lambda state: replace(state, pending_action="back"),
    "apply ai": lambda state: replace(state, confirming=True, help=False),
}
_ARROWS = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}


_NOTES: Mapping[BoxSource, str] = {"drawn": "your box", "ai": "the AI's box", "default": "the default box"}


@dataclass(frozen=True, slots=True)
class CropImageView(ShownImage):
    """One image of the page."""

    box: CropBox  # draw it with handles (when active), thirds lines, and everything outside dimmed
    shape: str  # "own", "free", "1:1", and so on
    active: bool
    coordinates: str  # the box in pixels and its share of the image, for the active image's line
    note: str  # where the box comes from
    default: bool  # it is the default box: no AI proposed one, and the user has not drawn one
    warning: str  # what to know before cropping it, e.g. that no decision will be changed; "" for nothing


@dataclass(frozen=True, slots=True)
class CropDeskView:
    """What the desk draws, in addition to the state of the session."""

    header: str  # e.g. "23 images wait for a crop - 4 made here, 1 to the default box - 1 cannot be cropped yet"
    images: tuple[CropImageView, ...]
    message: str
    asked: bool  # `message` asks whether the active image's default box is meant
    confirm: str  # what Enter would do now, where that was asked for; else ""
    problems: tuple[str, ...]  # images left waiting, each with its reason
    ai_crops: int  # images that "apply all AI crops" would crop


def image_view(card: CropCard, state: CropState, number: int, sha256: str, warning: str) -> CropImageView:
    """One image of the page as drawn; `number` is its 1-based place."""
    (box, shape), (width, height) = state.shaped(card), card.size
    x1, y1, x2, y2 = to_pixels(box, width, height)
    source = state.source(card)
    return CropImageView(
        *(card.filename, card.directory, number, f"{width} × {height}", sha256, width, height),
        box=box,
        shape=shape,
        active=number - 1 == state.active,
        coordinates=f"{x2 - x1} × {y2 - y1} px at {x1}, {y1} ({box.area:.0%} of the image)".replace("%", " %"),
        note=_NOTES[source],
        default=source == "default",
        warning=warning,
    )

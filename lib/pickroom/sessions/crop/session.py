"""The crop desk of one project: the pure state machine on the waiting files, and the submits it asks for."""

import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from functools import cache

from pickroom.core.companions import Companions
from pickroom.core.errors import ImageError, UsageError
from pickroom.core.geometry import default_box
from pickroom.core.naming import CROP_AUTO, join, split
from pickroom.core.quantities import plural
from pickroom.core.records import CropBox
from pickroom.files import cropping, sidecars
from pickroom.files.batch import undo_batch
from pickroom.files.cropping import CropResult, Order
from pickroom.files.journal import CROP, DROP, Outcome
from pickroom.files.preflight import HeldError
from pickroom.images import decode
from pickroom.sessions.crop import editing
from pickroom.sessions.crop import state as machine
from pickroom.sessions.crop.state import OWN, CropCard, CropDeskView, CropImageView, CropState
from pickroom.sessions.keys import CROP as KEYS
from pickroom.sessions.session import ProjectSession
from pickroom.storage import atomic
from pickroom.store import crops, decisions, operations
from pickroom.store.connections import require_in_place
from pickroom.store.workspace import Project


class CropSession(ProjectSession):
    """A user at the crop desk: keys and drags edit boxes, Enter submits the active image.

    `per_page` images, 1 to 3, are shown at a time. Raises UsageError for another number, else as `ProjectSession`.
    """

    keys = KEYS
    state: CropState  # everything on screen; the desk sets it for drags and shapes, which are not stored

    def __init__(self, project: Project, *, per_page: int = 3) -> None:
        if per_page not in machine.PAGE_SIZES:
            raise UsageError(f"{per_page} images a page", doing="opening the crop desk", hint="1, 2 or 3")
        self.per_page = per_page
        self.last_result: CropResult | None = None
        self.problems: dict[str, str] = {}
        self._skipped: set[str] = set()
        # batch -> the active image's place when it was submitted here, and what was done in it
        self._made: dict[int, tuple[int, list[Order]]] = {}
        self._refused: dict[str, str] = {}  # refused by the last submit, and still waiting: folder/name -> reason
        self._hash = cache(lambda path, mtime_ns: atomic.sha256_of(path))
        self._sizes: dict[tuple[str, str, int], editing.Size] = {}  # by folder, name and time of change
        super().__init__(project)

    def open(self, recovered: str) -> None:
        rebuilt = sidecars.rebuild_sidecars(self.project, self._connection)
        self._load("; ".join(filter(None, (recovered, rebuilt))))

    def press(self, key: str) -> CropState:
        """Apply one key; Enter, D, S, B and Shift+A also act on the waiting images.

        Raises UsageError where the text is not a key; LockedError, StoreError and ConflictError where a submit or its
        undo was refused, and the page is as it was.
        """
        require_in_place(self._connection, "cropping")  # no box is drawn that could not be saved
        self.state = machine.press(self.state, key)
        pending_action, self.state = self.state.pending_action, replace(self.state, pending_action=None)
        card = self.state.card
        if pending_action == "submit" and card:
            self.submit([Order(card.directory, card.filename, self.state.box(card), self.state.source(card))])
        elif pending_action == "delete" and card:
            self.submit([Order(card.directory, card.filename, None)])
        elif pending_action == "apply ai":
            self.apply_ai()
        elif self.state.confirming and not self._ai_crops():
            self.state = replace(self.state, confirming=False, message="no AI crop waits in crop_auto/")
        elif pending_action == "skip":
            self._skipped |= {card.unit for card in self.state.cards}
            self.state = replace(self.state, cards=(), active=0)
            self._load("skipped: these images go on waiting")
        elif pending_action == "back":
            self._back()
        return self.state

    @property
    def asks(self) -> bool:
        return self.state.confirming

    def refresh(self) -> bool:
        """List the waiting folders again if files came or went; the page keeps its images. Returns whether any did.

        Raises StoreError where the database is not the project's any more.
        """
        require_in_place(self._connection, "looking for changes")
        if self._listing() == self._listed:
            return False
        self._load(self.state.message)
        return True

    def apply_ai(self) -> CropResult:
        """Crop every image of crop_auto/ as the AI proposed; images without a proposal still wait."""
        return self.submit([Order(c.directory, c.filename, c.start, "ai_all") for c in self._ai_crops()])

    def view(self) -> CropDeskView:
        """Everything the desk draws now."""
        ai_crops, waiting = len(self._ai_crops()), len(self.waiting)
        confirm = f"Crop {plural(ai_crops, 'image')} of crop_auto/ as the AI proposed, unseen?"
        text = f"{plural(waiting, 'image')} wait{'s' if waiting == 1 else ''} for a crop"
        parts = [text if waiting or self.problems else "No image waits for its crop"]
        made = [order.box_source for _, orders in self._made.values() for order in orders]
        defaults = f", {made.count('default')} to the default box" if "default" in made else ""
        parts += [f"{len(made)} made here{defaults}"] if made else []
        parts += [f"{len(self.problems)} cannot be cropped yet"] if self.problems else []
        return CropDeskView(
            header=" - ".join(parts),
            images=self._images(self.state),
            message=self.state.message,
            asked=self.state.asked,
            confirm=confirm if self.state.confirming else "",
            problems=tuple(f"{path}: {why}" for path, why in sorted({**self.problems, **self._refused}.items())),
            ai_crops=ai_crops,
        )

    def next_page(self) -> tuple[CropImageView, ...]:
        """The page after this one as it would be shown, for getting its previews ready."""
        later = [card for card in self._ordered() if card not in self.state.cards]
        return self._images(CropState(tuple(later[: self.per_page])))

    def _ai_crops(self) -> list[CropCard]:
        return [card for card in self.waiting if card.accepted and card.proposed]

    def _images(self, state: CropState) -> tuple[CropImageView, ...]:
        return tuple(
            machine.image_view(card, state, number, self._sha256(card), warning)
            for number, card in enumerate(state.cards, start=1)
            for warning in ["not cropped" if _path(card) in self._refused else card.warning]
        )

    def submit(self, orders: Sequence[Order]) -> CropResult:
        """Submit or drop images; those that could not be done stay with their reason."""
        result = cropping.submit(self.project, self._connection, orders)
        self.last_result = result
        if result.batch is not None:
            done = [order for order in orders if order.unit in result.done]
            self._made[result.batch] = (self.state.active, done)
        self._load("")
        refused = {_path(order): result.refused[order.unit] for order in orders if order.unit in result.refused}
        waiting = set(map(_path, self.waiting)) | set(self.problems)
        self._refused = {path: reason for path, reason in refused.items() if path in waiting}
        parts = [f"{len(result.done)} done in batch {result.batch}, B takes it back"] if result.done else []
        alone = [name for name, told in result.warnings.items() if told.startswith(cropping.NO_SIDECAR)]
        parts += [f"{len(alone)} without a sidecar: no decision changed"] if alone else []
        less = [f"{name}: {told}" for name, told in result.warnings.items() if told != cropping.NO_SIDECAR]
        parts += [f"{len(less)} with less than the source (the first: {less[0]})"] if less else []
        parts += [f"{len(self._refused)} left waiting"] if self._refused else []
        parts += Outcome(stuck=result.stuck).troubles(self.project.id)
        parts += [f"{path}: {reason}" for path, reason in refused.items() if path not in waiting]
        self.state = replace(self.state, message="; ".join(parts) or "nothing to submit")
        return result

    def _back(self) -> None:
        batch = operations.latest_batch(self._connection, (CROP, DROP))
        if batch is None:
            self.state = replace(self.state, message="no image has been submitted yet")
            return
        boxes = {join(crop.directory, crop.filename): crop.box for crop in crops.of_batch(self._connection, batch)}
        names = [op.unit for op in operations.of_batch(self._connection, batch) if op.undoes is None]
        outcome = undo_batch(self.project, self._connection, batch)
        if outcome.done:
            place, _ = self._made.pop(batch, (self.state.active, []))
            self.state = replace(self.state, active=place)
        self._refused = {}
        told = [f"batch {batch} is back", *outcome.troubles(self.project.id)]
        self._load("; ".join(told if outcome.done else told[1:]), back=names)
        back = {}
        for card in self.state.cards:
            if card.unit in boxes:
                outer, box = self._is_crop(card), boxes[card.unit]
                if outer and cropping.raw_frame(self.project.path(card.directory, card.filename)):
                    outer = None  # each crop of a RAW file is in the frame of the whole
                back[card.unit] = (editing.inside(outer.box, box, card.size) if outer else box, OWN)
        self.state = replace(self.state, boxes={**self.state.boxes, **back})

    def _load(self, message: str, back: Sequence[str] = ()) -> None:
        """List the folders again and fill the page; its images keep their order and their boxes.

        The first of the units in `back`, whose images wait again, takes the active image's place.
        """
        self._listed = self._listing()  # before listing: files that come meanwhile are found by the next refresh
        self.problems, self.waiting = {}, list[CropCard]()
        for directory, listed in self._listed.items():
            for name in sorted(Companions(listed).images):
                try:
                    self.waiting.append(self._examine(directory, name))
                except ImageError as error:
                    self.problems[join(directory, name)] = error.reason
                except HeldError as error:
                    self.problems[join(directory, name)] = str(error)
        if all(card.unit in self._skipped for card in self.waiting):
            self._skipped = set()
        old = getattr(self, "state", CropState(()))
        cards = {_path(card): card for card in self._ordered()}
        again = [card for card in cards.values() if card.unit in back][: self.per_page]
        kept = [cards[_path(c)] for c in old.cards if _path(c) in cards and c.unit not in (*self._skipped, *back)]
        active = len(kept[: min(old.active, self.per_page - len(again))]) if again else old.active
        others = [card for card in cards.values() if card not in (*again, *kept)]
        page = tuple([*kept[:active], *again, *kept[active:], *others][: self.per_page])
        names = [card.unit for card in page]
        if old.card and not again and old.card.unit in names:
            active = names.index(old.card.unit)
        self.state = CropState(
            page,
            boxes={unit: shaped for unit, shaped in old.boxes.items() if unit in names},
            active=max(min(active, len(page) - 1), 0),
            undo=tuple(edit for edit in old.undo if edit[0] in names),
            message=message,
        )

    def _ordered(self) -> list[CropCard]:
        return sorted(self.waiting, key=lambda card: card.unit in self._skipped)

    def _listing(self) -> dict[str, list[str]]:
        """Every file of the waiting folders, sidecars too; where images stay, those that wait, by folder."""
        if self.project.manifest.in_place is not None:
            found: dict[str, list[str]] = defaultdict(list)
            for decision in decisions.waiting_crops(self._connection):
                found[decision.directory or ""].append(decision.picked or "")
            return found
        return {name: sorted(os.listdir(self.project.root / name)) for name in sidecars.waiting_folders(self.project)}

    def _examine(self, directory: str, name: str) -> CropCard:
        sidecar = sidecars.read(self.project, self._connection, directory, name)
        size = self._size(directory, name, sidecar)
        proposal: CropBox | None = sidecar.box if sidecar else None
        taken = directory.partition("/")[0] == CROP_AUTO
        if self.project.manifest.in_place is not None:
            taken = sidecar is not None and sidecar.decision.user_action == "approve"
        start = proposal or default_box(size)
        card = CropCard(name, directory, size, start, proposed=proposal is not None, accepted=taken)
        return card if sidecar or self._is_crop(card) else replace(card, warning=cropping.NO_SIDECAR)

    def _size(self, directory: str, name: str, sidecar: sidecars.Sidecar | None) -> editing.Size:
        """(width, height) upright; from the header alone for an image that is still what the scan measured."""
        path = self.project.path(directory, name)
        key = (directory, name, path.stat().st_mtime_ns if path.is_file() else 0)
        if key not in self._sizes:
            with decode.open_image(path) as image:
                picked = sidecar and (sidecar.decision.image_width, sidecar.decision.image_height)
                # a submit compares the two once more; a PNG is decoded for the other: its orientation may stand last
                same = picked and sorted(picked) == sorted(image.size)
                self._sizes[key] = picked if picked and same else decode.upright_size(image)
        return self._sizes[key]

    def _is_crop(self, card: CropCard) -> crops.Crop | None:
        """The earlier crop that a waiting image is; None for an image that was not cropped yet."""
        return crops.by_content(self._connection, *split(card.unit), self._sha256(card))

    def _sha256(self, card: CropCard) -> str:
        """The hash of the file as it is now; "" when it has vanished since the folders were listed."""
        path = self.project.path(card.directory, card.filename)
        try:
            return self._hash(path, path.stat().st_mtime_ns)
        except OSError:
            return ""


def _path(what: CropCard | Order) -> str:
    """folder/name: both waiting folders may hold an image of one name."""
    return join(what.directory, what.filename)

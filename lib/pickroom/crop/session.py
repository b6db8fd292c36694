"""The crop desk on one project: the pure state machine over what waits on disk, and the submits it asks for."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from pickroom import atomic
from pickroom.crop import editing, view
from pickroom.crop import state as machine
from pickroom.crop.state import CropCard, CropState
from pickroom.errors import ImageError, UsageError
from pickroom.files import cropping, sidecars
from pickroom.files.cropping import CropResult, Order
from pickroom.files.ledgers import CROP, DROP
from pickroom.files.undo import undo_batch
from pickroom.images import decode, thumbnails
from pickroom.naming import is_image_name
from pickroom.records import CropBox
from pickroom.store import crops, operations
from pickroom.store.connect import connect
from pickroom.workspace import Project


@dataclass(frozen=True, slots=True)
class Waiting:
    """One image that waits: its card, and what the person should know before cropping it."""

    card: CropCard
    warning: str = ""


class CropSession:
    """A person at the crop desk: keys and drags edit boxes, Enter submits the page.

    Args:
        per_page: images shown at a time, 1 to 3.

    Raises:
        ProjectError, StoreError: the project cannot be opened.
        UsageError: `per_page` is not 1, 2 or 3.
    """

    def __init__(self, project: Project, *, per_page: int = 3) -> None:
        if per_page not in machine.PAGE_SIZES:
            raise UsageError(f"{per_page} images a page", doing="opening the crop desk", hint="1, 2 or 3")
        project.require_root()
        self.project, self.per_page = project, per_page
        self.last_result: CropResult | None = None
        self.problems: dict[str, str] = {}
        self._skipped: set[str] = set()
        self._made = 0
        self._hashes: dict[tuple[str, str, int], str] = {}
        self._connection = connect(project.database)
        self._load("")

    def close(self) -> None:
        self._connection.close()

    def press(self, key: str) -> CropState:
        """Apply one key; Enter, D, S, B and Shift+A also act on the waiting images.

        Raises:
            UsageError: the text is no key.
            LockedError, StoreError, ConflictError: a submit or its undo was refused; the page is as it was.
        """
        self.state = machine.press(self.state, key)
        wish, self.state = self.state.wish, replace(self.state, wish=None)
        if wish == "submit":
            self._submit([Order(c.directory, c.filename, self.state.box(c)) for c in self.state.cards])
        elif wish == "delete" and self.state.card:
            self._submit([Order(self.state.card.directory, self.state.card.filename, None)])
        elif wish == "apply ai":
            self.apply_ai()
        elif wish == "skip":
            self._skipped |= {card.filename for card in self.state.cards}
            self._load("skipped: these images go on waiting")
        elif wish == "back":
            self._back()
        return self.state

    def drag_start(self, index: int, point: editing.Point, reach: editing.Point) -> CropState:
        """See `state.drag_start`."""
        self.state = machine.drag_start(self.state, index, point, reach)
        return self.state

    def drag_to(self, point: editing.Point) -> CropState:
        self.state = machine.drag_to(self.state, point)
        return self.state

    def drag_end(self) -> CropState:
        self.state = machine.drag_end(self.state)
        return self.state

    def set_shape(self, shape: str) -> CropState:
        """Give the active box a shape: "own", "free", "1:1", "4:5", "3:2" or "16:9"."""
        self.state = machine.set_shape(self.state, shape)
        return self.state

    def apply_ai(self) -> CropResult:
        """Crop every image of crop_auto/ as the AI proposed; those without a proposal go on waiting."""
        ready = [w.card for w in self.waiting if w.card.directory == cropping.CROP_AUTO and w.card.proposed]
        return self._submit([Order(c.directory, c.filename, c.start, "apply_ai") for c in ready])

    def submit(self, orders: Sequence[Order]) -> CropResult:
        """Carry out orders given from outside (`pickroom crop --boxes`)."""
        return self._submit(orders)

    def view(self) -> view.CropDeskView:
        """Everything the desk draws now."""
        warnings = {w.card.filename: w.warning for w in self.waiting}
        auto = sum(w.card.proposed and w.card.directory == cropping.CROP_AUTO for w in self.waiting)
        confirm = f"Apply the AI's crop to {auto} images of crop_auto/ unseen? Enter applies, Esc returns"
        return view.CropDeskView(
            header=view.header(len(self.waiting), self._made, len(self.problems)),
            images=tuple(
                view.image_view(card, self.state, number, self._sha256(card), warnings.get(card.filename, ""))
                for number, card in enumerate(self.state.cards, start=1)
            ),
            message=self.state.message,
            help=self.state.help,
            confirm=confirm if self.state.confirming else "",
            problems=view.problem_lines(self.problems),
        )

    def preview(self, image: view.CropImageView) -> bytes:
        """A JPEG of at most 1024 pixels a side; raises ImageError when the file has gone bad."""
        path = self.project.path(image.directory, image.filename)
        return thumbnails.read(self.project.workspace.thumbnails, image.sha256, path)

    def upcoming(self) -> list[tuple[str, str]]:
        """(directory, filename) of the next page's images, for getting their previews ready."""
        later = [w.card for w in self._ordered() if w.card not in self.state.cards]
        return [(card.directory, card.filename) for card in later[: self.per_page]]

    def _submit(self, orders: Sequence[Order]) -> CropResult:
        result = cropping.submit(self.project, self._connection, orders)
        self.last_result = result
        self._made += len(result.done)
        parts = [f"batch {result.batch}: {len(result.done)} done"] if result.batch else []
        parts += [f"{name}: {reason}" for name, reason in {**result.refused, **result.warnings}.items()]
        self._load("; ".join(parts) or "nothing to submit")
        return result

    def _back(self) -> None:
        batch = operations.latest_batch(self._connection, (CROP, DROP))
        if batch is None:
            self.state = replace(self.state, message="no page has been submitted yet")
            return
        boxes = {crop.filename: crop.box for crop in crops.of_batch(self._connection, batch)}
        names = [op.unit for op in operations.of_batch(self._connection, batch) if op.undoes is None]
        outcome = undo_batch(self.project, self._connection, batch)
        self._made = max(self._made - len(outcome.done), 0)
        self._load(f"batch {batch} is back", first=names)
        kept = {**self.state.boxes, **{n: box for n, box in boxes.items() if self._is_shown(n)}}
        self.state = replace(self.state, boxes=MappingProxyType(kept))

    def _is_shown(self, filename: str) -> bool:
        return any(card.filename == filename for card in self.state.cards)

    def _load(self, message: str, first: Sequence[str] = ()) -> None:
        """Look at the folders again and lay out a page; boxes drawn on images that still wait are kept."""
        self.problems = {}
        self.waiting = sorted(self._look(), key=lambda w: w.card.filename not in first)
        if not any(w.card.filename not in self._skipped for w in self.waiting):
            self._skipped = set()
        cards = tuple(w.card for w in self._ordered()[: self.per_page])
        shown = {card.filename for card in cards}
        old = getattr(self, "state", CropState(()))
        self.state = CropState(
            cards,
            boxes=MappingProxyType({n: b for n, b in old.boxes.items() if n in shown}),
            shapes=MappingProxyType({n: s for n, s in old.shapes.items() if n in shown}),
            message=message,
        )

    def _ordered(self) -> list[Waiting]:
        return sorted(self.waiting, key=lambda w: w.card.filename in self._skipped)

    def _look(self) -> Iterable[Waiting]:
        for directory in cropping.WAITING_FOLDERS:
            folder = self.project.root / directory
            names = sorted(os.listdir(folder)) if folder.is_dir() else []
            for name in names:
                if is_image_name(name) and not name.startswith("."):
                    try:
                        yield self._examine(directory, name)
                    except ImageError as error:
                        self.problems[f"{directory}/{name}"] = error.reason
                    except sidecars.SidecarError as error:
                        self.problems[f"{directory}/{name}"] = str(error)

    def _examine(self, directory: str, name: str) -> Waiting:
        sidecar = sidecars.read(self.project, self._connection, directory, name)
        with decode.open_image(self.project.path(directory, name)) as image:
            size = decode.upright_size(image)
        proposal: CropBox | None = sidecar.box if sidecar else None
        card = CropCard(name, directory, size, proposal or editing.constant(size), proposed=proposal is not None)
        return Waiting(card, "" if sidecar else cropping.NO_SIDECAR)

    def _sha256(self, card: CropCard) -> str:
        path = self.project.path(card.directory, card.filename)
        key = (card.directory, card.filename, path.stat().st_mtime_ns if path.exists() else 0)
        if key not in self._hashes:
            self._hashes[key] = atomic.sha256_of(path)
        return self._hashes[key]

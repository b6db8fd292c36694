"""The base of every tool's session: the project's open database, and the loop that saves what a key changed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Literal, TypeVar

from pickroom.core.errors import ImageError
from pickroom.core.naming import join
from pickroom.files.batch import recover_if_planned
from pickroom.images import decode, raw, thumbnails
from pickroom.sessions.keys import KeyTable
from pickroom.store.connect import connect
from pickroom.store.workspace import Project

PictureKind = Literal["preview", "original"]
Zoom = Literal["", "full", "faces"]  # images as large as fits, at 100 %, or their faces enlarged


@dataclass(frozen=True, slots=True)
class ShownImage:
    """One image on a stage."""

    filename: str
    directory: str  # its folder, relative to the project's root
    number: int  # 1-based, the key that stands for it
    label: str  # words for it, e.g. "stage 1.5 · 768 × 1024"
    sha256: str  # identifies its preview, also in the browser's cache; "" for a file that has vanished
    # width, height: pixels of the EXIF-upright image; boxes and the letterbox are computed from these
    width: int
    height: int


Step = TypeVar("Step")
# Pillow's format -> MIME type
_SHOWN_BY_BROWSERS = {"PNG": "image/png", "JPEG": "image/jpeg", "MPO": "image/jpeg", "WEBP": "image/webp"}


class ProjectSession:
    """A user at one tool of one project. Raises ProjectError or StoreError where the project cannot be opened.

    A tool adds `press(key)`, which applies one key and saves what it changed; `refresh()`, which reads what other
    windows wrote and returns whether anything changed; and `open(recovered)`, which reads everything at the start.
    """

    keys: KeyTable  # the tool's bindings

    def __init__(self, project: Project) -> None:
        project.require_root()
        self.project, self.previews = project, project.workspace.thumbnails  # the folder of previews of its images
        self._connection = connect(project.database)
        try:
            self.open(recover_if_planned(project, self._connection))
        except BaseException:
            self._connection.close()
            raise

    def open(self, recovered: str) -> None:
        """Read everything for the first time; `recovered` is a line about what was finished after a crash, or ""."""
        raise NotImplementedError

    def refresh(self) -> bool:
        raise NotImplementedError

    @property
    def asks(self) -> bool:
        """Whether a summary or a question waits for its answer."""
        raise NotImplementedError

    def close(self) -> None:
        self._connection.close()

    def until_saved(self, attempt: Callable[[], bool]) -> None:
        """Read what other windows wrote and try; repeat where another window wrote in between.

        `attempt` returns whether it was saved, or there was nothing to save.
        """
        self.refresh()
        while not attempt():
            self.refresh()

    def picture(self, image: ShownImage, kind: PictureKind) -> tuple[str, bytes]:
        """(MIME type, bytes) of an image: see `read_picture`."""
        path = join(image.directory, image.filename)
        return read_picture(self.project, path, image.sha256, kind, self.previews)


def read_picture(project: Project, path: str, sha256: str, kind: PictureKind, previews: Path) -> tuple[str, bytes]:
    """(MIME type, bytes) of an image: a JPEG of at most 1024 pixels a side, or at full size as browsers show it.

    Args:
        path: relative to the project's root; previews: the folder of previews.

    Raises:
        ImageError: the file has gone, or has gone bad.
    """
    if not sha256:
        raise ImageError(Path(path), "no longer there")
    file = project.root / path
    try:
        if kind == "preview":
            return "image/jpeg", thumbnails.read(previews, sha256, file)
        with decode.open_image(file) as image:
            mime = _SHOWN_BY_BROWSERS.get(image.format or "")
            if mime and not decode.is_clear(image):  # a browser would show the page's colour behind it
                return mime, file.read_bytes()
            if image.format == raw.FORMAT:
                return "image/jpeg", decode.encode_jpeg(decode.load_rgb(image, file))
        return "image/png", decode.encode_png(decode.read_rgb(file))
    except OSError as error:
        raise ImageError(Path(path), error.strerror or str(error)) from None


def latest(steps: Sequence[Step], belongs: Callable[[Step], bool]) -> tuple[Step, ...]:
    """The last steps of an undo log that belong here; an earlier step of another tool cannot be undone."""
    return tuple(takewhile(belongs, reversed(steps)))[::-1]

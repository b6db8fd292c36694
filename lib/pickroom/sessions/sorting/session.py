"""The sorter of one project: sends images to character folders, which are sub-folders of the sorted folder."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from pickroom.core.errors import UsageError
from pickroom.core.naming import OWNED_FOLDERS, filename_of, folder_of, join, split
from pickroom.files.journal import SORT
from pickroom.files.preflight import require_moving
from pickroom.images.scan import ListedImage
from pickroom.sessions.keys import FOLDER_KEYS, Command
from pickroom.sessions.keys import SORT as KEYS
from pickroom.sessions.marking import board as machine
from pickroom.sessions.marking import images
from pickroom.sessions.marking.board import Section
from pickroom.sessions.marking.images import RESULTS
from pickroom.sessions.marking.session import BoardSession, Note
from pickroom.sessions.sorting import suggest
from pickroom.sessions.sorting.suggest import GroupRow, Similarity, Suggestion, folder_name, same
from pickroom.store import marks
from pickroom.store.connect import transaction
from pickroom.store.workspace import Project


class SortSession(BoardSession):
    """A user at the sorter: a key sends images to the folder of that key, Shift+Enter moves them.

    The folders are those to sort; None sorts the results. Raises UsageError where their images belong to another tool
    or the project is rated in place, else as `BoardSession`.
    """

    kind = SORT
    keys = KEYS

    def __init__(self, project: Project, folders: Sequence[str] | None = None) -> None:
        require_moving(project, "the sorter")
        for folder in folders or ():
            top = images.checked(project, folder).partition("/")[0]
            if top in OWNED_FOLDERS and top not in RESULTS:
                hint = "sort selected, crop_cropped, or a folder of sources"
                raise UsageError("images there are not to be sorted", doing="sorting", subject=folder, hint=hint)
        self.names: list[str] = []  # the character folders, in the order of their keys
        self._on_screen: tuple[str, ...] = ()  # the folders as they were when a key was pressed
        self.hidden = False  # whether marked images are left out of the board
        self.only: tuple[str, str] | None = None  # (field, text) that an image must have to be shown, None for all
        self._stored: list[str] = []  # the names as the database has them
        self._similar_to: str | None = None
        self._texts: dict[ListedImage, dict[str, str]] = {}  # kept as long as file, size and time stay
        self.similarity = Similarity(project)  # the vectors, or why there are none
        super().__init__(project, RESULTS if folders is None else folders)

    def base_of(self, path: str) -> str:
        """The sorted folder that an image is in."""
        inside = [base for base in self.listing.bases if not base or path.startswith(f"{base}/")]
        return max(inside, key=len)

    def folder_of(self, name: str, path: str) -> str:
        """The folder of a character for an image: a sub-folder of the sorted folder that the image is in."""
        return join(self.base_of(path), name)

    def add_name(self, text: str) -> str:
        """Give the next key to a new folder; with - in front, remove an unused one. Returns one line about it.

        Raises UsageError where it cannot be a folder's name.
        """
        away = text.strip().startswith("-")
        typed = folder_name(text.strip().removeprefix("-"))

        def attempt() -> bool:
            names, told = self._with_name(same(typed, self.names), away)
            kept = names == self.names or self._set_names(names)
            self.board = replace(self.board, message=told) if kept else self.board
            return kept

        self.until_saved(attempt)
        return self.board.message

    def _with_name(self, name: str, away: bool) -> tuple[list[str], str]:
        """(the folders with a new one, or without an unused one; one line about it)."""
        if not away and name in self.names:
            return self.names, f"{name} is there already: key {key_of(self.names.index(name))}"
        if not away:
            return [*self.names, name], f"{name} has key {key_of(len(self.names))}"
        if name not in self.names:
            return self.names, f"no folder is named {name}"
        used = set(self.board.marks.values()) | set(self.listing.counts)
        folders = [f"{join(base, name)}/" for base in self.listing.bases]
        if any(f"{folder}/".startswith(tuple(folders)) for folder in used):
            return self.names, f"{name} is in use and stays"
        rest = [other for other in self.names if other != name]
        return rest, f"{name} was empty and is gone: the keys after it moved up"

    def _set_names(self, names: list[str]) -> bool:
        """Keep these folders; False when another window has changed them since the last look: then nothing is kept."""
        with transaction(self._connection):
            if marks.folders(self._connection) != self._stored:
                return False
            marks.set_folders(self._connection, names)
        self._stored = self.names = names
        self.lay_out()
        return True

    def _load(self) -> None:
        self._stored = stored = marks.folders(self._connection)
        found = [self._name_in(folder) for folder in self.listing.counts]
        marked = [filename_of(mark.folder) for mark in marks.waiting(self._connection, self.kind)]
        self.names = list(dict.fromkeys([*stored, *sorted({n for n in (*found, *marked) if n} - set(stored))]))
        super()._load()

    def _name_in(self, folder: str) -> str:
        """The character of a folder; "" for a sorted folder or a deeper one.

        Where Pickroom's folders mirror the sources, so does a character's folder.
        """
        base, name = split(folder)
        if self.project.manifest.layout == "flat":
            return name if base in self.listing.bases and name not in OWNED_FOLDERS else ""
        base = self.base_of(f"{folder}/")
        first = folder.removeprefix(base).strip("/").partition("/")[0]
        of_sources = not base or self.project.path(first, "").is_dir()
        return first if first in self._stored or (first and not of_sources) else ""

    def sections(self) -> Iterable[Section]:
        """The images still to sort, then each character with its images; the header is the folder's name."""
        found: dict[str, list[str]] = {base: [] for base in self.listing.bases}
        to_come = Counter(self.board.marks.values())
        shown = [i for i in self.listing.items if not (self.hidden and i.path in self.board.marks)]
        if self.only is not None:
            field, text = self.only
            written = self._written(shown)
            shown = [item for item in shown if written[item.path].get(field) == text]
        for item in shown:
            found.setdefault(item.directory, []).append(item.path)
        for folder, paths in found.items():
            name = self._name_in(folder)
            note = f"+{to_come[folder]} marked for it" if to_come[folder] else ""
            if not name:
                missing = self.listing.counts.get(folder, 0) - len(paths)
                note = f"to sort; {missing} not shown" if missing else "to sort"
            paths = self.similarity.ordered(paths, self._similar_to) if self._similar_to else paths
            yield Section(folder or "(the project's folder)", folder, tuple(paths), note)

    def act(self, key: str, what: Command) -> None:
        """Send the targets, or the row, to a folder; accept suggestions; order, hide, clear."""
        board = self.board
        paths = board.row if what.name.endswith(" row") else board.targets
        if what.name in ("mark", "mark row"):
            self.board = self._send(key, what.index or 0, paths)
        elif what.name in ("accept", "accept row"):
            suggested = self.suggestions([path for path in paths if path not in board.marks])
            wanted = {path: self.folder_of(found.name, path) for path, found in suggested.items()}
            told = self.similarity.missing or "nothing is suggested there yet: sort some more of each of two characters"
            self.board = machine.mark(board, key, wanted) if wanted else replace(board, message=told)
        elif what.name == "clear":
            self.board = machine.unmark(board, key, board.targets)
        elif what.name == "hide":
            self.hidden = not self.hidden
            self.lay_out()
            told = "marked images are hidden; V shows them" if self.hidden else "every image is shown"
            self.board = replace(self.board, message=told)
        elif what.name == "order":
            if self._similar_to is not None:
                self._similar_to, told = None, "by name"
            elif board.active is not None and self.similarity.has(board.active):
                self._similar_to, told = board.active, f"the most similar to {filename_of(board.active)} first"
            else:
                told = self.similarity.missing or "this image has no vector: pickroom embed"
            self.lay_out()
            self.board = replace(self.board, message=told)
        elif what.name == "name":
            self.board = replace(board, message="type a name, Enter adds it")
        else:
            raise KeyError(what.name)

    def change(self, act: Callable[[machine.Board], machine.Board]) -> machine.Board:
        """As every board does; a key that another window has given to another folder meanwhile is not applied."""
        self._on_screen = tuple(self.names)
        return super().change(act)

    def send(self, index: int, key: str) -> None:
        """Send the targets to a folder that may have no key of its own (its button)."""
        self.change(lambda board: self._send(key, index, board.targets))

    def _send(self, key: str, index: int, paths: Sequence[str]) -> machine.Board:
        if index >= len(self.names):
            return replace(self.board, message=f"no folder has key {key_of(index)} yet: N names one")
        shown = self._on_screen[index] if index < len(self._on_screen) else None
        # from now on these keys stand for these folders, whatever other folders appear
        kept = self.names == self._stored or self._set_names(self.names)
        if not kept or shown != self.names[index]:
            told = "the folders have just changed, in another window or on disk: look, and press again"
            return replace(self.board, message=told)
        return machine.mark(self.board, key, {path: self.folder_of(self.names[index], path) for path in paths})

    def show_only(self, field: str | None, text: str = "") -> None:
        """Filter the board by the texts of images; None shows all."""
        self.only = None if field is None else (field, text)
        self.lay_out()

    def _written(self, items: Sequence[ListedImage]) -> dict[str, dict[str, str]]:
        """Path -> field -> text of these images; each is read once."""
        missing = {item.path: item for item in items if item not in self._texts}
        texts = images.read_texts(self.project.root, list(missing))
        self._texts |= {missing[path]: found for path, found in texts.items()}
        return {item.path: self._texts[item] for item in items}

    def suggestions(self, paths: Iterable[str]) -> dict[str, Suggestion]:
        """Path -> suggestion of its nearest sorted neighbours, for images in no character folder."""
        marks = self.board.marks
        if not self.similarity.missing and self.similarity.taught is not marks:
            named = {item.path: self._name_in(item.directory) for item in self.listing.items}
            named |= {path: filename_of(folder) for path, folder in marks.items()}
            self.similarity.teach({path: name for path, name in named.items() if name}, self._items)
            self.similarity.taught = marks
        return self.similarity.suggest(path for path in paths if not self._name_in(folder_of(path)))

    def note(self, item: ListedImage) -> Note:
        note = super().note(item)
        if note.warn or item.path in self.board.marks:
            return note
        found = self.suggestions([item.path]).get(item.path)
        if found is None:
            return note
        told = f"{found.agreeing} of its {found.asked} nearest sorted images are {found.name}; A does so"
        return Note(note.label, f"{found.name}? {found.confidence:.0%}", f"{item.path}: {told}")

    def unsorted(self) -> list[ListedImage]:
        """The images that lie in no character folder yet and have no mark."""
        return [i for i in self.listing.items if not self._name_in(i.directory) and i.path not in self.board.marks]

    def choices(self) -> dict[str, list[tuple[str, int]]]:
        """Field -> its values and how often each, of the images to sort: for the filter and for sorting by a field."""
        return suggest.choices(self._written(self.listing.items))

    def group_by(self, field: str) -> tuple[list[GroupRow], list[str]]:
        """What sorting the unsorted images by a field would do: a dry run. See `suggest.group_by`."""
        return suggest.group_by(self._written(self.unsorted()), field, self.names)

    def routes_by(self, field: str) -> dict[str, str]:
        """Path -> folder of every unsorted image that has the field."""
        rows, _ = self.group_by(field)
        return {path: self.folder_of(row.folder, path) for row in rows if row.folder for path in row.paths}

    def mark_by(self, field: str) -> None:
        """Mark every unsorted image for the folder of a field's value; one step, which U undoes."""
        self.mark_all(self.routes_by(field), f"by {field}")

    def assign(self, wanted: Mapping[str, str]) -> dict[str, str]:
        """Path -> folder, for a file of path -> character name; raises UsageError where a name cannot be a folder's."""
        names = {path: same(folder_name(name), self.names) for path, name in wanted.items()}
        return {path: self.folder_of(name, path) for path, name in names.items()}

    def mark_all(self, routes: Mapping[str, str], key: str = "file") -> None:
        """Mark images for folders as one step; their names get keys."""
        wanted = list(dict.fromkeys(map(filename_of, routes.values())))
        while new := [name for name in wanted if name not in self.names]:
            if not self._set_names([*self.names, *new]):
                self.refresh()
        self.set_marks(routes, key)


def key_of(index: int) -> str:
    """The key of the folder with this 0-based number, "" beyond the last key."""
    return FOLDER_KEYS[index].upper() if index < len(FOLDER_KEYS) else "its button"

"""The commands that faults are tried on: for each a small project just before it, and the line that is typed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from conftest import write_image, write_series
from faults.census import Census, Tree, census, missing, tree_of
from faults.launcher import CROP_DESK, Plan, Run, run, start
from pickroom.automation import sandbox
from pickroom.files.rating import Naming
from pickroom.indexing import projects
from pickroom.store.workspace import Project, Workspace
from sessions.duplicates.test_session import with_duplicates
from support.automating import approve_all, proposed
from support.boards import with_results
from support.reviewing import FINALISE, queue, recommend, review, rows

KEYS, BOXES, FOLDERS = "keys.txt", "boxes.jsonl", "folders.jsonl"  # files a command reads, in the home
FIXTURES = Path(__file__).parents[1] / "fixtures"
FOLDERS_ELSEWHERE = ("selected", "delete_staging", "crop", "crop_cropped", "crop_originals")


@dataclass(frozen=True)
class Scenario:
    """One command, and what is there before it.

    Attributes:
        command: the arguments, without --home; the name of a file in the home stands for its path.
        build: makes the project, its home and images under a folder.
        opens: the arguments that only open the room: what a crash interrupted is finished by whoever comes next.
        in_sandbox: the command acts on the automation's copy.
        commits: it moves files, in a batch; a command that does not only saves keys.
        looks: at what is planned, the one right after its commit among them: the last.
    """

    name: str
    command: tuple[str, ...]
    build: Callable[[Path], object]
    opens: tuple[str, ...] = ("review", "p")
    in_sandbox: bool = False
    commits: bool = True
    looks: int = 2


@dataclass(frozen=True)
class Way:
    """How files get from folder to folder, where it is not the usual way.

    Attributes:
        link: the kernel cannot rename without replacing: link and unlink instead.
        copy: nor are there links: an empty file claims each name, and images are copied.
        disk: a folder on another file system; elsewhere: which of Pickroom's folders lie there.
        closed: a folder that takes nothing in: groups that go there are put back.
    """

    name: str = ""
    link: bool = False
    copy: bool = False
    disk: Path | None = None
    elsewhere: tuple[str, ...] = FOLDERS_ELSEWHERE
    closed: str = ""

    def plan(self, **fields: Any) -> Plan:
        """What happens to a command that goes this way."""
        return Plan(link=self.link, copy=self.copy, powerless=bool(self.closed), **fields)


@dataclass
class Stage:
    """A project on disk, ready for its command; made anew for every try.

    Attributes:
        project: whose files the command moves: the user's own, or its copy in the sandbox.
        way: how files get around.
        words: where the commands' words are written.
        before: its files as they are before the command.
        steps: the journal's rows taken before the command.
    """

    scenario: Scenario
    folder: Path
    project: Project
    before: Tree = field(default_factory=dict)
    steps: int = 0
    way: Way = field(default_factory=Way)
    words: Path | None = None

    @property
    def home(self) -> Path:
        return self.folder / "home"

    def arguments(self, command: Sequence[str] = ()) -> list[str]:
        """A command line for this project; without an argument the scenario's own."""
        named = [str(self.home / a) if a in (KEYS, BOXES, FOLDERS) else a for a in command or self.scenario.command]
        return [*named, "--home", str(self.home)]

    def run(self, command: Sequence[str] = (), plan: Plan | None = None) -> Run:
        """Run a command to its end, or to the end that `plan` has for it."""
        return run(self.arguments(command), self._words("said"), plan or self.way.plan())

    def start(self, command: Sequence[str] = (), plan: Plan | None = None, said: str = "begun") -> Run:
        """Begin a command; commands that run at once need files of their own for what they say."""
        return start(self.arguments(command), self._words(said), plan or self.way.plan())

    def recover(self, plan: Plan | None = None) -> Run:
        """`pickroom recover` as a user types it: of the project, also where its copy's files were moved."""
        return run(["recover", "p", "--home", str(self.home)], self._words("recovered"), plan or self.way.plan())

    def _words(self, name: str) -> Path:
        return (self.words or self.folder) / f"{name}.txt"

    def missing(self) -> list[str]:
        """The user's files whose content is nowhere now; there may be none at any moment."""
        return missing(self.before, self.project)

    def census(self) -> Census:
        """What is wrong with the project as it is now."""
        return census(self.before, self.steps, self.project)

    def planned(self) -> int:
        """Steps that are committed and not known to be taken: more than none, and a command was in the midst of it."""
        return rows(self.project, "SELECT count(*) AS n FROM file_operations WHERE state = 'planned'")[0]["n"]


def stage(template: Path, folder: Path, scenario: Scenario, way: Way | None = None, words: Path | None = None) -> Stage:
    """A copy of a template; times of change stay, the manifest names the new folder."""
    way = way or Way()
    if folder.exists():
        shutil.rmtree(folder)
    shutil.copytree(template, folder, symlinks=True, ignore=shutil.ignore_patterns("thumbnails"))
    project = project_in(folder, scenario)
    for name in way.elsewhere if way.disk is not None else ():
        there = way.disk / name
        shutil.rmtree(there, ignore_errors=True)
        here = project.root / name
        shutil.copytree(here, there) if here.exists() else there.mkdir()
        shutil.rmtree(here, ignore_errors=True)
        here.symlink_to(there)
    if way.closed:
        (project.root / way.closed).mkdir(exist_ok=True)
        (project.root / way.closed).chmod(0o555)
    made = Stage(scenario, folder, project, tree_of(project), way=way, words=words)
    made.steps = len(rows(project, "SELECT 1 FROM file_operations WHERE state <> 'planned'"))
    return made


def project_in(folder: Path, scenario: Scenario) -> Project:
    """The project whose files a scenario's command moves, its manifest saying where it is now."""
    project = Workspace(folder / "home").project("p")
    if project.root != folder / "images":
        project = project.with_manifest(root=str(folder / "images"))
    if not scenario.in_sandbox:
        return project
    copy = sandbox.locate(project)
    return copy.project.with_manifest(root=str(copy.folder))


def template(folder: Path, scenario: Scenario) -> Path:
    """Build what a scenario begins with, once."""
    scenario.build(folder)
    return folder


# --- projects before a command --------------------------------------------------------------------------------


def _started(folder: Path, groups: Sequence[tuple[float, ...]], in_place: Naming | None = None) -> Project:
    write_series(folder / "images" / "anna", list(groups), companions=(".yaml", ".caption"))
    return projects.start(Workspace(folder / "home"), "p", folder / "images", in_place=in_place)[0]


def _write_lines(folder: Path, name: str, lines: Sequence[object]) -> None:
    said = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    (folder / "home" / name).write_text("".join(f"{line}\n" for line in said))


def _to_review(folder: Path, keys: Sequence[str] = FINALISE) -> None:
    """Chosen: pick, crop by hand, the AI's crop, reject; one group waits on."""
    project = _started(folder, [(1, 2), (1, 1.5, 2), (1, 2), (1, 2), (1, 2)])
    recommend(project, queue(project)[2], 0, (0.1, 0.05, 0.9, 0.85), crop_needed=True)
    if keys == FINALISE:
        review(project, "1", "w", "a", "x")
    _write_lines(folder, KEYS, keys)


def _to_rate(folder: Path) -> None:
    """Chosen, to be rated in place: pick, crop by hand, reject; some sidecars are there, others are new."""
    project = _started(folder, [(1, 2)] * 4, "stem")
    for group, program in zip(queue(project), ("lightroom_classic", "darktable", "digikam"), strict=False):
        sidecar = Path(group.filenames[0]).with_suffix(".xmp")
        shutil.copy(FIXTURES / "xmp" / f"{program}.xmp", project.root / "anna" / sidecar)
    review(project, "1", "q", "x")
    _write_lines(folder, KEYS, FINALISE)


def _to_crop_in_place(folder: Path) -> None:
    """Three images wait for a crop that goes into their sidecars."""
    project = _started(folder, [(1, 2)] * 3, "full")
    names = [group.filenames[0] for group in queue(project)]
    review(project, "q", "q", "q", *FINALISE)
    boxes: list[object] = [{"filename": name, "box": [0.1, 0.1, 0.7, 0.7]} for name in names[:2]]
    _write_lines(folder, BOXES, [*boxes, {"filename": names[2], "action": "delete"}])


def _to_browse_in_place(folder: Path) -> None:
    """Two images in no group, to be kept and set aside by their ratings."""
    project = _started(folder, [(1, 2)], "stem")
    for number, name in enumerate(("alone.png", "other.png")):
        write_image(project.root / "shoot" / name, seed=50 + 9 * number)
    projects.rescan(project)
    _write_lines(
        folder, FOLDERS, [{"filename": "alone.png", "mark": "keep"}, {"filename": "other.png", "mark": "staging"}]
    )


def _to_press(folder: Path) -> None:
    _to_review(folder, ("1", "w", "a", "u", "a", "x", "k"))


def _to_review_cards(folder: Path) -> None:
    """Two cards with equal names, chosen: a pick, a crop by hand, and the same of the other card."""
    for card in ("DCIM/100", "DCIM/101"):
        names = [name for group in write_series(folder / "images" / card, [(1, 2), (1, 2)]) for name in group]
        for number, name in enumerate(names):
            path = write_image(folder / "images" / card / name, seed=int(card[-1]) * 100 + number)
            path.with_name(f"{name.removesuffix('.png')}.yaml").write_text(f"of: {card}/{name}")
    review(projects.start(Workspace(folder / "home"), "p", folder / "images")[0], "1", "w", "1", "w")
    _write_lines(folder, KEYS, FINALISE)


def _to_crop_cards(folder: Path) -> None:
    """An image of each of two cards waits in crop/, both of one name."""
    _after("review cards")(folder)
    project = Workspace(folder / "home").project("p")
    waiting = sorted(path.relative_to(project.root / "crop") for path in project.root.glob("crop/**/*.png"))
    box = {"box": [0.1, 0.1, 0.7, 0.7]}
    _write_lines(folder, BOXES, [{"filename": p.name, "directory": p.parent.as_posix(), **box} for p in waiting])


def _to_crop(folder: Path) -> None:
    """Four images wait in crop/, the first with an AI's box."""
    project = _started(folder, [(1, 2)] * 4)
    first, second, third, fourth = queue(project)
    recommend(project, first, 0, (0.1, 0.05, 0.7, 0.7))
    review(project, "q", "q", "q", "q", *FINALISE)
    box = {"box": [0.1, 0.1, 0.7, 0.7]}
    boxes = [{"filename": group.filenames[0], **box} for group in (first, second, fourth)]
    _write_lines(folder, BOXES, [*boxes, {"filename": third.filenames[0], "action": "delete"}])


def _to_rebuild(folder: Path) -> None:
    """Four images wait in crop/, two without their sidecars."""
    _to_crop(folder)
    for sidecar in sorted((folder / "images" / "crop").glob("*.decision"))[:2]:
        sidecar.unlink()


def _to_replace(folder: Path) -> None:
    """Four images wait in crop/, one with a torn sidecar."""
    _to_crop(folder)
    min((folder / "images" / "crop").glob("*.decision")).write_text("{")


def _to_apply(folder: Path) -> None:
    """Three groups approved, one with a crop, in a copy in the sandbox."""
    approve_all(proposed(_started(folder, [(1, 2)] * 3)))


def _to_sort(folder: Path) -> None:
    """Four picks, each for one of two characters."""
    project = with_results(folder, 4)
    names = sorted(path.name for path in (project.root / "selected").glob("*.png"))
    _write_lines(folder, FOLDERS, [{"filename": n, "folder": ("anna", "bo")[i % 2]} for i, n in enumerate(names)])


def _to_browse(folder: Path) -> None:
    """Four picks for the crop desk or to be set aside, and an image in no group to keep."""
    project = with_results(folder, 4)
    names = sorted(path.name for path in (project.root / "selected").glob("*.png"))
    write_image(project.root / "shoot" / "alone.png", seed=50)
    projects.rescan(project)
    lines = [{"filename": n, "mark": ("crop", "staging")[i % 2]} for i, n in enumerate(names)]
    _write_lines(folder, FOLDERS, [*lines, {"filename": "alone.png", "mark": "keep"}])


def _to_set_aside(folder: Path) -> None:
    with_duplicates(folder)
    (folder / "images_p").rename(folder / "images")
    Workspace(folder / "home").project("p").with_manifest(root=str(folder / "images"))


def _after(name: str) -> Callable[[Path], None]:
    """What another scenario's command leaves."""

    def build(folder: Path) -> None:
        scenario = SCENARIOS[name]
        scenario.build(folder)
        done = Stage(scenario, folder, project_in(folder, scenario)).run()
        assert done.code == 0, done.said

    return build


def _interrupted(name: str) -> Callable[[Path], None]:
    """What another scenario's command leaves when it is killed right after its commit: all planned, nothing moved."""

    def build(folder: Path) -> None:
        scenario = SCENARIOS[name]
        scenario.build(folder)
        made = Stage(scenario, folder, project_in(folder, scenario))
        assert made.run(plan=Plan(kill_at=scenario.looks, only="planned: ")).killed

    return build


_ALL = (
    Scenario("keys", ("review", "p", "--keys", KEYS), _to_press, commits=False),
    Scenario("review", ("review", "p", "--keys", KEYS), _to_review),
    Scenario("crop", ("crop", "p", "--boxes", BOXES), _to_crop, ("crop", "p")),
    Scenario("review cards", ("review", "p", "--keys", KEYS), _to_review_cards),
    Scenario("crop cards", ("crop", "p", "--boxes", BOXES), _to_crop_cards, ("crop", "p")),
    Scenario("undo cards", ("undo", "p", "--batch", "1"), _after("review cards")),
    Scenario(
        "apply",
        ("auto", "apply", "p", "--execute", "--yes"),
        _to_apply,
        ("auto", "review", "p"),
        in_sandbox=True,
    ),
    Scenario("sort", ("sort", "p", "--assign", FOLDERS, "--execute"), _to_sort, ("sort", "p")),
    Scenario("browse", ("browse", "p", "--marks", FOLDERS, "--execute"), _to_browse, ("browse", "p")),
    Scenario("duplicates", ("duplicates", "p", "--move", "--execute"), _to_set_aside, ("duplicates", "p", "--move")),
    Scenario("undo review", ("undo", "p", "--batch", "1"), _after("review")),
    Scenario("back crop", (CROP_DESK, "p", "b"), _after("crop"), ("crop", "p")),
    Scenario("sidecars", (CROP_DESK, "p", "?"), _to_rebuild),
    Scenario("undo crop", ("undo", "p", "--batch", "2"), _after("crop"), ("crop", "p")),
    Scenario("undo apply", ("auto", "undo", "p"), _after("apply"), ("auto", "review", "p"), in_sandbox=True),
    Scenario("undo sort", ("undo", "p", "--batch", "2"), _after("sort"), ("sort", "p")),
    Scenario("undo duplicates", ("undo", "p", "--batch", "1"), _after("duplicates"), ("browse", "p")),
    Scenario("recover review", ("recover", "p"), _interrupted("review")),
    Scenario("rate", ("review", "p", "--keys", KEYS), _to_rate),
    Scenario("undo rate", ("undo", "p", "--batch", "1"), _after("rate")),
    Scenario("recover rate", ("recover", "p"), _interrupted("rate")),
    Scenario("crop in place", ("crop", "p", "--boxes", BOXES), _to_crop_in_place, ("crop", "p")),
    Scenario("undo crop in place", ("undo", "p", "--batch", "2"), _after("crop in place"), ("crop", "p")),
    Scenario("browse in place", ("browse", "p", "--marks", FOLDERS, "--execute"), _to_browse_in_place, ("browse", "p")),
    Scenario("recover crop", ("recover", "p"), _interrupted("crop"), ("crop", "p")),
)
SCENARIOS = {scenario.name: scenario for scenario in _ALL}
MOVING = tuple(scenario for scenario in _ALL if scenario.commits)


def _to_finish(folder: Path) -> None:
    """Every group decided, nothing waits for a crop."""
    project = _started(folder, [(1, 2)] * 2)
    review(project, "1", "2", *FINALISE)


# a minute's work for the reports that it makes: it has tests of its own
FINISH = Scenario("finish", ("finish", "p", "--execute"), _to_finish, commits=False)


# two batches, and the next look goes on between them: neither all nor nothing
REPLACE = Scenario("a torn sidecar", (CROP_DESK, "p", "?"), _to_replace)

"""One run of `pickroom embed`: plan, embed what is new, tidy up. Kill it anywhere, run it again.

What was published stays; a batch in flight is done again. The order of writing is: the part file, then the log.
"""

import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal

from pickroom.core.errors import StoreError, UsageError
from pickroom.core.quantities import plural
from pickroom.core.records import Image, Ungrouped
from pickroom.features import blocks
from pickroom.features.blocks import BlockRow, BlockStore
from pickroom.features.choice import EncoderConfig, bind, choose
from pickroom.features.reading import EmbedItem, ImageSource
from pickroom.features.store import VectorRow, VectorStore
from pickroom.indexing import plan
from pickroom.indexing import report as check
from pickroom.indexing.engines import EmbedConfig, Engine, LocalEngine, in_batches, started_ray
from pickroom.indexing.plan import EmbedPlan, IndexedRows
from pickroom.indexing.report import EmbedReport, Tell, bars
from pickroom.storage import append_log
from pickroom.store import groups, images
from pickroom.store.connect import open_read_only, transaction
from pickroom.store.workspace import Project, Workspace, utc_now

Outcome = Literal["embedded", "recognised", "error", "imported"]


@dataclass(frozen=True, slots=True)
class ProcessedLine:
    """One image done: by which encoder, and how it ended."""

    project_id: str
    encoder_id: str
    filename: str
    content_hash: str | None
    file_size: int | None
    mtime_ns: int | None
    outcome: Outcome
    error: str | None = None


class ProcessedLog:
    """`processed_images.jsonl` of a workspace; several processes may append at the same time.

    It says which content a file of a name, size and time had, so that a file that was only touched is not read again.
    It is never taken as a sign that a vector exists: the store alone decides.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, lines: Iterable[ProcessedLine]) -> None:
        """Write lines in one go."""
        append_log.append(self.path, ({**asdict(line), "timestamp": utc_now()} for line in lines))

    def read(self, project_id: str) -> Iterator[ProcessedLine]:
        """The lines of one project, oldest first; lines that are torn or foreign are passed over."""
        for values in append_log.read(self.path, holding=project_id):
            values.pop("timestamp", None)
            try:
                line = ProcessedLine(**values)
                hash(line)  # a list where a text should be would come up later
            except TypeError:
                continue
            if line.project_id == project_id:
                yield line


_ROUNDS = 3  # plans made, where files move while they are embedded
_COPIES = 500  # rows of known content copied at a time
_MEASURED = 256  # images whose blocks are written at a time: a kill costs at most so many measurements


def embed(
    project: Project, config: EmbedConfig | None = None, tell: Tell | None = None, *, verify: bool = False
) -> EmbedReport:
    """Give every image of a project its vector and its blocks.

    Args:
        tell: called with what is done, how many images of it, and of how many.
        verify: check the whole store afterwards, and embed a sample again.

    Raises:
        ProjectError: the image folder is not there.
        ConflictError: the project is bound to another encoder.
        LockedError: another process embeds this project.
        UsageError: the encoder, or Ray, cannot be had.
        StoreError: the database, or a part file, cannot be read.
        OSError: the disk is full. What was published before is kept.
    """
    config = config or EmbedConfig()
    if config.engine not in ("local", "ray"):
        raise UsageError(f"{config.engine!r} is not an engine", doing="embedding", hint="use local or ray")
    project.require_root()
    scanned, decided = _of_the_database(project)
    source = ImageSource(project.root, project.workspace.thumbnails if config.previews else None)
    chosen = choose(project, config.encoder)
    store, measured = VectorStore(project.workspace, chosen.spec, project.id), BlockStore(project)
    started: AbstractContextManager[Engine] = started_ray(chosen, source, config)  # nothing starts before `with`
    if config.engine == "local":
        started = nullcontext(LocalEngine(chosen, source, config))
    with store.writing("embedding"), measured.writing("embedding"), started as engine:
        bind(project, chosen)
        spec = chosen.spec
        report = EmbedReport(project.id, spec.encoder_id, spec.words, engine.device, spec.dtype, chosen.by_default)
        damaged = (*store.vectors.set_damaged_aside(thorough=verify), *measured.set_damaged_aside(thorough=verify))
        report.damaged = tuple(path.name for path in damaged)
        log = ProcessedLog(project.workspace.processed_log)
        run = _Run(project, store, measured, engine, tell or (lambda *_: None), report, log)
        for _ in range(_ROUNDS):
            state = run.images(scanned)
            if not report.waiting:
                break
        store.vectors.merge(plan.stale_rows(state, store.known(), decided))
        if verify:
            again = plan.make_plan(project, store.known(), scanned, run.remembered()[0], run.known_blocks())
            report.verification = check.verify(store, again, chosen.encoder(), source)
    return report


@dataclass(slots=True)
class _Run:
    """The steps of one run, and what they share."""

    project: Project
    store: VectorStore
    measured: BlockStore
    engine: Engine
    tell: Tell
    report: EmbedReport
    log: ProcessedLog
    unwritten: list[tuple[str, BlockRow]] = field(default_factory=list)

    def images(self, scanned: Iterable[Image]) -> EmbedPlan:
        """Plan, and make what images lack; what was published is in the store, whatever happens next."""
        report, known = self.report, self.store.known()
        remembered, logged = self.remembered()
        self.tell("Checking files", 0, 0)
        checked = partial(self.tell, "Checking files")
        state = plan.make_plan(self.project, known, scanned, remembered, self.known_blocks(), checked)
        self._complete_log(state, logged)
        self._publish([row for row in state.unreadable if (row.filename, None) not in known])
        tried, done, started = 0, 0, time.monotonic()
        show = partial(self.tell, "Embedding" if state.todo else "Measuring")
        show(0, len(state.tasks))

        def publish(count: int, made: IndexedRows) -> None:
            nonlocal tried, done
            self._publish(made.vectors)
            self._write_blocks(made.blocks)
            tried, done = tried + made.done, done + count
            report.embedded += sum(row.error is None for row in made.vectors)
            show(done, len(state.tasks))

        try:
            if state.tasks:
                self.engine.images(in_batches(state.tasks, self.engine.batch, self.engine.workers), publish)
        finally:
            self._write_blocks([], at_least=1)
        report.seconds += time.monotonic() - started
        copied = self._copy(state.renamed)
        report.recognised += copied
        report.waiting = len(state.tasks) - tried + len(state.renamed) - copied
        self._sum_up(state)
        return state

    def _publish(self, rows: list[VectorRow], outcome: Outcome = "embedded") -> None:
        self.store.append(rows)
        self.log.append(self._line(row, "error" if row.error else outcome, row.error) for row in rows)

    def known_blocks(self) -> dict[str, set[str]]:
        """Block -> the contents that have it, of the blocks that can be made here."""
        known = self.measured.known()
        return {name: known[name] for name in blocks.available()}

    def _write_blocks(self, rows: list[tuple[str, BlockRow]], at_least: int = _MEASURED) -> None:
        self.unwritten += rows
        if len(self.unwritten) < at_least:
            return
        by_block: dict[str, list[BlockRow]] = defaultdict(list)
        for name, row in self.unwritten:
            by_block[name].append(row)
        self.measured.append(by_block)
        self.unwritten.clear()
        done = Counter(self.report.measured) + Counter({name: len(some) for name, some in by_block.items()})
        self.report.measured = dict(done)

    def _copy(self, renamed: Sequence[EmbedItem]) -> int:
        """Give files of known content its row; how many."""
        copied = 0
        for start in range(0, len(renamed), _COPIES):
            wanted: dict[str, list[EmbedItem]] = defaultdict(list)
            for item in renamed[start : start + _COPIES]:
                wanted[item.content_hash].append(item)
            rows = self.store.copy_rows(wanted)
            self._publish(rows, "recognised")
            copied += len(rows)
        return copied

    def remembered(self) -> tuple[dict[tuple[str, int, int], str], set[tuple[str, str | None]]]:
        """What the log remembers of files, and the images it has a line for by this encoder."""
        remembered, logged = {}, set()
        for line in self.log.read(self.project.id):
            if line.content_hash and line.file_size is not None and line.mtime_ns is not None:
                remembered[line.filename, line.file_size, line.mtime_ns] = line.content_hash
            if line.encoder_id == self.store.spec.encoder_id:
                logged.add((line.filename, line.content_hash))
        return remembered, logged

    def _complete_log(self, state: EmbedPlan, logged: set[tuple[str, str | None]]) -> None:
        """Lines for what a killed run published but did not log, and for files that were read and found known."""
        read = set(state.learned)
        ended: tuple[tuple[list[EmbedItem], Outcome], ...] = ((state.unchanged, "embedded"), (state.failed, "error"))
        for items, outcome in ended:
            unlogged = [item for item in items if (item.filename, item.content_hash) not in logged]
            self.log.append(self._line(item, outcome) for item in unlogged)
            self.log.append(self._line(item, "recognised") for item in items if item in read and item not in unlogged)

    def _line(self, of: VectorRow | EmbedItem, outcome: Outcome, error: str | None = None) -> ProcessedLine:
        who = (self.project.id, self.store.spec.encoder_id)
        return ProcessedLine(*who, of.filename, of.content_hash, of.file_size, of.mtime_ns, outcome, error)

    def _sum_up(self, state: EmbedPlan) -> None:
        report, rows = self.report, self.store.known()
        errors = []
        for item in state.places.values():
            row = rows.get((item.filename, item.content_hash)) or rows.get((item.filename, None))
            if row and row.error:
                errors.append(Ungrouped(item.directory, item.filename, row.error))
        errors += [Ungrouped("", row.filename, row.error or "") for row in state.unreadable]
        report.errors, report.left_out = tuple(errors), tuple(state.left_out)
        report.images = len(state.places) + len(state.unreadable)
        here = {item.content_hash for item in state.places.values()}
        report.blocks = {name: len(here & hashes) for name, hashes in self.measured.known().items()}
        report.unchanged = report.images - report.embedded - report.recognised - len(errors) - report.waiting


def _of_the_database(project: Project) -> tuple[list[Image], dict[str, set[str]]]:
    """The last scan's images, and the (file name -> content hashes) that decisions were made on."""
    with open_read_only(project.database) as connection, transaction(connection, writing=False):
        scanned, made = images.readable(connection), groups.every(connection, project.id)
        past = groups.decided_images(connection)
    decided: dict[str, set[str]] = defaultdict(set)
    for image in (image for group in made for image in group.images if (image.directory, image.filename) in past):
        decided[image.filename].add(image.sha256)
    return scanned, decided


def embed_project(
    project_id: str,
    home: Path | str | None = None,
    *,
    encoder: str | None = None,
    checkpoint: Path | str | None = None,
    engine: Literal["local", "ray"] = "local",
    verify: bool = False,
) -> EmbedReport | None:
    """Embed a project and print the report; None, and one printed line, where it was interrupted.

    Raises PickroomError where it cannot be done, and StoreError where `verify` found something wrong.

    Args:
        home: the folder that holds data/; None finds it.
        encoder: "bundled" or "openclip[:MODEL/TAG]"; None is the project's own, and bundled for a new one. A project
            keeps the encoder its vectors were made by: ask for another one with `pickroom embed --change-encoder`.
        checkpoint: a local OpenCLIP folder.
        engine: "local" or "ray".
        verify: check all vectors, and make 20 of them again; what is wrong is printed.
    """
    config = EmbedConfig(EncoderConfig(encoder, checkpoint=checkpoint), engine=engine)
    try:
        with bars() as tell:
            report = embed(Workspace.find(home).project(project_id), config, tell, verify=verify)
    except KeyboardInterrupt:
        print("Interrupted; what was embedded is kept. Run the cell again, and it goes on.")
        return None
    print(report.words())
    problems = report.verification.problems if report.verification else ()
    for problem in problems:
        print(f"  PROBLEM: {problem}")
    if problems:
        raise StoreError(f"{plural(len(problems), 'problem')} of the vectors", doing="verifying", subject=project_id)
    return report

"""Hostile texts: every file of JSON, JSON lines, CSV or YAML that Pickroom reads is believed, passed over, or refused
in one line that names it. What is refused changes nothing.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytest

from conftest import FIXTURES, read_tree, write_image
from hostile.guard import attempt, survive
from hostile.mutations import TEXTS, damaged, deep, json_bytes, line_mix
from pickroom.automation import planning
from pickroom.automation.sandbox import AutomationTarget
from pickroom.cli.review import read_boxes
from pickroom.cli.tools import read_marks
from pickroom.core.errors import PickroomError, UsageError
from pickroom.core.naming import sidecar_name
from pickroom.core.records import CropBox
from pickroom.features.store import read_spec
from pickroom.files import sidecars
from pickroom.files.preflight import HeldError
from pickroom.groups import image_features
from pickroom.history import vectors
from pickroom.history.importing import read_logs
from pickroom.images import metadata
from pickroom.indexing import projects
from pickroom.indexing.pipeline import ProcessedLog
from pickroom.maintenance.reclaim import delete
from pickroom.maintenance.token_budget import TokenLedger
from pickroom.store.connect import connect
from pickroom.store.workspace import Project, Workspace
from support.automating import approve_all, proposed
from support.reviewing import FINALISE, review

CASES = 120  # of each reader, in every run of the tests
LOGS = sorted((FIXTURES / "history").glob("*.csv"))

MANIFEST = {
    "schema_version": 1,
    "project_id": "p",
    "aliases": ["q", "training data/p_final"],
    "title": "P",
    "status": "active",
    "root": "/nowhere/images",
    "decisions_db": "data/training/ai_training_decisions/p.db",
    "created_at": "2025-09-10T00:00:00Z",
    "finished_at": None,
    "image_count": 4,
    "group_count": 2,
    "allowed_extensions": ["png", "jpg"],
    "encoder": "openclip-0123abcd",
    "notes": "",
}
SPEC = vectors.SPEC
LINE = {
    "project_id": "p",
    "encoder_id": "e",
    "filename": "a.png",
    "content_hash": "0" * 64,
    "file_size": 1,
    "mtime_ns": 2,
    "outcome": "embedded",
    "error": None,
    "timestamp": "2025-09-10T00:00:00Z",
}


@dataclass(frozen=True, slots=True)
class Reader:
    """A file that is read: where it lies in a workspace, a sound line of it, and what reads it.

    Attributes:
        lines: whether the file holds a JSON object a line, or one altogether.
    """

    place: str
    sound: Any
    read: Callable[[Workspace, Path], Any]
    lines: bool = True


def _text(path: Path) -> str:
    """As the command line reads a file that a person names."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(str(error)) from None


def _open_project(workspace: Workspace, path: Path) -> None:
    project = workspace.project("p")
    assert isinstance(project.manifest.title, str) and isinstance(project.manifest.image_count, int)
    for other in workspace.projects():
        assert other.root.is_absolute()
        other.manifest.to_json()


def _prints(workspace: Workspace, path: Path) -> None:
    for seen in image_features._read_log(path).values():
        assert (seen.phash is None or 0 <= seen.phash < 1 << 64) and len(seen.colours) == 32


READERS = {
    "manifest": Reader("data/projects/p.json", MANIFEST, _open_project, lines=False),
    "encoder": Reader(
        f"data/ai_data/embeddings/{SPEC.encoder_id}/encoder.json",
        {"encoder_id": SPEC.encoder_id, "spec": asdict(SPEC), "notes": {}},
        lambda workspace, path: read_spec(workspace, SPEC.encoder_id),
        lines=False,
    ),
    "processed-log": Reader(
        "data/ai_data/cache/processed_images.jsonl",
        LINE,
        lambda workspace, path: [hash(line) for line in ProcessedLog(path).read("p")],
    ),
    "fingerprints": Reader(
        "prints.jsonl", {"sha256": "0" * 64, "phash": "0" * 16, "colours": "0" * 64, "flat": False}, _prints
    ),
    "token-ledger": Reader(
        "data/ai_data/logs/token_ledger.jsonl",
        {"timestamp": "2025-09-10T00:00:00Z", "what": "caption", "tokens": 12},
        lambda workspace, path: TokenLedger(workspace).spent(),
    ),
    "reclaim-log": Reader(
        "data/ai_data/logs/reclaimed.jsonl",
        {"project_id": "p", "path": "a.png", "kind": "original", "state": "planned"},
        lambda workspace, path: [delete._unsettled(workspace, name) for name in ("p", "q")],
    ),
    "boxes": Reader(
        "boxes.jsonl",
        {"filename": "a.png", "box": [0.1, 0.1, 0.9, 0.9]},
        lambda workspace, path: read_boxes(_text(path)),
    ),
    "marks": Reader(
        "marks.jsonl",
        {"filename": "a.png", "mark": "crop", "directory": "selected"},
        lambda workspace, path: read_marks(_text(path), "mark"),
    ),
}


@pytest.mark.parametrize("name", READERS)
def test_hostile_file_is_read_or_refused_in_one_line(name: str, workspace: Workspace) -> None:
    reader = READERS[name]
    path = workspace.root / reader.place
    path.parent.mkdir(parents=True)

    def case(rng: random.Random) -> str:
        if reader.lines:
            path.write_bytes(line_mix(rng, [json_bytes(rng, reader.sound) for _ in range(rng.randint(1, 4))]))
        else:
            path.write_bytes(json_bytes(rng, reader.sound))
        before = read_tree(workspace.root)
        outcome = attempt(reader.read, workspace, path)
        assert read_tree(workspace.root) == before
        return outcome

    survive(f"texts/{name}", CASES, case)


def test_legacy_vector_cache_reads_nothing_outside_its_folder(
    make_project: Callable[..., Project], tmp_path: Path
) -> None:
    import numpy as np

    project = make_project([(1, 2)])
    folder, secret = tmp_path / "cache", tmp_path / "secret.npy"
    folder.mkdir()
    np.save(secret, np.full(512, 0.25, np.float32))
    np.save(folder / "own.npy", np.ones(512, np.float32))
    sound = {"image_path": "images/p/a.png", "embedding_file": "x/own.npy", "hash": "0"}
    lines = [{**sound, "image_path": f"p/{n}.png", "embedding_file": way} for n, way in enumerate(_ways_to(secret))]
    (folder / "cache.jsonl").write_text("\n".join(map(json.dumps, lines)))
    report = vectors.import_cache(project, folder / "cache.jsonl")
    assert (report.imported, dict(report.skipped)) == (0, {"the vector's file is missing": len(lines)})

    whole = (folder / "own.npy").read_bytes()

    def case(rng: random.Random) -> str:
        # no scan is needed for what reads one line
        data = rng.choice((damaged(rng, whole), deep(rng), b"PK\x03\x04" + rng.randbytes(40), _npy_of(rng)))
        (folder / "own.npy").write_bytes(data)
        text = json_bytes(rng, sound).decode(errors="replace") if rng.random() < 0.5 else json.dumps(sound)
        try:
            cache = vectors._Cache(folder / "cache.jsonl", [text], vectors.ProjectNames({"p": ()}))
            found: tuple[str, Any] | str = cache._vector(text, "p", {}, 512)
        except vectors.Skip as skipped:
            found = str(skipped)
        return "refused" if isinstance(found, str) else "taken"

    survive("texts/legacy-cache", CASES, case)


def _ways_to(secret: Path) -> list[str]:
    return [str(secret), "../secret.npy", "a/../../secret.npy", "..\\secret.npy", f"/./{secret}", "\0../secret.npy"]


def _npy_of(rng: random.Random) -> bytes:
    """A file of numbers that says it holds more of them than there is memory, or objects with code in them."""
    shape = rng.choice(("(1000000000000,)", "(512,)", "(-1,)", "(2,) * 9**9", "[512]"))
    kind = rng.choice(("<f4", "|O", "<U99999999", "junk"))
    head = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}".encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head + rng.randbytes(2048)


@pytest.fixture
def place(make_project: Callable[..., Project]) -> AutomationTarget:
    place = proposed(make_project([(1, 2), (1, 1.5, 2), (1, 2)]))
    approve_all(place)
    return place


def test_hostile_automation_files_plan_no_move_outside_project(place: AutomationTarget, tmp_path: Path) -> None:
    files = {path: path.read_bytes() for path in (place.decisions, place.approved, place.guarantee)}
    before = read_tree(place.project.root)
    names = {path.name for path in (*files,)}

    def case(rng: random.Random) -> str:
        for path, data in files.items():
            path.write_bytes(data)
        path = rng.choice(list(files))
        if path == place.guarantee:
            path.write_bytes(json_bytes(rng, json.loads(files[path])))
        else:
            lines = files[path].splitlines()
            at = rng.randrange(len(lines))
            lines[at] = json_bytes(rng, json.loads(lines[at]))
            path.write_bytes(b"\n".join(lines) + b"\n" if rng.random() < 0.7 else line_mix(rng, lines))

        def plan() -> None:
            with closing(connect(place.project.database)) as connection:
                made = planning.plan(place, connection)
            for op in made.ops:
                for way in filter(None, (op.source, op.destination)):
                    assert (place.project.root / way).resolve().is_relative_to(place.project.root.resolve())

        outcome = attempt(plan)
        after = read_tree(place.project.root)
        assert {k: v for k, v in after.items() if _is_theirs(k, names)} == {
            k: v for k, v in before.items() if _is_theirs(k, names)
        }
        return outcome

    tally = survive("texts/automation", CASES, case)
    assert tally.outcomes["refused"] > tally.cases / 3


def _is_theirs(path: str, names: set[str]) -> bool:
    return path not in names and not path.startswith(".pickroom/")


def test_a_hostile_sidecar_is_reported_never_obeyed(make_project: Callable[..., Project]) -> None:
    project = make_project([(1, 2), (1, 2)])
    review(project, "q", *FINALISE)  # to be cropped by hand
    sidecar = next((project.root / "crop").glob("*.decision"))
    name = next(path.name for path in (project.root / "crop").glob("*.png"))
    assert sidecar.name == sidecar_name(name)
    sound = json.loads(sidecar.read_text())

    def case(rng: random.Random) -> str:
        sidecar.write_bytes(json_bytes(rng, sound))
        with closing(connect(project.database)) as connection:
            try:
                found = sidecars.read(project, connection, "crop", name)
            except HeldError as error:
                assert str(error)
                return "refused"
        assert found is not None and found.decision.group_id == sound["group_id"]
        assert found.box is None or isinstance(found.box, CropBox)
        return "taken"

    survive("texts/sidecar", CASES, case)


def test_a_sidecar_that_names_half_a_character_is_reported(make_project: Callable[..., Project]) -> None:
    project = make_project([(1, 2)])
    review(project, "q", *FINALISE)
    sidecar = next((project.root / "crop").glob("*.decision"))
    sidecar.write_text(json.dumps({**json.loads(sidecar.read_text()), "group_id": "\ud800"}))
    name = next(path.name for path in (project.root / "crop").glob("*.png"))
    with closing(connect(project.database)) as connection, pytest.raises(HeldError, match="unknown group"):
        sidecars.read(project, connection, "crop", name)


def test_hostile_companions_are_shown_as_plain_text(tmp_path: Path) -> None:
    image = write_image(tmp_path / "a.png")
    touched = tmp_path / "touched"
    yamls = [
        f"x: !!python/object/apply:os.system ['touch {touched}']\n",
        f"!!python/object/new:subprocess.Popen [[touch, {touched}]]\n",
        "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n",
        "? {a: b}\n: c\n",
        "a: {b: {c: [1, 2]}}\n",
        "- " * 3000,
        "{" * 2000,
        "<<: {a: 1}\n",
        "a: 2025-01-01\nb: .nan\nc: 0x_\n",
        "%YAML 9.9\n---\na: 1\n--- b\n",
        "k: |\n  <img src=x onerror=alert(1)>\n",
    ]

    def case(rng: random.Random) -> str:
        text = rng.choice(yamls).encode()
        (tmp_path / "a.yaml").write_bytes(damaged(rng, text) if rng.random() < 0.7 else text)
        (tmp_path / "a.caption").write_bytes(rng.choice(TEXTS).encode(errors="surrogatepass"))
        said = metadata.read(image)
        assert all(isinstance(k, str) and isinstance(v, str) and len(v) <= 4000 for k, v in said.items())
        assert not touched.exists()
        return "read"

    survive("texts/yaml", CASES * 2, case)


@pytest.mark.parametrize("log", LOGS, ids=lambda path: path.stem)
def test_hostile_csv_adds_up_and_writes_only_its_projects(log: Path, tmp_path: Path) -> None:
    lines = log.read_bytes().splitlines()[:12]
    cells = [text.encode(errors="surrogatepass") for text in TEXTS]

    def case(rng: random.Random) -> str:
        home = tmp_path / str(rng.getrandbits(60))
        (home / "data").mkdir(parents=True)
        rows = list(lines)
        for _ in range(rng.randint(1, 6)):
            at = rng.randrange(len(rows))
            parts = rows[at].split(b",")
            parts[rng.randrange(len(parts))] = rng.choice((*cells, deep(rng)[:20_000], b'"' + rng.choice(cells) + b'"'))
            rows[at] = b",".join(parts)
        data = b"\r\n".join(rows)
        path = home / "log.csv"
        path.write_bytes(damaged(rng, data) if rng.random() < 0.4 else data)

        def bring_in() -> None:
            with read_logs(Workspace(home), [path], "p", by_folder=True) as found:
                report = found.report
                values = report.to_dict()
                assert values["rows"] == values["imported"] + sum(values["skipped"].values()), values
                assert {Path(way).parent for way in found.write()} <= {Workspace(home).decisions}

        outcome = attempt(bring_in)
        inside = {way for way in read_tree(home) if way != "log.csv"}
        own = ("data/training/ai_training_decisions/", "data/projects/")  # rows and the projects they name
        assert all(way.startswith(own) for way in inside), inside
        return outcome

    tally = survive(f"texts/csv-{log.stem}", CASES // 3, case)
    assert tally.outcomes["taken"]


def test_hostile_manifest_does_not_hide_other_projects(workspace: Workspace, tmp_path: Path) -> None:
    write_image(tmp_path / "good" / "a.png")
    projects.start(workspace, "good", tmp_path / "good")
    (workspace.manifests / "bad.json").write_bytes(b"[" * 100_000)
    with pytest.raises(PickroomError, match="the manifest is damaged"):
        workspace.project("bad")
    assert workspace.project("good").id == "good"

"""Hostile files of trainings: frozen sets, progress, states to go on with. Each is believed whole, passed over, or
refused in one line; none makes a training fail, or whoever watches it wait for ever.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import stat
from dataclasses import asdict
from pathlib import Path

import pytest

from hostile.guard import attempt, survive
from hostile.mutations import damaged, json_bytes, line_mix
from pickroom.automation import evidence
from pickroom.core.errors import PickroomError, StoreError
from pickroom.core.records import CropBox
from pickroom.features.candidates import Candidates
from pickroom.learn import checkpoints, progress, training_sets
from pickroom.learn.examples import CropExample, Pick
from pickroom.learn.picks import current
from pickroom.learn.picks.learner import Learner
from pickroom.learn.progress import Status
from pickroom.learn.training_sets import Kind, TrainingSet
from pickroom.store.workspace import Workspace
from support.reviewing import in_child

CASES = 120
KEY = "0" * 64
BOX = CropBox(0.1, 0.1, 0.9, 0.9)


def _sets() -> dict[Kind, TrainingSet]:
    def frozen(kind: Kind, examples: tuple[Pick, ...] | tuple[CropExample, ...]) -> TrainingSet:
        left_out = {"p": {"rejected: no image was picked": 1}}
        return TrainingSet(kind, ("p",), "openclip-0123abcd", examples, {"p": 4}, left_out, "2025-09-10T00:00:00Z")

    when = "2025-09-10T00:00:00Z"
    groups = [
        Candidates("p", f"p_group_{n}", (f"{n}a.png", f"{n}b.png"), ("0" * 64, None), (1.0, 2.0)) for n in range(3)
    ]
    crops = tuple(
        CropExample("p", f"{n}.png", "0" * 64, 48, 64, 2.0, f"p_group_{n}", BOX if n else None, when) for n in range(3)
    )
    return {
        "ranker": frozen("ranker", tuple(Pick(group, 1, 0, False, when) for group in groups)),
        "crop_proposer": frozen("crop_proposer", crops),
    }


@pytest.mark.parametrize("kind", training_sets.KINDS)
def test_a_frozen_set_is_read_as_it_was_frozen_or_refused(workspace: Workspace, kind: Kind) -> None:
    sound = _sets()[kind]
    path = training_sets.freeze(workspace, sound)
    manifest = path.with_name(f"{path.stem}_manifest.json")
    lines, said = [json.loads(line) for line in sound.lines.splitlines()], sound.manifest()
    assert training_sets.load(workspace, kind, sound.hash) == sound

    def case(rng: random.Random) -> str:
        data = sound.lines.encode()
        if rng.random() < 0.6:  # an enemy gives the hash of what is there
            mixed = [json_bytes(rng, line) if rng.random() < 0.5 else json.dumps(line).encode() for line in lines]
            data = rng.choice((damaged(rng, data), line_mix(rng, mixed), json_bytes(rng, lines)))
        for old in path.parent.iterdir():
            old.unlink()
        digest = hashlib.sha256(data).hexdigest()
        place = training_sets.set_path(workspace, kind, digest)
        place.write_bytes(data)
        place.with_name(f"{place.stem}_manifest.json").write_bytes(
            json_bytes(rng, said) if rng.random() < 0.6 else json.dumps(said).encode()
        )
        found: list[TrainingSet] = []
        outcome = attempt(lambda: found.append(training_sets.load(workspace, kind, digest)))
        for one in found:
            assert one.lines.encode() == data and one.hash == digest
            assert set(one.manifest()) == set(said)
            assert [type(example) for example in one.examples] == [type(sound.examples[0])] * len(one.examples)
        if kind == "ranker":  # what the promise of the automation asks of it
            _say_it_was_trained_on(rng, workspace, digest)
            attempt(evidence.trained_on, workspace, {"ranker": "v1"})
        return outcome

    assert manifest.is_file()
    tally = survive(f"training/set-{kind}", CASES // 2, case)
    assert tally.outcomes["taken"] and tally.outcomes["refused"]


def _say_it_was_trained_on(rng: random.Random, workspace: Workspace, digest: str) -> None:
    values = {"name": "ranker", "version": 1, "data": {"hash": digest}}
    path = workspace.models / "ranker_v1_metadata.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(json_bytes(rng, values) if rng.random() < 0.5 else json.dumps(values).encode())


@pytest.mark.parametrize("what", ["no JSON", "too deep", "other fields", "no examples", "a name of numbers"])
def test_training_set_with_wrong_content_gives_one_line(workspace: Workspace, what: str) -> None:
    sound = _sets()["ranker"]
    line = json.loads(sound.lines.splitlines()[0])
    text = {
        "no JSON": "{",
        "too deep": "[" * 100_000,
        "other fields": json.dumps({**line, "more": 1}),
        "no examples": json.dumps([1]),
        "a name of numbers": json.dumps({**line, "candidates": {**line["candidates"], "filenames": [1, 2]}}),
    }[what]
    digest = hashlib.sha256(text.encode()).hexdigest()
    path = training_sets.freeze(workspace, sound)
    place = training_sets.set_path(workspace, "ranker", digest)
    place.write_text(text)
    place.with_name(f"{place.stem}_manifest.json").write_bytes(
        path.with_name(f"{path.stem}_manifest.json").read_bytes()
    )
    with pytest.raises(StoreError, match="frozen training set") as refused:
        training_sets.load(workspace, "ranker", digest)
    assert "\n" not in refused.value.line


def test_hostile_progress_is_shown_or_refused_without_waiting(workspace: Workspace) -> None:
    sound = asdict(Status("ranker", ("p",), 7, phase="training", done=1, of=2, loss=0.5, message="a\nb"))
    path = progress.path_of(workspace, "ranker", "json")
    path.parent.mkdir(parents=True)

    def case(rng: random.Random) -> str:
        path.write_bytes(json_bytes(rng, {**sound, "state": rng.choice(("running", "done", "stopped", "failed"))}))
        shown: list[str] = []

        def watch() -> None:
            last = progress.follow(workspace, "ranker", lambda status: shown.append(status.line))
            assert last is not None and last.state in ("done", "stopped", "failed")
            shown.extend(last.message.splitlines())

        outcome = attempt(watch)
        assert all(isinstance(line, str) for line in shown) and (shown or outcome == "refused")
        # what a training that begins now does with it: replaces it
        progress.ProgressReporter(workspace, "ranker", ["p"]).end("done", "well")
        read = progress.read_status(workspace, "ranker")
        assert read is not None and read.message == "well"
        return outcome

    tally = survive("training/progress", CASES, case)
    assert tally.outcomes["taken"] and tally.outcomes["refused"]


def test_a_pipe_for_a_file_of_a_training_is_not_waited_for(workspace: Workspace) -> None:
    path = progress.path_of(workspace, "ranker", "json")
    path.parent.mkdir(parents=True)
    os.mkfifo(path)
    assert in_child(_look, workspace) == "refused"
    assert stat.S_ISFIFO(path.stat().st_mode)


def _look(workspace: Workspace) -> str:
    try:
        return "nothing" if progress.read_status(workspace, "ranker") is None else "something"
    except PickroomError:
        return "refused"


def test_a_hostile_state_is_read_whole_or_made_again(workspace: Workspace) -> None:
    workspace.models.mkdir(parents=True)
    sound = current.State(Learner(), 0, "features", "encoder")
    current.write_state(workspace, sound)
    path = workspace.models / "ranker_state.npz"
    whole = path.read_bytes()

    def case(rng: random.Random) -> str:
        path.write_bytes(whole if rng.random() < 0.3 else damaged(rng, whole))
        found = current.read_state(workspace)
        assert found is None or len(found.learner.learned) == len(found.learner.chances)
        return "nothing" if found is None else "read"

    tally = survive("training/state", CASES, case)
    assert tally.outcomes["nothing"] and tally.outcomes["read"]


def test_what_is_said_of_a_model_asks_for_no_other_file(workspace: Workspace, tmp_path: Path) -> None:
    """The hash in a model's metadata makes a file's name: it does not lead out of the folder of sets."""
    outside = tmp_path / "x.jsonl"
    outside.write_text("")
    metadata = {"data": {"hash": "/../../../x"}}
    workspace.models.mkdir(parents=True)
    version = checkpoints.save(workspace, "ranker", {}, metadata)
    with pytest.raises(StoreError) as refused:
        evidence.trained_on(workspace, {"ranker": f"v{version}"})
    assert "\n" not in refused.value.line

"""The commands of learning, as a person types them, in processes of their own."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pickroom import cli
from pickroom.learn import checkpoints, progress
from pickroom.store.workspace import Project, Workspace
from support.learning import make_learned
from support.reviewing import PATIENCE_S, copy_of

_PATIENCE = 4 * PATIENCE_S  # a whole training, on a machine that has other things to do


def start(project: Project, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "pickroom.cli", *arguments, "--home", str(project.workspace.root)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def run(project: Project, *arguments: str) -> tuple[int, str, str]:
    process = start(project, *arguments)
    out, err = process.communicate(timeout=_PATIENCE)
    return process.returncode, out, err


@pytest.fixture(scope="module")
def learned_once(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return make_learned(tmp_path_factory.mktemp("learned"), "p", 62, 60)


@pytest.fixture
def learned(learned_once: Project, tmp_path: Path) -> Project:
    return copy_of(learned_once, tmp_path)


@pytest.mark.ci
def test_watch_trains_in_another_process_and_model_recommends(learned: Project) -> None:
    code, out, err = run(learned, "train", "ranker", "p", "--watch")
    assert code == 0, err
    assert out.startswith("ranker v1: right in ") and "it recommends from now on" in out
    assert "ranker: training" in err
    code, out, err = run(learned, "recommend", "p", "--json")
    assert (code, json.loads(out)["by_model"]) == (0, 2), err
    code, out, err = run(learned, "evaluate", "p", "--sample", "3", "--json")
    values = json.loads(out)
    assert (code, len(values["sample"]), Path(values["log"]).name) == (0, 3, "phase2_testing.jsonl"), err


@pytest.mark.ci
def test_a_training_is_watched_and_stopped_from_outside(learned: Project) -> None:
    workspace = learned.workspace
    training = start(learned, "train", "crop_proposer", "p")
    try:
        wait_until_it_fits(training, workspace)
        training.send_signal(signal.SIGSTOP)  # it would end in a few seconds
        assert run(learned, "train", "crop_proposer", "p")[0] == 1, "one at a time"
        watcher = start(learned, "train", "crop_proposer", "--watch")
        assert watcher.stderr is not None and watcher.stderr.read(1)
        training.send_signal(signal.SIGINT)
        training.send_signal(signal.SIGCONT)
        _, err = training.communicate(timeout=_PATIENCE)
        assert training.returncode == 1 and "stopped" in err
        watcher.communicate(timeout=_PATIENCE)
        assert watcher.returncode != 0
    finally:
        training.kill()
    assert checkpoints.versions(workspace, "crop_proposer") == []


def wait_until_it_fits(training: subprocess.Popen[str], workspace: Workspace) -> None:
    """Until the status file says that the first epoch is done."""
    until = time.monotonic() + _PATIENCE
    while True:
        running = progress.is_running(workspace, "crop_proposer")
        status = progress.read_status(workspace, "crop_proposer") if running else None
        if status is not None and status.phase == "training" and status.done > 0:
            return
        assert time.monotonic() < until and training.poll() is None, "it never began"
        time.sleep(0.05)


def test_what_cannot_be_is_one_clear_line(
    learned: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run_here(*arguments: str) -> tuple[int, str, str]:
        """In this process, which has loaded PyTorch already."""
        monkeypatch.setattr(sys, "argv", ["pickroom", *arguments, "--home", str(learned.workspace.root)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return int(ended.value.code or 0), *capsys.readouterr()

    for arguments, told in (
        (("train", "painter", "p"), "'painter' is not a model"),
        (("train", "ranker", "nobody"), "no project is named 'nobody'"),
        (("train", "ranker", "p", "--holdout", "nobody"), "no project is named 'nobody'"),
        (("train", "ranker", "p", "--holdout", "p"), "nothing is left to train on"),
        (("train", "ranker", "p", "--anomaly-weight", "0"), "cannot be used"),
        (("train", "ranker", "--watch"), "no ranker is being trained"),
        (("evaluate", "p"), "no model was trained yet"),
    ):
        code, out, err = run_here(*arguments)
        assert code == 2 and out == "" and told in err and err.count("\n") == 1, (arguments, err)
    code, out, _ = run_here("train", "ranker", "--stop")
    assert (code, out) == (0, "ranker: none is being trained\n")


def test_baseline_is_recommended_without_heavy_imports(tmp_path: Path) -> None:
    project = make_learned(tmp_path, "p", 4, 2)
    heavy = ("torch", "onnx", "onnxruntime", "pandas", "pyarrow", "scipy", "PIL", "duckdb")
    script = (
        "import sys; from pickroom.cli import main\n"
        f"sys.argv = ['pickroom', 'recommend', 'p', '--home', {str(project.workspace.root)!r}]\n"
        "try: main()\n"
        f"finally: print([name for name in {heavy} if name in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    *said, imported = ran.stdout.splitlines()
    assert "by the baseline" in "".join(said) and imported == "[]"

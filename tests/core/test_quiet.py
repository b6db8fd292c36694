"""What libraries and codecs warn of never reaches the screen, and what concerns the user always does."""

from __future__ import annotations

import os
import random
import struct
import subprocess
import sys
import warnings
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image as Pillow

from conftest import write_image
from pickroom.analysis.reports import render
from pickroom.core import quiet
from pickroom.core.errors import ImageError
from pickroom.images import decode
from pickroom.store.workspace import Workspace
from support.damaged import png_of_no_pixels, write_truncated
from support.reviewing import in_child

# an EXIF directory of one entry, whose value lies beyond the end of the file
_EXIF = b"Exif\0\0II" + struct.pack("<HIHHHIII", 42, 8, 1, 0x010F, 2, 5000, 9000, 0) + b"\0" * 20


def write_noisy(folder: Path) -> None:
    """Images on which Pillow warns, Pillow logs, and libtiff writes to standard error."""
    folder.mkdir(parents=True, exist_ok=True)
    picture = Pillow.effect_noise((64, 64), 40)
    picture.convert("RGB").save(folder / "20250101_100001_stage1_a.jpg", exif=_EXIF)
    write_damaged_tiff(folder / "20250101_100002_stage2_a.tif")
    picture.convert("P").save(folder / "20250101_110001_stage1_a.png", transparency=bytes(range(256)))
    (folder / "large.png").write_bytes(png_of_no_pixels(10_000, 10_000))
    samples = struct.pack("<2sHIH", b"II", 42, 8, 4)
    samples += b"".join(
        struct.pack("<HHII", tag, 3, 1, value) for tag, value in ((256, 8), (257, 8), (262, 2), (277, 999))
    )
    (folder / "samples.tif").write_bytes(samples + b"\0\0\0\0")


def write_damaged_tiff(path: Path) -> Path:
    """A compressed TIFF that opens, and whose pixels are damaged."""
    buffer, chance = BytesIO(), random.Random(1)
    Pillow.effect_noise((64, 64), 40).convert("RGB").save(buffer, "TIFF", compression="tiff_adobe_deflate")
    data = bytearray(buffer.getvalue())
    for _ in range(30):
        data[chance.randrange(200, len(data) - 400)] = chance.randrange(256)
    path.write_bytes(data)
    return path


def pickroom(home: Path, *arguments: str, **environment: str) -> tuple[str, str]:
    """(stdout, stderr) of the command line in a process of its own."""
    variables = {name: value for name, value in os.environ.items() if name not in ("PYTHONWARNINGS", quiet._SHOWN)}
    (home / "data").mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        [sys.executable, "-m", "pickroom.cli", *arguments],
        env={**variables, "PICKROOM_HOME": str(home), **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.stdout, done.stderr


def test_scan_of_noisy_images_prints_results_alone(tmp_path: Path) -> None:
    write_noisy(tmp_path / "images")
    out, err = pickroom(tmp_path / "home", "start", "p", "--images", str(tmp_path / "images"))
    assert err == ""
    lines = [line.strip() for line in out.splitlines()]
    assert lines[0] == "Project p: 5 images = 0 in 0 groups + 5 ungrouped"
    assert "./large.png: truncated" in lines  # what matters is said
    assert any(line.startswith("./samples.tif: unreadable: ") for line in lines)
    assert any(line.startswith("./20250101_100002_stage2_a.tif: unreadable: ") for line in lines)


@pytest.mark.parametrize("asked", [{"PICKROOM_WARNINGS": "1"}, {"PYTHONWARNINGS": "default"}])
def test_developer_gets_warnings_back_when_asking(tmp_path: Path, asked: dict[str, str]) -> None:
    write_noisy(tmp_path / "images")
    _, err = pickroom(tmp_path / "home", "start", "p", "--images", str(tmp_path / "images"), **asked)
    assert "UserWarning" in err and "Decode" in err


def test_codecs_are_quiet_where_no_command_line_runs(tmp_path: Path) -> None:
    """As in a notebook's kernel, whose own standard error is shown under the cell."""
    path = write_damaged_tiff(tmp_path / "a.tif")
    assert in_child(_printed_while_reading, path, tmp_path / "printed") == ""


def _printed_while_reading(path: Path, printed: Path) -> str:
    with printed.open("wb") as file:
        os.dup2(file.fileno(), 2)
    with pytest.raises(ImageError), warnings.catch_warnings():
        decode.read_rgb(path)
    return printed.read_text()


_WARNING = "import warnings, logging; from pickroom.core import quiet; quiet.libraries()"
_WARNING += "; import sklearn, numpy; numpy.log(numpy.zeros(1)); logging.getLogger('x').warning('noise')"
_WARNING += "; warnings.filterwarnings('always'); warnings.warn('noise', FutureWarning)"


def run_python(code: str, *options: str) -> str:
    variables = {name: value for name, value in os.environ.items() if name not in ("PYTHONWARNINGS", quiet._SHOWN)}
    command = [sys.executable, *options, "-c", code]
    return subprocess.run(command, env=variables, capture_output=True, text=True, timeout=60).stderr


def test_libraries_and_child_processes_are_quiet() -> None:
    child = "; import subprocess, sys; subprocess.run([sys.executable, '-c', 'import warnings; warnings.warn(1)'])"
    assert run_python(_WARNING + child) == ""


def test_warning_as_error_still_raises() -> None:
    assert "RuntimeWarning: divide by zero" in run_python(_WARNING, "-W", "error")


def test_program_that_shows_errors_itself_keeps_its_warnings() -> None:
    before = warnings.showwarning, dict(os.environ)
    quiet.libraries()  # pytest has put its own stream in the place of standard error
    assert (warnings.showwarning, dict(os.environ)) == before


def test_report_kernels_are_quiet(workspace: Workspace, images_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHONWARNINGS", raising=False)
    monkeypatch.delenv(quiet._SHOWN, raising=False)
    project = workspace.planned("p", images_folder)
    with render._kernels_find(project):
        assert os.environ["PYTHONWARNINGS"] == "ignore"
    assert "PYTHONWARNINGS" not in os.environ


def test_unreadable_image_is_named_by_every_reader(tmp_path: Path) -> None:
    write_image(tmp_path / "images" / "good.png")
    write_truncated(tmp_path / "images" / "bad.png")
    out, _ = pickroom(tmp_path / "home", "start", "p", "--images", str(tmp_path / "images"))
    assert "./bad.png: truncated" in out

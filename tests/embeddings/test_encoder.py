"""Encoders: the same vectors as their own libraries give, a full specification, one id."""

from __future__ import annotations

import pickle
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from open_clip.model import CLIP
from open_clip.transform import PreprocessCfg, image_transform_v2, merge_preprocess_dict
from PIL import Image as PillowImage

from embeddings.conftest import photograph
from pickroom.embeddings import bundled, openclip
from pickroom.embeddings.device import cosines
from pickroom.embeddings.encoder import EncoderSpec, Preprocessing, TorchEncoder, Tower, projection, weights_hash

PICTURES = [photograph(number, (200, 150) if number % 2 else (150, 220)) for number in range(5)]


@pytest.fixture(scope="module")
def tower(checkpoint: Path) -> Tower:
    return openclip.load(checkpoint=checkpoint)


def test_openclip_gives_the_raw_vectors_of_open_clip_itself(tower: Tower, checkpoint: Path) -> None:
    model, _, transform = open_clip.create_model_and_transforms(f"local-dir:{checkpoint}")
    model.eval()
    with torch.inference_mode():
        plain = torch.cat([model.encode_image(transform(picture)[None]) for picture in PICTURES]).numpy()
    encoder = TorchEncoder(tower, tower.spec(), "cpu")
    found = encoder.encode([encoder.prepare(picture) for picture in PICTURES])
    assert found.vectors.dtype == np.float32 and found.vectors.shape == (5, 48)
    np.testing.assert_allclose(found.vectors, plain, atol=1e-5)
    assert np.abs(np.linalg.norm(found.vectors, axis=1) - 1).min() > 0.01  # raw, not normalised


def test_the_default_model_gives_512_floats_and_a_grid_of_7_by_7() -> None:
    architecture, _, _ = openclip.DEFAULT_MODEL.partition("/")
    config = open_clip.get_model_config(architecture)
    config["text_cfg"] = {"context_length": 8, "vocab_size": 64, "width": 32, "heads": 2, "layers": 1}  # not used
    torch.manual_seed(3)
    clip = CLIP(**config).eval()
    options = merge_preprocess_dict(PreprocessCfg(size=224), {})
    clip.visual.preprocess_cfg = options
    transform = image_transform_v2(PreprocessCfg(**options), is_train=False)
    tower = openclip.adapt(clip, transform, architecture, "seeded random weights")
    spec = tower.spec()
    assert (spec.model, spec.dim, spec.patch_rows, spec.patch_cols, spec.patch_dim) == ("ViT-B-32", 512, 7, 7, 64)
    encoder = TorchEncoder(tower, spec, "cpu")
    found = encoder.encode([encoder.prepare(picture) for picture in PICTURES[:2]])
    with torch.inference_mode():
        plain = torch.cat([clip.encode_image(transform(picture)[None]) for picture in PICTURES[:2]]).numpy()
    np.testing.assert_allclose(found.vectors, plain, atol=1e-4)


def test_patches_are_the_grid_of_the_same_pass_reduced_by_the_projection(tower: Tower, checkpoint: Path) -> None:
    spec = tower.spec()
    assert (spec.patch_rows, spec.patch_cols, spec.patch_dim) == (4, 4, 64)
    encoder = TorchEncoder(tower, spec, "cpu")
    pixels = encoder.prepare(PICTURES[0])
    found = encoder.encode([pixels])
    model, _, transform = open_clip.create_model_and_transforms(f"local-dir:{checkpoint}")
    visual = model.eval().visual
    visual.output_tokens = True
    with torch.inference_mode():
        _, tokens = visual(transform(PICTURES[0])[None])
    expected = tokens[0].numpy().reshape(4, 4, 96) @ projection(96, 64)
    assert found.patches is not None
    np.testing.assert_allclose(found.patches[0], expected, atol=1e-4)


def test_bundled_vector_is_the_networks_own_and_its_grid_an_earlier_blocks_map() -> None:
    tower = bundled.load()
    spec = tower.spec()
    assert spec.projection.endswith(" 192->64")
    assert (spec.dim, spec.patch_rows, spec.patch_cols, spec.patch_dim) == (1280, 9, 9, 64)
    encoder = TorchEncoder(tower, spec, "cpu")
    with torch.inference_mode():
        pixels = np.stack([encoder.prepare(PICTURES[0])]).astype(np.float32)
        batch = (torch.from_numpy(pixels).permute(0, 3, 1, 2) - 127) / 128
        own = tower.network.network
        met: list[torch.Tensor] = []
        with own._blocks[14].register_forward_hook(lambda _block, _given, made: met.append(made)):  # type: ignore[union-attr]
            maps = own.extract_features(batch)  # type: ignore[union-attr, operator]
    found = encoder.encode([encoder.prepare(picture) for picture in PICTURES])
    assert cosines(found.vectors[:1], maps.mean(dim=(2, 3)).numpy())[0] > 0.99999
    expected = met[0][0].permute(1, 2, 0).numpy() @ projection(192, 64)
    assert found.patches is not None
    np.testing.assert_allclose(found.patches[0], expected, atol=1e-3 * np.abs(expected).max())
    # photographs of different things are told apart: these are trained weights, not random ones
    unit = found.vectors / np.linalg.norm(found.vectors, axis=1, keepdims=True)
    assert (unit @ unit.T)[~np.eye(5, dtype=bool)].max() < 0.9


def test_a_batch_changes_no_vector(tower: Tower) -> None:
    encoder = TorchEncoder(tower, tower.spec(), "cpu")
    pixels = [encoder.prepare(picture) for picture in PICTURES]
    alone = np.concatenate([encoder.encode([one]).vectors for one in pixels])
    assert cosines(encoder.encode(pixels).vectors, alone).min() > 0.99999


def test_lower_precision_stays_close_to_float32(tower: Tower) -> None:
    pixels = [tower.prepare(picture) for picture in PICTURES]
    exact = TorchEncoder(tower, tower.spec(), "cpu").encode(pixels).vectors
    half = TorchEncoder(tower, tower.spec("bfloat16"), "cpu").encode(pixels).vectors
    assert half.dtype == np.float32
    assert 0.999 < cosines(exact, half).min() < 1


def test_a_tower_survives_the_way_to_another_process(tower: Tower) -> None:
    there = pickle.loads(pickle.dumps(tower))
    assert there.spec() == tower.spec()
    assert np.array_equal(there.prepare(PICTURES[0]), tower.prepare(PICTURES[0]))


def test_every_part_of_the_specification_is_in_the_id() -> None:
    preprocessing = Preprocessing(64, 64, "squash", "bicubic", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    spec = EncoderSpec("openclip", "m", "w", preprocessing, 48, 4, 4, 64, "signs seed=1 96->64", "float32")
    texts = ("kind", "model", "weights", "projection", "dtype", "storage")
    others = [replace(spec, **{name: f"{getattr(spec, name)}x"}) for name in texts]
    others += [replace(spec, **{name: 7}) for name in ("dim", "patch_rows", "patch_cols", "patch_dim")]
    others += [
        replace(spec, preprocessing=replace(preprocessing, **{f.name: value}))
        for f in fields(preprocessing)
        for value in [(0.1,) * 3 if isinstance(getattr(preprocessing, f.name), tuple) else 3]
    ]
    ids = [spec.encoder_id, *(other.encoder_id for other in others)]
    assert len(set(ids)) == len(ids) == 1 + len(fields(spec)) - 1 + len(fields(preprocessing))
    assert EncoderSpec.from_dict(spec.to_dict()) == spec


def test_the_projection_is_frozen_and_keeps_inner_products() -> None:
    signs = projection(768, 64)
    assert set(np.unique(signs)) == {np.float32(-0.125), np.float32(0.125)}
    # these bits are in every stored patch grid: they must never change
    assert [int(v > 0) for v in signs[0, :16]] == FIRST_SIGNS
    rng = np.random.default_rng(0)
    a = rng.standard_normal((300, 768)).astype(np.float32)
    ratio = np.linalg.norm(a @ signs, axis=1) / np.linalg.norm(a, axis=1)
    assert 0.97 < ratio.mean() < 1.03


FIRST_SIGNS = [1, 1, 0, 1, 0, 1, 1, 1, 0, 0, 0, 0, 0, 0, 1, 0]


def test_weights_hash_sees_one_changed_number(tower: Tower) -> None:
    other = pickle.loads(pickle.dumps(tower))
    before = weights_hash(other.network)
    assert before == weights_hash(tower.network)
    with torch.no_grad():
        next(other.network.parameters()).view(-1)[0] += 1e-6
    assert weights_hash(other.network) != before


def test_images_of_any_shape_are_prepared(tower: Tower) -> None:
    for size in ((1, 1), (3, 500), (64, 64), (700, 20)):
        assert tower.prepare(PillowImage.new("RGB", size)).shape == (64, 64, 3)

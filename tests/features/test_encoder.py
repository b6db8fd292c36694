"""Encoders: the same vectors as their own libraries give, a full specification, one id."""

from __future__ import annotations

import json
import pickle
from dataclasses import asdict, fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as PillowImage

from pickroom.features import openclip
from pickroom.features.encoder import EncoderSpec, Preprocessing, projection
from pickroom.features.openclip import TorchTower
from pickroom.features.store import cosines
from pickroom.storage.json_records import from_json
from support.encoding import photograph

PICTURES = [photograph(number, (200, 150) if number % 2 else (150, 220)) for number in range(5)]


@pytest.fixture(scope="module")
def tower(checkpoint: Path) -> TorchTower:
    return openclip.load(checkpoint=checkpoint)


def test_openclip_gives_the_raw_vectors_of_open_clip_itself(tower: TorchTower, checkpoint: Path) -> None:
    import open_clip

    model, _, transform = open_clip.create_model_and_transforms(f"local-dir:{checkpoint}")
    model.eval()
    with torch.inference_mode():
        plain = torch.cat([model.encode_image(transform(picture)[None]) for picture in PICTURES]).numpy()
    encoder = tower.encoder(tower.spec(), "cpu")
    found = encoder.encode([encoder.prepare(picture) for picture in PICTURES])
    assert found.vectors.dtype == np.float32 and found.vectors.shape == (5, 48)
    np.testing.assert_allclose(found.vectors, plain, atol=1e-5)
    assert np.abs(np.linalg.norm(found.vectors, axis=1) - 1).min() > 0.01  # raw, not normalised


def test_the_default_model_gives_512_floats_and_a_grid_of_7_by_7() -> None:
    import open_clip
    from open_clip.model import CLIP
    from open_clip.transform import PreprocessCfg, image_transform_v2, merge_preprocess_dict

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
    encoder = tower.encoder(spec, "cpu")
    found = encoder.encode([encoder.prepare(picture) for picture in PICTURES[:2]])
    with torch.inference_mode():
        plain = torch.cat([clip.encode_image(transform(picture)[None]) for picture in PICTURES[:2]]).numpy()
    np.testing.assert_allclose(found.vectors, plain, atol=1e-4)


def test_patches_are_the_projected_token_grid_of_the_same_pass(tower: TorchTower, checkpoint: Path) -> None:
    import open_clip

    spec = tower.spec()
    assert (spec.patch_rows, spec.patch_cols, spec.patch_dim) == (4, 4, 64)
    encoder = tower.encoder(spec, "cpu")
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


def test_a_batch_changes_no_vector(tower: TorchTower) -> None:
    encoder = tower.encoder(tower.spec(), "cpu")
    pixels = [encoder.prepare(picture) for picture in PICTURES]
    alone = np.concatenate([encoder.encode([one]).vectors for one in pixels])
    assert cosines(encoder.encode(pixels).vectors, alone).min() > 0.99999


def test_lower_precision_stays_close_to_float32(tower: TorchTower) -> None:
    pixels = [tower.prepare(picture) for picture in PICTURES]
    exact = tower.encoder(tower.spec(), "cpu").encode(pixels).vectors
    half = tower.encoder(tower.spec("bfloat16"), "cpu").encode(pixels).vectors
    assert half.dtype == np.float32
    assert 0.999 < cosines(exact, half).min() < 1


def test_a_tower_survives_the_way_to_another_process(tower: TorchTower) -> None:
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
    assert from_json(EncoderSpec, json.dumps(asdict(spec))) == spec


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


def test_weights_hash_sees_one_changed_number(tower: TorchTower) -> None:
    other = pickle.loads(pickle.dumps(tower))
    before = other.spec().encoder_id
    assert before == tower.spec().encoder_id
    with torch.no_grad():
        next(other.network.parameters()).view(-1)[0] += 1e-6
    assert other.spec().encoder_id != before


def test_images_of_any_shape_are_prepared(tower: TorchTower) -> None:
    for size in ((1, 1), (3, 500), (64, 64), (700, 20)):
        assert tower.prepare(PillowImage.new("RGB", size)).shape == (64, 64, 3)

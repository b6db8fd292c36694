"""Which encoder a project uses: the one it is bound to; a new project is bound at its first run, and for good.

Vectors of two encoders, or of two precisions of one, do not belong in one space; so a project never mixes them, and
projects of a workspace share one precision, so that one model can learn from all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pickroom.embeddings import device as devices
from pickroom.embeddings.encoder import DTYPES, EncoderSpec, Pixels, TorchEncoder, Tower
from pickroom.embeddings.store import read_spec, save_spec, specs
from pickroom.errors import ConflictError, UsageError
from pickroom.workspace import Project

KINDS = ("openclip", "bundled")
DEFAULT_KIND = "openclip"
_FLOAT32 = "float32"


@dataclass(frozen=True, slots=True)
class EncoderConfig:
    """What the person asks of the encoder; None leaves it to the project, then to the machine.

    Attributes:
        kind: "openclip" or "bundled"; None is the project's own, else OpenCLIP.
        model: OpenCLIP's "architecture/pretrained tag".
        checkpoint: a local OpenCLIP checkpoint folder, in place of `model`.
        device: "cuda", "mps" or "cpu"; None is the best one here.
        dtype: the precision of the forward pass; None is the fastest one that keeps the vectors.
        change: whether a project bound to another encoder is bound anew. Its vectors so far stay on disk.
    """

    kind: str | None = None
    model: str | None = None
    checkpoint: Path | str | None = None
    device: str | None = None
    dtype: str | None = None
    change: bool = False


@dataclass(frozen=True, slots=True)
class Chosen:
    """An encoder ready to run, and what is known of it.

    Attributes:
        spec: what the project is bound to.
        cosine: the lowest cosine of the measured vectors to their float32 twins; 1.0 for float32 itself, None
            where nothing was measured here.
    """

    tower: Tower
    spec: EncoderSpec
    device: str
    cosine: float | None

    def encoder(self) -> TorchEncoder:
        return TorchEncoder(self.tower, self.spec, self.device)


def choose(project: Project, config: EncoderConfig, samples: Callable[[Tower], Sequence[Pixels]]) -> Chosen:
    """Load the project's encoder and settle its precision. Binds nothing yet: see `bind`.

    Args:
        samples: a few of the project's images prepared for a tower, to measure precisions on; may be empty.

    Raises:
        ConflictError: the project is bound to another encoder, and `change` is not set.
        UsageError: unknown names, or no weights within reach.
    """
    _check(config)
    bound = None if config.change else bound_spec(project)
    kind = config.kind or (bound.kind if bound else DEFAULT_KIND)
    if bound and (bound.kind != kind or kind not in KINDS):  # imported vectors have an encoder that cannot encode
        raise _other(project, bound, "another encoder" if bound.kind == kind else kind)
    device = devices.pick_device(devices.present(), config.device)
    tower = load_tower(kind, _as_before(project, config) if bound else config)
    spec = tower.spec(config.dtype or (bound.dtype if bound else _FLOAT32))
    if bound:
        if spec != bound:
            raise _other(project, bound, spec.words)
        known = read_spec(project.workspace, spec.encoder_id)
        return Chosen(tower, spec, device, known[1].get("cosine_to_float32") if known else None)
    if config.dtype is None:
        before = next((s for s in specs(project.workspace) if s.same_but_dtype(spec)), None)
        if before is None:
            return _measured(tower, spec, device, samples(tower))
        spec = before
    return Chosen(tower, spec, device, 1.0 if spec.dtype == _FLOAT32 else _cosine(tower, spec, device, samples(tower)))


def bind(project: Project, chosen: Chosen) -> Project:
    """Bind the project to an encoder in its manifest, and keep the encoder's specification beside its vectors."""
    notes: dict[str, Any] = {
        "source": chosen.tower.source,
        "model": chosen.tower.source if chosen.tower.source.startswith(f"{chosen.spec.model}/") else None,
        "device": devices.device_words(chosen.device),
        "cosine_to_float32": chosen.cosine,
    }
    save_spec(project.workspace, chosen.spec, notes)
    return bind_spec(project, chosen.spec)


def bind_spec(project: Project, spec: EncoderSpec) -> Project:
    """Write an encoder's id into the project's manifest."""
    return project.with_manifest(encoder=spec.encoder_id)


def bound_spec(project: Project) -> EncoderSpec | None:
    """The encoder a project is bound to; None for none, or for one whose vectors were all removed."""
    encoder_id = project.manifest.encoder
    found = read_spec(project.workspace, encoder_id) if encoder_id else None
    return found[0] if found else None


def load_tower(kind: str, config: EncoderConfig) -> Tower:
    """The network of an encoder, float32 on the CPU; raises UsageError when its weights are out of reach."""
    if kind == "bundled":
        if config.model or config.checkpoint:
            raise UsageError("the bundled encoder takes no model and no checkpoint", doing="choosing an encoder")
        from pickroom.embeddings import bundled

        return bundled.load()
    from pickroom.embeddings import openclip

    return openclip.load(config.model or openclip.DEFAULT_MODEL, config.checkpoint)


def _check(config: EncoderConfig) -> None:
    if config.kind is not None and config.kind not in KINDS:
        hint = f"use one of {', '.join(KINDS)}"
        raise UsageError(f"{config.kind!r} is no encoder", doing="choosing an encoder", hint=hint)
    if config.dtype is not None and config.dtype not in DTYPES:
        hint = f"use one of {', '.join(DTYPES)}"
        raise UsageError(f"{config.dtype!r} is no precision", doing="choosing a precision", hint=hint)


def _as_before(project: Project, config: EncoderConfig) -> EncoderConfig:
    """The model a project was bound with, where the person names none; a checkpoint's folder is stored nowhere."""
    known = read_spec(project.workspace, project.manifest.encoder or "")
    model = known[1].get("model") if known else None
    return config if config.model or config.checkpoint or not model else replace(config, model=model)


def _other(project: Project, bound: EncoderSpec, wanted: str) -> ConflictError:
    return ConflictError(
        f"project {project.id} has its vectors from {bound.words}, and never mixes them with those of {wanted}",
        doing="choosing an encoder",
        subject=project.workspace.embeddings / bound.encoder_id,
        hint="leave the choice out to use the project's own, or add --change-encoder to embed all its images anew",
    )


def _measured(tower: Tower, spec: EncoderSpec, device: str, pixels: Sequence[Pixels]) -> Chosen:
    if not pixels:
        return Chosen(tower, spec, device, 1.0)
    reference, trials = devices.measure(tower, spec, device, pixels)
    best = devices.pick_dtype(reference, trials)
    return Chosen(tower, replace(spec, dtype=best.dtype), device, best.cosine)


def _cosine(tower: Tower, spec: EncoderSpec, device: str, pixels: Sequence[Pixels]) -> float | None:
    if not pixels:
        return None
    exact = TorchEncoder(tower, replace(spec, dtype=_FLOAT32), device).encode(pixels).vectors
    return float(devices.cosines(TorchEncoder(tower, spec, device).encode(pixels).vectors, exact).min())

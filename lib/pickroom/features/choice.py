"""Which encoder a project uses: the one it is bound to; a new project is bound at its first run, and for good.

Vectors of two encoders, or of two precisions of one, do not belong in one space, so a project never mixes them. New
projects compute in float32, so that one model can learn from all of them; version 0.1 chose bfloat16 for some.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pickroom.core.errors import ConflictError, UsageError
from pickroom.core.extras import require_extra
from pickroom.features import device as devices
from pickroom.features.encoder import FLOAT32, Encoder, EncoderSpec, Tower
from pickroom.features.store import as_stored, read_spec, save_spec
from pickroom.store.workspace import Project

KINDS = ("openclip", "bundled")
DEFAULT_KIND = "openclip"


@dataclass(frozen=True, slots=True)
class EncoderConfig:
    """What the person asks of the encoder; None leaves it to the project, then to the machine.

    Attributes:
        kind: "openclip" or "bundled"; None is the project's own, else OpenCLIP.
        model: OpenCLIP's "architecture/pretrained tag".
        checkpoint: a local OpenCLIP checkpoint folder, in place of `model`.
        device: "cuda", "mps" or "cpu"; None is the best one here.
        change: whether a project bound to another encoder is bound anew. Its vectors so far stay on disk.
    """

    kind: str | None = None
    model: str | None = None
    checkpoint: Path | str | None = None
    device: str | None = None
    change: bool = False


@dataclass(frozen=True, slots=True)
class Chosen:
    """An encoder ready to run; `spec` is what the project is bound to."""

    tower: Tower
    spec: EncoderSpec
    device: str

    def encoder(self) -> Encoder:
        return self.tower.encoder(self.spec, self.device)


def choose(project: Project, config: EncoderConfig) -> Chosen:
    """Load the project's encoder. Binds nothing yet: see `bind`.

    Raises:
        ConflictError: the project is bound to another encoder, and `change` is not set.
        UsageError: unknown names, or no weights within reach.
    """
    _check(config)
    bound = None if config.change else bound_spec(project)
    kind = config.kind or (bound.kind if bound else DEFAULT_KIND)
    if bound and (bound.kind != kind or kind not in KINDS):  # imported vectors have an encoder that cannot encode
        raise _other(project, bound, "another encoder" if bound.kind == kind else kind)
    tower = load_tower(kind, _as_before(project, config) if bound else config)
    device = devices.pick_device(tower.devices(), config.device)
    if bound and kind == "bundled" and bound.dtype != FLOAT32:
        raise ConflictError(
            f"project {project.id} has vectors in {bound.dtype}, which version 0.1 made, and its encoder now computes "
            "in float32",
            doing="choosing an encoder",
            subject=project.workspace.embeddings / bound.encoder_id,
            hint=f"make them again: pickroom embed {project.id} --encoder bundled --change-encoder",
        )
    spec = tower.spec(bound.dtype if bound else FLOAT32)
    if bound and spec.encoder_id != bound.encoder_id:
        raise _other(project, bound, spec.words)
    return Chosen(tower, as_stored(project.workspace, spec, project.id), device)


def bind(project: Project, chosen: Chosen) -> Project:
    """Bind the project to an encoder in its manifest, and keep the encoder's specification beside its vectors."""
    notes: dict[str, Any] = {
        "source": chosen.tower.source,
        "model": chosen.tower.source if chosen.tower.source.startswith(f"{chosen.spec.model}/") else None,
        "device": devices.device_words(chosen.device),
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
    """The network of an encoder, float32 on the CPU.

    Raises:
        UsageError: its weights are out of reach.
        MissingExtraError: it needs PyTorch, which is not installed.
    """
    if kind == "bundled":
        if config.model or config.checkpoint:
            raise UsageError("the bundled encoder takes no model and no checkpoint", doing="choosing an encoder")
        from pickroom.features import bundled

        return bundled.load()
    require_extra("learn", "loading OpenCLIP", instead="use --encoder bundled")
    from pickroom.features import openclip

    return openclip.load(config.model or openclip.DEFAULT_MODEL, config.checkpoint)


def _check(config: EncoderConfig) -> None:
    if config.kind is not None and config.kind not in KINDS:
        hint = f"use one of {', '.join(KINDS)}"
        raise UsageError(f"{config.kind!r} is no encoder", doing="choosing an encoder", hint=hint)


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

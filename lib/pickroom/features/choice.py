"""Which encoder a project uses: the one it is bound to; a new project is bound at its first run, and for good.

Vectors of two encoders, or of two precisions of one, do not belong in one space, so a project never mixes them. New
projects compute in float32, so that one model can learn from all of them; version 0.1 chose bfloat16 for some.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pickroom.core.errors import ConflictError, UsageError, require_extra
from pickroom.features import device as devices
from pickroom.features.encoder import FLOAT32, Encoder, EncoderSpec, Tower
from pickroom.features.store import as_stored, known_specs, read_spec, save_spec
from pickroom.store.workspace import Project

KINDS = ("openclip", "bundled")
DEFAULT_KIND = "bundled"  # it needs no download
CHECKPOINT_VARIABLE = "PICKROOM_OPENCLIP"  # a checkpoint folder, where OpenCLIP is asked for and none is named
_DOING = "choosing an encoder"


@dataclass(frozen=True, slots=True)
class EncoderConfig:
    """What the user asks of the encoder; None leaves it to the project, then to the machine."""

    # "openclip", "openclip:MODEL/TAG" or "bundled"; None is the project's own, else OpenCLIP where a model or a
    # checkpoint is named, else the bundled one
    kind: str | None = None
    # OpenCLIP's "architecture/pretrained tag". Only weights that are named here are downloaded
    model: str | None = None
    checkpoint: Path | str | None = None  # a local OpenCLIP checkpoint folder, in place of `model`
    device: str | None = None  # "cuda", "mps" or "cpu"; None is the best one here
    change: bool = False  # whether a project bound to another encoder is bound anew. Its vectors so far stay on disk

    def checked(self) -> EncoderConfig:
        """With the kind and the model apart; raises UsageError for names that are none, or contradict each other."""
        kind, _, model = (self.kind or "").partition(":")
        if not kind and (self.model or self.checkpoint):
            kind = "openclip"
        if kind and kind not in KINDS:
            raise UsageError(f"{kind!r} is not an encoder", doing=_DOING, hint=f"use one of {', '.join(KINDS)}")
        if kind == "bundled" and (model or self.model or self.checkpoint):
            raise UsageError("the bundled encoder takes no model and no checkpoint", doing=_DOING)
        if model and self.model and model != self.model:
            raise UsageError(f"{model} and {self.model} are two models", doing=_DOING, hint="name one of them")
        return replace(self, kind=kind or None, model=model or self.model)


@dataclass(frozen=True, slots=True)
class Chosen:
    """An encoder ready to run."""

    tower: Tower
    spec: EncoderSpec  # what the project is bound to
    device: str
    checkpoint: Path | None = None  # the folder its weights came from
    by_default: bool = False  # whether nobody asked for it

    def encoder(self) -> Encoder:
        return self.tower.encoder(self.spec, self.device)


def choose(project: Project, config: EncoderConfig) -> Chosen:
    """Load the project's encoder. Binds nothing yet: see `bind`.

    Raises:
        ConflictError: the project is bound to another encoder, and `change` is not set.
        UsageError: unknown names, or no weights within reach.
    """
    config = config.checked()
    found = None if config.change else read_spec(project.workspace, project.manifest.encoder)
    bound, notes = found or (None, {})
    kind = config.kind or (bound.kind if bound else DEFAULT_KIND)
    if bound and (bound.kind != kind or kind not in KINDS):  # imported vectors have an encoder that cannot encode
        raise _other(project, bound, "another encoder" if bound.kind == kind else kind)
    tower, checkpoint = load_tower(kind, config, notes, project.workspace.root)
    device = devices.pick_device(tower.devices(), config.device)
    if bound and kind == "bundled" and bound.dtype != FLOAT32:
        raise ConflictError(
            f"project {project.id} has vectors in {bound.dtype}, which version 0.1 made, and its encoder now computes "
            "in float32",
            doing=_DOING,
            subject=project.workspace.embeddings / bound.encoder_id,
            hint=f"make them again: pickroom embed {project.id} --encoder bundled --change-encoder",
        )
    spec = tower.spec(bound.dtype if bound else FLOAT32)
    if bound and not _same(bound, spec, tower):
        raise _other(project, bound, spec.words)
    # an earlier version's name of the model stays, and with it the id: the project's, or the workspace's
    known = [bound] if bound else known_specs(project.workspace)
    spec = next((replace(spec, model=one.model) for one in known if _same(one, spec, tower)), spec)
    spec = as_stored(project.workspace, spec, project.id)
    return Chosen(tower, spec, device, checkpoint, by_default=not (bound or config.kind))


def _same(one: EncoderSpec, spec: EncoderSpec, tower: Tower) -> bool:
    """Whether two specifications give the same vectors, though an earlier version named the model otherwise."""
    renamed = replace(one, model=spec.model) if one.model in tower.earlier_names else one
    return renamed.encoder_id == spec.encoder_id


def bind(project: Project, chosen: Chosen) -> Project:
    """Bind the project to an encoder in its manifest, and keep the encoder's specification next to its vectors."""
    notes: dict[str, Any] = {"source": chosen.tower.source, "device": devices.device_words(chosen.device)}
    if chosen.checkpoint:
        # no absolute path is stored; what the folder holds is compared with the specification when it is loaded
        notes["checkpoint"] = os.path.relpath(chosen.checkpoint.resolve(), project.workspace.root.resolve())
    elif chosen.spec.kind == "openclip":
        notes["model"] = chosen.tower.source
    save_spec(project.workspace, chosen.spec, notes)
    return bind_spec(project, chosen.spec)


def bind_spec(project: Project, spec: EncoderSpec) -> Project:
    """Write an encoder's id into the project's manifest."""
    return project.with_manifest(encoder=spec.encoder_id)


def bound_spec(project: Project) -> EncoderSpec | None:
    """The encoder a project is bound to; None for none, or for one whose vectors were all removed."""
    found = read_spec(project.workspace, project.manifest.encoder)
    return found[0] if found else None


def load_tower(kind: str, config: EncoderConfig, notes: dict[str, Any], root: Path) -> tuple[Tower, Path | None]:
    """The network of an encoder, float32 on the CPU, and the folder its weights came from, if it was one.

    Args:
        notes: of `bind`, where the project is bound: its checkpoint or model serves where `config` names none.
        root: of the workspace.

    Raises:
        UsageError: its weights are out of reach.
        MissingExtraError: it needs PyTorch, which is not installed.
    """
    if kind == "bundled":
        from pickroom.features import bundled

        return bundled.load(), None
    require_extra("learn", "loading OpenCLIP", instead="use --encoder bundled")
    from pickroom.features import openclip

    given, remembered = config.checkpoint, notes.get("checkpoint")
    if given is None and config.model is None:
        given = root / remembered if remembered else os.environ.get(CHECKPOINT_VARIABLE)
    folder = Path(given).expanduser() if given else None
    model = config.model or notes.get("model") or openclip.DEFAULT_MODEL
    return openclip.load(model, folder, download=config.model is not None), folder


def _other(project: Project, bound: EncoderSpec, wanted: str) -> ConflictError:
    return ConflictError(
        f"project {project.id} has its vectors from {bound.words}, and never mixes them with those of {wanted}",
        doing=_DOING,
        subject=project.workspace.embeddings / bound.encoder_id,
        hint="leave the choice out to use the project's own, or add --change-encoder to embed all its images anew",
    )

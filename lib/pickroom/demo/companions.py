"""What lies beside and inside each image: YAML, caption, and the generation parameters that image tools embed.

None of it says anything of defects: only the truth file does.
"""

from __future__ import annotations

from dataclasses import dataclass

import yaml
from PIL import Image as Pillow
from PIL.PngImagePlugin import PngInfo

from pickroom.demo.config import DemoConfig, stream
from pickroom.demo.plan import GroupPlan

_SETTINGS = 21  # the key of this module's random stream

_NEGATIVE = "blurry, lowres, bad anatomy, extra fingers, watermark, jpeg artifacts"
_SAMPLERS = ("DPM++ 2M Karras", "DPM++ SDE Karras", "Euler a", "UniPC")
_MODEL = "pickroom-demo"  # says that no image generator was involved
_EXIF_IFD, _USER_COMMENT = 0x8769, 0x9286  # Exif 2.32: the Exif pointer, and the comment where tools put parameters


@dataclass(frozen=True, slots=True)
class Settings:
    """How an image pretends to have been made: the same for a group but for what each stage adds."""

    prompt: str
    seed: int
    steps: int
    sampler: str
    cfg_scale: float
    size: tuple[int, int]
    stage: float
    extra: dict[str, str | float]

    def parameters(self) -> str:
        """The text that image tools put into a PNG's `parameters` chunk."""
        pairs: dict[str, object] = {
            "Steps": self.steps,
            "Sampler": self.sampler,
            "CFG scale": self.cfg_scale,
            "Seed": self.seed,
            "Size": f"{self.size[0]}x{self.size[1]}",
            "Model": _MODEL,
            "Stage": f"{self.stage:g}",
            **{key.replace("_", " ").capitalize(): value for key, value in self.extra.items()},
        }
        tail = ", ".join(f"{key}: {value}" for key, value in pairs.items())
        return f"{self.prompt}\nNegative prompt: {_NEGATIVE}\n{tail}"

    def to_yaml(self) -> str:
        document = {
            "prompt": self.prompt,
            "negative_prompt": _NEGATIVE,
            "seed": self.seed,
            "stage": int(self.stage) if self.stage == int(self.stage) else self.stage,
            "settings": {
                "model": _MODEL,
                "steps": self.steps,
                "sampler": self.sampler,
                "cfg_scale": self.cfg_scale,
                "width": self.size[0],
                "height": self.size[1],
                **self.extra,
            },
        }
        return yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=100)

    def caption(self) -> str:
        return self.prompt.partition(",")[0] + "\n"


def settings_of(plan: GroupPlan, config: DemoConfig) -> dict[float, Settings]:
    """The settings of every stage of a group."""
    rng = stream(config.seed, plan.index, _SETTINGS)
    prompt = f"{plan.photograph.prompt}, {plan.grade.words}"
    seed, steps = int(rng.integers(1, 2**32)), int(rng.choice((20, 24, 28, 32, 40)))
    sampler, cfg_scale = _SAMPLERS[rng.integers(len(_SAMPLERS))], float(rng.choice((5.5, 6.0, 6.5, 7.0, 7.5)))
    denoise, weight = round(float(rng.uniform(0.25, 0.5)), 2), round(float(rng.uniform(0.6, 1.0)), 2)
    extras: dict[float, dict[str, str | float]] = {
        1: {},
        1.5: {"swap_weight": weight},
        2: {"upscaler": "Lanczos", "upscale_by": 1.25},
        3: {"upscaler": "Lanczos", "upscale_by": 1.25, "denoising_strength": denoise},
    }
    return {
        stage: Settings(prompt, seed, steps, sampler, cfg_scale, plan.size_of(stage), stage, extras[stage])
        for stage in plan.stages
    }


def png_text(parameters: str) -> PngInfo:
    """The `parameters` chunk of a PNG."""
    info = PngInfo()
    info.add_text("parameters", parameters)
    return info


def jpeg_exif(parameters: str) -> Pillow.Exif:
    """The Exif block of a JPEG with the parameters as its user comment, in Exif's own Unicode marking."""
    exif = Pillow.Exif()
    exif.get_ifd(_EXIF_IFD)[_USER_COMMENT] = b"UNICODE\0" + parameters.encode("utf-16-be")
    return exif

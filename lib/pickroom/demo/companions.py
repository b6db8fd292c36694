"""What lies next to and inside each image: YAML, caption, and the generation parameters that image tools embed.

None of it tells of defects: only the truth file does.
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
_MODEL = "pickroom-demo"  # no image generator was involved
_EXIF_IFD, _USER_COMMENT = 0x8769, 0x9286  # Exif 2.32: the Exif pointer, and the comment where tools put parameters


@dataclass(frozen=True, slots=True)
class Companions:
    """The texts of one image: the `parameters` that image tools embed, the YAML and the caption next to it."""

    parameters: str
    yaml: str
    caption: str

    def png_info(self) -> PngInfo:
        """The `parameters` chunk of a PNG."""
        info = PngInfo()
        info.add_text("parameters", self.parameters)
        return info

    def exif(self) -> Pillow.Exif:
        """The Exif block of a JPEG with the parameters as its user comment, in Exif's own Unicode marking."""
        exif = Pillow.Exif()
        exif.get_ifd(_EXIF_IFD)[_USER_COMMENT] = b"UNICODE\0" + self.parameters.encode("utf-16-be")
        return exif


def companions_of(plan: GroupPlan, config: DemoConfig) -> dict[float, Companions]:
    """The companions of every stage of a group: the same settings but for what each stage adds."""
    rng = stream(config.seed, plan.index, _SETTINGS)
    prompt = f"{plan.photograph.prompt}, {plan.grade.prompt}"
    seed, steps = int(rng.integers(1, 2**32)), int(rng.choice((20, 24, 28, 32, 40)))
    sampler, cfg_scale = _SAMPLERS[rng.integers(len(_SAMPLERS))], float(rng.choice((5.5, 6.0, 6.5, 7.0, 7.5)))
    denoise, weight = round(float(rng.uniform(0.25, 0.5)), 2), round(float(rng.uniform(0.6, 1.0)), 2)
    upscaled: dict[str, str | float] = {"upscaler": "Lanczos", "upscale_by": 1.25}
    extras: dict[float, dict[str, str | float]] = {
        1: {},
        1.5: {"swap_weight": weight},
        2: upscaled,
        3: {**upscaled, "denoising_strength": denoise},
    }
    found = {}
    for stage in plan.stages:
        width, height = plan.size_of(stage)
        pairs: dict[str, object] = {
            "Steps": steps,
            "Sampler": sampler,
            "CFG scale": cfg_scale,
            "Seed": seed,
            "Size": f"{width}x{height}",
            "Model": _MODEL,
            "Stage": f"{stage:g}",
            **{key.replace("_", " ").capitalize(): value for key, value in extras[stage].items()},
        }
        settings = {"model": _MODEL, "steps": steps, "sampler": sampler, "cfg_scale": cfg_scale}
        document = {
            "prompt": prompt,
            "negative_prompt": _NEGATIVE,
            "seed": seed,
            "stage": int(stage) if stage == int(stage) else stage,
            "settings": {**settings, "width": width, "height": height, **extras[stage]},
        }
        tail = ", ".join(f"{key}: {value}" for key, value in pairs.items())
        parameters = f"{prompt}\nNegative prompt: {_NEGATIVE}\n{tail}"
        text = str(yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=100))
        found[stage] = Companions(parameters, text, prompt.partition(",")[0] + "\n")
    return found

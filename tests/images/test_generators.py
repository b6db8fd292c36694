"""What generators wrote into a picture, by program: the prompt or nothing, never a graph, never half of it."""

from __future__ import annotations

import html
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pickroom.images import generators

INFOTEXTS = {
    "just words": ("just words", {"parameters": "just words"}),
    "nothing": ("", {"parameters": ""}),
    "no negative prompt": ("a\nSteps: 5", {"prompt": "a", "steps": "5"}),
    "no prompt": ("\nSteps: 5, Seed: -1", {"prompt": "", "steps": "5", "seed": "-1"}),
    "settings alone": ("Steps: 5, Seed: 1", {"prompt": "", "steps": "5", "seed": "1"}),
    "the last Steps counts": ("Steps: 3 up\nthe hill\nSteps: 5", {"prompt": "Steps: 3 up\nthe hill", "steps": "5"}),
    "steps without a number": ("a\nSteps: up\nSteps: 5", {"prompt": "a\nSteps: up", "steps": "5"}),
    "begins with the negative prompt": (
        "Negative prompt: blurry, lowres\nSteps: 20, Sampler: Euler a",
        {"prompt": "", "negative prompt": "blurry, lowres", "steps": "20", "sampler": "Euler a"},
    ),
    "no settings": ("a boat\nNegative prompt: b", {"prompt": "a boat", "negative prompt": "b"}),
    "several lines": (
        "a boat,\n\nred sails\nNegative prompt: b,\nc\nSteps: 5",
        {"prompt": "a boat,\n\nred sails", "negative prompt": "b,\nc", "steps": "5"},
    ),
    "line ends of Windows": (
        "a\r\nNegative prompt: b\r\nSteps: 5",
        {"prompt": "a", "negative prompt": "b", "steps": "5"},
    ),
    "quoted commas": (
        'a\nSteps: 5, Lora hashes: "x: 1, y: 2", Seed: 3',
        {"prompt": "a", "steps": "5", "lora hashes": "x: 1, y: 2", "seed": "3"},
    ),
    "quotes within quotes": (
        r"a\nb" + '\nSteps: 5, ADetailer prompt: "a \\"sharp\\" face,\\nsmiling", Seed: 3',
        {"prompt": r"a\nb", "steps": "5", "adetailer prompt": 'a "sharp" face,\nsmiling', "seed": "3"},
    ),
    "commas without quotes": (
        "a\nSteps: 5, Styles: oil, thick paint, Hires prompt: soft light: blue, wet, Version: v1.10",
        {
            "prompt": "a",
            "steps": "5",
            "styles": "oil, thick paint",
            "hires prompt": "soft light: blue, wet",
            "version": "v1.10",
        },
    ),
    "an object": (
        'a\nSteps: 5, Hashes: {"model": "a1, b", "vae": {"x": 1}}, Seed: 3',
        {"prompt": "a", "steps": "5", "hashes": '{"model": "a1, b", "vae": {"x": 1}}', "seed": "3"},
    ),
    "a list": (
        'a\nSteps: 5, Civitai resources: [{"type":"lora","weight":0.5},{"type":"x"}], Civitai metadata: {}',
        {
            **{"prompt": "a", "steps": "5", "civitai metadata": "{}"},
            "civitai resources": '[{"type":"lora","weight":0.5},{"type":"x"}]',
        },
    ),
    "a template on lines of its own": (
        "a boat\nSteps: 5, Size: 64x64\nTemplate: a {red|blue} boat,\n__season__\nNegative Template: b",
        {
            **{"prompt": "a boat", "steps": "5", "size": "64x64"},
            **{"template": "a {red|blue} boat,\n__season__", "negative template": "b"},
        },
    ),
    "a quote that never closes": (
        'a\nSteps: 5, Model: "x, Seed: 3',
        {"prompt": "a", "steps": "5", "model": '"x', "seed": "3"},
    ),
}


@pytest.mark.parametrize(("text", "fields"), INFOTEXTS.values(), ids=INFOTEXTS)
def test_infotext_is_taken_apart(text: str, fields: dict[str, str]) -> None:
    assert generators.parameters(text) == fields


@given(st.text())
def test_any_text_can_be_taken_apart(text: str) -> None:
    assert all(isinstance(value, str) for value in generators.parameters(text + "\nSteps: 1" + text).values())
    generators.read_texts({"prompt": text, "parameters": text, "Dream": text, "Comment": '{"' + text})


SWARM = {
    "sui_image_params": {"prompt": "a red boat", "negativeprompt": "blurry", "model": "sdxl", "seed": 7, "steps": 20}
}
NOVELAI = {"prompt": "a red boat", "uc": "blurry", "seed": 7, "steps": 28, "sampler": "k_euler", "scale": 5.0}
INVOKE = {"positive_prompt": "a red boat", "negative_prompt": "blurry", "seed": 7, "model": {"model_name": "sdxl"}}
OLD_INVOKE = {
    "model": "stable diffusion",
    "model_weights": "sd-1.5",
    "image": {"prompt": [{"prompt": "a red boat [blurry]"}]},
}
FOOOCUS = {
    "prompt": "a red boat",
    "negative_prompt": "blurry",
    "base_model": "juggernaut",
    "seed": "7",
    "full_prompt": ["x"],
}
DRAW_THINGS = {
    "c": "a red boat",
    "uc": "blurry",
    "seed": 7,
    "steps": 20,
    "sampler": "Euler",
    "scale": 7,
    "model": "sdxl.ckpt",
}
LI = f'<rdf:li xml:lang="x-default">{html.escape(json.dumps(DRAW_THINGS))}</rdf:li>'
XMP = f"<x><exif:UserComment><rdf:Alt>{LI}</rdf:Alt></exif:UserComment></x>"
PROGRAMS = {
    "SwarmUI": {"parameters": json.dumps(SWARM, indent=2)},
    "NovelAI": {"Software": "NovelAI", "Description": "a red boat", "Comment": json.dumps(NOVELAI), "Source": "V3"},
    "NovelAI, older": {
        "Software": "NovelAI",
        "Description": "a red boat",
        "Comment": json.dumps({"uc": "blurry", "seed": 7, "steps": 28}),
    },
    "NovelAI in WebP": {"comment": json.dumps({"Comment": json.dumps(NOVELAI), "Software": "NovelAI", "Source": "V4"})},
    "InvokeAI": {"invokeai_metadata": json.dumps(INVOKE), "invokeai_graph": '{"nodes": {"a": {"type": "noise"}}}'},
    "InvokeAI, second version": {"sd-metadata": json.dumps(OLD_INVOKE), "Dream": '"a red boat [blurry]" -s 50 -S 7'},
    "InvokeAI, first version": {"Dream": '"a red boat [blurry]" -s50 -S7 -W512 -H512 -C7.5 -Ak_lms'},
    "Fooocus": {"fooocus_scheme": "fooocus", "parameters": json.dumps(FOOOCUS)},
    "Fooocus, infotext": {
        "fooocus_scheme": "a1111",
        "parameters": "a red boat\nNegative prompt: blurry\nSteps: 30, Seed: 7",
    },
    "Draw Things": {"XML:com.adobe.xmp": XMP},
    "Easy Diffusion": {"prompt": "a red boat", "negative_prompt": "blurry", "seed": "7"},
    "Forge in a JPEG": {"comment": "a red boat\nNegative prompt: blurry\nSteps: 20, Seed: 7"},
    "ComfyUI with an infotext": {"prompt": '{"1": {"class_type": "X"}}', "parameters": "a red boat\nSteps: 20"},
}


@pytest.mark.parametrize("texts", PROGRAMS.values(), ids=PROGRAMS)
def test_prompt_of_each_program_is_told(texts: dict[str, str]) -> None:
    fields = generators.read_texts(texts)
    assert fields["prompt"] == "a red boat"
    assert generators.GRAPH not in fields
    if "class_type" not in str(texts):
        assert fields.get("negative prompt", fields.get("negative_prompt")) == "blurry"
        assert fields["seed"] == "7" or texts["Software"]


def test_settings_of_json_have_the_names_of_infotext() -> None:
    fields = generators.read_texts({"comment": json.dumps(DRAW_THINGS)})
    assert (fields["model"], fields["sampler"], fields["steps"], fields["cfg scale"]) == (
        "sdxl.ckpt",
        "Euler",
        "20",
        "7",
    )
    assert generators.read_texts(PROGRAMS["InvokeAI, second version"])["model"] == "sd-1.5"
    assert generators.read_texts(PROGRAMS["InvokeAI"])["model"] == "sdxl"
    assert generators.read_texts(PROGRAMS["InvokeAI, first version"])["sampler"] == "k_lms"


@pytest.mark.parametrize(
    "texts",
    [
        {"Author": "Anna", "workflow": '{"nodes": []}'},
        {"Comment": '{"a": 1, "b": 2}'},
        {"Description": "a harbour at dawn", "Software": "Some Program 2"},
        {"settings": '{"prompt": {"not": "text"}}'},
    ],
)
def test_other_texts_keep_their_keys(texts: dict[str, str]) -> None:
    assert generators.read_texts(texts) == texts


def test_a_prompt_in_plain_words_or_braces_is_a_prompt() -> None:
    for text in ("a red boat", "{red|blue} boat"):
        assert generators.read_texts({"prompt": text}) == {"prompt": text}


# ------------------------------------------------------------------------------------------------ ComfyUI

Nodes = dict[str, tuple[str, dict[str, object]]]
SAMPLER = {"seed": 7, "steps": 20, "cfg": 8, "sampler_name": "euler", "model": ["m", 0]}
BASE: Nodes = {
    "m": ("CheckpointLoaderSimple", {"ckpt_name": "sdxl.safetensors"}),
    "s": ("KSampler", {**SAMPLER, "positive": ["p", 0], "negative": ["n", 0], "latent_image": ["l", 0]}),
    "l": ("EmptyLatentImage", {"width": 512}),
    "p": ("CLIPTextEncode", {"text": "a red boat", "clip": ["m", 1]}),
    "n": ("CLIPTextEncode", {"text": "blurry", "clip": ["m", 1]}),
    "d": ("VAEDecode", {"samples": ["s", 0], "vae": ["m", 2]}),
    "out": ("SaveImage", {"images": ["d", 0], "filename_prefix": "x"}),
}
ENCODE = "CLIPTextEncode"
BOAT = (ENCODE, {"text": "a red boat", "clip": ["m", 1]})
CAR = (ENCODE, {"text": "a blue car", "clip": ["m", 1]})
SECOND = {**SAMPLER, "positive": ["p2", 0], "negative": ["n", 0], "latent_image": ["s", 0]}
TOLD: dict[str, tuple[Nodes, str | None]] = {
    "the plain graph": ({}, "a red boat"),
    "text on another node": (
        {"p": (ENCODE, {"text": ["t", 0]}), "t": ("PrimitiveString", {"value": "a red boat"})},
        "a red boat",
    ),
    "text through a reroute": (
        {
            "p": (ENCODE, {"text": ["r", 0]}),
            "r": ("Reroute", {"": ["t", 0]}),
            "t": ("String Literal", {"string": "a red boat"}),
        },
        "a red boat",
    ),
    "joined texts": (
        {
            "p": (ENCODE, {"text": ["j", 0], "clip": ["m", 1]}),
            "j": ("StringConcatenate", {"string_a": "a red", "string_b": ["t", 0], "delimiter": " "}),
            "t": ("PrimitiveStringMultiline", {"value": "boat"}),
        },
        "a red boat",
    ),
    "joined texts of many": (
        {
            "p": (ENCODE, {"text": ["j", 0]}),
            "j": ("Text Concatenate", {"delimiter": ", ", "text_a": "a red", "text_b": "boat"}),
        },
        "a red, boat",
    ),
    "combined conditioning": (
        {"c": ("ConditioningCombine", {"conditioning_1": ["p", 0], "conditioning_2": ["p2", 0]}), "p2": CAR}
        | {"s": ("KSampler", {**SAMPLER, "positive": ["c", 0], "negative": ["n", 0]})},
        "a red boat, a blue car",
    ),
    "concatenated conditioning": (
        {"c": ("ConditioningConcat", {"conditioning_to": ["p", 0], "conditioning_from": ["p2", 0]}), "p2": CAR}
        | {"s": ("KSampler", {**SAMPLER, "positive": ["c", 0], "negative": ["n", 0]})},
        "a red boat, a blue car",
    ),
    "an area and a strength": (
        {
            "c": ("ConditioningSetArea", {"conditioning": ["f", 0], "width": 64}),
            "f": ("FluxGuidance", {"conditioning": ["p", 0]}),
        }
        | {"s": ("KSampler", {**SAMPLER, "positive": ["c", 0], "negative": ["n", 0]})},
        "a red boat",
    ),
    "both sides through a control net": (
        {"c": ("ControlNetApplyAdvanced", {"positive": ["p", 0], "negative": ["n", 0], "image": ["i", 0]})}
        | {"s": ("KSampler", {**SAMPLER, "positive": ["c", 0], "negative": ["c", 1]})},
        "a red boat",
    ),
    "SDXL with one text": (
        {"p": ("CLIPTextEncodeSDXL", {"text_g": "a red boat", "text_l": "a red boat"})},
        "a red boat",
    ),
    "SDXL with two texts": (
        {"p": ("CLIPTextEncodeSDXL", {"text_g": "a red boat", "text_l": "sea"})},
        "a red boat, sea",
    ),
    "Flux": (
        {"p": ("CLIPTextEncodeFlux", {"clip_l": "a red boat", "t5xxl": "a red boat", "guidance": 3.5})},
        "a red boat",
    ),
    "an advanced sampler": (
        {"s": ("KSamplerAdvanced", {"noise_seed": 7, "steps": 20, "positive": ["p", 0], "negative": ["n", 0]})},
        "a red boat",
    ),
    "a guider": (
        {
            "s": ("SamplerCustomAdvanced", {"guider": ["g", 0], "noise": ["z", 0], "latent_image": ["l", 0]}),
            "g": ("BasicGuider", {"conditioning": ["f", 0], "model": ["m", 0]}),
            "f": ("FluxGuidance", {"conditioning": ["p", 0], "guidance": 3.5}),
            "z": ("RandomNoise", {"noise_seed": 7}),
        },
        "a red boat",
    ),
    "a guider with both sides": (
        {
            "s": ("SamplerCustomAdvanced", {"guider": ["g", 0], "noise": ["z", 0]}),
            "g": ("CFGGuider", {"positive": ["p", 0], "negative": ["n", 0], "model": ["m", 0], "cfg": 8}),
            "z": ("RandomNoise", {"noise_seed": ["q", 0]}),
            "q": ("Seed", {"seed": 7}),
        },
        "a red boat",
    ),
    "two samplers, one after the other": (
        {"s2": ("KSampler", SECOND), "p2": BOAT, "p": CAR, "d": ("VAEDecode", {"samples": ["s2", 0]})},
        "a red boat",
    ),
    "a second branch that is only shown": (
        {"s2": ("KSampler", SECOND), "p2": CAR, "d2": ("VAEDecode", {"samples": ["s2", 0]})}
        | {"show": ("PreviewImage", {"images": ["d2", 0]})},
        "a red boat",
    ),
    "faces painted again": (
        {"f": ("FaceDetailer", {"image": ["d", 0], "positive": ["p2", 0], "negative": ["n", 0]}), "p2": CAR}
        | {"out": ("SaveImage", {"images": ["f", 0]})},
        "a red boat",
    ),
    "a loader with both texts": (
        {"e": ("Efficient Loader", {"ckpt_name": "x", "positive": "a red boat", "negative": "blurry"})}
        | {"s": ("KSampler (Efficient)", {**SAMPLER, "positive": ["e", 1], "negative": ["e", 2]})},
        "a red boat",
    ),
    "a wildcard as it was drawn": (
        {"p": (ENCODE, {"text": ["w", 0]})}
        | {"w": ("ImpactWildcardProcessor", {"wildcard_text": "__colour__ boat", "populated_text": "a red boat"})},
        "a red boat",
    ),
    "a pipe": (
        {"to": ("ToBasicPipe", {"model": ["m", 0], "clip": ["m", 1], "positive": ["p", 0], "negative": ["n", 0]})}
        | {"from": ("FromBasicPipe", {"basic_pipe": ["to", 0]})}
        | {"s": ("KSampler", {**SAMPLER, "positive": ["from", 3], "negative": ["from", 4]})},
        "a red boat",
    ),
    "a context that is handed on": (
        {"c": ("Context (rgthree)", {"base_ctx": ["b", 0]})}
        | {"b": ("Context (rgthree)", {"positive": ["p", 0], "negative": ["n", 0]})}
        | {"s": ("KSampler", {**SAMPLER, "positive": ["c", 4], "negative": ["c", 5]})},
        "a red boat",
    ),
    "a file name made of a text": (
        {
            "out": ("SaveImage", {"images": ["d", 0], "filename_prefix": ["f", 0]}),
            "f": ("CR Prompt Text", {"prompt": "x"}),
        },
        "a red boat",
    ),
    "a service that draws by itself": (
        {"d": ("FluxProUltraImageNode", {"prompt": "a red boat", "seed": 7})},
        "a red boat",
    ),
    "nothing is saved": ({"out": ("PreviewImage", {"images": ["d", 0]})}, "a red boat"),
    # not told: never the graph, never a part
    "a text that a model writes": (
        {"p": (ENCODE, {"text": ["t", 0]}), "t": ("OllamaGenerate", {"prompt": "invent one"})},
        None,
    ),
    "a text of a picture": (
        {"p": (ENCODE, {"text": ["t", 0]}), "t": ("WD14Tagger", {"image": ["i", 0], "text": "x"})},
        None,
    ),
    "half a text": (
        {"p": (ENCODE, {"text": ["j", 0]}), "j": ("Text Concatenate", {"text_a": "a red", "text_b": ["t", 0]})}
        | {"t": ("Florence2Run", {"image": ["i", 0], "task": "caption"})},
        None,
    ),
    "a text that is changed": (
        {"p": (ENCODE, {"text": ["t", 0]}), "t": ("Text Find and Replace", {"text": "x", "find": "y"})},
        None,
    ),
    "a loop": (
        {"p": (ENCODE, {"text": ["r", 0]}), "r": ("Reroute", {"": ["q", 0]}), "q": ("Reroute", {"": ["r", 0]})},
        None,
    ),
    "a loop of samplers": ({"l": ("VAEEncode", {"pixels": ["d", 0]})}, "a red boat"),
    "a node that is not there": ({"p": (ENCODE, {"text": ["nowhere", 0]})}, None),
    "no text": ({"p": (ENCODE, {"text": "", "clip": ["m", 1]})}, ""),
    "two pictures of two prompts": (
        {
            "s2": ("KSampler", SECOND),
            "p2": CAR,
            "d2": ("VAEDecode", {"samples": ["s2", 0]}),
            "o": ("SaveImage", {"images": ["d2", 0]}),
        },
        None,
    ),
    "no sampler": ({"d": ("LoadImage", {"image": "a.png"})}, None),
}


def graph(nodes: Nodes) -> dict[str, object]:
    return {key: {"class_type": kind, "inputs": inputs} for key, (kind, inputs) in nodes.items()}


@pytest.mark.parametrize(("nodes", "prompt"), TOLD.values(), ids=TOLD)
def test_prompt_of_a_graph_is_followed_or_unknown(nodes: Nodes, prompt: str | None) -> None:
    values = graph({**BASE, **nodes}) | {"99": {"class_type": "Note", "inputs": {}, "is_changed": [float("nan")]}}
    fields = generators.read_texts({"prompt": json.dumps(values), "workflow": json.dumps({"nodes": []})})
    assert fields.get("prompt") == prompt
    assert (generators.GRAPH in fields) == (prompt is None)
    assert fields.get("negative prompt") in ("blurry", None)


def test_negative_prompt_and_settings_of_a_graph_are_told() -> None:
    fields = generators.read_texts({"make": "prompt:" + json.dumps(graph(BASE))})  # as in the EXIF of a WebP
    assert fields == {
        **{"prompt": "a red boat", "negative prompt": "blurry", "seed": "7", "steps": "20", "cfg scale": "8"},
        **{"sampler": "euler", "model": "sdxl.safetensors"},
    }
    zeroed: Nodes = {"n": ("ConditioningZeroOut", {"conditioning": ["p", 0]})}
    assert "negative prompt" not in generators.read_texts({"prompt": json.dumps(graph({**BASE, **zeroed}))})


@pytest.mark.parametrize(
    "text", ['{"1": {"class_type"', '{"nodes": [], "links": []}', '{"a": ' * 5000, '{"1": NaN, "2": {}}']
)
def test_a_graph_that_cannot_be_read_is_no_prompt(text: str) -> None:
    fields = generators.read_texts({"prompt": text})
    assert "prompt" not in fields and generators.GRAPH in fields


def test_texts_that_double_themselves_without_end_are_unknown() -> None:
    nodes: Nodes = {"p": (ENCODE, {"text": ["0", 0]}), "60": ("Text", {"text": "a red boat"})}
    joins: Nodes = {
        str(n): ("StringConcatenate", {"string_a": [str(n + 1), 0], "string_b": [str(n + 1), 0], "string_c": str(n)})
        for n in range(60)
    }
    values = graph({**BASE, **nodes, **joins})
    assert len(generators.read_texts({"prompt": json.dumps(values)}).get("prompt", "")) < 1 << 20

"""What image generators write into a picture's texts, as fields: prompt, negative prompt, seed, model, sampler, ...

Known are the infotext of Automatic1111 and its kin (Forge, SD.Next, Fooocus, Civitai), ComfyUI's graphs, the JSON of
InvokeAI, SwarmUI, NovelAI, Fooocus, Draw Things and Easy Diffusion, and InvokeAI's older command lines. DiffusionBee
writes nothing. Pure.
"""

import html
import json
import re
from collections.abc import Mapping
from typing import Any

from pickroom.core.quantities import plural
from pickroom.images import comfyui

GRAPH = "comfyui"  # the field that says that there is a graph whose prompt cannot be told
_NEGATIVE = re.compile(r"(?:^|\n)Negative prompt:")
_STEPS = re.compile(r"(?:^|\n)Steps:\s*\d")
# "Steps: 20, Sampler: Euler a, ..."; values may be JSON (quoted texts, objects), or anything up to the next setting
_SETTING = re.compile(r"[\s,]*([A-Za-z][\w /+.()-]{0,60}):[ \t]*")
_NEXT = re.compile(r"(?:,\s*|\n)(?=[A-Z][\w /+.()-]{0,60}:\s)")
PREFIXED = re.compile(r"(prompt|workflow)\s*:\s*(?=\{)", re.IGNORECASE)  # ComfyUI's texts in EXIF
_DREAM = re.compile(r'"(.*)"\s+(-.*)', re.DOTALL)
_DREAM_OPTIONS = {"s": "steps", "S": "seed", "C": "cfg scale", "A": "sampler", "W": "width", "H": "height"}
_IN_BRACKETS = re.compile(r"\s*\[([^\[\]]*)\]\s*")  # InvokeAI's negative prompt, within the prompt, until version 2
_XMP_COMMENT = re.compile(r"<exif:UserComment>.*?<rdf:li[^>]*>(.*?)</rdf:li>", re.DOTALL)  # Draw Things
# our name -> keys in JSON, in lower case, without spaces and signs; the first that is there counts
_KEYS = {
    "prompt": ("prompt", "positiveprompt", "positive", "c"),
    "negative prompt": ("negativeprompt", "negative", "uc"),
    "seed": ("seed", "noiseseed"),
    "steps": ("steps", "numinferencesteps"),
    "sampler": ("sampler", "samplername", "scheduler"),
    "cfg scale": ("cfgscale", "guidancescale", "cfg", "scale"),
    "model": ("modelweights", "basemodel", "basemodelname", "usestablediffusionmodel", "modelname", "model"),
}
_WITHIN = ("sui_image_params", "image", "invokeai_metadata", "sd-metadata")  # objects in JSON that hold these keys


def read_texts(texts: Mapping[str, str]) -> dict[str, str]:
    """The fields of a picture's texts (key -> text), generators' taken apart, all others by their own keys."""
    found: list[tuple[int, dict[str, str]]] = []  # infotext says best what was asked for, a graph worst
    fields: dict[str, str] = {}
    for key, text in texts.items():
        prefix = PREFIXED.match(text)
        name, value = (prefix[1].lower(), text[prefix.end() :]) if prefix else (key, text)
        comment = _XMP_COMMENT.search(value)
        read = _read_json(name, html.unescape(comment[1]) if comment else value)
        if read is None and (key == "parameters" or _STEPS.search(value)):
            read = (0, parameters(value))
        elif read is None and key == "Dream" and (command := _DREAM.fullmatch(value.strip())):
            options = {_DREAM_OPTIONS[o]: v for o, v in re.findall(r"-([sSCAWH])[ =]?(\S+)", command[2])}
            read = (1, _split_negative(command[1]) | options)
        if read is not None and read[1]:
            found.append(read)
        if read is None or not read[1]:
            fields[name] = text
    own = {key.lower(): text for key, text in texts.items()}
    if own.get("software", "").startswith("NovelAI"):  # its prompt and model, which its JSON of older versions lacks
        named = {"prompt": own.get("description"), "model": own.get("source")}
        fields |= {name: text for name, text in named.items() if text}
    for _, values in sorted(found, key=lambda one: -one[0]):
        fields |= values
    if "prompt" in fields:
        fields.pop(GRAPH, None)
    return fields


def parameters(text: str) -> dict[str, str]:
    """The fields of an infotext: prompt, negative prompt, and its settings with their names in lower case.

    Source: `parse_generation_parameters` of stable-diffusion-webui, modules/infotext_utils.py.
    """
    text = text.replace("\r\n", "\n")
    last = max((match.start() for match in _STEPS.finditer(text)), default=None)
    if last is None and not _NEGATIVE.search(text):
        return {"parameters": text}
    head, settings = (text, "") if last is None else (text[:last], text[last:])
    negative = _NEGATIVE.search(head)
    fields = {"prompt": (head[: negative.start()] if negative else head).strip()}
    if negative:
        fields["negative prompt"] = head[negative.end() :].strip()
    at = 0
    while setting := _SETTING.match(settings, at):
        value, at = _value(settings, setting.end())
        fields.setdefault(setting[1].strip().lower(), value)
    return fields


def _value(text: str, start: int) -> tuple[str, int]:
    """(a setting's value, where it ends)."""
    if text[start : start + 1] in ('"', "{", "["):
        try:
            value, end = json.JSONDecoder().raw_decode(text, start)
        except (ValueError, RecursionError):
            end = -1
        if end >= 0 and re.match(r"\s*(,|\n|$)", text[end:]):
            return value if isinstance(value, str) else text[start:end], end
    following = _NEXT.search(text, start)
    end = following.start() if following else len(text)
    return text[start:end].strip().rstrip(","), end


def _read_json(key: str, text: str) -> tuple[int, dict[str, str]] | None:
    """(rank, fields) of a JSON text; None where it is not a generator's."""
    if not re.match(r'\s*\{\s*"', text):
        return None
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        # what is torn would be a graph or settings, and is not a prompt
        return (2, {GRAPH: "cannot be read"}) if key == "prompt" else None
    if comfyui.is_graph(values):
        told = {GRAPH: f"a graph of {plural(len(values), 'node')} whose prompt cannot be told"}
        return 2, told | comfyui.read_graph(values)
    if key == "prompt":
        return 2, {GRAPH: "no graph of nodes"}
    nested = {name: value for name, value in values.items() if isinstance(value, str)}
    if "Comment" in nested:  # NovelAI's texts, as WebP has them
        return 1, read_texts(nested)
    fields = _from_values(values)
    if key == "sd-metadata":
        fields |= _split_negative(fields.get("prompt", ""))
    return (1, fields) if len(fields) > 1 else None


def _from_values(values: dict[str, Any]) -> dict[str, str]:
    for name in _WITHIN:
        if isinstance(values.get(name), dict):
            values = {**values, **values[name]}
    plain = {re.sub(r"[\W_]", "", key.lower()): _words(value) for key, value in reversed(values.items())}
    named = {name: next((plain[key] for key in keys if plain.get(key)), "") for name, keys in _KEYS.items()}
    fields = {name: text for name, text in named.items() if text}
    return fields if "prompt" in fields or "negative prompt" in fields else {}


def _words(value: Any) -> str:
    """A value as text: a model by its name, a list of weighted prompts as one."""
    match value:
        case bool() | None:
            return ""
        case str() | int() | float():
            return str(value).strip()
        case {"prompt": str(text)} | {"model_name": str(text)} | {"name": str(text)}:
            return text.strip()
        case list():
            return ", ".join(filter(None, map(_words, value)))
    return ""


def _split_negative(prompt: str) -> dict[str, str]:
    negative = ", ".join(filter(None, map(str.strip, _IN_BRACKETS.findall(prompt))))
    fields = {"prompt": _IN_BRACKETS.sub(" ", prompt).strip()}
    return fields | ({"negative prompt": negative} if negative else {})

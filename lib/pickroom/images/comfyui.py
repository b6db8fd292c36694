"""What a ComfyUI graph asked for: the texts and settings of the sampler that the saved image comes from. Pure.

The graph is the "API format" that ComfyUI writes under the key `prompt`: node id -> class_type and inputs; an input is
a value, or a link `[node id, output]`. Texts are followed through the nodes between sampler and text. Where a node's
meaning is not known, the text is unknown, never a part of it.
"""

import re
from collections.abc import Iterator
from itertools import chain
from typing import Any

Node = dict[str, Any]

_MOST_NODES = 20_000
_LONGEST = 1 << 20  # characters: nodes that join one text with itself make endless ones
# inputs of conditioning nodes that hand on what another node encoded: Combine, Concat, SetArea, FluxGuidance, guiders
_CONDITIONING = re.compile(r"conditioning(_?\d+|_to|_from)?|cond_?\d*|conds?")
# inputs that hold a text, in the order of the words of a joined one
_TEXTS = re.compile(
    r"populated_text|(clip_[lg]|t5xxl|mt5xl|bert|llama)|(text|string|str|prompt|positive|negative)(_?([a-z]|\d+|positive|negative))?"
    r"|value|(text|prompt)_?(positive|negative)|(positive|negative)_?(text|prompt)"
)
# nodes that hold or join a text as it is, and nodes that make another one of it
_PLAIN = re.compile(
    r"text|string|prompt|primitive|concat|join|show|literal|switch|reroute|note|positive|negative|loader|wildcard",
    re.IGNORECASE,
)
_CHANGING = re.compile(
    r"llm|llama|gpt|chat|gemini|claude|florence|translat|replace|regex|random|caption|tagger|interrogat|generat|enhanc"
    r"|expan|shuffle|substring|split|extract|find",
    re.IGNORECASE,
)
_OPPOSITE = {"positive": re.compile("negative|neg(_|$)"), "negative": re.compile("positive|pos(_|$)")}
_HANDED_ON = re.compile(
    r"|\*|(base_)?ctx(_\d+)?|(basic_|detailer_)?pipe|any(thing)?|any_?\d+|input|source|signal|value"
)  # a Reroute's has no name
_SETTINGS = {
    "seed": ("seed", "noise_seed"),
    "steps": ("steps",),
    "cfg scale": ("cfg",),
    "sampler": ("sampler_name",),
    "scheduler": ("scheduler",),
    "model": ("ckpt_name", "unet_name"),
}


def is_graph(values: Any) -> bool:
    """Whether a JSON value is a graph in the API format."""
    nodes = values.values() if isinstance(values, dict) else ()
    return any(isinstance(node, dict) and "class_type" in node for node in nodes)


def read_graph(values: dict[str, Any]) -> dict[str, str]:
    """Fields prompt ("" where none was given), negative prompt, seed, steps, cfg scale, sampler, scheduler, model.

    A field is not there where it cannot be told.
    """
    nodes = {
        str(key): node
        for key, node in list(values.items())[:_MOST_NODES]
        if isinstance(node, dict) and isinstance(node.get("inputs"), dict)
    }
    graph = _Graph(nodes)
    samplers = graph.samplers()
    fields: dict[str, str] = {}
    for field, side in (("prompt", "positive"), ("negative prompt", "negative")):
        texts = {graph.prompt_of(key, side) for key in samplers}
        text = texts.pop() if len(texts) == 1 else None  # of several samplers that agree
        if text is not None and (text.strip() or field == "prompt"):
            fields[field] = text.strip()
    if len(samplers) == 1:
        for field, names in _SETTINGS.items():
            value = graph.setting(samplers[0], names)
            fields |= {} if value is None else {field: str(value)}
    return fields


class _Graph:
    """The nodes by id, and the texts that were told already."""

    def __init__(self, nodes: dict[str, Node]) -> None:
        self.nodes = nodes
        self._told: dict[tuple[str, str], str | None] = {}

    def samplers(self) -> list[str]:
        """The samplers next to the saved images; where nothing is saved, next to what no node takes further."""
        taken = {key for node in self.nodes.values() for key in self._links(node)}
        ends = [key for key in self.nodes if key not in taken]
        saved = [key for key in ends if "save" in str(self.nodes[key].get("class_type")).lower()]
        found = [key for end in saved or ends for key in self._next_samplers(end)]
        return list(dict.fromkeys(found))

    def _next_samplers(self, end: str) -> list[str]:
        """Those fewest nodes away; a detailer, which paints single faces again, only where no other exists."""
        detailers: list[str] = []
        for level in self._levels(end):
            found = [key for key in level if self._is_sampler(self.nodes[key])]
            detailing = [key for key in found if "detailer" in str(self.nodes[key].get("class_type")).lower()]
            if len(found) > len(detailing):
                return [key for key in found if key not in detailing]
            detailers += detailing
        return detailers[:1]

    def _levels(self, start: str) -> Iterator[list[str]]:
        """A node, the nodes that it takes something from, those that these do, ...: each node once."""
        level, seen = [start], {start}
        while level:
            yield level
            level = [key for at in level for key in self._links(self.nodes[at]) if key in self.nodes]
            level = [key for key in dict.fromkeys(level) if key not in seen]
            seen.update(level)

    @staticmethod
    def _is_sampler(node: Node) -> bool:
        inputs, kind = node["inputs"], str(node.get("class_type"))
        guides = re.search("sampl|guid", kind, re.IGNORECASE) and any(map(_CONDITIONING.fullmatch, inputs))
        # services that draw by themselves have a prompt, and no node that encodes it
        draws = "prompt" in inputs and not {"clip", "model"} & inputs.keys()
        draws = draws and ("image" in kind.lower() or not _PLAIN.search(kind))
        return "positive" in inputs or bool(guides) or draws

    def _links(self, node: Node) -> Iterator[str]:
        return filter(None, map(_link, node["inputs"].values()))

    def prompt_of(self, key: str, side: str) -> str | None:
        """The text of one side (positive, negative) of a sampler; None where it cannot be told."""
        inputs = self.nodes[key]["inputs"]
        if side in inputs:
            return self._text(inputs[side], side, ())
        if side == "negative":
            return self._text(inputs["negative_prompt"], side, ()) if "negative_prompt" in inputs else None
        return self._of_node(key, side, ())

    def _text(self, value: Any, side: str, way: tuple[str, ...]) -> str | None:
        key = _link(value)
        if key is None:
            return value if isinstance(value, str) else None
        if key in way or len(way) > 200:  # a loop, or deeper than anyone draws
            return None
        if (key, side) not in self._told:
            self._told[key, side] = self._of_node(key, side, way)
        return self._told[key, side]

    def _of_node(self, key: str, side: str, way: tuple[str, ...]) -> str | None:
        node = self.nodes.get(key)
        if node is None:
            return None
        inputs, kind, way = node["inputs"], str(node.get("class_type")), (*way, key)
        if "zeroout" in kind.lower():
            return ""
        # both sides pass through, or go into a pipe
        if _link(inputs.get("positive")) and _link(inputs.get("negative")):
            return self._text(inputs[side], side, way)
        if len(way) > 1 and _CHANGING.search(kind):
            return None
        chosen = inputs.get(f"input{inputs.get('select')}")  # a switch
        if chosen is not None:
            return self._text(chosen, side, way)
        parts = [value for name, value in inputs.items() if _CONDITIONING.fullmatch(name) and _link(value)]
        joint = ", "
        if not parts and (len(way) == 1 or _PLAIN.search(kind) or "clip" in inputs):
            names = [name for name in inputs if _TEXTS.fullmatch(name) and not _OPPOSITE[side].search(name)]
            if "populated_text" in names:  # a wildcard's text as it was drawn
                names = ["populated_text"]
            parts = [inputs[name] for name in names if isinstance(inputs[name], str) or _link(inputs[name])]
            joint = next((str(inputs[n]) for n in ("delimiter", "separator") if isinstance(inputs.get(n), str)), joint)
            joint = joint.replace("\\n", "\n")
        if not parts:
            links = [(name, value) for name, value in inputs.items() if _link(value)]
            parts = [value for name, value in links if _HANDED_ON.fullmatch(name)][:1] if links else []
        texts = [self._text(part, side, way) for part in parts]
        if not texts or any(text is None for text in texts):
            return None
        # SDXL and Flux encode the same words twice
        told = list(dict.fromkeys(text for text in texts if text))
        return joint.join(told) if sum(map(len, told)) < _LONGEST else None

    def setting(self, sampler: str, names: tuple[str, ...]) -> str | int | float | None:
        """The value nearest to a sampler among its own inputs and those of the nodes before it, texts aside."""
        for key in chain.from_iterable(self._levels(sampler)):
            for name in names:
                value = self.nodes[key]["inputs"].get(name)
                if isinstance(value, str | int | float) and not isinstance(value, bool):
                    return value
        return None


def _link(value: Any) -> str | None:
    """The node that an input's value comes from."""
    match value:
        case [str() | int() as key, int()]:
            return str(key)
    return None

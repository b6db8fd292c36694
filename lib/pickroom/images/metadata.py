"""What is written about an image: PNG text, EXIF comments, YAML and caption companions (key I on the deck)."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from PIL.ExifTags import IFD
from PIL.Image import Image

from pickroom.core.companions import Companions
from pickroom.core.errors import ImageError
from pickroom.core.naming import extension_of
from pickroom.images import decode, generators
from pickroom.storage import atomic, texts

_LINE_LIMIT = 60  # characters of a setting shown in a line
_TEXT_LIMIT = 4000  # characters shown of one value: a prompt fits, a book does not
_FILE_LIMIT = 1 << 20  # bytes read of one companion
# settings are a page long and nested once or twice: the reader of YAML takes seconds for what is much more
_YAML_LIMIT, _YAML_DEPTH = 1 << 16, 20  # characters; maps and lists within each other
_USER_COMMENT, _DESCRIPTION, _SOFTWARE = 0x9286, 0x010E, 0x0131  # Exif 2.32, tables 4 and 6
_CODES = (b"ASCII\0\0\0", b"JIS\0\0\0\0\0", b"\0" * 8)  # of a comment's characters, next to Unicode
_GRAPHS = {"make": 0x010F, "model": 0x0110}  # of a camera; ComfyUI puts its graphs there in WebP and JPEG
# companions and texts that hold what the picture was asked to be; the first that is there counts
_CAPTIONS = ("caption", "txt", "prompt")
# fields of texts and of nested settings: model, seed, sampler
_MADE_WITH = [re.compile(rf"\b{name}$") for name in ("(model|checkpoint|ckpt)( name)?", "seed", "sampler( name)?")]
_AROUND_MODEL = re.compile(r"^.*[/\\]|\.(safetensors|ckpt|gguf|pth?)$")


@dataclass(frozen=True, slots=True)
class InfoRow:
    """One field over all candidates; `values` has a text for each image, "" where it has none."""

    field: str
    values: tuple[str, ...]

    @property
    def differs(self) -> bool:
        return len(set(self.values)) > 1


def compare(paths: Sequence[Path]) -> list[InfoRow]:
    """The fields of several images side by side, those that differ first; what is written twice, once.

    Unreadable parts are left out.
    """
    found = [read(path) for path in paths]
    fields = list(dict.fromkeys(field for values in found for field in values))
    rows = [InfoRow(field, tuple(values.get(field, "") for values in found)) for field in fields]
    return sorted(_once(rows), key=lambda row: not row.differs)


def _once(rows: Sequence[InfoRow]) -> list[InfoRow]:
    """Rows without those that an earlier one says already: `settings cfg_scale` of a YAML is the PNG's `cfg scale`."""
    kept: list[InfoRow] = []
    for row in rows:
        name = f" {_plain(row.field)}"
        if not any(row.values == one.values and name.endswith(f" {_plain(one.field)}") for one in kept):
            kept.append(row)
    return kept


def _plain(field: str) -> str:
    return field.replace("_", " ").casefold()


def read(path: Path, companions: Sequence[str] | None = None, longest: int = _TEXT_LIMIT) -> dict[str, str]:
    """Field -> text of one image and its companions. The texts are hostile: escape them before showing.

    Args:
        companions: their names, for a caller that has listed the folder; None looks for them.
        longest: characters of a text; the rest of it is left out.
    """
    fields: dict[str, str] = {}
    try:
        with decode.open_image(path) as image:
            exif = _exif(image)
            fields = generators.read_texts({**decode.texts_of(image), **exif})
            fields.pop("xmp", None)  # written by programs for programs; a generator's was taken apart
    except ImageError:
        fields["image"] = "cannot be read"
    return {key: text[:longest] for key, text in {**fields, **_companions(path, companions)}.items()}


def made_with(path: Path) -> str:
    """Model, seed and sampler of a generated image in one line, from its texts or its YAML; "" where none is said."""
    companions = [name for suffix in ("yaml", "yml") if (path.parent / (name := f"{path.stem}.{suffix}")).is_file()]
    fields = {_plain(field): text for field, text in read(path, companions).items()}
    values = []
    for wanted in _MADE_WITH:
        named = sorted(filter(wanted.search, fields), key=len)  # `settings model` before `settings upscaler model`
        values.append(" ".join(fields[named[0]].split())[:_LINE_LIMIT] if named else "")
    model, seed, sampler = values
    return " · ".join(filter(None, (_AROUND_MODEL.sub("", model), f"seed {seed}" if seed else "", sampler)))


def caption(path: Path, companions: Sequence[str] | None = None) -> tuple[str | None, str]:
    """What an image was asked to be, or None; and why not, where something is written that cannot be read."""
    fields = read(path, companions, _FILE_LIMIT)
    for key in _CAPTIONS:
        if text := fields.get(key):
            return (None, f"its {key} is not text in a known encoding") if "\ufffd" in text else (text, "")
    return None, f"its prompt is {fields[generators.GRAPH]}" if generators.GRAPH in fields else ""


def _exif(image: Image) -> dict[str, str]:
    try:
        exif = decode.exif_of(image)
        found = {
            "description": exif.get(_DESCRIPTION),
            "software": exif.get(_SOFTWARE),
            "comment": exif.get_ifd(IFD.Exif).get(_USER_COMMENT),
            **{name: exif.get(tag) for name, tag in _GRAPHS.items()},
        }
        big_endian = exif.endian == ">"
    except Exception:  # noqa: BLE001 (Pillow's parser raises almost anything on damaged EXIF; the row has the reason)
        return {"exif": "cannot be read"}
    written = {k: _comment(v, big_endian) if isinstance(v, bytes) else str(v) for k, v in found.items() if v}
    return {name: text for name, text in written.items() if name not in _GRAPHS or generators.PREFIXED.match(text)}


def _comment(value: bytes, big_endian: bool) -> str:
    # Exif 2.32, 4.6.5: eight bytes name the character code
    code, body = value[:8], value[8:]
    if code != b"UNICODE\0":
        text = body if code in _CODES else value  # some writers leave the code out
        return text.decode(errors="replace").strip("\0 ")
    # The file's byte order should hold, but many writers keep to their own: the zeros of plain letters tell.
    high, low = body[0::2].count(0), body[1::2].count(0)
    encoding = "utf-16-be" if high > low or (high == low and big_endian) else "utf-16-le"
    return body.decode(encoding, errors="replace").strip("\0\ufeff ")


def _companions(path: Path, names: Sequence[str] | None) -> dict[str, str]:
    fields: dict[str, str] = {}
    if names is None:
        try:
            names = Companions(p.name for p in path.parent.iterdir()).of(path.name)
        except OSError:
            return fields
    for name in names:
        try:
            with atomic.open_plain(path.parent / name) as file:
                data = file.read(_FILE_LIMIT)
        except OSError:
            fields[name] = "cannot be read"
            continue
        text = texts.decode(data)
        text = data.decode(errors="replace") if text is None else text
        if extension_of(name) in ("yaml", "yml"):
            fields |= _yaml_fields(name, text)
        elif extension_of(name) in ("caption", "txt"):
            fields[extension_of(name)] = text.strip()
    return fields


def _yaml_fields(name: str, text: str) -> dict[str, str]:
    if len(text) > _YAML_LIMIT:
        return {name: "is too long to be read as settings"}
    try:
        values: Any = yaml.load(text, _PlainLoader)
    except (yaml.YAMLError, RecursionError):
        return {name: "is not plain YAML"}
    if not isinstance(values, dict):
        return {name: text.strip()}
    return dict(_flat(values))


def _flat(values: dict[Any, Any], before: str = "") -> Iterator[tuple[str, str]]:
    """Nested settings one by one, so that candidates can be compared field by field; lists in one line."""
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{before}{key} ")
        elif isinstance(value, list):
            yield f"{before}{key}", ", ".join(str(item) for item in value)
        else:
            yield f"{before}{key}", str(value)


class _PlainLoader(yaml.BaseLoader):
    """Every value as the text that was written; no aliases, since a few of them can stand for endless text."""

    _depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases are not read")
        self._depth += 1
        if self._depth > _YAML_DEPTH:
            raise yaml.YAMLError("nested too deeply")
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

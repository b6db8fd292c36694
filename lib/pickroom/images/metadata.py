"""What is written about an image: PNG text, EXIF comments, YAML and caption companions (key I on the deck)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from PIL.ExifTags import IFD

from pickroom.errors import ImageError
from pickroom.images import decode
from pickroom.naming import companions_by_stem, extension_of, stem_of

_TEXT_LIMIT = 4000  # characters shown of one value: a prompt fits, a book does not
_FILE_LIMIT = 1 << 20  # bytes read of one companion
_USER_COMMENT, _DESCRIPTION, _SOFTWARE = 0x9286, 0x010E, 0x0131  # Exif 2.32, tables 4 and 6
# "Steps: 20, Sampler: Euler a, ..." as image generators write it on the last line of their parameters
_SETTING = re.compile(r"\s*([A-Z][\w /+-]{0,40}):\s*(\"(?:\\.|[^\"\\])*\"|[^,]*)(?:,|$)")


@dataclass(frozen=True, slots=True)
class InfoRow:
    """One field over all candidates; `values` has a text for each image, "" where it has none."""

    field: str
    values: tuple[str, ...]

    @property
    def differs(self) -> bool:
        return len(set(self.values)) > 1


def compare(paths: Sequence[Path]) -> list[InfoRow]:
    """The fields of several images side by side, those that differ first. Unreadable parts are left out."""
    found = [read(path) for path in paths]
    fields = list(dict.fromkeys(field for values in found for field in values))
    rows = [InfoRow(field, tuple(values.get(field, "") for values in found)) for field in fields]
    return sorted(rows, key=lambda row: not row.differs)


def read(path: Path) -> dict[str, str]:
    """Field -> text of one image and its companions. The texts are hostile: escape them before showing."""
    fields: dict[str, str] = {}
    try:
        with decode.open_image(path) as image:
            for key, value in image.info.items():
                if isinstance(key, str) and isinstance(value, str):
                    fields |= parameters(value) if key == "parameters" else {key: value}
            exif = image.getexif()
            for name, value in (
                ("description", exif.get(_DESCRIPTION)),
                ("software", exif.get(_SOFTWARE)),
                ("comment", exif.get_ifd(IFD.Exif).get(_USER_COMMENT)),
            ):
                if value:
                    fields[name] = _comment(value) if isinstance(value, bytes) else str(value)
    except (ImageError, OSError, ValueError, SyntaxError):
        fields["image"] = "cannot be read"
    return {key: text[:_TEXT_LIMIT] for key, text in {**fields, **_companions(path)}.items()}


def parameters(text: str) -> dict[str, str]:
    """The fields of a generator's `parameters` text: prompt, negative prompt, and its settings."""
    prompt, marker, settings = text.rpartition("\nSteps:")
    if not marker:
        return {"parameters": text}
    prompt, negative_marker, negative = prompt.partition("\nNegative prompt:")
    fields = {"prompt": prompt.strip()}
    if negative_marker:
        fields["negative prompt"] = negative.strip()
    return fields | {m[1].strip().lower(): m[2].strip() for m in _SETTING.finditer("Steps:" + settings)}


def _comment(value: bytes) -> str:
    # Exif 2.32, 4.6.5: eight bytes name the character code
    code, body = value[:8], value[8:]
    return body.decode("utf-16" if code.startswith(b"UNICODE") else "utf-8", errors="replace").strip("\0 ")


def _companions(path: Path) -> dict[str, str]:
    fields: dict[str, str] = {}
    try:
        names = companions_by_stem(p.name for p in path.parent.iterdir()).get(stem_of(path.name), ())
    except OSError:
        return fields
    for name in names:
        try:
            with (path.parent / name).open("rb") as file:
                text = file.read(_FILE_LIMIT).decode("utf-8", errors="replace")
        except OSError:
            fields[name] = "cannot be read"
            continue
        if extension_of(name) in ("yaml", "yml"):
            fields |= _yaml_fields(name, text)
        elif extension_of(name) in ("caption", "txt"):
            fields[extension_of(name)] = text.strip()
    return fields


def _yaml_fields(name: str, text: str) -> dict[str, str]:
    try:
        values: Any = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError):
        return {name: "is not valid YAML"}
    if not isinstance(values, dict):
        return {name: text.strip()}
    return {str(key): str(value) for key, value in values.items()}

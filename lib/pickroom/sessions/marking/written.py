"""What is written about the images of a board: YAML, caption, PNG text; of a finished crop, what its original has too.

A crop keeps the text inside its file, but its YAML and caption go to `crop_originals/` with the image that it was cut
from (files/cropping.py), under the same name. Where the original was reclaimed, the crop's own text is left.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from pickroom.core.naming import (
    CROP_ORIGINALS,
    CROPPED,
    companions_by_stem,
    filename_of,
    folder_of,
    join,
    split,
    stem_of,
)
from pickroom.images import metadata


class Writing:
    """Reads images of one project folder; each folder is listed once, so that ten thousand images cost no more."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._beside: dict[str, Mapping[str, tuple[str, ...]]] = {}

    def list_folders(self, paths: list[str]) -> None:
        """List the folders of these images and of their originals, before `read` is called from several threads."""
        places = [*paths, *filter(None, map(original_of, paths))]
        self._beside |= {folder: self._companions(folder) for folder in {folder_of(path) for path in places}}

    def read(self, path: str) -> dict[str, str]:
        """Field -> text of an image, named relative to the root; what a crop says itself counts before its original."""
        original = original_of(path)
        if original is None or not (self.root / original).is_file():
            return self._of(path)
        return {**self._of(original), **self._of(path)}

    def _of(self, path: str) -> dict[str, str]:
        folder, name = split(path)
        if folder not in self._beside:
            self._beside[folder] = self._companions(folder)
        return metadata.read(self.root / path, self._beside[folder].get(stem_of(name), ()))

    def _companions(self, folder: str) -> Mapping[str, tuple[str, ...]]:
        try:
            return companions_by_stem(os.listdir(self.root / folder))
        except OSError:
            return {}


def original_of(path: str) -> str | None:
    """Where the original of a finished crop lies, also of one that was sorted since; None for what is no crop."""
    top, _, rest = path.partition("/")
    return join(CROP_ORIGINALS, filename_of(rest)) if top == CROPPED and rest else None

"""The folder chooser of the app: folders of this machine as links, and a button that opens one as a project."""

import os
from collections.abc import Callable
from html import escape
from itertools import islice
from pathlib import Path

from pickroom.core.naming import is_image_name, is_text
from pickroom.core.quantities import plural

OPEN = "open:"  # before the folder that a button opens
_MOST = 500  # folders listed
_COUNTED = 20_000  # entries looked at to count a folder's images


def chooser(folder: Path, query: Callable[[str], str]) -> str:
    """The page of one folder: the way up, its sub-folders, and a button to open it; `query` makes a folder's place.

    Raises OSError where it cannot be listed.
    """
    with os.scandir(folder) as entries:
        inside = sorted(islice(entries, _COUNTED), key=lambda entry: entry.name.casefold())
    folders = [one for one in inside if not one.name.startswith(".") and is_text(one.name) and one.is_dir()]
    images = sum(is_image_name(entry.name) for entry in inside)
    way = "".join(_link(query(str(one)), one.name or "/") for one in (*reversed(folder.parents), folder))
    rows = "".join(f"<li>{_link(query(entry.path), entry.name)}</li>" for entry in folders[:_MOST])
    more = f"<p>and {len(folders) - _MOST:,} more</p>" if len(folders) > _MOST else ""
    here = plural(images, "image") if images else "no image"
    below = " and those of its folders" if folders else ""
    return (
        f'<section class="chooser"><h2>Add a folder</h2><nav class="way">{way}</nav>'
        f'<p class="ways"><button class="main" data-go="{escape(OPEN + str(folder))}">Open this folder</button>'
        f" <span>{here} in it{below}; nothing moves before you finalise</span></p>"
        f"<ul>{rows}</ul>{more}</section>"
    )


def _link(query: str, text: str) -> str:
    return f'<button data-go="{escape(query)}">{escape(text)}</button>'

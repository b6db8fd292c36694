"""The JavaScript and the style sheets of the widgets, each as the one text that anywidget takes."""

from __future__ import annotations

import json
import re
from pathlib import Path

_HERE = Path(__file__).parent
_IMPORT = re.compile(r'from "\./(.+)";$', re.MULTILINE)


def widget_module(name: str) -> str:
    """A widget's ES module, with the modules of app/js that it imports as texts; app/js/load.js links them.

    Args:
        name: of the file whose default export is the widget.
    """
    loader = (_HERE / "js" / "load.js").read_text(encoding="utf-8")
    return f"{loader}\nexport default () => load({json.dumps(_with_imports(name))});\n"


def _with_imports(name: str) -> dict[str, str]:
    """Module name -> text of a module and everything it imports, imported modules first."""
    source = (_HERE / "js" / name).read_text(encoding="utf-8")
    found: dict[str, str] = {}
    for imported in _IMPORT.findall(source):
        found |= _with_imports(imported)
    return found | {name: source}


def style_sheet(*names: str) -> str:
    """Files of app/css as one style sheet."""
    return "\n".join((_HERE / "css" / name).read_text(encoding="utf-8") for name in names)

"""Text as it stands on a page: escaped, and in the app without the commands and notebooks that a page stands for. Pure.

Messages come from every package, and name the command or the notebook that helps. The app has neither a terminal nor
notebooks: there each becomes what its pages have (`_IN_THE_APP`). A command that no page stands for stays.
"""

import html
import re

in_app = False  # whether this process shows the app, which sets it: a kernel has one page

_LOOK = "press Look for new images on the page Projects"
_FOLDER, _ADD = "choose the folder where its images are now", "add a folder on the page Projects"
# what a message says -> what it says in the app
_IN_THE_APP = [
    (r"run `pickroom recover [\w-]+`", "open this page again, it finishes them"),
    (r"pickroom recover [\w-]+(?! --)\b", "open this page again"),
    (r"pickroom undo [\w-]+ --batch (\w+)", r"batch \1 on the page Reports"),
    (r" in 30_crop\b", " for a crop"),
    (r"run `pickroom (embed|groups)`( again)?", _LOOK),
    (r"(group the images by how they look: )?pickroom index [\w-]+", _LOOK),
    (r"pickroom (embed|groups)( [\w-]+)?(; without a network: --encoder bundled)?(?! --)(?![\w -]* --)", _LOOK),
    (r"(in the folder where its images are now: )?pickroom relocate [\w-]+ \. --home ('[^']*'|[^\s)]+)", _FOLDER),
    (r"(make one of|give it) the folder you are in: pickroom (start [\w-]+ --images|open) \.", _ADD),
    (r"pickroom train( ranker| crop_proposer)?( [\w-]+)?", "on the page Models"),
    (r"pickroom status [\w-]+", "the page Reports"),
]
_COMPILED = [(re.compile(pattern), words) for pattern, words in _IN_THE_APP]


def shown(text: str) -> str:
    """A message as the page says it.

    >>> shown("1 waits in 30_crop")
    '1 waits in 30_crop'
    """
    if in_app and ("pickroom " in text or "30_crop" in text):
        for pattern, words in _COMPILED:
            text = pattern.sub(words, text)
    return text


def escape(text: str) -> str:
    """A message as the page says it, as HTML; quotes are escaped too."""
    return html.escape(shown(text))

"""Checks of a project's decisions before anything is trained on them, or finished. Read-only: no row is repaired.

A check that fails is an `error` or `excluded` (a sound row is left out of the training set, and counted). A damaged
file, or rows of another project, stop everything. Any other error makes its row unsound: all readers leave out that row
only, with its name and a count.
"""

from pickroom.integrity.inspection import Inspection, find_unsound, inspect, save_report, unsound_rows, vectors_on_disk
from pickroom.integrity.whereabouts import in_words, whereabouts

__all__ = [
    "Inspection",
    "find_unsound",
    "in_words",
    "inspect",
    "save_report",
    "unsound_rows",
    "vectors_on_disk",
    "whereabouts",
]

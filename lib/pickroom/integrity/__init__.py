"""Checks of a project's decisions before anything is trained on them, or finished. Read-only: rows are never mended.

A check that fails is an `error` or `excluded` (a sound row is left out of the training set, and counted). A damaged
file and rows of another project refuse everything. Any other error makes its row unsound: that row alone is left out of
all that reads decisions, named and counted.
"""

from pickroom.integrity.checks import CHECKS, Level, Purpose
from pickroom.integrity.inspection import (
    Finding,
    Inspection,
    Unsound,
    find_unsound,
    inspect,
    save_report,
    unsound_rows,
    vectors_on_disk,
)
from pickroom.integrity.whereabouts import whereabouts

__all__ = [
    "CHECKS",
    "Finding",
    "Inspection",
    "Level",
    "Purpose",
    "Unsound",
    "find_unsound",
    "inspect",
    "save_report",
    "unsound_rows",
    "vectors_on_disk",
    "whereabouts",
]

"""Integrity first: what must hold of a project's decisions before anything is trained on them, or finished.

A check that fails is an `error` (training refuses, and so does finishing) or `excluded` (the row is left out of the
training set, and counted). Read-only: rows are reported, never mended.
"""

from pickroom.integrity.checks import CHECKS, Level, Purpose
from pickroom.integrity.folders import whereabouts
from pickroom.integrity.inspection import Finding, Inspection, inspect, save_report, vectors_on_disk

__all__ = [
    "CHECKS",
    "Finding",
    "Inspection",
    "Level",
    "Purpose",
    "inspect",
    "save_report",
    "vectors_on_disk",
    "whereabouts",
]

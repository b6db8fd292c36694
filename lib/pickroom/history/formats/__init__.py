"""The old CSV formats, one module each; docs/legacy-schemas.md describes them."""

from __future__ import annotations

from collections.abc import Sequence

from pickroom.history.formats.crop_training import CROP_TRAINING
from pickroom.history.formats.decisions import DECISIONS
from pickroom.history.formats.historical_crops import HISTORICAL_CROPS
from pickroom.history.formats.protocol import Convert, Format
from pickroom.history.formats.select_crop import SELECT_CROP
from pickroom.history.formats.selections import ANOMALY_CASES, SELECTION_ONLY

FORMATS: tuple[Format, ...] = (
    SELECT_CROP,
    DECISIONS,
    CROP_TRAINING,
    ANOMALY_CASES,
    SELECTION_ONLY,
    HISTORICAL_CROPS,
)

__all__ = ["CROP_TRAINING", "FORMATS", "Convert", "Format", "format_of"]


def format_of(header: Sequence[str]) -> Format | None:
    """The format that these column names (in lower case, in any order) are of; None for an unknown one."""
    columns = set(header)
    return next((known for known in FORMATS if known.required <= columns), None)

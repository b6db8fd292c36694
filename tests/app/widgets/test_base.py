"""What desks and surfaces inherit from ipywidgets stays what ipywidgets calls."""

from __future__ import annotations

from inspect import isfunction

import ipywidgets
import pytest

from pickroom.app.widgets import app, automate_page, deck, duplicates_desk, grid_desk, stage

OURS = {"__init__", "close"}  # these call what they hide


@pytest.mark.parametrize(
    "kind",
    [
        *(deck.Deck, automate_page.AutoDeck, deck.CropDesk, grid_desk.BrowseDesk, grid_desk.SortDesk),
        *(duplicates_desk.DuplicatesDesk, stage.Stage, stage.Grid, app.App, app.Links),
    ],
)
def test_no_method_of_the_widget_library_is_hidden(kind: type) -> None:
    ours = [base for base in kind.__mro__ if base.__module__.startswith("pickroom.")]
    methods = {name for base in ours for name, value in vars(base).items() if isfunction(value)}
    assert {name for name in methods if hasattr(ipywidgets.VBox, name)} - OURS == set()

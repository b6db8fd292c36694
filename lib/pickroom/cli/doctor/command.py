"""The command that looks whether everything Pickroom needs is there."""

from __future__ import annotations

from pickroom.cli.console import Home, Json, app, fail_if, show
from pickroom.store.workspace import Workspace


@app.command()
def doctor(home: Home = None, json_output: Json = False) -> None:
    """Check this machine and the workspace: each line ok, warn or fail, what it means, and what to do.

    Changes nothing, fetches nothing; what a disk can do is tried in a hidden folder, which is removed.
    Exits 1 if anything failed.
    """
    from pickroom.cli.doctor import machine, workspaces
    from pickroom.cli.doctor.findings import to_dict

    findings = [*machine.look(), *workspaces.look(Workspace.find(home))]
    values = to_dict(findings)
    show(values, json_output, [finding.line for finding in findings])
    fail_if(not values["ok"])

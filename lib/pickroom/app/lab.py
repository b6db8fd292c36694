"""Start JupyterLab with the user's copies of the notebooks, on this machine only: loopback, with a token."""

import hashlib
import os
import sys
from pathlib import Path
from typing import NoReturn

from pickroom.store import written_files
from pickroom.store.workspace import Workspace, package_notebooks

REVIEW_NOTEBOOK = "20_review.ipynb"
# Pickroom's settings of the server; options given here override the user's Jupyter files
SERVER_OPTIONS = (
    # never without a token, and never for another machine or another site's page
    "--ServerApp.identity_provider_class=pickroom.app.server.jupyter.OwnToken",
    "--ServerApp.allow_unauthenticated_access=False",
    "--ServerApp.disable_check_xsrf=False",
    "--ServerApp.allow_remote_access=False",
    "--ServerApp.allow_origin=",
    "--ServerApp.allow_origin_pat=",
    "--LabApp.extension_manager=readonly",  # no catalogue of extensions is fetched
    # the answer to a key is a few small messages, which must not wait for each other
    "--ServerApp.kernel_websocket_connection_class=pickroom.app.server.jupyter.PromptConnection",
    # no log lines about code in the user's terminal; the address is printed at any level
    "--ServerApp.log_level=WARN",
    "--LabApp.log_level=WARN",
    "--MultiKernelManager.kernel_manager_class=pickroom.app.server.jupyter.QuietKernelManager",
)


def copy_notebooks(workspace: Workspace) -> list[str]:
    """Copy the package's notebooks to the workspace's folder, where they belong to the user.

    A missing one is made. One that the user has not changed since becomes the present version.

    Returns:
        the names of changed copies of which this package has a newer version.
    """
    outdated = []
    for source in package_notebooks():
        target, text = workspace.notebooks / source.name, source.read_text(encoding="utf-8")
        if target.is_file() and target.read_bytes() == text.encode():
            continue
        if written_files.may_replace(workspace, target):
            written_files.write_text(workspace, target, text)
        elif not written_files.is_known(workspace, hashlib.sha256(text.encode()).hexdigest()):
            outdated.append(source.name)
    return outdated


def command(folder: Path, *, port: int, browser: bool) -> list[str]:
    """The command line of JupyterLab, opening the review; the token is its own random one."""
    # a container's only user is often root, which JupyterLab refuses unless it is told so
    as_root = ["--allow-root"] if os.geteuid() == 0 else []
    return [
        sys.executable,
        *("-W", "ignore"),  # what its extensions think of each other
        "-m",
        "jupyterlab",
        f"--ServerApp.root_dir={folder}",
        "--ServerApp.ip=127.0.0.1",
        f"--ServerApp.port={port}",
        f"--LabApp.default_url=/lab/tree/{REVIEW_NOTEBOOK}",
        f"--ServerApp.open_browser={browser}",
        # nothing is fetched from outside: no news, no update check
        "--LabApp.news_url=None",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        *SERVER_OPTIONS,
        *as_root,
    ]


def run(workspace: Workspace, *, port: int = 8888, browser: bool = True) -> NoReturn:
    """Replace this process by JupyterLab, so that stopping the process stops JupyterLab."""
    # its labconfig/ switches off the question whether to fetch news, which would lie over the deck at every start
    config = [str(Path(__file__).parent / "server"), os.environ.get("JUPYTER_CONFIG_PATH", "")]
    environment = {
        **os.environ,
        "PICKROOM_HOME": str(workspace.root),
        "JUPYTER_CONFIG_PATH": os.pathsep.join(path for path in config if path),
    }
    arguments = command(workspace.notebooks, port=port, browser=browser)
    os.execve(arguments[0], arguments, environment)

"""A real JupyterLab on loopback and a real Chromium, for the tests of this folder and the browser benchmarks.

Everything lives in one temporary folder (settings, kernels, notebooks, the browser's profile); nothing of the
person's own Jupyter is read or written, and nothing outside loopback is reached.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from pickroom.app.lab import SERVER_OPTIONS
from pickroom.store.workspace import package_notebooks

START_S = 180.0  # seconds a JupyterLab may take to answer, on a machine that is busy with other work
# found to be needed in containers; none of them changes what a page does
CHROMIUM_ARGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
# no news, no update checks, no tips: they are pop-ups over the notebook
QUIET = {"fetchNews": "false", "checkForUpdates": False, "doNotDisturbMode": True}

# JupyterLab may start two kernels for one notebook and shut the first one down again; and a kernel is called idle
# before it has answered anything. Ready is: the one the notebook has now has said who it is, and is idle.
KERNEL_READY = """() => {
  const kernel = window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel;
  if (!kernel) return false;
  const info = kernel.info;  // another promise after each restart
  if (window.askedFor !== info) {
    window.askedFor = info;
    info.then(() => { window.answered = info; });
  }
  return window.answered === info && kernel.connectionStatus === "connected" && kernel.status === "idle";
}"""


def find_chromium() -> str | None:
    """The system's Chromium or Chrome."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@contextmanager
def open_browser() -> Iterator[Browser]:
    """A headless system Chromium; the caller has checked that there is one."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=list(CHROMIUM_ARGS))
        yield browser
        browser.close()


@dataclass(frozen=True, slots=True)
class Lab:
    """A running JupyterLab.

    Attributes:
        folder: its notebooks.
        settings: what pages read when they load; `change_settings` writes it.
        log: what it printed.
    """

    url: str
    token: str
    folder: Path
    settings: Path
    log: Path

    def change_settings(self, plugin: str, values: Mapping[str, Any]) -> None:
        """Settings of one of JupyterLab's plugins, for pages loaded from now on."""
        path = self.settings / "@jupyterlab" / f"{plugin}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values))

    def add_notebook(self, name: str, parameters: Mapping[str, Any], *, tail: int = 0) -> None:
        """Copy one of the project's notebooks, with other values in its parameters cell.

        Args:
            tail: so many tall cells are added at its end.
        """
        import nbformat  # takes a second, which every process that collects the tests would wait for

        notebook = nbformat.read(next(path for path in package_notebooks() if path.name == name), as_version=4)
        cell = next(c for c in notebook.cells if "parameters" in c.metadata.get("tags", ()))
        cell.source = "\n".join(f"{key} = {value!r}" for key, value in parameters.items())
        notebook.cells += [nbformat.v4.new_markdown_cell("tall\n\n" * 20) for _ in range(tail)]
        nbformat.write(notebook, self.folder / name)

    def open(self, context: BrowserContext, notebook: str) -> NotebookPage:
        """Open a notebook in a new page and wait until its kernel is there."""
        page = context.new_page()
        # a workspace of its own: else JupyterLab would open the other notebooks' tabs again too
        page.goto(f"{self.url}lab/workspaces/{Path(notebook).stem}/tree/{notebook}?token={self.token}")
        opened = NotebookPage(self, page)
        opened.wait_for_kernel()
        return opened

    def api(self, path: str, method: str = "GET") -> Any:
        """Jupyter Server's REST answer, parsed (None when it has no body)."""
        request = urllib.request.Request(f"{self.url}api/{path}", method=method)
        request.add_header("Authorization", f"token {self.token}")
        with urllib.request.urlopen(request, timeout=30) as answer:
            body = answer.read()
        return json.loads(body) if body else None

    def shut_down_kernels(self) -> None:
        for session in self.api("sessions"):
            self.api(f"sessions/{session['id']}", "DELETE")


@dataclass(frozen=True, slots=True)
class NotebookPage:
    """One notebook in one page."""

    lab: Lab
    page: Page

    def wait_for_kernel(self) -> None:
        """Wait until the notebook is drawn and its kernel is idle."""
        self.page.locator(".jp-Notebook .jp-Cell").first.wait_for(timeout=60_000)
        self.page.wait_for_function(KERNEL_READY, timeout=60_000, polling=50)

    def command(self, name: str) -> Any:
        """A command of JupyterLab's own, as its menu would run it; what it answers."""
        return self.page.evaluate("name => window.jupyterapp.commands.execute(name)", name)

    def run_all(self) -> None:
        """Run every cell; raises AssertionError with what the cells printed when one of them fails."""
        assert self.command("notebook:run-all-cells"), self.page.locator(".jp-OutputArea").all_inner_texts()

    def cells(self) -> list[str]:
        """The source of every cell as the notebook has it now."""
        return self.page.evaluate(
            """() => window.jupyterapp.shell.currentWidget.context.model.toJSON().cells
                .map(cell => [cell.source].flat().join(""))"""
        )

    def reload(self) -> None:
        """Save the notebook and load the page again; its kernel goes on."""
        self.command("docmanager:save")
        self.page.reload()
        self.wait_for_kernel()

    def kill_kernel(self) -> None:
        """The kernel dies as in a crash; JupyterLab starts another and says so."""
        self.page.evaluate(
            """() => { window.jupyterapp.shell.currentWidget.sessionContext.session.kernel
                .requestExecute({code: "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"}); }"""
        )
        self.page.locator(".jp-Dialog .jp-mod-accept").click()
        self.wait_for_kernel()

    def restart_kernel(self) -> None:
        """Kernel > Restart, as a person does it."""
        self.page.evaluate("() => { window.jupyterapp.commands.execute('notebook:restart-kernel'); }")
        self.page.locator(".jp-Dialog .jp-mod-accept").click()
        self.wait_for_kernel()

    def scroll_to_cell(self, index: int) -> None:
        """Make a cell active and scroll to it."""
        self.page.evaluate(
            """async index => {
                const notebook = window.jupyterapp.shell.currentWidget.content;
                notebook.activeCellIndex = index;
                await notebook.scrollToItem(index, "start");
            }""",
            index,
        )


@contextmanager
def start_lab(folder: Path, environment: Mapping[str, str] = {}, *, dark: bool = False) -> Iterator[Lab]:
    """A JupyterLab of this Python in a folder of its own, stopped at the end with its kernels."""
    notebooks, settings, log = folder / "notebooks", folder / "settings", folder / "lab.log"
    notebooks.mkdir(parents=True)
    token, port = secrets.token_hex(16), free_port()
    lab = Lab(f"http://127.0.0.1:{port}/", token, notebooks, settings, log)
    lab.change_settings("apputils-extension/notification", QUIET)
    lab.change_settings("apputils-extension/themes", {"theme": "JupyterLab Dark" if dark else "JupyterLab Light"})
    own = {
        "HOME": folder / "home",
        "JUPYTER_CONFIG_DIR": folder / "config",
        "JUPYTER_DATA_DIR": folder / "data",
        "JUPYTER_RUNTIME_DIR": folder / "runtime",
        "JUPYTERLAB_SETTINGS_DIR": settings,
        "JUPYTERLAB_WORKSPACES_DIR": folder / "workspaces",
        "IPYTHONDIR": folder / "ipython",
    }
    command = [
        *(sys.executable, "-m", "jupyterlab", "--no-browser", "--ip=127.0.0.1", f"--port={port}"),
        *(f"--IdentityProvider.token={token}", f"--ServerApp.root_dir={notebooks}", "--ServerApp.port_retries=0"),
        *("--LabApp.expose_app_in_browser=True", "--allow-root", *SERVER_OPTIONS),
    ]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env={**os.environ, **{key: str(value) for key, value in own.items()}, **environment},
        )
    try:
        _wait_until_up(lab, process)
        yield lab
        lab.shut_down_kernels()
    finally:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_up(lab: Lab, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            lab.api("status")
            return
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.1)
    raise RuntimeError(f"JupyterLab did not start:\n{lab.log.read_text(errors='replace')[-2000:]}")


def free_port() -> int:
    """A port of loopback that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]

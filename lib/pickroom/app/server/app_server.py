"""The picking app's server: Voila on one page, for this machine only. Only `pickroom app` imports it.

Voila runs the page's one cell and shows the result. The browser can send messages only to that kernel's widgets: it
cannot run code, and only the files of Voila and the widgets are served.
"""

import logging
import os
import re
import sys
import webbrowser
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from jinja2 import ChoiceLoader, DictLoader
from jupyter_server.auth.decorator import allow_unauthenticated
from jupyter_server.auth.logout import LogoutHandler
from tornado.web import HTTPError
from voila.app import Voila
from voila.static_file_handler import TemplateStaticFileHandler
from voila.tornado.handler import TornadoVoilaHandler

from pickroom.app.server.jupyter import OwnToken, PromptConnection
from pickroom.store.workspace import Workspace

PAGE = Path(__file__).parent / "picking" / "pick.ipynb"
# A kernel that no page is connected to is stopped after so long; nothing unsaved is in it. A page that is closed stops
# its own at once: this is for a browser that was killed.
IDLE_S, LOOK_S = 40, 10
_ODD = "Something went wrong here; the terminal that runs `pickroom app` says what. Reload the page to go on."

_TEMPLATE_FILE = re.compile(r"[\w-]+/static/[^/].*")
# Jupyter's own wants an icon that is not served here: each file that a browser asked for in vain filled the terminal
_ERROR = """<!DOCTYPE html>
<title>Pickroom</title>
<p>{{ status_code }} {{ status_message | e }}</p>
{% block error_detail %}{% endblock %}
"""


class Page(TornadoVoilaHandler):
    """Voila's page, with the cookie that it needs to stop its kernel when it is left."""

    async def prepare(self) -> None:
        """See the base class."""
        await super().prepare()
        _ = self.xsrf_token  # to read it is to set the cookie


class Leave(LogoutHandler):
    """Log out and redirect to the login page; Jupyter's own logout page needs files that are not served here."""

    @allow_unauthenticated
    def get(self) -> None:
        """See the base class."""
        self.identity_provider.clear_login_cookie(self)
        self.redirect(f"{self.base_url}login")


class TemplateFile(TemplateStaticFileHandler):
    """Voila's handler of template files, with 404 for unknown paths, on which it fails."""

    async def get(self, path: str, include_body: bool = True) -> None:
        """See the base class."""
        if not _TEMPLATE_FILE.fullmatch(path) or ".." in path.split("/") or "\0" in path:
            raise HTTPError(404)
        await super().get(path, include_body)


# Pickroom's handlers in place of Voila's and Jupyter's
_HANDLERS = {TornadoVoilaHandler: Page, LogoutHandler: Leave, TemplateStaticFileHandler: TemplateFile}


class PickingServer(Voila):
    """Voila with one page, a token that cannot be left out, and none of the user's own Voila settings."""

    project = ""  # the project that the page opens with, "" for the choice of all
    window = True  # whether to open a browser

    def load_config_file(self, *args: Any, **kwargs: Any) -> None:
        """None: Voila would run a voila.py of the folder it is started in, and settings could serve more files."""

    def setup_template_dirs(self) -> None:
        super().setup_template_dirs()
        self.template_paths.insert(0, str(PAGE.parent))  # the page's own, which asks no other host for anything

    def init_settings(self) -> dict[str, Any]:
        # a page of another name that resolves to this machine is refused (DNS rebinding)
        settings = super().init_settings()
        templates = settings["jinja2_env"]
        templates.loader = ChoiceLoader([DictLoader({"error.html": _ERROR}), templates.loader])
        return {**settings, "allow_remote_access": False, "local_hostnames": ["localhost"]}

    def init_handlers(self) -> list[Any]:
        return [(route, _HANDLERS.get(kind, kind), *options) for route, kind, *options in super().init_handlers()]

    def launch_browser(self) -> None:
        """Voila calls it when it listens: say where, and open a browser window if that is wanted."""
        token = self.identity_provider.token
        query = {"project": self.project} if self.project else {}
        shown = {**query, "token": token} if self.identity_provider.token_generated else query
        print(f"Pick at {self.connection_url}{'?' * bool(shown)}{urlencode(shown)}  (Ctrl-C ends it)", flush=True)
        if self.window:
            # through a file that only its owner can read: other users can read a browser's command line
            door = Path(self.connection_dir, "open.html")
            address = f"{self.connection_url}?{urlencode({**query, 'token': token})}"
            door.write_text(f'<meta http-equiv="refresh" content="0; url={address}">', encoding="utf-8")
            webbrowser.open(door.as_uri())


def run(workspace: Workspace, project: str = "", *, port: int = 8866, browser: bool = True) -> None:
    """Serve the app until it is interrupted; kernels find the workspace. Raises ProjectError for an unknown project."""
    if project:
        workspace.project(project)
    os.environ["PICKROOM_HOME"] = str(workspace.root)
    server = PickingServer(
        ip="127.0.0.1",
        port=port,
        auto_token=True,
        identity_provider_class=OwnToken,
        notebook_path=str(PAGE),
        kernel_websocket_connection_class=PromptConnection,
        log_level=logging.ERROR,  # what fails is logged as an error; its warnings are not about the user
    )
    server.project, server.window = project, browser
    server.config.VoilaConfiguration.file_allowlist = []
    server.config.VoilaConfiguration.allow_template_override = "NO"
    server.config.VoilaConfiguration.attempt_fix_notebook = False
    server.config.VoilaExecutor.cell_error_instruction = _ODD
    server.config.MappingKernelManager.cull_idle_timeout = IDLE_S
    server.config.MappingKernelManager.cull_interval = LOOK_S
    server.config.MultiKernelManager.kernel_manager_class = "pickroom.app.server.jupyter.QuietKernelManager"
    server.initialize([])
    try:
        server.start()
    finally:
        sys.stdout.flush()

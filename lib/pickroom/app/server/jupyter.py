"""The parts of Jupyter's server that Pickroom replaces: token, kernels, websocket. Only a server imports it."""

import asyncio
import secrets
from typing import Any

from jupyter_server.auth.identity import PasswordIdentityProvider
from jupyter_server.services.kernels.connection.channels import ZMQChannelsWebsocketConnection
from jupyter_server.services.kernels.kernelmanager import ServerKernelManager
from traitlets import default, validate

_BYTES = 24  # as many as Jupyter's own tokens have


class OwnToken(PasswordIdentityProvider):
    """Jupyter's login, with a random token in place of an empty one that the user's settings may ask for."""

    @validate("token")
    def _never_empty(self, proposal: dict[str, Any]) -> str:
        return proposal["value"] or self._random()

    @default("token")
    def _token_default(self) -> str:
        # a default is not validated: an empty file that JUPYTER_TOKEN_FILE names would open the door
        return super()._token_default() or self._random()

    def _random(self) -> str:
        self.token_generated = True  # so that the server prints the address with it
        return secrets.token_hex(_BYTES)


class QuietKernelManager(ServerKernelManager):
    """Start Python kernels that print errors only; their warnings about sockets do not concern the user."""

    def format_kernel_cmd(self, extra_arguments: list[str] | None = None) -> list[str]:
        """See the base class."""
        command: list[str] = super().format_kernel_cmd(extra_arguments)
        spec: Any = self.kernel_spec
        own = spec is not None and "ipykernel_launcher" in spec.argv
        return [*command, "--IPKernelApp.log_level=40"] if own else command


class PromptConnection(ZMQChannelsWebsocketConnection):
    """Jupyter's own connection with Nagle's algorithm off (RFC 896).

    With it on, the answer to a key waits for the browser's delayed acknowledgement of the previous message (RFC 1122:
    some 40 ms on Linux). `benchmarks/deck_browser.py` prints how long a key takes.
    """

    def connect(self) -> asyncio.Future[None] | None:  # type: ignore[override]  # jupyter_server's own override of its async base
        """See the base class."""
        self.websocket_handler.set_nodelay(True)
        return super().connect()

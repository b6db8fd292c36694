"""A kernel's websocket that sends small messages at once. Only the server imports it."""

from __future__ import annotations

import asyncio

from jupyter_server.services.kernels.connection.channels import ZMQChannelsWebsocketConnection


class PromptConnection(ZMQChannelsWebsocketConnection):
    """Jupyter's own connection with Nagle's algorithm off (RFC 896).

    With it on, what a key answers waits for the browser's delayed acknowledgement of the message before (RFC 1122: some
    40 ms on Linux). `benchmarks/deck_browser.py` prints how long a key takes.
    """

    def connect(self) -> asyncio.Future[None] | None:  # type: ignore[override]  # jupyter_server's own override of its async base
        """See the base class."""
        self.websocket_handler.set_nodelay(True)
        return super().connect()

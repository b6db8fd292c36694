"""How a server starts its kernels: on this machine's loopback, saying nothing of it. Only the server imports it."""

from __future__ import annotations

from typing import Any

from jupyter_server.services.kernels.kernelmanager import ServerKernelManager


class QuietKernelManager(ServerKernelManager):
    """Jupyter's own, whose Python kernels print errors only: what they think of their sockets is no message."""

    def format_kernel_cmd(self, extra_arguments: list[str] | None = None) -> list[str]:
        """See the base class."""
        command: list[str] = super().format_kernel_cmd(extra_arguments)
        spec: Any = self.kernel_spec
        own = spec is not None and "ipykernel_launcher" in spec.argv
        return [*command, "--IPKernelApp.log_level=40"] if own else command

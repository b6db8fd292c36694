"""Whoever talks to JupyterLab has its token: the notebooks run any code, with the person's own files."""

from __future__ import annotations

import secrets
from typing import Any

from jupyter_server.auth.identity import PasswordIdentityProvider
from traitlets import default, validate

_BYTES = 24  # as many as Jupyter's own tokens have


class OwnToken(PasswordIdentityProvider):
    """Jupyter's own way in, but an empty token, as a setting of the person's may ask for, is a random one instead."""

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

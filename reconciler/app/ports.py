"""Serve on the TCP addresses that weaver.yaml names, while it names them."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Coroutine
from typing import Any

from starlette.types import ASGIApp

from reconciler.api.listen import Listener

RETRY_S = 10.0
"""Between tries to get a port that could not be had."""


class TcpPort:
    """One port and what is served there; what cannot be had is said, and tried again."""

    def __init__(self, what: str, app: Callable[[], ASGIApp], listening: list[str]) -> None:
        """Serve `what`, as people call it; `listening` is kept up to date."""
        self._what = what
        self._app = app
        self._listening = listening
        self._address = ""
        self.listeners: list[Listener] = []
        self.trouble = ""
        """Why the port is not open; empty where it is, or none is wanted."""

    async def follow(self, address: str) -> Coroutine[Any, Any, None] | None:
        """Listen where the settings say now; give the work of serving, where it is new."""
        if address == self._address and not self.trouble:
            return None
        self._stop()
        self._address, self.trouble = address, ""
        if not address:
            return None
        try:
            bound = await asyncio.to_thread(_bind, address)
        except (OSError, ValueError) as why:
            words = os.strerror(why.errno) if isinstance(why, OSError) and why.errno else str(why)
            self.trouble = f"cannot serve {self._what} on {address}: {words.lower()}"
            return None
        self._listening[:] = [address]
        listener = Listener(self._app(), bound)
        self.listeners = [listener]
        return listener.serve()

    def _stop(self) -> None:
        for listener in self.listeners:
            listener.stop()
        self.listeners = []
        self._listening.clear()


def _bind(address: str) -> socket.socket:
    """Bind `host:port`, `[::1]:port` or `:port`."""
    host, _, port = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, int(port)))
    except BaseException:
        bound.close()
        raise
    return bound

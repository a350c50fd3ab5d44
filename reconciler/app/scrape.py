"""Serve `/metrics` on the TCP address that weaver.yaml names, while it names one."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Coroutine
from typing import Any

from reconciler.api.ask import Backend
from reconciler.api.listen import Listener
from reconciler.api.server import metrics_api

RETRY_S = 10.0
"""Between tries to get a port that could not be had."""


class MetricsPort:
    """The port for Prometheus; what cannot be had is said, and tried again."""

    def __init__(self, backend: Backend, listening: list[str]) -> None:
        self._backend = backend
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
            self.trouble = f"cannot serve metrics on {address}: {words.lower()}"
            return None
        self._listening[:] = [address]
        listener = Listener(metrics_api(self._backend), bound)
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

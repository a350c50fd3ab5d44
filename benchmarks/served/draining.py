"""Uvicorn that can be told to take no more connections, and to give up those it has, by SIGUSR1.

What its preStop hook asks for; see docs/restarts.md.
"""

from __future__ import annotations

import asyncio
import signal
import socket
from typing import Any

import uvicorn

from benchmarks.served import speedy


class Draining(uvicorn.Server):
    """A server that goes on with what it has, and says so to its clients."""

    is_draining = False

    async def startup(self, sockets: Any = None) -> None:
        """Listen, and from then on heed SIGUSR1."""
        await super().startup(sockets)
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, self.drain)

    def drain(self) -> None:
        """Take no more connections, and have each that there is end with its next answer."""
        self.is_draining = True
        for server in self.servers:
            server.close()


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Answer as the application does, and that this is the last answer once that is so."""

    async def say(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start" and SERVER.is_draining:
            message["headers"] = [*message["headers"], (b"connection", b"close")]
        await send(message)

    await speedy.app(scope, receive, say)


SERVER = Draining(uvicorn.Config(app, log_level="warning"))

if __name__ == "__main__":
    SERVER.run(sockets=[socket.socket(fileno=3)])

"""Listen: HTTP/1.1 on a socket that somebody else bound, until told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import uvicorn
from starlette.types import ASGIApp

from reconciler.api.peer import PeerProtocol
from reconciler.api.streams import Streams

MOST_CONNECTIONS = 500
LARGEST_HEAD = 64 * 1024
"""Of a request line and headers that arrive bit by bit."""
FAREWELL_S = 2
"""What answers and long verbs under way get to end in once the server stops."""


class Listener:
    """One listening socket and the application behind it."""

    def __init__(self, app: ASGIApp, listening: socket.socket) -> None:
        self._listening = listening
        self._server = _Server(
            uvicorn.Config(
                app,
                http=PeerProtocol,
                ws="none",
                lifespan="off",
                interface="asgi3",
                log_config=None,
                log_level="warning",
                access_log=False,
                server_header=False,
                date_header=False,
                limit_concurrency=MOST_CONNECTIONS,
                h11_max_incomplete_event_size=LARGEST_HEAD,
                timeout_graceful_shutdown=FAREWELL_S,
            )
        )

    async def serve(self) -> None:
        """Answer until stopped; the socket is closed then."""
        await self._server.serve([self._listening])

    def stop(self) -> None:
        """Accept nothing more, let answers under way end, and return from `serve`."""
        self._server.stop()


async def close_all(listeners: list[Listener], streams: Streams) -> None:
    """Let long verbs end, end every stream that would not, and stop all listeners."""
    await streams.finish(FAREWELL_S)
    streams.close()
    for listener in listeners:
        listener.stop()


class _Server(uvicorn.Server):
    """uvicorn that leaves signals to the daemon and does not wake up to look at a flag."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Leave the main loop."""
        self.should_exit = True
        self._stopping.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone: they are the daemon's."""
        yield

    async def main_loop(self) -> None:
        """Wait without ever waking up for nothing."""
        await self._stopping.wait()

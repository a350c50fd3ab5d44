"""Know who is at the other end of a unix socket: the kernel's word, not the client's."""

from __future__ import annotations

import asyncio
import socket
import struct
from dataclasses import dataclass
from typing import Any

import h11
from starlette.types import Scope
from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_WITHIN_S = 10.0
"""A client that has not sent a whole request head by then is dropped."""

_CREDENTIALS = struct.Struct("3i")


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """A process at the other end of a unix socket, when it connected."""

    pid: int
    uid: int
    gid: int

    def __str__(self) -> str:
        return f"uid={self.uid},gid={self.gid},pid={self.pid}"


def peer_of(scope: Scope) -> Peer | None:
    """Read the peer out of a request's scope; None where the connection has none.

    >>> peer_of({"client": ("uid=1000,gid=1000,pid=7", 0)})
    Peer(pid=7, uid=1000, gid=1000)
    >>> peer_of({"client": ("127.0.0.1", 50000)}), peer_of({"client": None})
    (None, None)
    """
    text = (scope.get("client") or ("", 0))[0]
    said = dict(part.split("=", 1) for part in text.split(",") if "=" in part)
    if said.keys() != {"pid", "uid", "gid"}:
        return None
    return Peer(pid=int(said["pid"]), uid=int(said["uid"]), gid=int(said["gid"]))


class PeerProtocol(H11Protocol):
    """HTTP/1.1 that notes the peer's credentials and does not wait for ever for a request."""

    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(
        self,
        transport: asyncio.Transport,  # type: ignore[override]  # narrowed as uvicorn narrows it
    ) -> None:
        """Note who connected."""
        super().connection_made(transport)
        connection: Any = transport.get_extra_info("socket")
        if connection.family == socket.AF_UNIX:
            found = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
            pid, uid, gid = _CREDENTIALS.unpack(found)
            self.client = (str(Peer(pid=pid, uid=uid, gid=gid)), 0)
        self._watch_head()

    def data_received(self, data: bytes) -> None:
        """Take what came in, and see whether a request head is still incomplete."""
        super().data_received(data)
        self._watch_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._forget_head()
        super().connection_lost(exc)

    def _watch_head(self) -> None:
        """Give a client that is in the middle of a head (or has sent none) its time, once."""
        if self.conn.their_state is not h11.IDLE or self.transport.is_closing():
            self._forget_head()
        elif self._head_timer is None:
            self._head_timer = self.loop.call_later(HEAD_WITHIN_S, self.transport.abort)

    def _forget_head(self) -> None:
        """Stop the clock."""
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

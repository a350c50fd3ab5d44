"""Where a service listens: sockets that are bound for it, or a port that it binds itself."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from reconciler.model.units import Serial, ServiceName

AUTO_PORT = 0
"""In the place of a port that the daemon has yet to pick."""


class ExecMode(StrEnum):
    """What the instances of a service are to each other."""

    FORK = "fork"
    """Each is by itself."""
    CLUSTER = "cluster"
    """They share sockets, and with them the work."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenSocket:
    """A socket that is bound for a service, and handed to each of its processes."""

    listen: str
    """`tcp://127.0.0.1:8080`, `tcp://[::1]:8080`, `unix:/run/web.sock`: one way to write each."""
    name: str = ""
    """As LISTEN_FDNAMES has it; empty: the service's."""
    backlog: int = 4096
    """Connections that may wait to be accepted; the kernel's own limit (somaxconn) is below."""
    mode: int = 0o660
    """Of the file of a unix socket."""
    owner: str = ""
    """Of that file: `user` or `user:group`; empty: the service's user and group."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SocketsClosed:
    """Sockets that nobody wants any more were closed, or could not be (`problem`)."""

    serial: Serial
    service: ServiceName
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseSockets:
    """Close sockets that nobody wants any more; answered by `SocketsClosed`."""

    serial: Serial
    service: ServiceName
    addresses: tuple[str, ...]

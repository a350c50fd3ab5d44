"""Read the addresses that services listen on: `tcp://127.0.0.1:8080`, `unix:/run/web.sock`."""

from __future__ import annotations

import posixpath
import re
import socket
from typing import NamedTuple

PATH_BYTES = 107
"""The kernel's limit for the path of a unix socket."""
EVERY_IPV4 = "0.0.0.0"  # noqa: S104 - it is read here, and bound where a manifest says so
_TCP = re.compile(r"tcp://(\[[^\]]*\]|[^:\[\]]*):([0-9]{1,5})")
_BARE = re.compile(r"(?:[a-z]+://)?([^/\s]*):([0-9]{1,5})/?")
MAX_PORT = 65535


class AddressError(ValueError):
    """An address that nobody can listen on; `mend` says what to write instead."""

    def __init__(self, message: str, mend: str) -> None:
        super().__init__(message)
        self.mend = mend


class Address(NamedTuple):
    """Where a socket listens: a host and a port, or a path."""

    host: str
    port: int
    path: str = ""

    def __str__(self) -> str:
        if self.path:
            return f"unix:{self.path}"
        return f"tcp://[{self.host}]:{self.port}" if ":" in self.host else self._plain()

    def _plain(self) -> str:
        return f"tcp://{self.host}:{self.port}"

    def overlaps(self, other: Address) -> bool:
        """Tell whether only one of two addresses can be listened on.

        >>> read("tcp://0.0.0.0:80").overlaps(read("tcp://127.0.0.1:80"))
        True
        >>> read("tcp://127.0.0.1:80").overlaps(read("tcp://[::1]:80"))
        False
        """
        if self.path or other.path:
            return self.path == other.path
        return self.port == other.port and (
            self.host == other.host or self._covers(other) or other._covers(self)
        )

    def _covers(self, other: Address) -> bool:
        """Tell whether this is every address of the host, as `::` is of both families."""
        return self.host == "::" or (self.host == EVERY_IPV4 and ":" not in other.host)


def read(text: str) -> Address:
    """Give an address; written out again it is always the same text. Raises AddressError.

    >>> str(read("tcp://[0:0::1]:8080")), str(read("unix:///run//web.sock"))
    ('tcp://[::1]:8080', 'unix:/run/web.sock')
    """
    if text.startswith("unix:"):
        return _unix(text.removeprefix("unix:"))
    found = _TCP.fullmatch(text)
    if found is None:
        raise AddressError(f"`{text}` is no address", _meant(text))
    host, port = found[1], int(found[2])
    if not 0 < port <= MAX_PORT:
        raise AddressError(f"{port} is no port", f"a port is 1 to {MAX_PORT}")
    return Address(_host(host, port), port)


def _unix(path: str) -> Address:
    if path.startswith("//"):
        path = path.removeprefix("//")
    if not path.startswith("/") or path.endswith("/"):
        mend = "write the whole path, as in `unix:/run/web.sock`"
        raise AddressError(f"`{path}` is no absolute path of a file", mend)
    if "\0" in path or ".." in path.split("/"):
        raise AddressError(f"`{path}` is no plain path", "write it without `..`")
    path = posixpath.normpath(path)
    if (size := len(path.encode())) > PATH_BYTES:
        message = f"its path has {size} bytes; Linux allows {PATH_BYTES}"
        raise AddressError(message, "choose a shorter path, as in /run")
    return Address("", 0, path)


def _host(host: str, port: int) -> str:
    is_bracketed = host.startswith("[")
    family = socket.AF_INET6 if is_bracketed else socket.AF_INET
    try:
        return socket.inet_ntop(family, socket.inet_pton(family, host.strip("[]")))
    except (OSError, UnicodeEncodeError):
        if host in ("", "*", "[*]"):
            message = "it does not say on which address of the host"
            mend = f"write `tcp://127.0.0.1:{port}`, or `tcp://[::]:{port}` for all of them"
        else:
            message = f"`{host}` is no IP address"
            mend = f"names are not looked up: write `tcp://127.0.0.1:{port}`"
        raise AddressError(message, mend) from None


def _meant(text: str) -> str:
    if text.startswith("/"):
        return f"write `unix:{text}`"
    if text.count(":") > 2:
        return "put brackets around an IPv6 address: `tcp://[::1]:8080`"
    if (found := _BARE.fullmatch(text)) is not None:
        host = "127.0.0.1" if found[1] in ("", "localhost") else found[1]
        return f"write `tcp://{host}:{found[2]}`"
    return "write `tcp://127.0.0.1:8080` or `unix:/run/web.sock`"

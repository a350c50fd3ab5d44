"""Tell whether anybody of this host has a port."""

from __future__ import annotations

import errno
import socket


def is_free(port: int) -> bool:
    """Tell whether a port could be bound now at every address of the host.

    >>> with socket.create_server(("127.0.0.1", 0)) as taken:
    ...     is_free(taken.getsockname()[1])
    False
    """
    return all(_is_free_of(family, port) for family in (socket.AF_INET, socket.AF_INET6))


def _is_free_of(family: socket.AddressFamily, port: int) -> bool:
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            if family == socket.AF_INET6:
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            probe.bind(("", port))
    except OSError as error:
        # A host without IPv6 has nobody there.
        return family == socket.AF_INET6 and error.errno != errno.EADDRINUSE
    return True

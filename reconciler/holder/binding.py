"""Bind the sockets that services listen on, and know such a socket again.

An address is `tcp://127.0.0.1:8080`, `tcp://[::1]:8080` or `unix:/run/web.sock`, always written in
the same way, so that the same text means the same address.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat

TYPE_CHECKING = False  # see wire.py
if TYPE_CHECKING:
    from reconciler.holder.wire import Message

DEFAULT_MODE = 0o660
DEFAULT_BACKLOG = 4096
ACCEPTING = 1


def bind(order: Message) -> socket.socket:
    """Listen at an address, with the mode and the owner that its file shall have.

    Raises OSError, with the reason in words.
    """
    address: str = order["address"]
    path = path_of(address)
    sock = _bound_port(address) if path is None else _bound_file(path, order)
    try:
        # Nobody could connect until now.
        sock.listen(order.get("backlog", DEFAULT_BACKLOG))
    except OSError:
        sock.close()
        remove(address, file_of(address))
        raise
    return sock


def dress(sock: socket.socket, order: Message) -> None:
    """Let a socket that listens be as it is asked for now."""
    path = path_of(order["address"])
    if path is not None:
        found, mode, owner = os.lstat(path), order.get("mode", DEFAULT_MODE), _owner(order)
        if owner is not None and (found.st_uid, found.st_gid) != owner:
            os.chown(path, *owner, follow_symlinks=False)
        if stat.S_IMODE(found.st_mode) != mode:
            os.chmod(path, mode)
    sock.listen(order.get("backlog", DEFAULT_BACKLOG))


def path_of(address: str) -> str | None:
    """Give the file of a unix socket; None for a port."""
    return address.removeprefix("unix:") if address.startswith("unix:") else None


def file_of(address: str) -> list[int] | None:
    """Give what tells the file of a unix socket from others at its path; None where none is."""
    path = path_of(address)
    if path is None:
        return None
    with contextlib.suppress(OSError):
        found = os.lstat(path)
        if stat.S_ISSOCK(found.st_mode):
            return [found.st_dev, found.st_ino]
    return None


def remove(address: str, file: list[int] | None) -> None:
    """Remove the file of a unix socket, if it is still that one."""
    path = path_of(address)
    if path is not None and file is not None and file_of(address) == file:
        with contextlib.suppress(OSError):
            os.unlink(path)


def is_at(sock: socket.socket, address: str) -> bool:
    """Tell whether a socket accepts connections at an address."""
    try:
        listens = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) == ACCEPTING
        return listens and written(sock.family, sock.getsockname()) == address
    except OSError:
        return False


def written(family: int, name: object) -> str:
    """Write the address of a socket as we do; empty for one of another kind.

    >>> written(socket.AF_INET6, ("::1", 80, 0, 0)), written(socket.AF_UNIX, "/run/a")
    ('tcp://[::1]:80', 'unix:/run/a')
    """
    if family == socket.AF_UNIX and isinstance(name, str):
        return f"unix:{name}"
    if isinstance(name, tuple) and family in (socket.AF_INET, socket.AF_INET6):
        host, port = name[:2]
        return f"tcp://[{host}]:{port}" if family == socket.AF_INET6 else f"tcp://{host}:{port}"
    return ""


def _bound_file(path: str, order: Message) -> socket.socket:
    """Bind a path; its file has its mode from the beginning."""
    _clear_way(path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    # The mask is the whole process', which has one thread.
    mask = os.umask(0o777 & ~order.get("mode", DEFAULT_MODE))
    try:
        sock.bind(path)
    except OSError:
        sock.close()
        raise
    finally:
        os.umask(mask)
    owner = _owner(order)
    try:
        if owner is not None:
            os.chown(path, *owner, follow_symlinks=False)
    except OSError:
        sock.close()
        os.unlink(path)
        raise
    return sock


def _owner(order: Message) -> tuple[int, int] | None:
    uid = order.get("uid")
    return None if uid is None else (uid, order["gid"])


def _bound_port(address: str) -> socket.socket:
    host, _, port = address.removeprefix("tcp://").rpartition(":")
    host = host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        # Connections of a former one that the kernel still knows are in nobody's way.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, host != "::")
        sock.bind((host, int(port)))
    except OSError:
        sock.close()
        raise
    return sock


def _clear_way(path: str) -> None:
    """Remove a socket that nobody listens on any more; whatever else is there is left alone."""
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode):
        raise OSError(errno.EEXIST, "a file that is no socket is in its place")
    probe = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        probe.setblocking(False)
        probe.connect(path)
    except ConnectionRefusedError:
        os.unlink(path)
        return
    except FileNotFoundError:
        return
    except PermissionError:
        raise
    except OSError:
        pass  # somebody listens, or it is of another kind and bound
    finally:
        probe.close()
    raise OSError(errno.EADDRINUSE, "the address is in use")

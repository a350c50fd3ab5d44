"""Speak one JSON object a packet over a SOCK_SEQPACKET socket, with descriptors beside it.

A packet is a JSON object. One that is too large for a packet travels in a sealed memfd: the
packet is then a JSON number, its length, and the memfd is the first descriptor beside it.

    {"do": "signal", "serial": 7, ...}     a request of the daemon, numbered by it
    {"answer": 7, ...}                     exactly one for each request, in their order
    {"event": "exited", "seq": 12, ...}    what the holder tells unasked, numbered without gaps
"""

from __future__ import annotations

import array
import contextlib
import fcntl
import json
import os
import socket
import struct
from collections import deque

TYPE_CHECKING = False  # importing typing would cost the holder a tenth of its memory
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    Message = dict[str, Any]

PROTO = 1
INLINE_BYTES = 64 * 1024  # the kernel refuses a packet of about 200 kB
MESSAGE_BYTES = 64 * 1024 * 1024
STORED_MOST = 128
"""Descriptors that are stored for a slot."""
MESSAGE_FDS = 2 + STORED_MOST
"""At most a memfd, a notify socket, and all that was stored behind it."""
SEALS = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW


class WireError(Exception):
    """The peer sent what no peer of ours sends."""


def address(directory: str) -> str:
    """Name the abstract socket of a directory's holder; binding it is the lock on the directory."""
    found = os.stat(directory)
    return f"\0weaver-holder-{found.st_dev}-{found.st_ino}"


def open_socket() -> socket.socket:
    """Open an unconnected socket of the kind that the holder speaks over."""
    return socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)


def is_trusted(sock: socket.socket) -> bool:
    """Tell whether the process at the other end is root's or of our own user."""
    _, uid, _ = _credentials(sock)
    return uid in (0, os.geteuid())


def send(sock: socket.socket, message: Message, fds: Iterable[int] = ()) -> None:
    """Send one message. Raises BlockingIOError where the socket is non-blocking and full."""
    _send_text(sock, _encoded(message), list(fds))


def receive(sock: socket.socket) -> tuple[Message, list[int]] | None:
    """Receive one message and the descriptors beside it; None when the peer has left.

    Raises BlockingIOError where the socket is non-blocking and empty, WireError for garbage.
    """
    room = socket.CMSG_SPACE(MESSAGE_FDS * array.array("i").itemsize)
    packet, ancillary, flags, _ = sock.recvmsg(INLINE_BYTES, room, socket.MSG_CMSG_CLOEXEC)
    fds = descriptors(ancillary)
    try:
        message = _unpacked(packet, flags, fds)
    except WireError:
        close_all(fds)
        raise
    if message is None:
        close_all(fds)
        return None
    return message, fds


def close_all(fds: Iterable[int]) -> None:
    """Close descriptors that came with a message and that nobody wants."""
    for fd in fds:
        os.close(fd)


class Channel:
    """Hand messages to one peer as fast as it reads them, and receive its own."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._waiting: deque[tuple[bytes, list[int]]] = deque()

    @property
    def is_behind(self) -> bool:
        """Tell whether messages wait for the peer: wait for writability, then `flush`."""
        return bool(self._waiting)

    @property
    def peer_pid(self) -> int:
        """Give the pid of the peer."""
        return _credentials(self._sock)[0]

    def fileno(self) -> int:
        """Give the descriptor to wait on."""
        return self._sock.fileno()

    def post(self, message: Message, fds: Iterable[int] = ()) -> None:
        """Send a message, or queue it behind those that the peer has not taken yet.

        The descriptors beside it are duplicated, so that they may be closed meanwhile.
        """
        self._waiting.append((_encoded(message), [os.dup(fd) for fd in fds]))
        self.flush()

    def flush(self) -> None:
        """Send what is queued until the peer's buffer is full.

        A peer that cannot be told is left, which both ends see as the end of the stream: what it
        missed, it learns by asking anew.
        """
        try:
            while self._waiting:
                _send_text(self._sock, *self._waiting[0])
                close_all(self._waiting.popleft()[1])
        except BlockingIOError:
            return
        except OSError:
            self._drop_waiting()
            with contextlib.suppress(OSError):
                self._sock.shutdown(socket.SHUT_RDWR)

    def receive(self) -> tuple[Message, list[int]] | None:
        """Receive one message, as the function of this name does."""
        return receive(self._sock)

    def close(self) -> None:
        """Leave the peer."""
        self._drop_waiting()
        self._sock.close()

    def _drop_waiting(self) -> None:
        for _, fds in self._waiting:
            close_all(fds)
        self._waiting.clear()


def _credentials(sock: socket.socket) -> tuple[int, int, int]:
    """Give pid, uid and gid of the process at the other end, as they were when it connected."""
    layout = struct.Struct("3i")
    return layout.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, layout.size))


def _encoded(message: Message) -> bytes:
    text = json.dumps(message, separators=(",", ":")).encode()
    if len(text) > MESSAGE_BYTES:
        raise WireError(f"cannot send {len(text)} bytes: the limit is {MESSAGE_BYTES}")
    return text


def _send_text(sock: socket.socket, text: bytes, fds: list[int]) -> None:
    if len(text) <= INLINE_BYTES:
        _send_packet(sock, text, fds)
        return
    memfd = _sealed(text)
    try:
        _send_packet(sock, b"%d" % len(text), [memfd, *fds])
    finally:
        os.close(memfd)


def _send_packet(sock: socket.socket, packet: bytes, fds: list[int]) -> None:
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
    sock.sendmsg([packet], rights, socket.MSG_NOSIGNAL)


def descriptors(ancillary: list[tuple[int, int, bytes]]) -> list[int]:
    """Give the descriptors beside a packet."""
    fds = array.array("i")
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            fds.frombytes(data[: len(data) - len(data) % fds.itemsize])
    return list(fds)


def _unpacked(packet: bytes, flags: int, fds: list[int]) -> Message | None:
    """Give the message of a packet, taking a memfd that carries it out of `fds`."""
    if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
        raise WireError("a packet is too long")
    if not packet:
        return None
    message = _parsed(packet)
    if isinstance(message, int):
        message = _parsed(_read_sealed(fds, message))
    if not isinstance(message, dict):
        raise WireError("a message is no JSON object")
    return message


def _parsed(text: bytes) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise WireError(f"a message is no JSON: {error}") from error


def _sealed(text: bytes) -> int:
    memfd = os.memfd_create("weaver-message", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        sent = 0
        while sent < len(text):
            sent += os.pwrite(memfd, text[sent:], sent)
        fcntl.fcntl(memfd, fcntl.F_ADD_SEALS, SEALS)
    except BaseException:
        os.close(memfd)
        raise
    return memfd


def _read_sealed(fds: list[int], length: int) -> bytes:
    """Read a message out of the first of `fds`, which only a sealed memfd can be."""
    if not fds or isinstance(length, bool) or not 0 < length <= MESSAGE_BYTES:
        raise WireError("a message's length or its descriptor is wrong")
    memfd = fds.pop(0)
    try:
        if fcntl.fcntl(memfd, fcntl.F_GET_SEALS) & SEALS != SEALS:
            raise WireError("a message's descriptor is not sealed")
        if os.fstat(memfd).st_size != length:
            raise WireError("a message's length is wrong")
        return os.pread(memfd, length, 0)
    except OSError as error:
        raise WireError(f"a message's descriptor is no memfd: {error}") from error
    finally:
        os.close(memfd)

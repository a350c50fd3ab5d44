"""Ask the holder over one connection, and hear what it tells unasked."""

from __future__ import annotations

import asyncio
import itertools
import socket
from collections.abc import Callable, Iterable
from typing import Any

from reconciler.failpoints import failpoint
from reconciler.holder import wire

Message = dict[str, Any]
BURST = 64
"""Messages taken in one go, before the rest of the daemon has its turn."""


class LinkLost(Exception):  # noqa: N818 - it names what happened, as the event for it does
    """The holder left before it answered."""


class Link:
    """One connection: requests with their answers, and events.

    What the holder says takes effect in the order in which it said it: whoever awaits an answer
    goes on before a later event is told. When the holder leaves, `lost` is called once, and then
    every open request fails with LinkLost.
    """

    def __init__(
        self,
        sock: socket.socket,
        told: Callable[[Message, list[int]], None],
        lost: Callable[[str], None],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._channel = wire.Channel(sock)
        self._fd = self._channel.fileno()
        self._told = told
        self._lost = lost
        self._serials = itertools.count(1)
        self._open: dict[int, asyncio.Future[Message]] = {}
        self._is_up = True
        self._loop.add_reader(self._fd, self._read)

    def ask(self, do: str, fds: Iterable[int] = (), **fields: Any) -> asyncio.Future[Message]:
        """Send a request at once, descriptors beside it, and give the future of its answer.

        Raises LinkLost when the holder has left, and WireError when the request is too large.
        """
        if not self._is_up:
            raise LinkLost
        serial = next(self._serials)
        failpoint("daemon.command.before")
        self._channel.post({"do": do, "serial": serial, **fields}, fds)
        failpoint("daemon.command.sent")
        answer: asyncio.Future[Message] = self._loop.create_future()
        # Some answers are of no interest; their failure must not be reported as forgotten.
        answer.add_done_callback(lambda done: done.cancelled() or done.exception())
        self._open[serial] = answer
        self._wait_for_room()
        return answer

    def close(self) -> None:
        """End the connection from our side, without a word to anybody."""
        if self._is_up:
            self._is_up = False
            self._loop.remove_reader(self._fd)
            self._loop.remove_writer(self._fd)
            self._channel.close()
            for answer in self._open.values():
                if not answer.done():
                    answer.set_exception(LinkLost())
            self._open.clear()

    def _wait_for_room(self) -> None:
        if self._channel.is_behind:
            self._loop.add_writer(self._fd, self._write)
        else:
            self._loop.remove_writer(self._fd)

    def _write(self) -> None:
        self._channel.flush()
        self._wait_for_room()

    def _read(self) -> None:
        for _ in range(BURST):
            try:
                received = self._channel.receive()
            except BlockingIOError:
                return
            except (wire.WireError, OSError) as error:
                self._end(f"the holder cannot be understood: {error}")
                return
            if received is None:
                self._end("the holder has left")
                return
            message, fds = received
            self._take(message, fds)
            if not self._is_up:
                return

    def _take(self, message: Message, fds: list[int]) -> None:
        if "answer" not in message:
            # Not at once: the answers before it only wake their tasks.
            self._loop.call_soon(self._told, message, fds)
            return
        wire.close_all(fds)
        answer = self._open.pop(message["answer"], None)
        failpoint("daemon.answer.heard")
        if answer is not None and not answer.done():
            answer.set_result(message)

    def _end(self, because: str) -> None:
        self._loop.call_soon(self._lost, because)
        self.close()

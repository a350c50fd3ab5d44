"""Wait for descriptors, one event at a time."""

from __future__ import annotations

import contextlib
import select

TYPE_CHECKING = False  # see wire.py
if TYPE_CHECKING:
    from collections.abc import Callable


class Poller:
    """Epoll, with what to do for each descriptor.

    Taken one at a time, an event cannot be of a descriptor that was closed, or opened anew, since
    the kernel told of it.
    """

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._handlers: dict[int, Callable[[], None]] = {}

    def watch(self, fd: int, handler: Callable[[], None], events: int = select.EPOLLIN) -> None:
        """Call `handler` whenever `fd` can be read, or has other such events."""
        self._epoll.register(fd, events)
        self._handlers[fd] = handler

    def watch_end(self, fd: int, handler: Callable[[], None]) -> None:
        """Call `handler` when the other end of `fd` hangs up."""
        self._epoll.register(fd, 0)
        self._handlers[fd] = handler

    def is_watched(self, fd: int) -> bool:
        """Tell whether `fd` is watched."""
        return fd in self._handlers

    def await_room(self, fd: int, waits: bool) -> None:
        """Wait until `fd` can be written instead of read, or the other way round again."""
        self._epoll.modify(fd, select.EPOLLOUT if waits else select.EPOLLIN)

    def forget(self, fd: int) -> None:
        """Stop watching `fd`, which must still be open, if it is watched."""
        if self._handlers.pop(fd, None) is not None:
            with contextlib.suppress(OSError):
                self._epoll.unregister(fd)

    def next(self, seconds: float | None) -> Callable[[], None] | None:
        """Wait for one event and give its handler; None when the time is over."""
        for fd, _ in self._epoll.poll(seconds, 1):
            return self._handlers.get(fd)
        return None

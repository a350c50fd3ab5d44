"""Pass on what comes bit by bit: in batches, within limits, until it ends or nobody listens.

A pump reads the source and a bounded queue stands between it and the client, so that many small
items travel in few writes and a client that does not read holds nothing but its own stream.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from reconciler.ports import WeaverError

MOST_STREAMS = 200
"""Open at the same time; one more is told to come back later."""
MOST_WAITING = 1000
"""Items between the source and a client."""
MOST_UNREAD = 10_000
"""Messages of a long verb kept for a client that does not read; the oldest are dropped."""
FIRST_SIGN_S = 0.25
STILL_HERE_S = 15.0
"""After so long without an item an empty batch is given, for a sign of life."""

T = TypeVar("T")


class BusyError(WeaverError):
    """Nobody can attend to this just now (exit 4)."""

    exit_code = 4


class Streams:
    """The streams that are open, so that all of them can be ended at once."""

    def __init__(self) -> None:
        self.farewell = "the daemon ends"
        """What the streams that would go on for ever end with."""
        self._closing = asyncio.Event()
        self._open = 0
        self._carried: set[asyncio.Task[None]] = set()

    @property
    def count(self) -> int:
        """Give the number of streams that are open."""
        return self._open

    @property
    def is_full(self) -> bool:
        """Tell whether there is no room for another stream."""
        return self._open >= MOST_STREAMS or self._closing.is_set()

    @property
    def is_closing(self) -> bool:
        """Tell whether the server ends, and every stream with it."""
        return self._closing.is_set()

    def close(self) -> None:
        """End every stream that would go on for ever; long verbs end by themselves."""
        self._closing.set()

    async def finish(self, within_s: float) -> None:
        """Wait until the long verbs under way have ended, or the time is over."""
        if self._carried:
            await asyncio.wait(self._carried, timeout=within_s)

    async def while_wanted(
        self, work: Coroutine[Any, Any, T], leaving: Coroutine[Any, Any, None]
    ) -> T:
        """Do something that takes its time, unless the client leaves or the server closes."""
        working = asyncio.create_task(work)
        others = (asyncio.create_task(leaving), asyncio.create_task(self._closing.wait()))
        tasks: tuple[asyncio.Task[Any], ...] = (working, *others)
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                return working.result()
            raise BusyError(f"cannot go on: {self.farewell}", mend="weaver up, then ask again")
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def follow(self, source: AsyncIterator[T]) -> AsyncGenerator[list[T], None]:
        """Give what a source has, in batches, until it ends, the server closes or nobody reads.

        An empty batch is a sign of life; the first one comes soon. The source is read no further
        ahead than the queue is long, and what it raises is raised here.
        """
        queue: asyncio.Queue[T] = asyncio.Queue(MOST_WAITING)
        pumping = asyncio.create_task(_pump(source, queue.put))
        closing = asyncio.create_task(self._closing.wait())
        self._open += 1
        patience = FIRST_SIGN_S
        try:
            while not closing.done():
                batch = await _batch(queue, (pumping, closing), patience)
                patience = STILL_HERE_S
                if batch or not (pumping.done() or closing.done()):
                    yield batch
                if pumping.done() and queue.empty():
                    pumping.result()
                    return
        finally:
            self._open -= 1
            pumping.cancel()
            closing.cancel()
            await asyncio.gather(pumping, closing, return_exceptions=True)

    async def carry_through(self, source: AsyncIterator[T]) -> AsyncGenerator[list[T], None]:
        """Give what a long verb says; it goes on to its end though its client may leave."""
        queue: asyncio.Queue[T] = asyncio.Queue()

        async def keep(item: T) -> None:
            if queue.qsize() >= MOST_UNREAD:
                queue.get_nowait()
            queue.put_nowait(item)

        pumping = asyncio.create_task(_pump(source, keep))
        self._carried.add(pumping)
        pumping.add_done_callback(self._carried.discard)
        while not (pumping.done() and queue.empty()):
            if batch := await _batch(queue, (pumping,), STILL_HERE_S):
                yield batch
        pumping.result()


async def _pump(source: AsyncIterator[T], put: Callable[[T], Awaitable[None]]) -> None:
    """Read a source to its end, and leave it closed."""
    try:
        async for item in source:
            await put(item)
    finally:
        if isinstance(source, AsyncGenerator):
            await source.aclose()


async def _batch(
    queue: asyncio.Queue[T], others: tuple[asyncio.Task[object], ...], patience: float
) -> list[T]:
    """Wait for an item, or for the others; then take all that is there without waiting."""
    getting = asyncio.ensure_future(queue.get())
    try:
        await asyncio.wait(
            {getting, *others}, timeout=patience, return_when=asyncio.FIRST_COMPLETED
        )
        if not getting.done():
            return []
        return [getting.result(), *(queue.get_nowait() for _ in range(queue.qsize()))]
    finally:
        getting.cancel()

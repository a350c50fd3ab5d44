"""Streams end when they should, hold little, and long verbs do not depend on their listener."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from reconciler.api import streams as limits
from reconciler.api.streams import BusyError, Streams


async def counting(upto: int, seen: list[int]) -> AsyncIterator[int]:
    for number in range(upto):
        seen.append(number)
        yield number


async def endless(closed: list[bool]) -> AsyncIterator[int]:
    try:
        yield 1
        await asyncio.Event().wait()
    finally:
        closed.append(True)


async def broken() -> AsyncIterator[int]:
    yield 1
    raise ValueError("no more")


def test_everything_arrives_in_order_and_in_few_batches() -> None:
    async def main() -> list[list[int]]:
        return [batch async for batch in Streams().follow(counting(5000, []))]

    batches = asyncio.run(main())
    assert [n for batch in batches for n in batch] == list(range(5000))
    assert len(batches) < 50


def test_a_source_is_read_no_further_ahead_than_the_queue_is_long() -> None:
    seen: list[int] = []

    async def main() -> None:
        async with contextlib.aclosing(Streams().follow(counting(100_000, seen))) as batches:
            first = await anext(batches)
            for _ in range(100):
                await asyncio.sleep(0)
            assert len(seen) <= len(first) + limits.MOST_WAITING + 1

    asyncio.run(main())


def test_a_stream_that_is_left_closes_its_source() -> None:
    closed: list[bool] = []

    async def main() -> None:
        async with contextlib.aclosing(Streams().follow(endless(closed))) as batches:
            assert await anext(batches) == [1]

    asyncio.run(main())
    assert closed == [True]


def test_closing_ends_what_would_go_on_for_ever() -> None:
    closed: list[bool] = []

    async def main() -> None:
        streams = Streams()
        async for _ in streams.follow(endless(closed)):
            streams.close()

    asyncio.run(asyncio.wait_for(main(), 10))
    assert closed == [True]


def test_what_a_source_raises_is_raised_after_what_it_gave() -> None:
    async def main() -> None:
        async with contextlib.aclosing(Streams().follow(broken())) as batches:
            assert await anext(batches) == [1]
            with pytest.raises(ValueError, match="no more"):
                await anext(batches)

    asyncio.run(main())


def test_a_quiet_source_gives_a_sign_of_life(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "STILL_HERE_S", 0.01)

    async def main() -> None:
        async with contextlib.aclosing(Streams().follow(endless([]))) as batches:
            assert [await anext(batches) for _ in range(3)] == [[1], [], []]

    asyncio.run(main())


def test_a_long_verb_goes_on_though_its_client_left() -> None:
    done: list[bool] = []

    async def verb() -> AsyncIterator[int]:
        yield 1
        await asyncio.sleep(0)
        yield 2
        done.append(True)

    async def main() -> None:
        streams = Streams()
        async with contextlib.aclosing(streams.carry_through(verb())) as batches:
            await anext(batches)
        await streams.finish(10)

    asyncio.run(main())
    assert done == [True]


def test_of_a_verb_that_says_too_much_the_end_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MOST_UNREAD", 3)

    async def main() -> list[int]:
        batches = [batch async for batch in Streams().carry_through(counting(100, []))]
        return [n for batch in batches for n in batch]

    assert asyncio.run(main())[-3:] == [97, 98, 99]


def test_open_streams_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MOST_STREAMS", 1)

    async def main() -> list[bool]:
        streams = Streams()
        full = [streams.is_full]
        async with contextlib.aclosing(streams.follow(endless([]))) as batches:
            await anext(batches)
            full.append(streams.is_full)
        return [*full, streams.is_full]

    assert asyncio.run(main()) == [False, True, False]


def test_work_is_dropped_when_its_client_leaves_or_the_server_closes() -> None:
    dropped: list[str] = []

    async def work(label: str) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            dropped.append(label)

    async def never() -> None:
        await asyncio.Event().wait()

    async def at_once() -> None:
        return

    async def main() -> None:
        streams = Streams()
        with pytest.raises(BusyError):
            await streams.while_wanted(work("client left"), at_once())
        asyncio.get_running_loop().call_soon(streams.close)
        with pytest.raises(BusyError):
            await streams.while_wanted(work("server closed"), never())

    asyncio.run(main())
    assert dropped == ["client left", "server closed"]

"""The waiting of the tests: it ends with the value, or at the deadline with what was seen."""

from __future__ import annotations

import asyncio
from itertools import count

import pytest

from tests.waiting import until, until_async


def test_it_gives_the_first_value_that_counts() -> None:
    numbers = count()
    assert until(lambda: max(0, next(numbers) - 2)) == 1


def test_it_fails_at_the_deadline_with_what_it_saw() -> None:
    with pytest.raises(AssertionError, match=r"waited 0\.02 s in vain for a pid; last seen: \[\]"):
        until(list, seconds=0.02, message="a pid")


def test_the_event_loop_goes_on_meanwhile() -> None:
    async def wait() -> bool:
        seen = asyncio.Event()
        asyncio.get_running_loop().call_later(0.02, seen.set)
        return await until_async(seen.is_set, seconds=5)

    assert asyncio.run(wait())

"""Memory is given back, and what lives on is spared."""

from __future__ import annotations

import asyncio
import gc

import pytest

from reconciler.runtime import memory
from tests.waiting import until_async


def test_garbage_goes_and_what_lives_is_looked_at_no_more() -> None:
    try:
        memory.give_back()
        assert gc.get_freeze_count() > 0
        assert gc.get_count()[2] == 0
    finally:
        gc.unfreeze()


def test_memory_is_given_back_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[None] = []
    monkeypatch.setattr(memory, "FIRST_PAUSES_S", (0.0,))
    monkeypatch.setattr(memory, "LATER_PAUSE_S", 0.001)
    monkeypatch.setattr(memory, "give_back", lambda: given.append(None))

    async def live() -> None:
        keeping = asyncio.create_task(memory.keep_small())
        await until_async(lambda: len(given) >= 3)
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)

    asyncio.run(live())

"""Give memory back that a burst of work took and nobody needs any more."""

from __future__ import annotations

import asyncio
import ctypes
import gc
from collections.abc import Iterator
from itertools import chain, repeat

FIRST_PAUSES_S = (10.0, 50.0)
"""After the start, when the first services run, and when caches have settled."""
LATER_PAUSE_S = 600.0


M_ARENA_MAX = -8


def use_one_arena() -> None:
    """Let all threads take memory from one place; to be called before there are others.

    They wait for each other in any case, and what one has freed another one could not use.
    """
    allow = getattr(ctypes.CDLL(None), "mallopt", None)  # glibc has it, musl has not
    if allow is not None:
        allow(M_ARENA_MAX, 1)


async def keep_small() -> None:
    """Give memory back now and then; the task of a daemon's life."""
    for pause_s in _pauses():
        await asyncio.sleep(pause_s)
        give_back()


def give_back() -> None:
    """Collect garbage, spare what is left from further collections, and trim the heap.

    What was read at the start lives as long as the daemon, and going through it again and again
    would be most of what an idle daemon does.
    """
    gc.collect()
    gc.freeze()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc has it, musl has not
    if trim is not None:
        trim(0)


def _pauses() -> Iterator[float]:
    return chain(FIRST_PAUSES_S, repeat(LATER_PAUSE_S))

"""Memory is given back, and what lives on is spared."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import subprocess
import sys

import pytest

from reconciler.manifest import codec
from reconciler.model.spec import ServiceSpec
from reconciler.runtime import memory
from tests.core.building import service
from tests.waiting import until_async


def test_garbage_goes_and_what_lives_is_looked_at_no_more() -> None:
    try:
        memory.give_back()
        assert gc.get_freeze_count() > 0
        assert gc.get_count()[2] == 0
    finally:
        gc.unfreeze()


def test_what_equals_a_default_is_the_same_object_in_all_services() -> None:
    made = service("web", env={"A": "1"}, stop_signal="SIGINT")
    read = [codec.decode(codec.encode(made), ServiceSpec) for _ in range(2)]
    for spec in read:
        codec.share_defaults(spec)
    first, second = read
    assert (first, second) == (made, made)
    assert first.hooks is second.hooks
    assert first.labels is second.labels
    assert first.env == {"A": "1"}
    assert first.env is not second.env


ARENAS = """
import threading, ctypes
from reconciler.runtime.memory import use_one_arena
use_one_arena()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
held = []
threads = [threading.Thread(target=lambda: held.append(libc.malloc(100_000))) for _ in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
heap = next(line for line in open("/proc/self/maps") if line.endswith("[heap]\\n"))
low, high = (int(end, 16) for end in heap.split()[0].split("-"))
assert all(low <= at < high for at in held), (heap, held)
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="needs glibc")
def test_all_threads_take_memory_from_one_place() -> None:
    subprocess.run([sys.executable, "-c", ARENAS], check=True)


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

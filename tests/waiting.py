"""Waiting for a condition, with a deadline: the only way a test waits."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

POLL_S = 0.01


def until(condition: Callable[[], T], seconds: float = 10.0, message: str = "") -> T:
    """Wait until `condition()` is truthy and give its value; fail the test at the deadline."""
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while not (value := condition()):
        _fail_after(deadline, seconds, message, value)
        pause.wait(POLL_S)
    return value


async def until_async(condition: Callable[[], T], seconds: float = 10.0, message: str = "") -> T:
    """Wait as `until` does, while the event loop goes on."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        _fail_after(deadline, seconds, message, value)
        await asyncio.sleep(POLL_S)
    return value


def _fail_after(deadline: float, seconds: float, message: str, value: object) -> None:
    if time.monotonic() >= deadline:
        what = message or "a condition"
        raise AssertionError(f"waited {seconds:g} s in vain for {what}; last seen: {value!r}")

"""An event loop whose clock leaps: who waits takes no time, in an order that is always the same."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


def play_out(story: Coroutine[Any, Any, T]) -> T:
    """Run a story to its end, by a clock of its own that begins at 0."""
    loop = _LeapingLoop()
    loop.set_default_executor(_Inline())
    try:
        return loop.run_until_complete(story)
    finally:
        loop.close()


class _Leaping(selectors.DefaultSelector):
    """Leaps to where the loop would wait until."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> Any:
        assert timeout is not None, "whoever waits waits for ever"
        self.now += timeout
        return super().select(0)


class _LeapingLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._leaping = _Leaping()
        super().__init__(self._leaping)

    def time(self) -> float:
        return self._leaping.now


class _Inline(ThreadPoolExecutor):
    """Does at once what is given to a thread."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        done: Future[T] = Future()
        try:
            done.set_result(fn(*args, **kwargs))
        except Exception as why:  # noqa: BLE001 - it is raised where somebody waits for it
            done.set_exception(why)
        return done

"""A process that records without end and tells what is on disk; it is there to be killed."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from reconciler.adapters.clock import HostClock
from reconciler.adapters.sqlite.store import SqliteStore
from tests.store.making import record, starting


async def main(path: Path) -> None:
    clock = HostClock()
    store = SqliteStore(path, clock)
    await store.load(clock.boot())
    serial = 0
    while True:
        serial += 1
        (event, *_) = await record(store, starting(f"s{serial % 7}", serial, "db"))
        print(event.seq, flush=True)  # noqa: T201 (the test reads it)


asyncio.run(main(Path(sys.argv[1])))

"""Requests without a pause, by wrk, while something is done to whoever answers them."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

PROGRAM = "wrk"
CONNECTIONS = 8
LONGEST_S = 600
END_S = 20.0
_REQUESTS = re.compile(r"(\d+) requests in ")
_BROKEN = re.compile(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)")
_REFUSED = re.compile(r"Non-2xx or 3xx responses: (\d+)")


@dataclass(slots=True)
class Tally:
    """What came of the requests; known once the load is over."""

    requests: int = 0
    failed: int = 0
    text: str = field(default="", repr=False)


def is_installed() -> bool:
    """Tell whether this machine has wrk."""
    return shutil.which(PROGRAM) is not None


@contextmanager
def load(port: int) -> Iterator[Tally]:
    """Ask without a pause while the block runs, by connections that are kept where they may be."""
    command = [PROGRAM, "-t1", f"-c{CONNECTIONS}", f"-d{LONGEST_S}", f"http://127.0.0.1:{port}/"]
    tally = Tally()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as asking:
        try:
            yield tally
        finally:
            asking.send_signal(signal.SIGINT)
            tally.text, _ = asking.communicate(timeout=END_S)
    count(tally)


def count(tally: Tally) -> None:
    """Read what wrk says.

    >>> tally = Tally(
    ...     text="9 requests in 1.00s, 1KB read "
    ...     "Socket errors: connect 1, read 2, write 0, timeout 3 Non-2xx or 3xx responses: 4"
    ... )
    >>> count(tally)
    >>> tally.requests, tally.failed
    (9, 10)
    """
    requests = _REQUESTS.search(tally.text)
    if requests is None:
        raise RuntimeError(f"cannot read what wrk says: {tally.text[-500:]!r}")
    broken, refused = _BROKEN.search(tally.text), _REFUSED.search(tally.text)
    tally.requests = int(requests[1])
    tally.failed = sum(map(int, broken.groups())) if broken else 0
    tally.failed += int(refused[1]) if refused else 0

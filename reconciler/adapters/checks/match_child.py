"""Match texts against regular expressions, in a process that may be killed.

`python -I -S match_child.py`, its standard input a SOCK_SEQPACKET socket: each message is a
pattern, NUL and a text; each answer is one of the words below, or what is wrong with the pattern.
"""

from __future__ import annotations

import re
import resource
import signal
import socket

FOUND = "found"
MISSING = "missing"
TOO_LONG = "too long"
MATCH_S = 0.25
"""Of a processor's time, so that a busy host makes no pattern slow."""
MEMORY_BYTES = 256 * 1024 * 1024
MESSAGE_BYTES = 256 * 1024


class _TimeIsUp(Exception):  # noqa: N818 - it is no error
    """A match takes too long; the engine of `re` looks for signals now and then."""


def answer(message: bytes) -> str:
    """Answer one message."""
    pattern, _, text = message.partition(b"\0")
    try:
        signal.setitimer(signal.ITIMER_PROF, MATCH_S)
        try:
            found = re.search(pattern.decode(), text.decode("utf-8", "replace"))
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
    except _TimeIsUp:
        return TOO_LONG
    except (re.error, OverflowError, RecursionError, MemoryError) as why:
        return f"is no regular expression: {str(why) or type(why).__name__}"
    return FOUND if found else MISSING


def _give_up(*_: object) -> None:
    raise _TimeIsUp


def main() -> None:
    """Answer until the other side is gone."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    signal.signal(signal.SIGPROF, _give_up)
    with socket.socket(fileno=0) as end:
        while message := end.recv(MESSAGE_BYTES):
            end.send(answer(message).encode()[:MESSAGE_BYTES])


if __name__ == "__main__":
    main()

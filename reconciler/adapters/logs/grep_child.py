"""Match texts against one regular expression, in a process that may be killed.

A pattern can take for ever on a line, or all memory while it is compiled, and nothing in Python
stops it from within. So this small program does it: `python -I -S grep_child.py`. It reads a
length and a JSON text, first the pattern, then one list of texts after the other; it answers in
the same way, first with an error or nothing, then with one digit for each text.
"""

from __future__ import annotations

import json
import re
import resource
import struct
import sys
import time
from typing import IO

LENGTH = struct.Struct("!I")
MEMORY_BYTES = 256 * 1024 * 1024
MESSAGE_CPU_S = 30
"""What one message may take: who asked kills us long before, unless it was killed itself."""


def read(stream: IO[bytes]) -> object:
    """Read one message; None at the end."""
    head = stream.read(LENGTH.size)
    return json.loads(stream.read(LENGTH.unpack(head)[0])) if len(head) == LENGTH.size else None


def write(stream: IO[bytes], message: object) -> None:
    """Write one message."""
    data = json.dumps(message).encode()
    stream.write(LENGTH.pack(len(data)) + data)
    stream.flush()


def limit_time() -> None:
    """Let the kernel end us where one message takes too long and nobody is left to do it."""
    _, most = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (int(time.process_time()) + MESSAGE_CPU_S, most))


def main() -> None:
    """Answer until the other side is gone."""
    limit_time()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    try:
        search = re.compile(str(read(requests))).search
    except (re.error, OverflowError, RecursionError, MemoryError) as error:
        write(answers, str(error) or type(error).__name__)
        return
    write(answers, "")
    while isinstance(texts := read(requests), list):
        limit_time()
        write(answers, "".join("1" if search(text) else "0" for text in texts))


if __name__ == "__main__":
    main()

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
from typing import BinaryIO

LENGTH = struct.Struct("!I")
MEMORY_BYTES = 256 * 1024 * 1024


def read(stream: BinaryIO) -> object:
    """Read one message; None at the end."""
    head = stream.read(LENGTH.size)
    return json.loads(stream.read(LENGTH.unpack(head)[0])) if len(head) == LENGTH.size else None


def write(stream: BinaryIO, message: str) -> None:
    """Write one message."""
    data = json.dumps(message).encode()
    stream.write(LENGTH.pack(len(data)) + data)
    stream.flush()


def main() -> None:
    """Answer until the other side is gone."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    try:
        search = re.compile(str(read(requests))).search
    except (re.error, OverflowError, RecursionError, MemoryError) as error:
        write(answers, str(error) or type(error).__name__)
        return
    write(answers, "")
    while isinstance(texts := read(requests), list):
        write(answers, "".join("1" if search(text) else "0" for text in texts))


if __name__ == "__main__":
    main()

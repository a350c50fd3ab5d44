"""Compress standard input to standard output, as gzip that can be read from the middle.

Run as a process of its own, with the lowest priority, so that a gigabyte of logs takes nothing
from the daemon nor from services. Every block is a gzip member with its lengths in an extra field,
so `zcat` reads the whole and a reader hops from member to member. Nothing of Weaver is imported.
"""

from __future__ import annotations

import os
import struct
import zlib

BLOCK = 256 * 1024
LEVEL = 4
"""Twice as fast as the usual 6, for a few per cent of size."""

HEAD = struct.Struct("<4BLBBH2BHLL")
"""A member's head: magic, method, flags, time, two more, then the extra field: its length, `WV`,
eight bytes, the member's length and that of its content."""
TAIL = struct.Struct("<LL")
EXTRA = 12
_MAGIC = (0x1F, 0x8B, 8, 4)


def member(data: bytes) -> bytes:
    """Give one gzip member that holds `data`."""
    packer = zlib.compressobj(LEVEL, zlib.DEFLATED, -15)
    body = packer.compress(data) + packer.flush()
    size = HEAD.size + len(body) + TAIL.size
    head = HEAD.pack(*_MAGIC, 0, 0, 255, EXTRA, ord("W"), ord("V"), 8, size, len(data))
    return head + body + TAIL.pack(zlib.crc32(data), len(data))


def lengths(head: bytes) -> tuple[int, int] | None:
    """Give a member's length and its content's, by its head; None where it is none of ours."""
    if len(head) < HEAD.size:
        return None
    *first, extra, one, two, _, size, content = HEAD.unpack(head[: HEAD.size])
    is_ours = tuple(first[:4]) == _MAGIC and (extra, one, two) == (EXTRA, ord("W"), ord("V"))
    return (size, content) if is_ours and size > HEAD.size + TAIL.size else None


def content(data: bytes) -> bytes:
    """Give what a whole member holds. Raises zlib.error for one that is damaged."""
    return zlib.decompress(data[HEAD.size : -TAIL.size], -15)


def main() -> None:
    """Compress until the input ends; the output is on disk when this returns."""
    os.nice(19)
    while data := _block():
        packed = memoryview(member(data))
        while packed:
            packed = packed[os.write(1, packed) :]
    os.fsync(1)


def _block() -> bytes:
    data = b""
    while len(data) < BLOCK and (part := os.read(0, BLOCK - len(data))):
        data += part
    return data


if __name__ == "__main__":
    main()

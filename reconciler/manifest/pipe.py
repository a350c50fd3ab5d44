"""What the daemon and its reader of manifests say to each other, over a pipe.

A message is its length in four bytes, then JSON. Every request is answered by one answer, in
order; so when the reader dies, the first request without an answer is what killed it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from reconciler.manifest.codec import decode, encode
from reconciler.manifest.config import Config, ConfigResult
from reconciler.manifest.result import FileResult

LENGTH_BYTES = 4
MAX_MESSAGE_BYTES = 64 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """Read one file; without a config it is weaver.yaml itself."""

    file: str
    data: bytes
    config: Config | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the file says."""

    result: FileResult = field(default_factory=lambda: FileResult(file=""))
    config: ConfigResult | None = None


def request_bytes(request: Request) -> bytes:
    """Give a request as it goes through the pipe."""
    return _framed(encode(request))


def answer_bytes(answer: Answer) -> bytes:
    """Give an answer as it goes through the pipe."""
    return _framed(encode(answer))


def read_request(body: bytes) -> Request:
    """Give the request of a message's body."""
    return decode(body, Request)


def read_answer(body: bytes) -> Answer:
    """Give the answer of a message's body."""
    return decode(body, Answer)


def length_of(head: bytes) -> int:
    """Give the length of the body that follows these bytes."""
    length = int.from_bytes(head, "big")
    if length > MAX_MESSAGE_BYTES:
        raise ValueError(f"a message of {length} bytes")
    return length


def _framed(body: bytes) -> bytes:
    return len(body).to_bytes(LENGTH_BYTES, "big") + body

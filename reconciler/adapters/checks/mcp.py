"""Check a server of the Model Context Protocol: `initialize`, `notifications/initialized`, `ping`.

Over stdio the command is started for the check and ended after it, as a client would do; over
streamable HTTP each message is a request of its own, and the session is given back at the end.
"""

from __future__ import annotations

import json
from typing import Any

from reconciler.adapters.checks.exchange import BODY_LIMIT
from reconciler.adapters.checks.place import ProbeError, Seen
from reconciler.model.health import CheckFault

PROTOCOL_VERSION = "2025-06-18"
INITIALIZE, PING = 1, 2
"""The numbers of our two requests."""

Message = dict[str, Any]


def initialize(version: str) -> Message:
    """Give the first request; `version` is ours."""
    params = {
        "protocolVersion": PROTOCOL_VERSION,
        "capabilities": {},
        "clientInfo": {"name": "weaver", "version": version},
    }
    return _message("initialize", id=INITIALIZE, params=params)


def initialized() -> Message:
    """Give the notification after it."""
    return _message("notifications/initialized")


def ping() -> Message:
    """Give the second request."""
    return _message("ping", id=PING)


def _message(method: str, **more: object) -> Message:
    return {"jsonrpc": "2.0", "method": method, **more}


def encoded(message: Message) -> bytes:
    """Give the JSON of a message."""
    return json.dumps(message, separators=(",", ":")).encode()


def answer_in(text: bytes, number: int) -> Message | None:
    """Give the answer to a request where this is one; None for anything else that a server says."""
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        return None
    is_answer = isinstance(said, dict) and said.get("id") == number and "method" not in said
    return said if is_answer else None


def result_of(answer: Message, name: str) -> Message:
    """Give the result in an answer. Raises ProbeError where the server refuses."""
    error, result = answer.get("error"), answer.get("result")
    if isinstance(error, dict):
        text = f"{name} was refused: {str(error.get('message', ''))[:120]} ({error.get('code')})"
        raise ProbeError(text, CheckFault.FAILED)
    if not isinstance(result, dict):
        raise ProbeError(f"its answer to {name} has no result", CheckFault.PROTOCOL)
    return result


def seen(result: Message) -> Seen:
    """Judge the answer to `initialize`, and say who answered."""
    about, version = result.get("serverInfo"), result.get("protocolVersion")
    if not isinstance(version, str) or not isinstance(about, dict):
        text = "its answer to initialize names no protocolVersion or no serverInfo"
        raise ProbeError(text, CheckFault.PROTOCOL)
    name, own = str(about.get("name", ""))[:80], str(about.get("version", ""))[:40]
    facts = {"server": name, "serverVersion": own, "protocolVersion": version[:40]}
    return Seen(detail=f"{name} {own}".strip() + " answers a ping", facts=facts)


class Bounded:
    """What a server says, in lines, of which no more is read than a check may read."""

    def __init__(self) -> None:
        self._rest = b""
        self._count = 0

    def lines(self, piece: bytes) -> list[bytes]:
        """Give the lines that are whole now."""
        self._count += len(piece)
        if self._count > BODY_LIMIT:
            text = f"its answer is longer than {BODY_LIMIT >> 10} KiB"
            raise ProbeError(text, CheckFault.BODY)
        *whole, self._rest = (self._rest + piece).split(b"\n")
        return [line.rstrip(b"\r") for line in whole]

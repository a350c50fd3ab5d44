"""An ASGI application that answers at once."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any


def say_ready() -> None:
    """Make the file that says so, where one was asked for."""
    if path := os.environ.get("READY_FILE"):
        Path(path).touch()


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Answer everything with two bytes."""
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            say_ready()
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                return
    head = {"status": 200, "headers": [(b"content-length", b"2")]}
    await send({"type": "http.response.start", **head})
    await send({"type": "http.response.body", "body": b"ok"})

"""A WSGI application that answers at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def app(_environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    """Answer everything with two bytes."""
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]

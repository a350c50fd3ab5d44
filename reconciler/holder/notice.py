"""Understand what a service says of itself: the words of sd_notify(3), and what they add up to.

Of everything the last word counts, so that nothing is lost while nobody listens. A notice is kept
as a JSON object, which lacks what was never said:

{"at", "ready", "reloading", "stopping", "status", "errno", "watchdog", "pinged", "failed",
"extended"}   times in nanoseconds since boot, `watchdog` a span; see model/observed.py
"""

from __future__ import annotations

import time

TYPE_CHECKING = False  # see wire.py
if TYPE_CHECKING:
    from typing import Any

    from reconciler.holder.wire import Message

DATAGRAM_BYTES = 4096
STATUS_CHARS = 512
LONGEST_NS = 366 * 24 * 3600 * 10**9
"""No span that a service asks for is longer than a year."""
MOST_ERRNO = 4095
_MICRO = 1000
_MOST_DIGITS = 20
LASTING = ("ready", "reloading", "stopping", "failed", "watchdog")
"""What must not be forgotten with a holder that is killed."""
URGENT = ("ready", "reloading", "stopping", "failed")
"""What somebody waits for: whether it was said, of times as well."""


def parse(data: bytes) -> dict[str, str]:
    """Give the words of a datagram; none for one that makes no sense."""
    if not data or len(data) > DATAGRAM_BYTES or b"\0" in data.rstrip(b"\0"):
        return {}
    lines = data.rstrip(b"\0").decode("utf-8", "replace").split("\n")
    return {key: value for key, is_one, value in (line.partition("=") for line in lines) if is_one}


def said(notice: Message, words: dict[str, str], now: int) -> Message:
    """Give the notice after a datagram; words that we do not know change nothing."""
    fresh: dict[str, Any] = {**notice, "at": now}
    if words.get("RELOADING") == "1":
        fresh["reloading"] = _moment(words.get("MONOTONIC_USEC", ""), now)
    if words.get("READY") == "1":
        # It is done with what it asked time for.
        fresh |= {"ready": True, "reloading": 0, "extended": 0}
    if words.get("STOPPING") == "1":
        fresh |= {"stopping": True, "extended": 0}
    if "STATUS" in words:
        fresh["status"] = words["STATUS"][:STATUS_CHARS]
    if (number := _number(words.get("ERRNO", ""))) is not None and number <= MOST_ERRNO:
        fresh["errno"] = number
    if words.get("WATCHDOG") == "1":
        fresh["pinged"] = now
    elif words.get("WATCHDOG") == "trigger":
        fresh["failed"] = True
    if (span := _span(words.get("WATCHDOG_USEC", ""))) is not None:
        fresh |= {"watchdog": span, "pinged": now}
    if (span := _span(words.get("EXTEND_TIMEOUT_USEC", ""))) is not None:
        fresh["extended"] = now + span
    return fresh


def lasting(notice: Message) -> tuple[Any, ...]:
    """Give the part of a notice that has to be written down."""
    return tuple(notice.get(name) for name in LASTING)


def urgent(notice: Message) -> tuple[bool, ...]:
    """Give the part of a notice that is written down before its datagram is let go."""
    return tuple(bool(notice.get(name)) for name in URGENT)


def number(text: str) -> int:
    """Give a number that a service wrote; 0 for anything else."""
    return _number(text) or 0


def _number(text: str) -> int | None:
    is_plain = text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS
    return int(text) if is_plain else None


def _span(text: str) -> int | None:
    micros = _number(text)
    return None if micros is None else min(micros * _MICRO, LONGEST_NS)


def _moment(text: str, now: int) -> int:
    """Give when a reload began by the service's own clock, which stands still in sleep."""
    micros = _number(text)
    if micros is None:
        return now
    slept = now - time.monotonic_ns()
    return max(1, min(now, micros * _MICRO + slept))

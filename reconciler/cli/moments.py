"""Read a point of time as people type it: `10m` ago, `14:30`, a date, RFC 3339."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any

import click

from reconciler.cli.options import duration


def moment(text: str, now: float) -> float | None:
    """Give seconds since 1970; None where the text is no point of time.

    Without a zone it is the local time; a bare time of day is the last one that has been.

    >>> moment("10m", now=1000.0), moment("1970-01-01T00:01:00Z", now=0.0), moment("soon", 0.0)
    (400.0, 60.0, None)
    """
    ago = duration(text)
    if ago is not None:
        return now - ago
    if len(text) <= len("00:00:00") and ":" in text:
        return _time_of_day(text, now)
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return None


def _time_of_day(text: str, now: float) -> float | None:
    """Give when it last was this time of day."""
    today = datetime.fromtimestamp(now).astimezone().strftime("%Y-%m-%d")
    try:
        found = datetime.fromisoformat(f"{today} {text}").timestamp()
    except ValueError:
        return None
    return found if found <= now else found - 86400


class Moment(click.ParamType[Any]):
    """A point of time."""

    name = "time"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Give seconds since 1970."""
        if isinstance(value, float):
            return value
        found = moment(value, time.time())
        if found is None:
            self.fail(f"`{value}` is no time; write 10m, 14:30 or 2025-01-31T14:30", param, ctx)
        return found

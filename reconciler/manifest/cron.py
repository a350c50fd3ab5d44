"""Read cron expressions and time zones, and give the times that they mean.

The expressions are those of Debian's cron, with its ways at changes of the clock: a fixed time of
day in the hour that is left out comes right after it, one in the hour that comes twice comes once,
and what comes every so many minutes goes on as if there were no clock.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime, tzinfo
from pathlib import Path

from reconciler.manifest.suggest import closest
from reconciler.model.units import SECOND, WallTime

FIELDS = "minute, hour, day of the month, month, day of the week"
LOCALTIME = Path("/etc/localtime")
_SOME_DAY = datetime(2024, 1, 1, tzinfo=UTC)
_NAMES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}

_MEND_OF_ZONE = "write the zone beside `cron`: `timezone: Europe/Berlin`"


class CronError(ValueError):
    """An expression or a zone that cannot be used; `mend` is what to do instead."""

    def __init__(self, message: str, mend: str) -> None:
        super().__init__(message)
        self.mend = mend


def check(expression: str) -> None:
    """Refuse an expression that means no time. Raises CronError.

    >>> check("*/5 * * * *")
    >>> check("0 0 30 2")
    Traceback (most recent call last):
    ...
    reconciler.manifest.cron.CronError: `0 0 30 2` has 4 fields, cron has 5
    """
    if next(_local_times(expression, _SOME_DAY), None) is None:
        raise CronError(f"`{expression}` never comes", "name a day that its months have")


def times(expression: str, zone: tzinfo, after: WallTime) -> Iterator[WallTime]:
    """Give the times of an expression after a moment, in order, each once.

    >>> from datetime import UTC
    >>> found = times("30 2 * * *", UTC, WallTime(0))
    >>> [next(found) // 10**9 for _ in range(2)]
    [9000, 95400]
    """
    last = after
    for local in _local_times(expression, local_time(after, zone)):
        found = WallTime(round(local.timestamp()) * SECOND)
        if found > last:
            yield found
            last = found


def local_time(at: WallTime, zone: tzinfo) -> datetime:
    """Give a moment as the clocks of a zone show it, to the second."""
    return datetime.fromtimestamp(at // SECOND, zone)


def zone_of(name: str) -> tzinfo:
    """Give a time zone by its name; that of the host for none. Raises CronError."""
    if not name:
        return _zone_of_the_host()
    from zoneinfo import ZoneInfo

    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise CronError(f"no time zone `{name}` is known", _mend_of_zone(name)) from None


def _local_times(expression: str, after: datetime) -> Iterator[datetime]:
    from cronsim import CronSim, CronSimError

    text = _NAMES.get(expression.strip().lower(), expression)
    count = len(text.split())
    if text.startswith("@"):
        raise CronError(f"`{expression}` is no time of the clock", _mend_of_name(text))
    if "=" in text:
        raise CronError(f"`{expression}` is more than a time", _MEND_OF_ZONE)
    if count != len(FIELDS.split(", ")):
        mend = f"write {FIELDS}: `*/5 * * * *`; for seconds use `every: 30s`"
        raise CronError(f"`{expression}` has {count} fields, cron has 5", mend)
    try:
        yield from CronSim(text, after)
    except CronSimError as why:
        field = str(why).removeprefix("Bad ").replace("-", " ")
        message = f"the {field} of `{expression}` cannot be read or never comes"
        raise CronError(message, f"write {FIELDS}: `0 3 * * MON-FRI`") from None
    except OverflowError:
        return


def _mend_of_name(name: str) -> str:
    if name.lower() == "@reboot":
        return "remove `schedule`: a oneshot without one runs when the host boots"
    return f"write one of {', '.join(f'`{known}`' for known in _NAMES)}, or {FIELDS}"


def _zone_of_the_host() -> tzinfo:
    """Give the zone that the daemon was told by TZ, else that of /etc/localtime, else UTC."""
    from zoneinfo import ZoneInfo

    told = os.environ.get("TZ", "").removeprefix(":")
    place = Path(told) if told.startswith("/") else LOCALTIME
    if told and not told.startswith("/"):
        return zone_of(told)
    try:
        with place.open("rb") as file:
            return ZoneInfo.from_file(file)
    except FileNotFoundError:
        return UTC
    except (OSError, ValueError) as why:
        mend = "write a `timezone`, or mend it: timedatectl set-timezone ZONE"
        raise CronError(f"cannot read the host's time zone from {place}: {why}", mend) from None


def _mend_of_zone(name: str) -> str:
    from zoneinfo import available_timezones

    known = available_timezones()
    if not known:
        return "install the time zones: apt install tzdata, or pip install tzdata"
    near = closest(name, sorted(known))
    return f"did you mean `{near}`?" if near else "write a name like `Europe/Berlin` or `UTC`"

"""Tell when a schedule's times are: the one reader of the wall clock that decides anything."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, tzinfo
from itertools import islice

from reconciler.manifest import cron
from reconciler.model.event import NextTime, TimeTold
from reconciler.model.spec import Schedule
from reconciler.model.units import SECOND, Nanos, WallTime, minutes
from reconciler.ports import Clock

SET_BACK = minutes(180)
"""As in cron: a clock that was set back by more was wrong before, and is followed as it is now;
by less, times that were served are not served again."""
MANY = 1000
"""Times that were missed are counted no further."""
_WINDOWS = tuple(minutes(span) for span in (60, 24 * 60, 40 * 24 * 60, 400 * 24 * 60))


class WallTimetable:
    """Answers by the host's clocks; implements the `Timetable` port."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def tell(self, question: NextTime) -> TimeTold:
        """Tell which times of a schedule have passed, and the next one. Never raises."""
        return reckon(question, self._clock.now(), WallTime(round(self._clock.wall() * SECOND)))


def reckon(question: NextTime, now: Nanos, wall: WallTime) -> TimeTold:
    """Tell what a schedule comes to, `wall` being the time of `now`."""
    try:
        if question.schedule.every is not None:
            return _reckon_span(question, question.schedule.every, now, wall)
        return _reckon_cron(question, now, wall)
    except cron.CronError as why:
        problem = f"{why}; {why.mend}"
        return TimeTold(serial=question.serial, service=question.service, problem=problem)


def _reckon_span(question: NextTime, every: Nanos, now: Nanos, wall: WallTime) -> TimeTold:
    """Count spans from the last time on: by the clock that nobody sets, over a reboot by the wall.

    >>> from reconciler.model.units import Serial, ServiceName
    >>> question = NextTime(serial=Serial(1), service=ServiceName("x"), since=WallTime(100),
    ...     at=Nanos(50), schedule=Schedule(every=Nanos(10)))
    >>> told = _reckon_span(question, Nanos(10), Nanos(75), WallTime(0))
    >>> told.passed, told.at, told.next_at
    (2, 70, 80)
    """
    since, at = question.since, question.at
    if since is not None and at is None:
        at = Nanos(now - (wall - since))
    if since is None or at is None or at > now:
        since, at = wall, now
    passed = (now - at) // every
    if passed:
        at = Nanos(at + passed * every)
        since = WallTime(wall - (now - at))
    next_at = Nanos(at + every)
    return TimeTold(
        serial=question.serial,
        service=question.service,
        since=since,
        at=at,
        passed=passed,
        label=f"{cron.local_time(since, UTC):%Y-%m-%d %H:%M:%S} UTC",
        next=WallTime(wall + (next_at - now)),
        next_at=next_at,
    )


def _reckon_cron(question: NextTime, now: Nanos, wall: WallTime) -> TimeTold:
    schedule, since = question.schedule, question.since
    zone = cron.zone_of(schedule.timezone)
    if since is None or since - wall > SET_BACK:
        since = wall
    passed = list(islice(_passed(schedule, zone, since, wall), MANY))
    if len(passed) == MANY:
        passed[-1] = _newest(schedule, zone, since, wall)
    since = passed[-1] if passed else since
    coming = next(cron.times(schedule.cron, zone, max(since, wall)), None)
    return TimeTold(
        serial=question.serial,
        service=question.service,
        since=since,
        at=Nanos(now - (wall - since)),
        passed=len(passed),
        label=f"{cron.local_time(since, zone):%Y-%m-%d %H:%M %Z}",
        next=coming,
        next_at=None if coming is None else Nanos(now + (coming - wall)),
    )


def _passed(
    schedule: Schedule, zone: tzinfo, since: WallTime, wall: WallTime
) -> Iterator[WallTime]:
    for found in cron.times(schedule.cron, zone, since):
        if found > wall:
            return
        yield found


def _newest(schedule: Schedule, zone: tzinfo, since: WallTime, wall: WallTime) -> WallTime:
    """Give the newest time that has passed, when there were too many to go through them all."""
    for window in _WINDOWS:
        found = list(_passed(schedule, zone, WallTime(max(since, wall - window)), wall))
        if found:
            return found[-1]
    return since

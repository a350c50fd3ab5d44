"""When a schedule's times are: cron as Debian has it, spans, and clocks that jump."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.adapters.timetable import MANY, SET_BACK, WallTimetable, reckon
from reconciler.manifest import cron
from reconciler.model.event import NextTime, TimeTold
from reconciler.model.spec import Schedule
from reconciler.model.units import SECOND, Nanos, Serial, ServiceName, WallTime, minutes, seconds

NOW = seconds(5000)


def wall(text: str) -> WallTime:
    """Give a moment written as `2026-03-29 02:30`, with an offset where it is not UTC."""
    at = datetime.fromisoformat(text)
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return WallTime(round(at.timestamp()) * SECOND)


def asked(
    schedule: Schedule, since: WallTime | None, now: WallTime, at: Nanos | None = None
) -> TimeTold:
    question = NextTime(
        serial=Serial(1), service=ServiceName("x"), schedule=schedule, since=since, at=at
    )
    return reckon(question, NOW, now)


def listed(expression: str, zone: str, after: str, count: int) -> list[str]:
    """Give the next times of an expression, as the clocks of its zone show them."""
    found = cron.times(expression, ZoneInfo(zone), wall(after))
    local = (cron.local_time(next(found), ZoneInfo(zone)) for _ in range(count))
    return [f"{at:%m-%d %H:%M %Z}" for at in local]


@pytest.mark.parametrize(
    ("expression", "zone", "after", "expected"),
    [
        ("*/5 * * * *", "UTC", "2026-01-05 00:02", ["01-05 00:05 UTC", "01-05 00:10 UTC"]),
        ("@daily", "UTC", "2026-01-05 00:00", ["01-06 00:00 UTC", "01-07 00:00 UTC"]),
        ("0 9 * * MON-FRI", "UTC", "2026-01-09 10:00", ["01-12 09:00 UTC", "01-13 09:00 UTC"]),
        ("0 0 29 2 *", "UTC", "2026-01-05 00:00", ["02-29 00:00 UTC"]),
        ("0 0 L * *", "UTC", "2027-02-01 00:00", ["02-28 00:00 UTC", "03-31 00:00 UTC"]),
        # What the gap leaves out comes right after it; what comes twice comes once.
        (
            "30 2 * * *",
            "Europe/Berlin",
            "2026-03-28 12:00+01:00",
            ["03-29 03:00 CEST", "03-30 02:30 CEST"],
        ),
        (
            "30 2 * * *",
            "Europe/Berlin",
            "2026-10-24 12:00+02:00",
            ["10-25 02:30 CEST", "10-26 02:30 CET"],
        ),
        # Asked in the second 02:10, the 02:30 of that night was an hour ago.
        ("30 2 * * *", "Europe/Berlin", "2026-10-25 02:40+02:00", ["10-26 02:30 CET"]),
        ("30 2 * * *", "Europe/Berlin", "2026-10-25 02:10+01:00", ["10-26 02:30 CET"]),
        # Every so many minutes goes on through both.
        (
            "*/30 * * * *",
            "Europe/Berlin",
            "2026-10-25 02:00+02:00",
            ["10-25 02:30 CEST", "10-25 02:00 CET", "10-25 02:30 CET", "10-25 03:00 CET"],
        ),
        (
            "*/30 * * * *",
            "Europe/Berlin",
            "2026-03-29 01:00+01:00",
            ["03-29 01:30 CET", "03-29 03:00 CEST"],
        ),
        # Half an hour of a gap, and a zone that is not of whole hours.
        ("15 2 * * *", "Australia/Lord_Howe", "2026-10-03 03:00+10:30", ["10-04 02:30 +11"]),
        ("0 0 1 1 *", "UTC", "2037-12-31 00:00", ["01-01 00:00 UTC"]),
        ("14 3 19 1 *", "UTC", "2038-01-18 00:00", ["01-19 03:14 UTC"]),
    ],
)
def test_c4_cron_comes_at_its_times_through_every_change_of_the_clock(
    expression: str, zone: str, after: str, expected: list[str]
) -> None:
    assert listed(expression, zone, after, len(expected)) == expected


@given(
    start=st.integers(wall("2026-01-01") // SECOND, wall("2039-01-01") // SECOND),
    expression=st.sampled_from(["*/7 * * * *", "30 2 * * *", "0,30 1-3 * * *", "15 2 25 10 *"]),
    zone=st.sampled_from(["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "UTC"]),
)
def test_c4_no_time_comes_twice_and_each_follows_the_other(
    start: int, expression: str, zone: str
) -> None:
    known = cron.times(expression, ZoneInfo(zone), WallTime(start * SECOND))
    found = [next(known) for _ in range(6)]
    assert found == sorted(set(found))
    assert found[0] > start * SECOND
    again = cron.times(expression, ZoneInfo(zone), found[2])
    assert [next(again) for _ in range(3)] == found[3:]


HOURLY = Schedule(cron="0 * * * *", timezone="UTC")
TEN = Schedule(every=minutes(10))


def test_the_first_question_begins_at_the_present() -> None:
    told = asked(HOURLY, None, wall("2026-01-05 00:20"))
    assert (told.passed, told.since) == (0, wall("2026-01-05 00:20"))
    assert told.next == wall("2026-01-05 01:00")
    assert told.next_at == NOW + minutes(40)


def test_what_has_passed_is_told_with_the_newest_and_how_many() -> None:
    told = asked(HOURLY, wall("2026-01-05 00:20"), wall("2026-01-05 03:01"))
    assert (told.passed, told.since, told.label) == (
        3,
        wall("2026-01-05 03:00"),
        "2026-01-05 03:00 UTC",
    )
    assert told.at == NOW - minutes(1)
    assert told.next_at == NOW + minutes(59)


def test_c1_ten_years_forward_are_many_times_missed_at_once_and_counted_no_further() -> None:
    every_minute = Schedule(cron="* * * * *", timezone="UTC")
    told = asked(every_minute, wall("2026-01-05 00:20"), wall("2036-01-05 00:20"))
    assert (told.passed, told.since) == (MANY, wall("2036-01-05 00:20"))


def test_c2_a_clock_set_back_a_little_brings_no_time_again() -> None:
    told = asked(HOURLY, wall("2026-01-05 03:00"), wall("2026-01-05 01:30"))
    assert (told.passed, told.since) == (0, wall("2026-01-05 03:00"))
    assert told.next == wall("2026-01-05 04:00")


def test_c2_a_clock_set_back_by_a_day_was_wrong_before_and_nothing_is_stuck() -> None:
    told = asked(HOURLY, wall("2026-01-06 01:30"), wall("2026-01-05 01:30"))
    assert (told.passed, told.since) == (0, wall("2026-01-05 01:30"))
    assert told.next == wall("2026-01-05 02:00")
    assert wall("2026-01-06 01:30") - wall("2026-01-05 01:30") > SET_BACK


@pytest.mark.parametrize("step", [minutes(-60 * 24), minutes(60), minutes(60 * 24 * 3650)])
def test_c1_spans_do_not_look_at_the_wall_clock(step: Nanos) -> None:
    since, at = wall("2026-01-05 00:00"), Nanos(NOW - minutes(4))
    told = asked(TEN, since, WallTime(since + minutes(4) + step), at)
    assert (told.passed, told.next_at) == (0, NOW + minutes(6))


def test_spans_go_on_over_a_reboot_by_the_wall_clock() -> None:
    told = asked(TEN, wall("2026-01-05 00:00"), wall("2026-01-05 00:25"))
    assert (told.passed, told.since) == (2, wall("2026-01-05 00:20"))
    assert told.next_at == NOW + minutes(5)


def test_spans_begin_anew_where_the_wall_clock_lost_its_time_over_a_reboot() -> None:
    told = asked(TEN, wall("2026-01-05 00:00"), wall("1970-01-01 00:01"))
    assert (told.passed, told.next_at) == (0, NOW + minutes(10))


def test_c4_a_zone_that_nobody_knows_is_a_problem_with_its_mend() -> None:
    told = asked(Schedule(cron="@daily", timezone="Mars/Olympus"), None, wall("2026-01-05"))
    assert told.problem.startswith("no time zone `Mars/Olympus` is known; write a name like")


def test_c4_without_time_zone_data_the_mend_is_to_install_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import sys
    import zoneinfo

    monkeypatch.setattr(zoneinfo, "TZPATH", ())
    for module in ("tzdata", "tzdata.zoneinfo", "tzdata.zoneinfo.Europe"):
        monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setattr(zoneinfo, "available_timezones", set)
    zoneinfo.ZoneInfo.clear_cache()
    zoneinfo.reset_tzpath(to=())
    try:
        with pytest.raises(cron.CronError, match="no time zone `Europe/Berlin`") as caught:
            cron.zone_of("Europe/Berlin")
    finally:
        zoneinfo.reset_tzpath()
    assert "install the time zones" in caught.value.mend


@pytest.mark.parametrize(
    ("told", "expected"),
    [("Europe/Berlin", "CET"), (":America/New_York", "EST"), ("UTC", "UTC")],
)
def test_without_a_zone_it_is_that_of_the_host(
    monkeypatch: pytest.MonkeyPatch, told: str, expected: str
) -> None:
    monkeypatch.setenv("TZ", told)
    zone = cron.zone_of("")
    assert cron.local_time(wall("2026-01-05 12:00"), zone).tzname() == expected


def test_the_host_may_have_its_zone_in_a_file_or_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("TZ", raising=False)
    monkeypatch.setattr(cron, "LOCALTIME", tmp_path / "localtime")
    assert cron.zone_of("") is UTC
    (tmp_path / "localtime").write_bytes(b"no zone")
    with pytest.raises(cron.CronError, match="cannot read the host's time zone"):
        cron.zone_of("")


class FixedClock:
    def now(self) -> Nanos:
        return NOW

    def wall(self) -> float:
        return wall("2026-01-05 00:20") / SECOND

    def boot(self) -> str:
        return "boot"


def test_the_clocks_of_the_host_are_read_at_once() -> None:
    question = NextTime(
        serial=Serial(7), service=ServiceName("x"), schedule=HOURLY, since=None, at=None
    )
    told = asyncio.run(WallTimetable(FixedClock()).tell(question))
    assert (told.serial, told.next_at) == (7, NOW + minutes(40))


@pytest.mark.parametrize(
    ("expression", "mend"),
    [
        ("@reboot", "a oneshot without one runs when the host boots"),
        ("@dayly", "`@daily`"),
        ("TZ=UTC * * * * *", "`timezone: Europe/Berlin`"),
    ],
)
def test_what_other_crons_know_is_refused_with_what_to_write_instead(
    expression: str, mend: str
) -> None:
    with pytest.raises(cron.CronError) as caught:
        cron.check(expression)
    assert mend in caught.value.mend

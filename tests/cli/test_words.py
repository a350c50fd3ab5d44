"""Durations, points of time and identities, as people type them."""

from __future__ import annotations

from datetime import datetime

import pytest

from reconciler import __version__
from reconciler.cli.author import parse
from reconciler.cli.moments import moment
from reconciler.cli.options import duration
from reconciler.model.units import is_older

NOW = datetime.fromisoformat("2025-01-31T12:00:00+00:00").timestamp()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("500ms", 0.5),
        ("10s", 10),
        ("1.5m", 90),
        ("5m", 300),
        ("1h", 3600),
        ("2d", 172800),
        ("1w", 604800),
        ("1h30m", 5400),
    ],
)
def test_a_duration_is_seconds(text: str, seconds: float) -> None:
    assert duration(text) == seconds


@pytest.mark.parametrize("text", ["", "90", "s", "5 m", "-5m", "5m ", "5y", "1e3s", "5m!"])
def test_what_has_no_unit_is_no_duration(text: str) -> None:
    assert duration(text) is None


@pytest.mark.parametrize(
    ("text", "ago"),
    [
        ("10m", 600),
        ("2025-01-31T11:00:00Z", 3600),
        ("2025-01-31T12:00:00+01:00", 3600),
    ],
)
def test_a_point_of_time_is_how_long_ago_or_when(text: str, ago: float) -> None:
    assert moment(text, NOW) == NOW - ago


def test_a_time_of_day_is_the_last_one_that_has_been() -> None:
    local = datetime.fromtimestamp(NOW).astimezone()
    past = moment((local.replace(minute=0)).strftime("%H:%M"), NOW)
    assert past is not None
    assert 0 <= NOW - past < 86400
    later = moment(f"{local.hour:02}:{local.minute + 1:02}", NOW)
    assert later == NOW + 60 - 86400


@pytest.mark.parametrize("text", ["soon", "25:00", "2025-13-01", "", "noon:"])
def test_what_is_no_time_is_refused(text: str) -> None:
    assert moment(text, NOW) is None


@pytest.mark.parametrize(
    ("ident", "expected"),
    [
        ("Ana B <ana@example.org> 1700000000 +0100", {"name": "Ana B", "email": "ana@example.org"}),
        ("", None),
        ("Ana", None),
    ],
)
def test_an_identity_is_split(ident: str, expected: dict[str, str] | None) -> None:
    assert parse(ident) == expected


@pytest.mark.parametrize(("version", "older"), [("0.0.1", True), ("99.0", False), ("dev", False)])
def test_only_an_older_daemon_is_replaced(version: str, older: bool) -> None:
    assert is_older(version, __version__) is older

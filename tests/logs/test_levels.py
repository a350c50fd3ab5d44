"""Levels, as programs write them."""

from __future__ import annotations

import pytest

from reconciler.adapters.logs.parse import parse
from reconciler.adapters.logs.times import leading_time

T = "2026-11-22T22:28:50.088Z"
SHAPES = {
    "pino": '{"level":40,"time":1795386530088,"pid":1,"hostname":"h","msg":"it is low"}',
    "bunyan": '{"name":"a","hostname":"h","level":40,"msg":"it is low","time":"%s","v":0}',
    "winston": '{"level":"warn","message":"it is low","timestamp":"%s","service":"x"}',
    "structlog": '{"event":"it is low","level":"warning","timestamp":"%s","logger":"x"}',
    "zap": '{"level":"warn","ts":1795386530.088,"caller":"main.go:12","msg":"it is low"}',
    "zerolog": '{"level":"warn","time":1795386530.088,"message":"it is low"}',
    "slog": '{"time":"%s","level":"WARN","msg":"it is low","user":"bob"}',
    "logback": '{"@timestamp":"%s","message":"it is low","level":"WARN","level_value":30000}',
    "python-json-logger": '{"asctime":"%s","levelname":"WARNING","message":"it is low"}',
    "Serilog compact": '{"@t":"%s","@mt":"it is {x}","@m":"it is low","@l":"Warning","x":1}',
    "Serilog": '{"Timestamp":"%s","Level":"Warning","MessageTemplate":"it is {x}",'
    '"RenderedMessage":"it is low"}',
    ".NET": '{"Timestamp":"%s","EventId":1,"LogLevel":"Warning","Message":"it is low"}',
    "Google": '{"severity":"WARNING","message":"it is low","time":"%s"}',
    "Google's time": '{"timestamp":{"seconds":1795386530,"nanos":88000000},'
    '"severity":"WARNING","message":"it is low"}',
    "ECS": '{"log.level":"warn","@timestamp":"%s","message":"it is low"}',
    "ECS nested": '{"log":{"level":"warn"},"@timestamp":"%s","message":"it is low"}',
    "tracing": '{"timestamp":"%s","level":"WARN","fields":{"message":"it is low"},"target":"a"}',
    "loguru": '{"text":"x","record":{"level":{"name":"WARNING","no":30},"message":"it is low",'
    '"time":{"timestamp":1795386530.088}}}',
    "journald": '{"PRIORITY":"4","MESSAGE":"it is low","time":"%s"}',
    "klog": "W1122 22:28:50.088123       1 main.go:10] it is low",
    "log4j": "2026-11-22 22:28:50,088 WARN [main] it is low",
    "logging": "WARNING:root:it is low",
    "gunicorn": "[2026-11-22 22:28:50 +0000] [12] [WARNING] it is low",
    "uvicorn": "WARNING:  it is low",
    "PostgreSQL": "2026-11-22 22:28:50.088 UTC [99] WARNING:  it is low",
    "redis": "12:M 22 Nov 2026 22:28:50.088 # it is low",
    "nginx": "2026/11/22 22:28:50 [warn] 7#7: it is low",
    "Apache": "[Sun Nov 22 22:28:50.088 2026] [core:warn] [pid 1] it is low",
    "PHP": "PHP Warning:  it is low in /x.php on line 1",
    "php-fpm": "[22-Nov-2026 22:28:50] WARNING: it is low",
    ".NET console": "warn: Microsoft.Hosting[0]",
    "sd-daemon": "<4>it is low",
    "letters": "[W] it is low",
    "logfmt": 'ts=2026-11-22T22:28:50Z level=warn msg="it is low"',
    "Ruby": "W, [2026-11-22T22:28:50.088 #1]  WARN -- : it is low",
    "env_logger": "[2026-11-22T22:28:50Z WARN app] it is low",
    "Elixir": "22:28:50.088 [warning] it is low",
}


@pytest.mark.parametrize("shape", SHAPES)
def test_a_warning_is_one_whatever_wrote_it(shape: str) -> None:
    text = SHAPES[shape].replace("%s", T)
    found = parse(text)
    assert found.level == "warn"
    if text.startswith("{"):
        assert found.message == "it is low"
        assert found.time == pytest.approx(1795386530.088)


@pytest.mark.parametrize(
    ("text", "level"),
    [
        ('{"@t":"2026-11-22T22:28:50Z","@m":"x"}', "info"),
        ('{"level":"dpanic","msg":"x"}', "fatal"),
        ('{"severity":"EMERGENCY","message":"x"}', "fatal"),
        ('{"level":"E","msg":"x"}', "error"),
        ("fail: Microsoft.AspNetCore[0]", "error"),
        ("crit: Program[0]", "fatal"),
        ("PHP Fatal error:  Uncaught Error", "fatal"),
        ("PHP Notice:  x", "info"),
        ("fatal error: all goroutines are asleep - deadlock!", "fatal"),
        ("F1122 22:28:50.088123       1 main.go:10] gone", "fatal"),
        ("<7>noise", "debug"),
        ("12:M 22 Nov 2026 22:28:50.088 * ready", "info"),
        ("no error here", None),
        ("information about errors", None),
        ("<error-page> is html", None),
        ('{"level":3,"msg":"a game has such levels"}', None),
    ],
)
def test_levels_that_are_told_in_passing_or_not_at_all(text: str, level: str | None) -> None:
    assert parse(text).level == level


def test_a_time_that_is_none_costs_nothing() -> None:
    assert leading_time("<4>it is low") is None
    assert parse('{"timestamp":{"seconds":"soon"},"msg":"x"}').time is None

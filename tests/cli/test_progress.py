"""Progress on a terminal: one living line a service, and what is said for good above them."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from typing import Any
from unittest import mock

from reconciler.cli.progress import MOST_LINES, Progress


class Terminal(io.StringIO):
    """A terminal of which the last screen can be read."""

    def isatty(self) -> bool:
        return True

    def screen(self) -> list[str]:
        """Give the lines that are to be seen, with the cursor's moves carried out."""
        lines: list[str] = []
        for part in re.split(r"(\x1b\[\d+A\x1b\[J)", self.getvalue()):
            moved = re.fullmatch(r"\x1b\[(\d+)A\x1b\[J", part)
            if moved:
                lines = lines[: len(lines) - int(moved[1])]
            else:
                lines += part.splitlines()
        return lines


def action(service: str, phase: str, **more: Any) -> dict[str, Any]:
    """Give a message about a restart."""
    return {"service": service, "action": "restart", "phase": phase, "instance": None, **more}


@contextmanager
def showing(*, quiet: bool = False) -> Iterator[tuple[Progress, Terminal]]:
    """Give a progress, and the terminal that it is shown on."""
    terminal = Terminal()
    with redirect_stderr(terminal), mock.patch.dict(os.environ, {"COLUMNS": "60"}):
        progress = Progress(quiet=quiet, colour=False)
        yield progress, terminal
        progress.close()


def test_each_service_has_one_line_that_changes() -> None:
    with showing() as (progress, terminal):
        progress.action(action("api", "start", reason="env.A changed"))
        progress.action(action("web", "start"))
        assert terminal.screen() == ["  api  restarting: env.A changed", "  web  restarting"]
        progress.action(action("api", "done"))
        assert sorted(terminal.screen()) == ["  api  restarted", "  web  restarting"]


def test_what_is_said_for_good_stands_above() -> None:
    with showing() as (progress, terminal):
        progress.action(action("web", "start"))
        progress.say("git knows no name for you")
        assert terminal.screen() == ["git knows no name for you", "  web  restarting"]


def test_all_lines_are_done_once_all_is_as_wanted() -> None:
    with showing() as (progress, terminal):
        progress.action(action("web", "start", instance="web-0"))
        progress.arrived()
        assert terminal.screen() == ["  web-0  restarted"]


def test_no_line_is_wider_than_the_terminal() -> None:
    with showing() as (progress, terminal):
        progress.action(action("web", "failed", reason="word " * 40))
        [line] = terminal.screen()
        assert len(line) < 60
        assert line.endswith("…")


def test_many_services_are_counted() -> None:
    with showing() as (progress, terminal):
        for number in range(MOST_LINES + 3):
            progress.action(action(f"web-{number}", "start"))
        assert len(terminal.screen()) == MOST_LINES + 1
        assert terminal.screen()[-1] == "  and 3 more"


def test_a_reason_can_command_no_terminal() -> None:
    with showing() as (progress, terminal):
        progress.action(action("web", "failed", reason="\x1b[2Jgone"))
        assert terminal.screen() == ["  web  cannot restart: \\x1b[2Jgone"]


def test_quiet_draws_nothing() -> None:
    with showing(quiet=True) as (progress, terminal):
        progress.action(action("web", "start"))
        progress.say("anything")
        progress.arrived()
        assert terminal.getvalue() == ""


def test_what_was_up_crashed_and_what_never_was_cannot_be_started() -> None:
    with showing() as (progress, terminal):
        start = {"action": "start"}
        progress.action({**action("never", "failed", reason="exited with 5"), **start})
        for name in ("died", "mute"):
            progress.action({**action(name, "done"), **start})
        progress.action({**action("died", "failed", reason="exited with 5"), **start})
        progress.action({**action("mute", "start", reason="watchdog"), "action": "stop"})
        progress.action({**action("mute", "failed", reason="watchdog"), **start})
        progress.action({**action("died", "failed", reason="exited with 5"), **start})
        assert sorted(terminal.screen()) == [
            "  died  crashed: exited with 5",
            "  mute  crashed: watchdog",
            "  never  cannot start: exited with 5",
        ]
        progress.action({**action("died", "start"), **start})
        progress.action({**action("died", "failed", reason="no such file"), **start})
        assert "  died  cannot start: no such file" in terminal.screen()

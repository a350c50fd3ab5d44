"""Services that are ready by a line of their output, or by a file."""

from __future__ import annotations

import pytest

from tests.real.station import Station
from tests.waiting import until

pytestmark = pytest.mark.real

LATER = "while [ ! -e go ]; do sleep 0.02; done;"


def test_a_service_is_ready_by_a_line_of_this_run_and_by_a_file_of_this_run(here: Station) -> None:
    """A bomb of a pattern keeps nobody else waiting."""
    run = here.root / "run"
    run.mkdir()
    (run / "b.pid").write_text("of a former run")
    ready = "ready: {type: logLine, pattern: 'listening on [0-9]+'}\n"
    here.define(
        "a", f"sh -c 'echo begins; {LATER} echo listening on 80; sleep 1000'", ready, quick=False
    )
    ready = "ready: {type: file, path: run/b.pid}\n"
    here.define("b", f"sh -c '{LATER} echo $$ > run/b.pid; sleep 1000'", ready, quick=False)
    ready = "ready: {type: logLine, pattern: '(a+)+b'}\n"
    here.define("c", f"sh -c 'echo {'a' * 60}; sleep 1000'", ready, quick=False)
    here.up()
    until(lambda: "is of a former run" in here.service("b")["reason"])
    until(lambda: "no line of its output" in here.service("a")["reason"])
    assert {here.service(name)["state"] for name in "ab"} == {"starting"}
    (here.root / "go").touch()
    until(lambda: here.is_running("a", "b"))
    assert here.service("c")["state"] == "starting"
    (here.root / "go").unlink()
    here.tell("/v1/operations", kind="restart", services=["a"], wait=False)
    until(lambda: "no line of its output" in here.service("a")["reason"])
    here.kill_daemon()
    here.up()
    until(lambda: here.service("a").get("state") == "starting")
    (here.root / "go").touch()
    until(lambda: here.is_running("a"))

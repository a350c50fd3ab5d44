"""Services that say themselves how they are, through a real daemon and a real holder."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import pytest

from tests.real.station import Station, is_alive
from tests.waiting import until

pytestmark = pytest.mark.real

PAGE = Path(__file__).parents[2] / "docs" / "notify.md"
AT_WORK = """
import pathlib, time
notify("READY=1\\nSTATUS=at your service")
while not pathlib.Path("hang").exists():
    notify("WATCHDOG=1")
    time.sleep(0.05)
notify("STATUS=hanging")
time.sleep(1000)
"""
MORE = "type: notify\nwatchdogTimeout: 1s\nstopTimeout: 2s\nbackoff: {initial: 10ms, jitter: 0ms}\n"


def example() -> str:
    """Give the program that the page tells newcomers to copy."""
    found = re.search(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    assert found is not None
    return found[1]


def test_v11_the_page_s_example_is_ready_when_it_says_so_and_is_watched(here: Station) -> None:
    """V11: it hangs, is aborted in time, and is started again for its watchdog's sake."""
    (here.root / "web.py").write_text(example() + AT_WORK)
    here.define("web", "python3 web.py", MORE, quick=False)
    here.up()
    assert here.settle()["exitCode"] == 0
    before = here.pid("web")
    until(lambda: here.instance("web")["statusText"] == "at your service")
    assert "at your service" in here.text("/v1/status?format=table&name=web")
    here.kill_daemon()
    here.up()
    assert here.settle()["exitCode"] == 0
    assert here.pid("web") == before
    (here.root / "hang").touch()
    until(lambda: here.instance("web")["lastExit"] is not None)
    (here.root / "hang").unlink()
    assert here.instance("web")["lastExit"]["signal"] == "SIGABRT"
    until(lambda: here.is_running("web") and here.pid("web") != before)
    crashed = [event for event in here.events() if event["kind"] == "service.crashed"]
    assert [event["reason"] for event in crashed] == ["watchdog: no WATCHDOG=1 within 1 s"]
    counted = 'service_restarts_total{service="web",reason="watchdog"} 1'
    until(lambda: counted in here.text("/metrics"))


def test_what_a_service_says_reaches_the_daemon_after_the_holder_was_killed(here: Station) -> None:
    """The daemon kept the socket, so that what was said while no holder read it is not lost."""
    (here.root / "web.py").write_text(
        example() + 'import pathlib, time\nnotify("READY=1")\n'
        'while not pathlib.Path("go").exists():\n    time.sleep(0.01)\n'
        'notify("STATUS=still heard")\npathlib.Path("said").touch()\ntime.sleep(1000)\n'
    )
    here.define("web", "python3 web.py", "type: notify\nstopTimeout: 2s\n", quick=False)
    here.up()
    assert here.settle()["exitCode"] == 0
    before, holder = here.pid("web"), here.ask("/v1/status?format=json")["daemon"]["holderPid"]
    os.kill(holder, signal.SIGKILL)
    (here.root / "go").touch()
    until((here.root / "said").exists)
    until(lambda: here.instance("web")["statusText"] == "still heard")
    assert here.pid("web") == before
    assert is_alive(before)


def doors() -> set[str]:
    """Give the slots for which some holder of this host keeps a notify socket."""
    return set(re.findall(r"@weaver-notify/([^/]+)/", Path("/proc/net/unix").read_text()))


def test_what_is_kept_for_a_service_in_back_off_goes_with_its_manifest(here: Station) -> None:
    """Also where nobody is there to see it removed; what is wanted keeps it."""
    (here.root / "web.py").write_text(example() + 'notify("READY=1")\nraise SystemExit(3)\n')
    names = [f"web{os.getpid()}-{one}" for one in "abcd"]  # other tests have doors, too
    for name in names:
        more = "type: notify\nbackoff: {initial: 1m}\n"
        here.define(name, "python3 web.py", more, quick=False)
    here.up()
    until(lambda: {here.service(name).get("reasonCode") for name in names} == {"BackingOff"})
    gone, stopped, unseen, kept = names
    own = {f"{name}-0" for name in names}
    assert own <= doors()
    here.file(gone).unlink()
    text = here.file(stopped).read_text()
    here.file(stopped).write_text(f"{text}state: stopped\n")
    until(lambda: own & doors() == {f"{unseen}-0", f"{kept}-0"})
    here.kill_daemon()
    here.file(unseen).unlink()
    here.up()
    until(lambda: own & doors() == {f"{kept}-0"})
    assert here.service(kept)["reasonCode"] == "BackingOff"

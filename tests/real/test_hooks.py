"""The hooks of real services: in order, as whom they say, in time, and once though daemons die."""

from __future__ import annotations

import os
import pwd
import signal
from dataclasses import replace
from functools import partial

import pytest

from reconciler.cli.reappearing import listens
from tests.real.station import Json, Station, is_alive
from tests.waiting import until

pytestmark = pytest.mark.real

TELL = """#!/bin/sh
echo "$WEAVER_SERVICE $WEAVER_HOOK $(id -un)" \\
    "$GREETING,$WEAVER_MAIN_PID,$WEAVER_RESULT,$WEAVER_EXIT_CODE,$WEAVER_EXIT_SIGNAL" >> told
"""
HANG = """#!/bin/sh
setsid sh -c 'echo $$ >> pids; exec sleep 1000' &
echo $$ >> pids
trap '' TERM
wait
"""
BAD = """#!/bin/sh
setsid sleep 1000 &
kill -ABRT $$
"""
"""It crashes and leaves a child behind, which is swept: nobody asked it to stop."""
HELD = """#!/bin/sh
echo "$WEAVER_HOOK $$" >> told
until test -e "go-$WEAVER_HOOK"; do sleep 0.02; done
"""
AT_ONCE = "maxRestarts: 0\nready: {type: delay, delay: 50ms}\n"
OTHER = "nobody" if os.geteuid() == 0 else ""


@pytest.fixture
def here(open_here: Station) -> Station:
    return open_here


def script(here: Station, name: str, text: str) -> None:
    file = here.root / name
    file.write_text(text)
    file.chmod(0o755)


def lines(here: Station, name: str) -> list[str]:
    file = here.root / name
    return file.read_text().splitlines() if file.exists() else []


def told(here: Station, name: str) -> list[str]:
    """Give what the hooks of one service said, each without its name."""
    found = (line.partition(" ") for line in lines(here, "told"))
    return [words for service, _, words in found if service == name]


def stop(here: Station, name: str) -> None:
    text = here.file(name).read_text()
    here.file(name).write_text(f"{text}state: stopped\n")


def user() -> str:
    return pwd.getpwuid(os.geteuid()).pw_name


def tellers(here: Station) -> str:
    """Write a hook that tells of itself to a file, and give what every service has of it."""
    script(here, "tell", TELL)
    (here.root / "told").touch()
    (here.root / "told").chmod(0o666)
    other = f", user: {OTHER}" if OTHER else ""
    return f"  postStop: ./tell\n  onFailure: {{command: ./tell{other}}}\n"


def has_told(here: Station, name: str, role: str) -> bool:
    """Tell whether a hook of a service, or of any, has said that it runs."""
    found = told(here, name) if name else lines(here, "told")
    return any(line.startswith(f"{role} ") for line in found)


def failed(here: Station, name: str) -> list[str]:
    return [one["reason"] for one in here.events(name) if one["kind"] == "hook.failed"]


def test_hooks_run_in_their_order_as_whom_they_say_and_know_what_they_are_for(
    here: Station,
) -> None:
    after = tellers(here)
    hooks = "hooks:\n  preStart: ./tell\n  postStart: [{command: ./tell, env: {GREETING: hi}}]\n"
    here.define("web", more=f"{hooks}  preStop: ./tell\n{after}")
    script(here, "bad", BAD)
    here.define("bad", "./bad", f"{AT_ONCE}hooks:\n{after}", quick=False)
    here.commit()
    here.up()
    here.settle()
    pid = here.pid("web")
    me, other = user(), OTHER or user()
    until(lambda: len(told(here, "web")) == 2)
    stop(here, "web")
    until(lambda: here.service("web").get("state") == "stopped")
    assert told(here, "web") == [
        f"preStart {me} ,,,,",
        f"postStart {me} hi,{pid},,,",
        f"preStop {me} ,{pid},,,",
        f"postStop {me} ,,stopped,,SIGTERM",
    ]
    until(lambda: len(told(here, "bad")) == 2)
    assert told(here, "bad") == [
        f"postStop {me} ,,signal,,SIGABRT",
        f"onFailure {other} ,,signal,,SIGABRT",
    ]


def test_a_pre_start_hook_that_fails_or_hangs_is_a_start_that_failed(here: Station) -> None:
    after = tellers(here)
    refuses = "  preStart: [{command: ./tell}, {command: echo no database; exit 3, shell: true}]\n"
    here.define("shut", more=f"maxRestarts: 0\nhooks:\n{refuses}{after}")
    script(here, "hang", HANG)
    hangs = "  preStart: {command: ./hang, timeout: 500ms}\n"
    here.define("slow", more=f"maxRestarts: 0\nhooks:\n{hangs}{after}")
    here.commit()
    here.up()
    for name, because in (
        ("shut", "preStart hook 2 of 2 exited with 3"),
        ("slow", "preStart hook did not end within 0.5 s"),
    ):
        until(partial(has_told, here, name, "onFailure"))
        assert here.service(name)["state"] == "crashed"
        assert because in here.service(name)["reason"]
        said = here.text(f"/v1/why/{name}?format=text")
        assert because in said
        assert ("| no database" in said) == (name == "shut")
        assert failed(here, name) == [because]
        roles = [line.split()[0] for line in told(here, name)]
        assert roles[-2:] == ["postStop", "onFailure"]
        assert told(here, name)[-1].split()[2] == ",,hook-failed,,"
        assert "service.ready" not in {one["kind"] for one in here.events(name)}
    pids = [int(word) for word in lines(here, "pids")]
    assert len(pids) == 2
    until(lambda: not any(map(is_alive, pids)))


def hooks_of(here: Station) -> list[Json]:
    found: list[Json] = here.instance("web").get("hooks", [])
    return found


def die(here: Station) -> None:
    """Kill the daemon, and wait for the one that the holder brings back."""
    before = here.daemon_pid
    os.kill(before or 0, signal.SIGKILL)
    until(lambda: here.daemon_pid not in {None, before}, seconds=20)
    until(lambda: listens(str(here.paths.socket), 1.0))


def test_a_hook_outlives_the_daemon_is_waited_for_and_not_run_twice(here: Station) -> None:
    script(here, "held", HELD)
    here.options = replace(here.options, comes_back=True)
    here.define(
        "web",
        more="hooks: {preStart: ./held, preStop: ./held, postStop: [{command: ./held}]}\n"
        "ready: {type: delay, delay: 50ms}\nstopTimeout: 30s\n",
        quick=False,
    )
    (here.root / "go-postStop").touch()
    here.commit()
    here.up()
    for role in ("preStart", "preStop"):
        until(partial(has_told, here, "", role))
        pid = int(lines(here, "told")[-1].split()[1])
        main = here.pid("web")
        die(here)
        until(lambda: hooks_of(here))
        assert [(one["name"], one["pid"]) for one in hooks_of(here)] == [(role, pid)]
        assert is_alive(pid)
        assert here.pid("web") == main
        (here.root / f"go-{role}").touch()
        if role == "preStart":
            until(lambda: here.is_running("web"))
            assert here.service("web")["reason"] == ""
            stop(here, "web")
    until(lambda: here.service("web").get("state") == "stopped")
    assert [line.split()[0] for line in lines(here, "told")] == ["preStart", "preStop", "postStop"]
    assert not is_alive(main)
    kinds = [one["kind"] for one in here.events("web")]
    assert kinds.count("service.starting") == kinds.count("service.ready") == 1
    assert not {"hook.failed", "service.crashed"} & set(kinds)

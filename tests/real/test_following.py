"""What is saved runs, and nothing else is touched."""

from __future__ import annotations

import json
import os
import signal
import socket
from pathlib import Path

import pytest

from tests.real.station import Station, environment_of, is_alive, python
from tests.waiting import until

pytestmark = pytest.mark.real


def two_up(here: Station) -> dict[str, int | None]:
    here.define("web", more="env: {PORT: '8000'}\ndescription: the web\n")
    here.define("api")
    here.commit()
    here.up()
    assert here.settle()["exitCode"] == 0
    return here.pids()


def test_a_changed_variable_replaces_only_that_process(here: Station) -> None:
    before = two_up(here)
    text = here.file("web").read_text()
    here.file("web").write_text(text.replace("8000", "8001"))
    until(lambda: here.pid("web") not in (before["web-0"], None) and here.is_running("web"))
    assert environment_of(here.pid("web") or 0)["PORT"] == "8001"
    assert here.pid("api") == before["api-0"]
    assert here.instance("web")["restartCount"] == 0
    assert here.status()["revision"]["dirty"]


def test_a_changed_description_replaces_nothing(here: Station) -> None:
    before = two_up(here)
    text = here.file("web").read_text()
    here.file("web").write_text(text.replace("the web", "the old web"))
    until(lambda: here.service("web")["description"] == "the old web")
    assert here.pids() == before


def test_a_renamed_file_replaces_nothing(here: Station) -> None:
    before = two_up(here)
    here.file("web").rename(here.file("renamed"))
    until(lambda: here.service("web")["file"].startswith("services.d/renamed.yaml"))
    assert here.pids() == before


def test_a_new_file_starts_and_a_removed_one_stops(here: Station) -> None:
    before = two_up(here)
    here.define("worker", more="instances: 2\n")
    until(lambda: here.is_running("worker"))
    pids = [here.pid("worker", slot) for slot in range(2)]
    here.file("worker").unlink()
    until(lambda: not any(map(is_alive, pids)))
    until(lambda: not here.service("worker"))
    assert here.pids() == before


def test_a_broken_file_keeps_what_ran_running(here: Station) -> None:
    before = two_up(here)
    good = here.file("web").read_text()
    here.file("web").write_text(good + "restrat: never\n")
    until(lambda: here.service("web")["sync"] == "Invalid")
    assert here.pids() == before
    assert "restrat" in here.service("web")["reason"]
    here.file("web").write_text(good)
    until(lambda: here.is_running("web"))
    assert here.pids() == before


def test_an_emptied_file_is_no_removal(here: Station) -> None:
    before = two_up(here)
    here.file("web").write_text("")
    until(lambda: here.service("web")["sync"] == "Invalid")
    assert here.pids() == before


def test_git_at_work_is_waited_for(here: Station) -> None:
    before = two_up(here)
    lock = here.root / ".git" / "MERGE_HEAD"
    lock.write_text(here.git("rev-parse", "HEAD"))
    here.file("web").unlink()
    until(lambda: here.status()["sourceHeld"])
    assert "a merge is in progress" in here.status()["sourceHeld"]
    assert here.pids() == before
    lock.unlink()
    until(lambda: not here.service("web"))


def test_a_large_removal_waits_for_a_yes(here: Station) -> None:
    names = [f"s{number}" for number in range(5)]
    for name in names:
        here.define(name)
    here.up()
    here.settle()
    before = here.pids()
    for name in names[:4]:
        here.file(name).unlink()
    held = until(lambda: here.status()["prune"])
    assert here.pids() == before
    assert here.service("s0")["sync"] == "Held"
    assert here.tell(f"/v1/prune/{held['id']}/approve")[-1]["exitCode"] == 0
    assert set(here.pids()) == {"s4-0"}
    assert not is_alive(before["s0-0"])


def test_a_service_called_like_another_s_instance_is_its_own(here: Station) -> None:
    here.define("web", more="instances: 2\nenv: {WHO: web}\n")
    here.define("web-0", more="env: {WHO: web-0}\n")
    here.up()
    assert here.settle()["exitCode"] == 0
    pids = [here.pid("web"), here.pid("web", 1), here.pid("web-0")]
    assert len(set(pids)) == 3
    assert environment_of(pids[2] or 0)["WHO"] == "web-0"
    here.file("web-0").unlink()
    until(lambda: not is_alive(pids[2]))
    assert all(map(is_alive, pids[:2]))


def test_a_service_sees_what_the_contract_names_and_nothing_else(
    here: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LANG", "TZ", "TMPDIR", "LC_ALL", "LC_CTYPE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LEAK", "1")
    here.define("web", more="env: {A: '0800', B: 3.10}\n")
    here.up()
    assert here.settle()["exitCode"] == 0
    found = environment_of(here.pid("web") or 0)
    run = found.pop("WEAVER_RUN")
    assert json.loads(found.pop("WEAVER_ENTRY"))["run"] == run, "for a holder whose journal is lost"
    assert (found.pop("PATH"), found.pop("HOME")) == (os.environ["PATH"], str(Path.home()))
    assert found.pop("USER") == found.pop("LOGNAME")
    assert found == {
        "PYTHONUNBUFFERED": "1",
        "WEAVER_SERVICE": "web",
        "WEAVER_INSTANCE": "0",
        "A": "0800",
        "B": "3.10",
    }


def test_an_env_file_counts_by_its_content(here: Station) -> None:
    (here.root / "web.env").write_text("COLOR=red\n")
    here.define("web", more="envFile: [web.env]\n")
    here.up()
    assert here.settle()["exitCode"] == 0
    pid = here.pid("web")
    assert environment_of(pid or 0)["COLOR"] == "red"
    (here.root / "web.env").write_text("COLOR=blue\n")
    until(lambda: here.pid("web") not in (pid, None) and here.is_running("web"))
    assert environment_of(here.pid("web") or 0)["COLOR"] == "blue"


def test_a_chain_starts_in_order_and_a_oneshot_is_done(here: Station) -> None:
    here.define("prepare", "'true'", "type: oneshot\n", quick=False)
    here.define("api", more="dependsOn: {prepare: {condition: completed}}\n")
    here.define("worker", more="dependsOn: [api]\n")
    here.up()
    assert here.settle()["exitCode"] == 0
    started = [e["service"] for e in here.events() if e["kind"] == "service.starting"]
    assert started == ["prepare", "api", "worker"]
    assert here.service("prepare")["state"] == "stopped"
    assert here.service("prepare")["health"] == "Healthy"
    assert here.service("prepare")["reasonCode"] == "Completed"


def test_a_need_that_never_gets_ready_holds_its_dependents_and_is_named(here: Station) -> None:
    here.define("db", more="ready: {type: tcp, tcp: {port: 1}}\n", quick=False)
    here.define("web", more="dependsOn: [db]\n")
    here.up()
    until(lambda: "connection refused" in here.service("db").get("reason", ""))
    web = here.service("web")
    assert (web["state"], web["reasonCode"]) == ("stopped", "DependencyNotReady")
    assert [(wait["name"], wait["condition"]) for wait in web["waitingFor"]] == [("db", "ready")]
    assert "db" in web["reason"]


def test_a_command_that_does_not_exist_is_named_and_fails_the_wait(here: Station) -> None:
    here.define("web", "no-such-program-at-all")
    here.up()
    summary = here.settle()
    assert summary["exitCode"] == 4
    assert "no-such-program-at-all" in here.service("web")["reason"]


def test_v2_a_service_that_exits_at_once_backs_off_and_gives_up(here: Station) -> None:
    more = "backoff: {initial: 10ms, jitter: 0ms}\nmaxRestarts: 2\n"
    here.define("web", python("raise SystemExit(3)"), more, quick=False)
    here.up()
    assert here.settle()["exitCode"] == 4
    until(lambda: here.service("web")["reasonCode"] == "GaveUp")
    assert here.instance("web")["lastExit"]["code"] == 3
    kinds = [event["kind"] for event in here.events("web")]
    assert kinds.count("service.crashed") == 3
    assert "service.gave-up" in kinds


def test_v1_one_that_ignores_sigterm_is_killed_in_its_time(here: Station) -> None:
    code = "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(1000)"
    here.define(
        "web", python(code), "ready: {type: delay, delay: 500ms}\nstopTimeout: 500ms\n", quick=False
    )
    here.up()
    assert here.settle()["exitCode"] == 0
    pid = here.pid("web")
    here.file("web").write_text(here.file("web").read_text() + "state: stopped\n")
    until(lambda: not is_alive(pid), seconds=5)
    until(lambda: here.service("web")["state"] == "stopped")
    assert "service.killed" in [event["kind"] for event in here.events("web")]


def test_a_crash_is_counted_and_its_signal_kept(here: Station) -> None:
    here.define("web", more="backoff: {initial: 10ms, jitter: 0ms}\n")
    here.up()
    here.settle()
    os.kill(here.pid("web") or 0, signal.SIGKILL)
    until(lambda: here.instance("web").get("restartCount") == 1 and here.is_running("web"))
    last = here.instance("web")["lastExit"]
    assert (last["code"], last["signal"]) == (None, "SIGKILL")


def test_v19_a_port_in_use_names_the_process_that_has_it(here: Station) -> None:
    code = (
        "import socket, time; s = socket.socket();"
        "s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1);"
        "s.bind(('127.0.0.1', int(__import__('os').environ['PORT']))); s.listen(); time.sleep(1000)"
    )
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        here.define("web", python(code), f"env: {{PORT: '{port}'}}\nmaxRestarts: 0\n", quick=False)
        here.up()
        until(lambda: "is in use by" in here.service("web").get("reason", ""))
        reason = here.service("web")["reason"]
    assert f"port {port} is in use by" in reason
    assert str(os.getpid()) in reason

"""Changes of manifests asked of a real daemon: one commit, and only what it is about moves."""

from __future__ import annotations

import socket
import urllib.request
from typing import Any

import pytest

from tests.real.station import QUICK, Json, Station, environment_of, is_alive
from tests.waiting import until

pytestmark = pytest.mark.real

AUTHOR = {"name": "Grace", "email": "grace@example.org"}
WEB = f"""# the web
name: web
command: sleep 1000  # for long
env:
  PORT: "8000"
{QUICK}"""


def change(here: Station, kind: str, **body: Any) -> list[Json]:
    return here.tell("/v1/changes", kind=kind, author=AUTHOR, **body)


def of(messages: list[Json], kind: str) -> list[Json]:
    return [message for message in messages if message["type"] == kind]


def begun(here: Station) -> Station:
    here.file("web").write_text(WEB)
    here.define("api")
    here.commit()
    here.up()
    assert here.settle()["exitCode"] == 0
    return here


def test_a_changed_file_is_applied_in_one_commit_that_keeps_its_comments(here: Station) -> None:
    begun(here)
    before = here.pids()
    changed = WEB.replace("8000", "8001")
    messages = change(here, "apply", documents=[{"text": changed}], reason="the old port is taken")
    assert messages[-1]["exitCode"] == 0
    [commit] = of(messages, "commit")
    assert commit["sha"] == here.git("rev-parse", "HEAD").strip()
    assert here.git("show", "HEAD:services.d/web.yaml") == changed
    assert (
        here.git("log", "-1", "--format=%an %ae %s").strip() == "Grace grace@example.org web: apply"
    )
    trailers = here.git("log", "-1", "--format=%(trailers:only)")
    assert "Weaver-Op: apply" in trailers
    assert "Weaver-Services: web" in trailers
    assert "Weaver-Reason: the old port is taken" in trailers
    assert here.git("status", "--porcelain", "services.d") == ""
    assert environment_of(here.pid("web") or 0)["PORT"] == "8001"
    assert here.pid("api") == before["api-0"]
    head = here.git("rev-parse", "HEAD")
    again = change(here, "apply", documents=[{"text": changed}])
    assert again[-1]["exitCode"] == 0
    assert here.git("rev-parse", "HEAD") == head


def test_a_dry_run_changes_nothing(here: Station) -> None:
    begun(here)
    head = here.git("rev-parse", "HEAD")
    document = {"text": WEB.replace("8000", "8001")}
    messages = change(here, "apply", documents=[document], dryRun=True)
    [planned] = of(messages, "planned")
    assert [c["service"] for c in planned["diff"]["changes"]] == ["web"]
    assert here.git("rev-parse", "HEAD") == head
    assert here.file("web").read_text() == WEB


def test_what_is_invalid_is_refused_and_nothing_is_written(here: Station) -> None:
    begun(here)
    head = here.git("rev-parse", "HEAD")
    messages = change(here, "apply", documents=[{"text": WEB + "restrat: never\n"}])
    assert messages[-1]["exitCode"] == 2
    [problem] = of(messages, "problem")
    assert "restrat" in problem["errors"][0]["message"]
    assert here.git("rev-parse", "HEAD") == head


def test_values_are_set_and_taken_back(here: Station) -> None:
    begun(here)
    messages = change(here, "set", service="web", assignments=[{"path": "env.A", "value": "1"}])
    assert messages[-1]["exitCode"] == 0
    assert environment_of(here.pid("web") or 0)["A"] == "1"
    assert here.git("log", "-1", "--format=%s").strip() == "web: set env.A=1"
    assert change(here, "undo")[-1]["exitCode"] == 0
    assert "A" not in environment_of(here.pid("web") or 0)
    assert here.file("web").read_text() == WEB


def test_scaling_commits_one_value_and_touches_only_slots_that_come_or_go(here: Station) -> None:
    begun(here)
    pids = here.pids()
    more = change(here, "scale", instances={"web": 3, "api": 2}, reason="a feast")
    assert more[-1]["text"].startswith("web, api: scale web=3, api=2 - done")
    assert here.git("log", "-1", "--format=%an %s").strip() == "Grace web, api: scale web=3, api=2"
    assert "Weaver-Reason: a feast" in here.git("log", "-1", "--format=%(trailers:only)")
    assert here.file("web").read_text() == WEB + "instances: 3\n"
    assert pids.items() < here.pids().items()
    assert len(here.pids()) == 5
    pids = here.pids()
    head = here.git("rev-parse", "HEAD")
    assert change(here, "scale", instances={"web": 3})[-1]["exitCode"] == 0
    assert here.git("rev-parse", "HEAD") == head
    assert change(here, "scale", instances={"web": 2})[-1]["exitCode"] == 0
    assert not is_alive(pids["web-2"])
    del pids["web-2"]
    assert here.pids() == pids
    assert change(here, "stop", services=["api"])[-1]["exitCode"] == 0
    noted = change(here, "scale", instances={"api": 4})
    assert [one["text"] for one in of(noted, "note")] == [
        "api is not started: its manifest says stopped"
    ]
    assert "instances: 4" in here.file("api").read_text()
    refused = change(here, "scale", instances={"web": 0})
    assert refused[-1]["exitCode"] == 2
    assert of(refused, "problem")[0]["mend"] == "weaver stop web"


def test_somebody_s_own_edits_stay_theirs(here: Station) -> None:
    begun(here)
    here.file("api").write_text(here.file("api").read_text() + "description: mine\n")
    until(lambda: here.service("api")["description"] == "mine")
    change(here, "set", service="web", assignments=[{"path": "env.A", "value": "1"}])
    assert here.git("status", "--porcelain", "services.d") == " M services.d/api.yaml\n"
    assert "mine" not in here.git("show", "HEAD:services.d/api.yaml")


def test_a_service_is_registered_stopped_started_and_unregistered(here: Station) -> None:
    begun(here)
    text = f"name: new\ncommand: sleep 1000\ndependsOn: [web]\n{QUICK}"
    assert change(here, "register", service="new", text=text, create=True)[-1]["exitCode"] == 0
    pid = here.pid("new")
    assert is_alive(pid)
    refused = change(here, "stop", services=["web"])
    assert refused[-1]["exitCode"] == 5
    assert "new" in of(refused, "problem")[0]["title"]
    assert change(here, "stop", services=["web"], withDependents=True)[-1]["exitCode"] == 0
    assert not is_alive(pid)
    assert change(here, "start", services=["web", "new"])[-1]["exitCode"] == 0
    assert change(here, "unregister", services=["new"])[-1]["exitCode"] == 0
    assert not here.file("new").exists()
    assert not here.service("new")


def test_a_service_that_cannot_start_is_told_with_its_last_lines(here: Station) -> None:
    begun(here)
    text = 'name: bad\ncommand: [/bin/sh, -c, "echo no luck; exit 3"]\n'
    text += "backoff: {initial: 10ms, jitter: 0ms}\n"
    messages = change(here, "register", service="bad", text=text, create=True)
    assert messages[-1]["exitCode"] == 4
    [problem] = of(messages, "problem")
    assert "exited with 3" in problem["title"]
    assert problem["logTail"][-1] == "no luck"
    assert messages[-1]["undo"] == "weaver undo"


def test_a_restart_replaces_one_process_and_commits_nothing(here: Station) -> None:
    begun(here)
    before, head = here.pids(), here.git("rev-parse", "HEAD")
    messages = here.tell("/v1/operations", kind="restart", services=["web"], author=AUTHOR)
    assert messages[-1]["exitCode"] == 0
    assert here.pid("web") != before["web-0"]
    assert here.pid("api") == before["api-0"]
    assert here.git("rev-parse", "HEAD") == head


def test_metrics_are_served_where_the_settings_say(here: Station) -> None:
    begun(here)
    assert here.status()["daemon"]["metricsListen"] is None
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (here.root / "weaver.yaml").write_text(f"metrics: {{listen: '127.0.0.1:{port}'}}\n")
    until(lambda: here.status()["daemon"]["metricsListen"] == f"127.0.0.1:{port}")
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as page:
        assert b'service_up{service="web"' in page.read()


def test_the_folder_that_went_with_its_last_manifest_is_made_again(here: Station) -> None:
    here.define("api")
    here.commit()
    here.git("rm", "-q", "-r", "services.d")
    assert not here.file("web").parent.exists()
    here.up()
    messages = change(here, "register", service="web", text=WEB, create=True)
    assert messages[-1]["exitCode"] == 0
    assert here.file("web").read_text() == WEB
    assert here.pid("web")


def test_a_folder_that_should_hold_manifests_is_not_begun_anew(here: Station) -> None:
    begun(here)
    here.file("web").parent.rename(here.root / "away")
    messages = change(here, "register", service="new", text="name: new\ncommand: sleep 9\n")
    [problem] = of(messages, "problem")
    assert "cannot read services.d" in problem["title"]
    assert not here.file("web").parent.exists()

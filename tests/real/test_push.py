"""`git push` is the deploy: what is pushed is checked, followed, and told to the pusher."""

from __future__ import annotations

import hmac
import http.client
import json
import os
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from reconciler.runtime.options import UpOptions
from tests.git.transports import served
from tests.real.deploying import Deployment
from tests.waiting import until

pytestmark = pytest.mark.real


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Deployment]:
    """Give a deployment, and end what runs of it."""
    made = Deployment(tmp_path)
    made.weaver("init", "--bare", str(made.bare))
    try:
        yield made
    finally:
        made.down()


def test_a_push_is_answered_by_ssh_and_by_http(
    here: Deployment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here.deploy("web")
    here.follow()
    for way in ("ssh", "http"):
        with served(way, tmp_path, monkeypatch) as place:
            here.git("remote", "set-url", "origin", f"{place}/{here.bare.name}")
            told = here.deploy(f"by-{way}")
            assert re.fullmatch(rf"by-{way}  started  healthy in \d\.\d s", told[0])
            assert re.fullmatch(r"1 service as wanted after \d\.\d s", told[1])
            good = here.file(f"by-{way}").read_text()
            here.file(f"by-{way}").write_text("name: x\ncomand: y\n")
            here.commit()
            assert here.push(refused=True)[0].startswith(f"services.d/by-{way}.yaml:2:1: W201")
            here.file(f"by-{way}").write_text(good)
            here.commit()


def test_a_push_while_the_daemon_is_down_converges_once_it_is_back(here: Deployment) -> None:
    here.deploy("web")
    here.follow()
    before = here.pids()
    here.weaver("down", "--keep-services")
    assert "accepted, converges later" in here.deploy("db")[0]
    here.weaver("up", "--detach")
    assert here.is_running("web", "db")
    assert here.pids()["web-0"] == before["web-0"]


def test_a_killed_daemon_and_its_stale_note_cost_a_pusher_nothing(here: Deployment) -> None:
    here.deploy("web")
    here.follow()
    here.weaver("down")
    note = here.bare / "weaver" / "daemons" / here.paths.key
    assert not note.exists()
    note.write_text(json.dumps({"home": f"{here.home}", "socket": "/no", "branch": "main"}))
    assert here.deploy("db")[0].startswith("accepted, converges later: ")


def test_without_its_repository_a_host_runs_on_and_says_so(here: Deployment) -> None:
    """The daemon is killed as well: it comes back and knows what it followed."""
    here.deploy("web")
    (here.home / "weaver.yaml").write_text("git: {poll: 1s}\n")
    here.follow()
    before = here.pids()
    here.bare.rename(here.bare.with_name("elsewhere.git"))
    until(lambda: here.status()["source"]["reason"])
    daemon = here.status()["daemon"]["pid"]
    os.kill(daemon, signal.SIGKILL)
    until(lambda: here.daemon_pid not in (None, daemon))
    here.weaver("wait", "web", "--for", "ready")
    assert here.pids() == before
    for _ in range(3):  # nobody waits for looks that come less and less often
        assert "cannot reach" in str(here.tell("/v1/sync"))
    until(lambda: here.service("web")["sync"] == "Unknown")
    assert here.status()["source"]["reasonCode"] == "SourceStale"
    here.bare.with_name("elsewhere.git").rename(here.bare)
    here.tell("/v1/sync")
    until(lambda: here.service("web")["sync"] == "Synced")


def test_settings_of_the_host_are_its_own_and_defaults_are_the_branch_s(
    here: Deployment,
) -> None:
    """A branch opens no port of the host and runs no hook of its own there."""
    (here.root / "weaver.yaml").write_text(
        f"hooks: {{post-service-start: touch {here.home}/owned}}\n"
        "metrics: {listen: '127.0.0.1:1'}\ndefaults: {env: {FROM: branch}}\n"
    )
    here.git("add", "weaver.yaml")
    here.deploy("web", "sh -c 'echo $FROM; sleep 1000'")
    make_key = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(here.home / "key")]
    subprocess.run(make_key, check=True)
    (here.home / "weaver.yaml").write_text(
        "git: {poll: 1h, sign: key}\ndefaults: {env: {FROM: host}}\n"
    )
    here.follow()
    log = here.home / ".weaver" / "logs" / "web" / "0.log"
    until(lambda: log.read_text() == "branch\n")
    assert not (here.home / "owned").exists()
    assert here.status()["daemon"]["metricsListen"] is None
    here.weaver("set", "web", "env.MORE=1", "--no-wait")
    here.git("fetch", "-q", "origin")
    assert "BEGIN SSH SIGNATURE" in here.git("cat-file", "commit", "origin/main")


def test_a_new_home_inside_of_a_checkout_is_a_home_of_its_own(here: Deployment) -> None:
    here.deploy("web")
    here.home = here.root / "home"
    here.options = UpOptions(root=here.home)
    here.home.mkdir()
    here.follow()
    assert here.status()["daemon"]["root"] == str(here.home)


def test_another_source_beside_a_live_daemon_is_refused(here: Deployment) -> None:
    here.deploy("web")
    here.follow()
    said = here.weaver("up", "--repo", "/srv/other.git", "--detach", code=10)
    assert "follows something else" in said
    here.follow()
    head = here.git("rev-parse", "--short=7", "HEAD")
    assert here.weaver("sync").endswith(f"nothing to do, all matches {head}")


def test_a_signed_webhook_has_it_fetched_at_once_and_no_other_request_does(
    here: Deployment,
) -> None:
    """The secret is changed meanwhile: both lines are good; a file for all to see is none."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    secret = here.home / "webhook.secret"
    secret.write_text("before\nnow\n")
    secret.chmod(0o600)
    (here.home / "weaver.yaml").write_text(
        f"git: {{poll: 1h, webhook: {{listen: '{address}', secretFile: webhook.secret}}}}\n"
    )
    here.deploy("web")
    here.follow()
    (here.bare / "hooks" / "post-receive").unlink()
    assert here.deploy("db") == []

    def deliver(key: bytes) -> int:
        connection = http.client.HTTPConnection(address, timeout=10)
        body = b"{}"
        signed = hmac.new(key, body, "sha256").hexdigest()
        connection.request("POST", "/webhook", body, {"X-Hub-Signature-256": f"sha256={signed}"})
        status = connection.getresponse().status
        connection.close()
        return status

    assert deliver(b"guess") == 401
    assert not here.service("db")
    assert deliver(b"now") == 202
    until(lambda: here.is_running("db"))
    secret.chmod(0o644)
    assert deliver(b"now") == 401
    until(lambda: any("chmod 600" in text for text in here.status()["daemon"]["troubles"]))


SURVIVED = (
    "git.push.before",
    "git.follow.before",
    "git.follow.moved",
)
"""Points at which a change is accepted and neither told of nor, maybe, made."""
WRITER = ("git.build.before", "git.build.written")
"""Points of the process that writes commits."""


def test_what_a_daemon_dies_over_is_made_once_by_the_next_one(
    here: Deployment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed with a change accepted and not pushed, and with an undo pushed and not followed."""
    armed, struck = tmp_path / "armed", tmp_path / "struck"
    struck.mkdir()
    monkeypatch.setenv("WEAVER_FAILPOINT", f"@{armed}")
    monkeypatch.setenv("WEAVER_FAILPOINT_DIR", str(struck))
    here.deploy("web", more="state: stopped\n")
    here.follow()

    def is_served_by_another_than(daemon: int) -> bool:
        with suppress(OSError, http.client.HTTPException):
            return bool(here.status()["daemon"]["pid"] != daemon)
        return False

    def arm(point: str) -> None:
        armed.with_suffix(".new").write_text(f"{point}:kill")
        armed.with_suffix(".new").replace(armed)

    def killed_at(point: str, **change: object) -> None:
        daemon = here.status()["daemon"]["pid"]
        arm(point)
        with pytest.raises((OSError, http.client.HTTPException)):
            here.tell("/v1/changes", wait=False, **change)
        assert (struck / point.partition("@")[0]).read_text().strip() == str(daemon)
        until(lambda: is_served_by_another_than(daemon))

    for number, point in enumerate(SURVIVED):
        before = here.status()["revision"]["commit"]
        wanted = [{"path": "env.N", "value": str(number)}]
        killed_at(point, kind="set", service="web", assignments=wanted)
        until(lambda: here.status()["revision"]["commit"] != before)  # noqa: B023 - waited for here
    for point in WRITER:  # killed by itself, it leaves a change that was refused
        arm(point)
        told = here.tell("/v1/changes", wait=False, kind="scale", instances={"web": 3})
        assert told[-1]["exitCode"] == 4
        assert "was killed by SIGKILL" in told[-2]["title"]
        assert (struck / point).exists()
    killed_at("git.push.answered", kind="undo")
    # A change that comes after that is made behind it.
    told = here.tell("/v1/changes", wait=False, kind="scale", instances={"web": 2})
    assert told[-1]["exitCode"] == 0, told
    said = here.git("-C", str(here.bare), "log", "--format=%s", "main").splitlines()
    last = f"web: set env.N={len(SURVIVED) - 1}"
    once = [f"web: set env.N={number}" for number in reversed(range(len(SURVIVED)))]
    assert said[:-1] == ["web: scale to 2", f"undo: {last}", *once]

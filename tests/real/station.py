"""A repository with a real daemon, holder and services in it."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from reconciler import app
from reconciler.holder import wire
from reconciler.runtime.home import find_owner, is_held
from reconciler.runtime.options import UpOptions
from reconciler.runtime.paths import StatePaths
from tests.waiting import until

Json = dict[str, Any]

SLEEP = "sleep 1000"
QUICK = "ready: {type: delay, delay: 50ms}\nstopTimeout: 2s\n"


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("weaver", timeout=60)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Station:
    """One repository and what runs of it."""

    def __init__(self, root: Path, state_dir: Path | None = None) -> None:
        self.root = root
        self.options = UpOptions(root=root, state_dir=state_dir)
        (root / "services.d").mkdir()
        self.git("init", "-q", "-b", "main")
        self.git("config", "user.name", "Ada")
        self.git("config", "user.email", "ada@example.org")

    @property
    def paths(self) -> StatePaths:
        return StatePaths.of(self.root, self.options.state_dir)

    # --- the repository ----------------------------------------------------------------------

    def git(self, *words: str) -> str:
        command = ["git", "-C", str(self.root), *words]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def file(self, name: str) -> Path:
        return self.root / "services.d" / f"{name}.yaml"

    def define(
        self, name: str, command: str = SLEEP, more: str = "", *, quick: bool = True
    ) -> None:
        """Write a manifest; ready at once unless told otherwise."""
        text = f"name: {name}\ncommand: {command}\n{QUICK if quick else ''}{more}"
        self.file(name).write_text(text)

    def commit(self) -> str:
        self.git("add", "-A", "services.d")
        self.git("commit", "-q", "-m", "manifests")
        return self.git("rev-parse", "HEAD").strip()

    # --- the daemon --------------------------------------------------------------------------

    def up(self) -> int:
        return app.start_detached(self.options)

    def settle(self, timeout: float = 30) -> Json:
        """Wait until all is as wanted, and give the summary."""
        return self.tell("/v1/operations", kind="settle", timeout=timeout)[-1]

    @property
    def daemon_pid(self) -> int | None:
        found = find_owner(self.paths)
        return found[0] if found else None

    @property
    def is_held(self) -> bool:
        """Tell whether a holder is there: it listens by the name of our folder."""
        name = wire.address(str(self.root)).replace("\0", "@")
        sockets = Path("/proc/net/unix").read_text().splitlines()
        return any(line.endswith(f" {name}") for line in sockets)

    def kill_daemon(self) -> None:
        pid = self.daemon_pid
        assert pid
        os.kill(pid, signal.SIGKILL)
        until(lambda: not is_held(self.paths.daemon_lock))

    def tell(self, path: str, **body: Any) -> list[Json]:
        """Ask for a long verb and give all that it says."""
        _, text = self._request("POST", path, body)
        return [json.loads(line) for line in text.splitlines()]

    def ask(self, path: str) -> Json:
        """Ask a question and give the JSON of the answer."""
        found: Json = json.loads(self._request("GET", path)[1])
        return found

    def text(self, path: str) -> str:
        """Ask a question and give the text of the answer."""
        return self._request("GET", path)[1]

    def _request(self, method: str, path: str, body: Json | None = None) -> tuple[int, str]:
        connection = UnixConnection(str(self.paths.socket))
        try:
            sent = None if body is None else json.dumps(body)
            connection.request(method, path, sent, {"content-type": "application/json"})
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    # --- what runs ---------------------------------------------------------------------------

    def status(self) -> Json:
        return self.ask("/v1/status?format=json")

    def service(self, name: str) -> Json:
        found = [service for service in self.status()["services"] if service["name"] == name]
        return found[0] if found else {}

    def commits(self, name: str) -> dict[str, str | None]:
        """Tell how far a service has come along the history of its manifests."""
        [found] = self.ask(f"/v1/status?format=json&name={name}")["services"]
        pointers: dict[str, str | None] = found["pointers"]
        return pointers

    def instance(self, name: str, slot: int = 0) -> Json:
        instances = self.service(name).get("instances", [])
        found: Json = instances[slot] if len(instances) > slot else {}
        return found

    def pid(self, name: str, slot: int = 0) -> int | None:
        pid = self.instance(name, slot).get("pid")
        return pid if isinstance(pid, int) else None

    def pids(self) -> dict[str, int | None]:
        services = self.status()["services"]
        return {one["id"]: one["pid"] for found in services for one in found["instances"]}

    def is_running(self, *names: str) -> bool:
        return all(
            self.service(name).get("state") == "running"
            and self.service(name).get("sync") == "Synced"
            for name in names
        )

    def events(self, name: str = "") -> list[Json]:
        found: list[Json] = self.ask(f"/v1/events?service={name}&limit=1000")["events"]
        return found

    # --- the end -----------------------------------------------------------------------------

    def down(self) -> None:
        """End everything, however things stand."""
        if self.daemon_pid is None:
            if not self.is_held:
                return
            self.paths.state.mkdir(mode=0o700, exist_ok=True)
            self.up()
        self.tell("/v1/shutdown", kill=True)
        until(lambda: not is_held(self.paths.daemon_lock))
        until(lambda: not self.is_held)


@contextmanager
def station(root: Path, state_dir: Path | None = None) -> Iterator[Station]:
    """Give a station that is cleared away at the end."""
    made = Station(root, state_dir)
    try:
        yield made
    finally:
        made.down()


def state_of(pid: int | None) -> str:
    """Give the letter of a process' state; none where there is no such process."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    return ""


def is_alive(pid: int | None) -> bool:
    return state_of(pid) not in {"", "Z", "X"}


def environment_of(pid: int) -> dict[str, str]:
    text = Path(f"/proc/{pid}/environ").read_bytes().decode()
    return dict(word.split("=", 1) for word in text.split("\0") if word)


def python(code: str) -> str:
    """Give the manifest's command that runs some Python."""
    return json.dumps([sys.executable, "-c", code])

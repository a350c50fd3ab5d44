"""Who serves three instances of a server at one port, and restarts them when asked."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol, Self

from benchmarks.machine import beside_python
from benchmarks.peers.pm2 import PROGRAM as PM2_PROGRAM
from benchmarks.peers.pm2 import Pm2
from benchmarks.peers.supervisord import Supervisord
from benchmarks.processes import all_pids, end, folder_of, until
from benchmarks.supervisors import Supervisor, Weaver

ROOT = Path(__file__).resolve().parent.parent
SERVED = ROOT / "benchmarks" / "served"
INSTANCES = 3
START_S = 30.0
RESTART_S = 60.0


class Serving(Protocol):
    """Somebody who serves."""

    name: str
    port: int

    def restart(self) -> None:
        """Replace every process, and return once the new ones serve."""
        ...


def free_port() -> int:
    """Give a port that nobody has just now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def answers(port: int) -> bool:
    """Tell whether somebody listens."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def gunicorn(*more: str) -> list[str]:
    """Give the words of gunicorn with workers that take one request at a time."""
    return [beside_python("gunicorn"), *more, "--log-level", "error", "benchmarks.served.plain:app"]


def clear(supervisor: Supervisor) -> None:
    """End what a supervisor started and left: it is in the folder that is its own."""
    end(pid for pid in all_pids() if folder_of(pid) == supervisor.folder)


class ServingWeaver(Weaver):
    """Weaver with three instances behind one socket, which it holds."""

    def __init__(self, words: Sequence[str], more: str = "", kind: str = "") -> None:
        super().__init__(0)
        self.name = f"weaver, {kind}" if kind else "weaver"
        self.port = free_port()
        self._text = (
            f"name: web\ncommand: {json.dumps(list(words))}\ninstances: {INSTANCES}\n"
            f'sockets: [{{listen: "tcp://127.0.0.1:{self.port}"}}]\n'
            f"env:\n  PYTHONPATH: {json.dumps(str(ROOT))}\n  READY_FILE: ready-${{instance}}\n"
            f"{more}"
        )

    def prepare(self) -> None:
        """Write one manifest."""
        (self.folder / "services.d").mkdir()
        (self.folder / "services.d" / "web.yaml").write_text(self._text)
        self.git("init", "--quiet", "--initial-branch=main")
        (self.folder / ".gitignore").write_text(".weaver/\ncomplaints\nready-*\n")
        self.commit("Say what runs")

    def launch(self) -> None:
        """Start the daemon, and wait until all serves."""
        super().launch()
        self.until_converged()

    def restart(self) -> None:
        """Restart the service, as a person does."""
        self._run("restart", "web")

    def break_it(self) -> None:
        """Commit a version that cannot serve, and wait until it is known for that."""
        bad = [sys.executable, "-c", "raise SystemExit(3)"]
        lines = self._text.splitlines(keepends=True)
        text = "".join(
            f"command: {json.dumps(bad)}\n" if line.startswith("command:") else line
            for line in lines
        )
        (self.folder / "services.d" / "web.yaml").write_text(text)
        self.commit("Break it")
        until(self._is_quarantined, RESTART_S, "weaver to give the bad version up")

    def _is_quarantined(self) -> bool:
        [web] = self.standing()["services"]
        return bool(web["reasonCode"] == "Quarantined" and web["state"] == "running")

    def _run(self, *words: str) -> None:
        command = self.command("--quiet", *words)
        subprocess.run(command, check=True, capture_output=True, timeout=RESTART_S)

    def clean_up(self) -> None:
        """Leave nothing, also of what it ran."""
        super().clean_up()
        clear(self)


class ServingPm2(Pm2):
    """PM2 with a Node server in a cluster of three."""

    name = "PM2 reload, Node"

    def __init__(self) -> None:
        super().__init__(0)
        self.port = free_port()

    def prepare(self) -> None:
        """Write its file."""
        app = {
            "name": "web",
            "script": str(SERVED / "server.js"),
            "exec_mode": "cluster",
            "instances": INSTANCES,
            "cwd": str(self.folder),
            "env": {"PORT": str(self.port)},
        }
        (self.folder / "apps.json").write_text(json.dumps({"apps": [app]}))

    def launch(self) -> None:
        """Start the daemon with the app, and wait until it serves."""
        super().launch()
        self.starting.wait(START_S)
        until(lambda: answers(self.port), START_S, "PM2 to serve", 0.05)

    def restart(self) -> None:
        """Reload the app, one process after another, as its manual says."""
        command = [str(PM2_PROGRAM), "reload", "web"]
        subprocess.run(command, check=True, capture_output=True, timeout=RESTART_S)

    def clean_up(self) -> None:
        """Leave nothing, also of what it ran."""
        super().clean_up()
        clear(self)


class ServingSupervisord(Supervisord):
    """Supervisord with gunicorn, which has three workers of its own."""

    name = "supervisord restart, gunicorn"

    def __init__(self) -> None:
        super().__init__(0)
        self.port = free_port()

    def prepare(self) -> None:
        """Add one section to what there is without services."""
        super().prepare()
        bind = ("--bind", f"127.0.0.1:{self.port}", "--workers", str(INSTANCES))
        words = [*gunicorn(*bind), "--pythonpath", str(ROOT)]
        section = f"[program:web]\ncommand={shlex.join(words)}\n"
        self.config.write_text(self.config.read_text() + section)

    def launch(self) -> None:
        """Start the daemon, and wait until it serves."""
        super().launch()
        until(lambda: answers(self.port), START_S, "supervisord to serve", 0.05)

    def restart(self) -> None:
        """Restart the program, as its manual says."""
        command = self.control("restart", "web")
        subprocess.run(command, check=True, capture_output=True, timeout=RESTART_S)

    def clean_up(self) -> None:
        """Leave nothing, also of what it ran."""
        super().clean_up()
        clear(self)


class Bare:
    """A script that binds a socket, starts three servers on it, and starts them again."""

    def __init__(self, words: Sequence[str], kind: str) -> None:
        self.name = f"bare script, {kind}"
        self.port = free_port()
        self._folder = tempfile.mkdtemp(prefix="bench-bare-")
        module = [sys.executable, "-m", "benchmarks.served.bare"]
        self._command = [*module, str(self.port), self._folder, *words]

    def __enter__(self) -> Self:
        """Start it, and wait until it serves."""
        self._script = subprocess.Popen(
            self._command,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            bufsize=1,
            start_new_session=True,
        )
        self._until_serving()
        return self

    def __exit__(self, *_: object) -> None:
        """Have it end all that it started."""
        try:
            self._script.communicate(timeout=START_S)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(self._script.pid, signal.SIGKILL)
            self._script.wait()
            shutil.rmtree(self._folder, ignore_errors=True)

    def restart(self) -> None:
        """Have it start all servers anew."""
        assert self._script.stdin is not None
        self._script.stdin.write("again\n")
        self._until_serving()

    def _until_serving(self) -> None:
        assert self._script.stdout is not None
        if self._script.stdout.readline() != "serving\n":
            raise RuntimeError(f"{self.name} ended with {self._script.wait(START_S)}")

"""A real holder of a temporary directory, and a plain client of it."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import reconciler.holder
from reconciler.holder import tree, wire
from tests import settings
from tests.waiting import until

Message = dict[str, Any]
MAIN = Path(reconciler.holder.__file__).parent / "__main__.py"
KERNEL_TELLS = tuple(map(int, os.uname().release.split(".")[:2])) >= (6, 15)
"""Whether a pidfd says how its process ended, also after that was reaped."""
PATH = "/usr/local/bin:/usr/bin:/bin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """A run that was started."""

    slot: str
    run: str
    pid: int
    born: int
    log: Path

    @property
    def is_alive(self) -> bool:
        """Tell whether the main process lives, with the birth tick it was started with."""
        process = tree.find(self.pid)
        return process is not None and process.born == self.born and not process.is_dead

    @property
    def output(self) -> str:
        """Give what it has written so far."""
        return self.log.read_text(errors="replace")


class Rig:
    """Starts holders of one directory and speaks with them."""

    def __init__(self, root: Path, setting: str = settings.AS_IT_IS) -> None:
        self.root = root
        self.setting = setting
        self.program = str(MAIN)
        """The holder that is started next."""
        self.patience_s = 20.0
        """How long a holder may be silent that has something to say."""
        self.directory = root / "repo"
        self.directory.mkdir()
        for folder in (root, self.directory):
            os.chown(folder, root.stat().st_uid, root.stat().st_gid)
        self.state = self.directory / ".weaver"
        self.events: list[Message] = []
        self.fds: list[tuple[Message, int]] = []
        """What the holder gave us to keep, each with the event that it came with."""
        self.holder_pid = 0
        self.sock: Any = None
        self._serial = 0

    # --- the holder ---

    def launch(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the holder's program with an empty environment, until it answers or gives up."""
        command = [sys.executable, "-I", "-S", self.program]
        command += arguments or (str(self.directory), str(self.state))
        return subprocess.run(
            settings.command(self.setting, command),
            env={},
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )

    def start(self) -> None:
        """Start a holder and become its controller."""
        launched = self.launch()
        assert launched.returncode == 0, launched.stderr
        self.connect()

    def connect(self, can: Sequence[str] = ("notify",)) -> Message:
        """Connect to the running holder, instead of the last one."""
        if self.sock is not None:
            self.sock.close()
        self.sock = self.open_socket()
        hello = self.ask("hello", proto=wire.PROTO, version="test", can=[*can])
        self.holder_pid = hello["pid"]
        return hello

    def open_socket(self) -> Any:
        """Connect without a word."""
        sock = wire.open_socket()
        sock.settimeout(self.patience_s)
        sock.connect(wire.address(str(self.directory)))
        return sock

    @property
    def is_held(self) -> bool:
        """Tell whether the holder lives."""
        process = tree.find(self.holder_pid)
        return process is not None and not process.is_dead

    def kill_holder(self, number: int = signal.SIGKILL) -> None:
        """End the holder without warning, or by SIGTERM."""
        os.kill(self.holder_pid, number)
        until(lambda: not self.is_held, message="the end of the holder")
        self.sock.close()

    def close_kept(self) -> None:
        """Let go of what the holder gave us to keep."""
        kept, self.fds = self.fds, []
        wire.close_all(fd for _, fd in kept)

    def restart_holder(self) -> None:
        """Kill the holder without warning, and start another."""
        self.kill_holder()
        self.start()

    def close(self) -> None:
        """End everything that this rig started."""
        if not self.holder_pid or not self.is_held:
            self.launch()
        self.connect()
        for run in self.runs().values():
            if not run["empty"]:
                identity = {name: run[name] for name in ("run", "pid", "born")}
                self.ask("signal", **identity, signal=signal.SIGKILL, scope="tree")
        until(lambda: all(run["empty"] for run in self.runs().values()), message="empty trees")
        assert "error" not in self.ask("shutdown")
        self.sock.close()
        self.close_kept()

    # --- messages ---

    def ask(self, do: str, *, fds: Any = (), **fields: Any) -> Message:
        """Send a request and give its answer; events on the way are kept."""
        return self.answer(self.post(do, fds=fds, **fields))

    def post(self, do: str, *, fds: Any = (), **fields: Any) -> int:
        """Send a request, and give its number."""
        self._serial += 1
        wire.send(self.sock, {"do": do, "serial": self._serial, **fields}, fds)
        return self._serial

    def answer(self, serial: int) -> Message:
        """Give the answer to the last request; events on the way are kept."""
        while "answer" not in (message := self._receive()):
            self.events.append(message)
        assert message["answer"] == serial
        return message

    def wait_for(self, kind: str, started: Started) -> Message:
        """Give the event of this kind of a run, waiting until it arrives."""
        return self.wait_until(
            lambda event: (event["event"], event.get("run")) == (kind, started.run)
        )

    def wait_until(self, is_it: Callable[[Message], bool]) -> Message:
        """Give the first event kept that is it, waiting until it arrives."""
        while not (found := [event for event in self.events if is_it(event)]):
            message = self._receive()
            assert "event" in message
            self.events.append(message)
        return found[0]

    def runs(self) -> dict[str, Message]:
        """List all runs by their mark."""
        return {run["run"]: run for run in self.ask("list")["runs"]}

    def try_spawn(self, slot: str, argv: Sequence[str], **changes: Any) -> Message:
        """Ask for a start and give the answer, whatever it is."""
        run = changes.pop("run", secrets.token_hex(8))
        env = {"PATH": PATH, **changes.pop("env", {}), "WEAVER_RUN": run}
        order: Message = {
            "slot": slot,
            "run": run,
            "argv": list(argv),
            "env": env,
            "cwd": str(self.root),
            "stdout": str(self.root / "logs" / f"{slot}.log"),
            "stderr": None,
            "tag": {"digest": "d1"},
        }
        return self.ask("spawn", **(order | changes)) | {"run": run}

    def spawn(self, slot: str, *argv: str, **changes: Any) -> Started:
        """Start a program in a slot."""
        answer = self.try_spawn(slot, argv, **changes)
        assert "error" not in answer, answer
        log = Path(changes.get("stdout", self.root / "logs" / f"{slot}.log"))
        known = {name: answer[name] for name in ("run", "pid", "born")}
        return Started(slot=slot, log=log, **known)

    def spawn_shell(self, slot: str, script: str, ups: int = 1) -> Started:
        """Start a shell script in a slot, and wait until its processes said `up` so many times."""
        started = self.spawn(slot, "/bin/sh", "-c", script)
        until(lambda: started.output.count("up\n") == ups, message=f"{slot} to be up")
        return started

    def notice(self, started: Started) -> Message:
        """Give what a run has said of itself."""
        found: Message = self.runs()[started.run]["notice"]
        return found

    def says(self, started: Started, **words: Any) -> Message:
        """Wait until a run has said this of itself, and give all that it said."""
        return self.wait_until(
            lambda event: (
                (event["event"], event.get("run")) == ("notified", started.run)
                and words.items() <= event["notice"].items()
            )
        )

    def signal(self, started: Started, number: int, scope: str = "main") -> Message:
        """Send a signal."""
        identity = {"run": started.run, "pid": started.pid, "born": started.born}
        return self.ask("signal", **identity, signal=number, scope=scope)

    def _receive(self) -> Message:
        received = wire.receive(self.sock)
        assert received is not None, "the holder has left"
        message, fds = received
        self.fds += [(message, fd) for fd in fds]
        return message

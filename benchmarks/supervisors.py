"""What every supervisor that is measured has in common, and Weaver itself.

All of them run the same services, and are asked nothing: /proc tells what runs. A service is
`sleep TAG NUMBER`, or a script with these words that prints.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.machine import beside_python
from benchmarks.processes import Census, NeverCameError, all_pids, children, end, is_alive, until

NUMBERS = itertools.count(1)
SLEEP = shutil.which("sleep") or "/bin/sleep"
STOP_S = 60.0
QUIET_S = 90.0
HOLDER = b"/holder/__main__.py\0"
"""What only a holder is executed with, wherever the checkout is."""
NUMBER = re.compile(r"\.(\d+)\b")
CLEAN_UPS = 10


class Supervisor(ABC):
    """A supervisor with a number of services."""

    name: str
    captures_output = True
    mend = "make bench installs it"
    """What to do where it is not installed."""

    def __init__(self, count: int, script: str = "") -> None:
        """`script` is what a service does instead of sleeping: lines of sh, $1 and $2 its words."""
        self.count = count
        self.script = script
        self.folder = Path(tempfile.mkdtemp(prefix=f"bench-{self.name.split()[0]}-"))
        # An argument that sleep accepts, longer than a benchmark, and of this folder alone.
        self.tag = f"{10_000_000 + os.getpid()}.{next(NUMBERS):03d}"
        self.census = Census(self.tag)

    def service(self, number: int) -> list[str]:
        """Give the words of a service's command."""
        if not self.script:
            return [SLEEP, self.tag, str(number)]
        path = self.folder / "service.sh"
        if not path.exists():
            path.write_text(f"#!/bin/sh\n{self.script}\n")
        return ["/bin/sh", str(path), self.tag, str(number)]

    @property
    def stderr(self) -> Path:
        """Give the file with what the supervisor complains of."""
        return self.folder / "complaints"

    @abstractmethod
    def prepare(self) -> None:
        """Write the configuration."""

    @abstractmethod
    def launch(self) -> None:
        """Start the supervisor; return without waiting for the services."""

    @abstractmethod
    def managers(self) -> list[int]:
        """List the processes that are the supervisor's own."""

    @abstractmethod
    def stop(self) -> None:
        """Stop the services and the supervisor."""

    @abstractmethod
    def outputs(self) -> list[Path]:
        """List the files with what services printed, the oldest of each service first."""

    def head(self) -> int:
        """Give the pid of the process that a person would call the manager."""
        return self.managers()[0]

    def told_ends(self) -> set[int]:
        """Give the services of which it has on record, after a new start, how they ended."""
        return set()

    @classmethod
    def is_installed(cls) -> bool:
        """Tell whether this machine has it."""
        return True

    def spawn(self, *command: str) -> subprocess.Popen[bytes]:
        """Start a program of the supervisor's in its folder."""
        with self.stderr.open("ab") as errors:
            return subprocess.Popen(
                command,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=errors,
                stderr=errors,
                start_new_session=True,
            )

    def clean_up(self) -> None:
        """Leave nothing: neither a process nor a file."""
        # Who is killed may just have started another, and holders start daemons again.
        for _ in range(CLEAN_UPS):
            left = {*self.managers(), *self.census.fresh()}
            if not any(map(is_alive, left)):
                break
            end(left)
        shutil.rmtree(self.folder, ignore_errors=True)


def oldest_first(paths: Iterable[Path]) -> list[Path]:
    """Order files whose names end with a number where they are old, a larger one where older.

    >>> [str(path) for path in oldest_first(map(Path, ["a.log", "a.log.1.gz", "a.log.10"]))]
    ['a.log.10', 'a.log.1.gz', 'a.log']
    """
    return sorted(paths, key=lambda path: -max(map(int, NUMBER.findall(path.name)), default=0))


@contextmanager
def running(supervisor: Supervisor, seconds: float = 60.0) -> Iterator[Supervisor]:
    """Run a supervisor until all of its services run, and stop it in the end."""
    try:
        supervisor.prepare()
        supervisor.launch()
        supervisor.census.until_there(supervisor.count, seconds)
        yield supervisor
        _leave(supervisor)
    finally:
        supervisor.clean_up()


def _leave(supervisor: Supervisor) -> None:
    """Stop it where nobody measures that; what does not leave by itself is killed."""
    try:
        supervisor.stop()
    except (subprocess.TimeoutExpired, NeverCameError) as why:
        print(f"{supervisor.name} did not leave by itself: {why}", file=sys.stderr)


class Weaver(Supervisor):
    """Weaver on a repository with one manifest for each service."""

    name = "weaver"
    program = beside_python("weaver")
    extra = ""
    """More lines for each manifest."""

    @property
    def home(self) -> Path:
        """Give the folder that the daemon is told."""
        return self.folder

    def prepare(self) -> None:
        """Make a repository with one commit."""
        (self.folder / "services.d").mkdir()
        for number in range(self.count):
            self.write(number)
        self.git("init", "--quiet", "--initial-branch=main")
        (self.folder / ".gitignore").write_text(".weaver/\ncomplaints\n")
        self.commit("Say what runs")

    def write(self, number: int, value: int | None = None, more: str = "") -> None:
        """Write one manifest: whole, under another name first, as editors do."""
        path = self.manifest(number)
        draft = path.with_name(f".{path.name}.tmp")
        shown = number if value is None else value
        words = json.dumps(self.service(shown))
        draft.write_text(f"name: s{number}\ncommand: {words}\n{self.extra}{more}")
        draft.replace(path)

    def manifest(self, number: int) -> Path:
        """Give the path of a service's manifest."""
        return self.folder / "services.d" / f"s{number}.yaml"

    def git(self, *arguments: str) -> None:
        """Run git in the repository."""
        who = ["-c", "user.name=Bench", "-c", "user.email=bench@weaver.invalid"]
        subprocess.run(["git", *who, *arguments], cwd=self.folder, check=True, capture_output=True)

    def commit(self, message: str) -> None:
        """Commit everything as it is saved."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", message)

    def command(self, *arguments: str) -> tuple[str, ...]:
        """Give a command line of Weaver's for this repository."""
        return (self.program, "-C", str(self.home), *arguments)

    def launch(self) -> None:
        """Start the daemon in the background, as a person does."""
        self._starting = self.spawn(*self.command("up", "--detach"))

    def until_converged(self) -> None:
        """Wait until `up --detach` has said that everything runs."""
        if self._starting.wait(QUIET_S) != 0:
            raise RuntimeError(f"cannot start weaver: {self.stderr.read_text()[-2000:]}")

    def standing(self) -> dict[str, Any]:
        """Give what `weaver status` says, for scripts."""
        asked = self.command("status", "-o", "json")
        answer = subprocess.run(asked, capture_output=True, check=False)
        found: dict[str, Any] = json.loads(answer.stdout or b"{}")
        return found

    def managers(self) -> list[int]:
        """List the daemon, its worker processes and the holder."""
        roots = {os.fsencode(self.home), os.fsencode(self.home / ".weaver")}
        own = [pid for pid in all_pids() if self._is_ours(pid, roots)]
        # The holder starts a daemon again that died: then one of them is a child of the other.
        return sorted({*own, *(c for pid in own for c in children(pid) if self._works(c))})

    def daemon(self) -> int:
        """Find the daemon's pid."""
        (pid,) = self.daemons()
        return pid

    def daemons(self) -> list[int]:
        """List the daemons: one, or none for a moment."""
        return [pid for pid in self.managers() if b"reconciler.app" in _words(pid)]

    def holder(self) -> int:
        """Find the holder's pid."""
        (pid,) = (pid for pid in self.managers() if HOLDER in _words(pid))
        return pid

    def until_quiet(self) -> None:
        """Wait until the worker process, kept warm for the next change, has left."""
        until(lambda: len(self.managers()) == 2, QUIET_S, "weaver's worker to leave", 0.2)

    def outputs(self) -> list[Path]:
        """List the log files of all services, the rotated ones too."""
        return oldest_first((self.home / ".weaver" / "logs").glob("*/*.log*"))

    def stop(self) -> None:
        """Stop everything in order."""
        subprocess.run(self.command("down"), check=False, capture_output=True, timeout=STOP_S)

    @staticmethod
    def _is_ours(pid: int, roots: set[bytes]) -> bool:
        words = _words(pid)
        return b"reconciler" in words and not roots.isdisjoint(words.split(b"\0"))

    @staticmethod
    def _works(pid: int) -> bool:
        return b"reconciler" in _words(pid)


def _words(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


class ImpatientWeaver(Weaver):
    """Weaver with services that are restarted at once."""

    extra = "backoff: {initial: 0, jitter: 0}\nmaxRestarts: unlimited\n"

"""Supervisors of the daemontools family: a folder for each service, a process for each."""

from __future__ import annotations

import shlex
import shutil
import signal
from pathlib import Path

from benchmarks.processes import all_pids, folder_of, is_alive, until
from benchmarks.supervisors import STOP_S, Supervisor


class Scanned(Supervisor):
    """A supervisor of the daemontools family: a folder for each service, a process for each."""

    scanner: str
    stop_signal: signal.Signals
    logger = ""
    """The program, and arguments, that writes a service's output to files."""
    captures_output = False

    @property
    def folders(self) -> Path:
        """Give the folder that is scanned."""
        return self.folder / "scan"

    @classmethod
    def is_installed(cls) -> bool:
        """Tell whether its programs are on PATH."""
        programs = [cls.scanner, *cls.logger.split()[:1]]
        return all(shutil.which(program) for program in programs)

    def prepare(self) -> None:
        """Write a script for each service, and one for its logger."""
        for number in range(self.count):
            place = self.folders / f"s{number}"
            _script(place / "run", f"exec {shlex.join(self.service(number))}")
            if self.script:
                _script(place / "finish", f'echo "{number} $1 $2" >> {self.folder}/ended')
            if self.logger:
                (place / "main").mkdir()
                self.configure(place / "main")
                _script(place / "log" / "run", f"exec {self.logger} ../main")

    def launch(self) -> None:
        """Start the scanner."""
        self.process = self.spawn(self.scanner, *self.arguments(), str(self.folders))

    def arguments(self) -> list[str]:
        """Give options of the scanner."""
        return []

    def configure(self, folder: Path) -> None:
        """Say how much of a service's output its logger keeps."""

    def managers(self) -> list[int]:
        """List the scanner, its supervising processes and the loggers: all are in our folder.

        runsvdir returns from the folder that it scans to where it was started.
        """
        found = [pid for pid in all_pids() if folder_of(pid).is_relative_to(self.folder)]
        services = self.census.fresh()
        return sorted(pid for pid in found if pid not in services)

    def head(self) -> int:
        """Give the scanner."""
        return self.process.pid

    def stop(self) -> None:
        """Signal the scanner, which ends all that is below it."""
        below = self.managers()
        self.process.send_signal(self.stop_signal)
        self.process.wait(STOP_S)
        until(lambda: not any(map(is_alive, below)), STOP_S, f"{self.name} to leave", 0.05)

    def outputs(self) -> list[Path]:
        """List what the loggers keep: the file they write to and the full ones."""
        return sorted(path for path in self.folders.glob("*/main/*") if path.name[0] in "@c")

    def told_ends(self) -> set[int]:
        """Read what the scripts named `finish` wrote, which are told how a service ended."""
        ended = self.folder / "ended"
        text = ended.read_text() if ended.exists() else ""
        return {int(line.split()[0]) for line in text.splitlines()}


class Runit(Scanned):
    """runit without loggers: what services print goes wherever runit's own output goes."""

    name = "runit"
    scanner = "runsvdir"
    stop_signal = signal.SIGHUP

    def arguments(self) -> list[str]:
        """Give each service a process group of its own."""
        return ["-P"]


class LoggingRunit(Runit):
    """runit with a svlogd for each service."""

    name = "runit + svlogd"
    logger = "svlogd"
    captures_output = True

    def configure(self, folder: Path) -> None:
        """Keep twenty files of 10 MB, where the default keeps ten of 1 MB."""
        (folder / "config").write_text("s10000000\nn20\n")


class S6(Scanned):
    """s6 without loggers."""

    name = "s6"
    scanner = "s6-svscan"
    stop_signal = signal.SIGTERM

    def arguments(self) -> list[str]:
        """Raise the number of services it takes, by default 500."""
        return ["-c", str(2 * self.count + 10)]


class LoggingS6(S6):
    """s6 with a s6-log for each service."""

    name = "s6 + s6-log"
    logger = "s6-log n20 s10000000"
    captures_output = True


def _script(path: Path, line: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{line}\n")
    path.chmod(0o755)

"""The supervisors that Weaver is measured beside, as their users would run them."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path

from benchmarks.machine import beside_python
from benchmarks.processes import children, is_alive, until
from benchmarks.supervisors import STOP_S, Supervisor

SLEEP = shutil.which("sleep") or "/bin/sleep"


class Supervisord(Supervisor):
    """Supervisord with one section for each service, all else as by default."""

    name = "supervisord"

    @property
    def config(self) -> Path:
        """Give the path of the configuration."""
        return self.folder / "supervisord.conf"

    def prepare(self) -> None:
        """Write one file with everything."""
        socket = self.folder / "supervisor.sock"
        lines = [
            "[supervisord]",
            f"logfile={self.folder}/supervisord.log",
            f"pidfile={self.folder}/supervisord.pid",
            f"childlogdir={self.folder}",
            # Each service has two pipes. More would cost time: every child closes them all.
            f"minfds={max(1024, 3 * self.count + 200)}",
            f"[unix_http_server]\nfile={socket}",
            "[rpcinterface:supervisor]",
            "supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface",
            f"[supervisorctl]\nserverurl=unix://{socket}",
        ]
        lines += [
            f"[program:s{number}]\ncommand={SLEEP} {self.tag} {number}"
            for number in range(self.count)
        ]
        self.config.write_text("\n".join(lines) + "\n")

    def launch(self) -> None:
        """Start the daemon in the foreground, as a service manager would."""
        started = self.spawn(beside_python("supervisord"), "-n", "-c", str(self.config))
        self.process = started

    def control(self, *arguments: str) -> tuple[str, ...]:
        """Give a command line of supervisorctl."""
        return (beside_python("supervisorctl"), "-c", str(self.config), *arguments)

    def managers(self) -> list[int]:
        """Give the daemon."""
        return [self.process.pid] if hasattr(self, "process") else []

    def stop(self) -> None:
        """Ask the daemon to leave; it stops its services first."""
        self.process.terminate()
        self.process.wait(STOP_S)


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
            _script(place / "run", f"exec {SLEEP} {self.tag} {number}")
            if self.logger:
                (place / "main").mkdir()
                _script(place / "log" / "run", f"exec {self.logger} ../main")

    def launch(self) -> None:
        """Start the scanner."""
        self.process = self.spawn(self.scanner, *self.arguments(), str(self.folders))

    def arguments(self) -> list[str]:
        """Give options of the scanner."""
        return []

    def managers(self) -> list[int]:
        """List the scanner, its supervising processes and the loggers."""
        if not hasattr(self, "process"):
            return []
        supervising = children(self.process.pid)
        held = [child for pid in supervising for child in children(pid)]
        services = self.census.fresh()
        return [self.process.pid, *supervising, *(pid for pid in held if pid not in services)]

    def stop(self) -> None:
        """Signal the scanner, which ends all that is below it."""
        below = self.managers()
        self.process.send_signal(self.stop_signal)
        self.process.wait(STOP_S)
        until(lambda: not any(map(is_alive, below)), STOP_S, f"{self.name} to leave", 0.05)


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
    logger = "s6-log t"
    captures_output = True


PEERS: tuple[type[Supervisor], ...] = (Supervisord, Runit, LoggingRunit, S6, LoggingS6)


def _script(path: Path, line: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{line}\n")
    path.chmod(0o755)

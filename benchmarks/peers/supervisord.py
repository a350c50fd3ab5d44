"""Supervisord, one process for everything, which reads what services print from pipes."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from benchmarks.machine import installed
from benchmarks.supervisors import STOP_S, Supervisor, oldest_first

ENDED = re.compile(r"exited: s(\d+) \(")


class Supervisord(Supervisor):
    """Supervisord with one section for each service, all else as by default."""

    name = "supervisord"

    @classmethod
    def is_installed(cls) -> bool:
        """Tell whether make has installed it."""
        return installed("supervisord").exists()

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
            f"[program:s{number}]\ncommand={shlex.join(self.service(number))}"
            for number in range(self.count)
        ]
        self.config.write_text("\n".join(lines) + "\n")

    def launch(self) -> None:
        """Start the daemon in the foreground, as a service manager would."""
        started = self.spawn(str(installed("supervisord")), "-n", "-c", str(self.config))
        self.process = started

    def control(self, *arguments: str) -> tuple[str, ...]:
        """Give a command line of supervisorctl."""
        return (str(installed("supervisorctl")), "-c", str(self.config), *arguments)

    def managers(self) -> list[int]:
        """Give the daemon."""
        return [self.process.pid] if hasattr(self, "process") else []

    def stop(self) -> None:
        """Ask the daemon to leave; it stops its services first."""
        self.process.terminate()
        self.process.wait(STOP_S)

    def outputs(self) -> list[Path]:
        """List the files in its folder for them, ten of 50 MB for each stream."""
        return oldest_first(self.folder.glob("s*-stdout---*"))

    def told_ends(self) -> set[int]:
        """Read them from its log."""
        text = (self.folder / "supervisord.log").read_text()
        return {int(number) for number in ENDED.findall(text)}

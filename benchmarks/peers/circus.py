"""Circus, one process for everything, which reads what services print from pipes."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from benchmarks.machine import installed
from benchmarks.supervisors import STOP_S, Supervisor

ENDED = re.compile(r"reaping process \d+ \[s(\d+)\]")


class Circus(Supervisor):
    """Circus with a file for the output of each service, all else as by default."""

    name = "circus"

    @classmethod
    def is_installed(cls) -> bool:
        """Tell whether make has installed it."""
        return installed("circusd").exists()

    def prepare(self) -> None:
        """Write one file with everything."""
        lines = [
            "[circus]",
            f"endpoint = ipc://{self.folder}/endpoint",
            f"pubsub_endpoint = ipc://{self.folder}/pubsub",
            f"logoutput = {self.folder}/circus.log",
            "loglevel = debug" if self.script else "loglevel = info",
        ]
        for number in range(self.count):
            program, *words = self.service(number)
            lines += [
                f"[watcher:s{number}]",
                f"cmd = {program}",
                f"args = {shlex.join(words)}",
                "stdout_stream.class = FileStream",
                f"stdout_stream.filename = {self.folder}/s{number}.out",
            ]
        (self.folder / "circus.ini").write_text("\n".join(lines) + "\n")

    def launch(self) -> None:
        """Start the daemon in the foreground, as a service manager would."""
        self.process = self.spawn(str(installed("circusd")), str(self.folder / "circus.ini"))

    def managers(self) -> list[int]:
        """Give the daemon."""
        return [self.process.pid] if hasattr(self, "process") else []

    def stop(self) -> None:
        """Ask the daemon to leave; it stops its services first."""
        self.process.terminate()
        self.process.wait(STOP_S)

    def outputs(self) -> list[Path]:
        """List the files that were named for them."""
        return [*self.folder.glob("s*.out")]

    def told_ends(self) -> set[int]:
        """Read them from its log."""
        text = (self.folder / "circus.log").read_text()
        return {int(number) for number in ENDED.findall(text)}

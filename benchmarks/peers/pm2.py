"""PM2, one Node process for everything, which reads what services print from pipes."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

from benchmarks.machine import PEERS_FOLDER
from benchmarks.processes import is_alive, until
from benchmarks.supervisors import STOP_S, Supervisor

PROGRAM = PEERS_FOLDER / "node_modules" / ".bin" / "pm2"
ENDED = re.compile(r"App \[s(\d+):\d+\] exited with code")


class Pm2(Supervisor):
    """PM2 with an app for each service, executed as it is, all else as by default."""

    name = "PM2"

    @classmethod
    def is_installed(cls) -> bool:
        """Tell whether make has installed it."""
        return PROGRAM.exists() and shutil.which("node") is not None

    @property
    def home(self) -> Path:
        """Give the folder of its state: nobody else's daemon is touched."""
        return self.folder / "home"

    def prepare(self) -> None:
        """Write one file with everything."""
        apps = []
        for number in range(self.count):
            program, *words = self.service(number)
            apps.append(
                {"name": f"s{number}", "script": program, "args": words, "interpreter": "none"}
            )
        (self.folder / "apps.json").write_text(json.dumps({"apps": apps}))

    def launch(self) -> None:
        """Start the daemon by starting the apps, as a person does."""
        os.environ |= {"PM2_HOME": str(self.home), "PM2_DISABLE_VERSION_CHECK": "1"}
        self.starting = self.spawn(str(PROGRAM), "start", str(self.folder / "apps.json"))

    def managers(self) -> list[int]:
        """Give the daemon, and the command that starts it."""
        found = []
        if (self.home / "pm2.pid").exists():
            found.append(int((self.home / "pm2.pid").read_text()))
        if hasattr(self, "starting") and self.starting.poll() is None:
            found.append(self.starting.pid)
        return [pid for pid in found if is_alive(pid)]

    def stop(self) -> None:
        """Kill the daemon in its own way: it stops its services first."""
        managers = self.managers()
        subprocess.run([PROGRAM, "kill"], check=False, capture_output=True, timeout=STOP_S)
        until(lambda: not any(map(is_alive, managers)), STOP_S, "PM2 to leave", 0.02)

    def outputs(self) -> list[Path]:
        """List the files of its log folder, without what was printed as errors."""
        return [*(self.home / "logs").glob("s*-out*.log")]

    def told_ends(self) -> set[int]:
        """Read them from its log."""
        text = (self.home / "pm2.log").read_text()
        return {int(number) for number in ENDED.findall(text)}

"""What the benchmarks ran on, and which versions."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import reconciler

REQUIREMENTS = Path(__file__).parent / "peers" / "requirements.txt"
PYTHON_PEERS = {"supervisord": "supervisor", "circus": "circus"}
PEERS_FOLDER = Path(__file__).resolve().parent.parent / ".peers"
"""Where make installs the supervisors that come from package registries."""


def facts() -> dict[str, str]:
    """Give what a reader needs to know of this machine to compare with another."""
    return {
        "Processor": f"{_processor()}, {os.cpu_count()} logical cores",
        "Memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB",
        "System": f"{_distribution()}, Linux {platform.release()}",
        "Load before": f"{os.getloadavg()[0]:.2f}",
        "Versions": ", ".join(f"{name} {text}" for name, text in _versions().items()),
    }


def beside_python(name: str) -> str:
    """Give the path of a program of this virtual environment."""
    return str(Path(sys.executable).parent / name)


def installed(name: str) -> Path:
    """Give the path of a program of the peers' own virtual environment."""
    return PEERS_FOLDER / "venv" / "bin" / name


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _distribution() -> str:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", "Linux")
    except OSError:
        return "Linux"


def _versions() -> dict[str, str]:
    return {
        "Weaver": reconciler.__version__,
        "Python": platform.python_version(),
        **{name: _pinned(package) for name, package in PYTHON_PEERS.items()},
        "PM2": _node_version("pm2"),
        "runit": _package("runsvdir", "runit"),
        "s6": _package("s6-svscan", "s6"),
        "wrk": _package("wrk", "wrk"),
    }


def _pinned(package: str) -> str:
    """Give the version that make installs of a peer written in Python."""
    for line in REQUIREMENTS.read_text().splitlines():
        if line.startswith(f"{package}=="):
            return line.split("==")[1].split()[0]
    return "of unknown version"


def _node_version(package: str) -> str:
    """Give the installed version of a peer written in JavaScript."""
    try:
        text = (PEERS_FOLDER / "node_modules" / package / "package.json").read_text()
    except OSError:
        return "not installed"
    return str(json.loads(text)["version"])


def _package(program: str, package: str) -> str:
    """Give the version of a Debian package; neither runit nor s6 tells its own."""
    if shutil.which(program) is None:
        return "not installed"
    if shutil.which("dpkg-query") is None:
        return "of unknown version"
    asked = ["dpkg-query", "--show", "--showformat=${Version}", package]
    answer = subprocess.run(asked, capture_output=True, text=True, check=False)
    return answer.stdout or "of unknown version"

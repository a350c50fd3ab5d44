"""Install the supervisors that the benchmarks run beside Weaver, in a folder of their own.

What comes from package registries is pinned by hash in benchmarks/peers and goes into .peers; the
rest are Debian packages.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from tools.bootstrap import ensure_programs, find_python, say

ROOT = Path(__file__).resolve().parent.parent
PINNED = ROOT / "benchmarks" / "peers"
PEERS = ROOT / ".peers"
PACKAGES = {"nodejs": "node", "npm": "npm", "runit": "runsvdir", "s6": "s6-svscan", "wrk": "wrk"}
NPM = ("npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--silent")


def main() -> None:
    """Install what is missing; what cannot be installed is missed by the benchmarks, loudly."""
    ensure_programs(PACKAGES, "benchmarks")
    stamp, wanted = PEERS / "stamp", _digest()
    if stamp.exists() and stamp.read_text() == wanted:
        return
    say("installing supervisord, circus and PM2 into .peers for the benchmarks")
    shutil.rmtree(PEERS, ignore_errors=True)
    PEERS.mkdir()
    try:
        _install_python()
        _install_node()
    except (OSError, subprocess.CalledProcessError) as error:
        say(f"some of them are missing: {error}")
        return
    stamp.write_text(wanted)


def _install_python() -> None:
    venv = PEERS / "venv"
    pip = [sys.executable, "-m", "pip", "--python", str(venv / "bin" / "python"), "install"]
    subprocess.run([find_python(), "-m", "venv", "--without-pip", str(venv)], check=True)
    pinned = ["--require-hashes", "-r", str(PINNED / "requirements.txt")]
    subprocess.run([*pip, "--quiet", *pinned], check=True)


def _install_node() -> None:
    for name in ("package.json", "package-lock.json"):
        shutil.copy(PINNED / name, PEERS)
    subprocess.run([*NPM, "--prefix", str(PEERS)], check=True)


def _digest() -> str:
    files = (PINNED / "requirements.txt", PINNED / "package-lock.json")
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()


if __name__ == "__main__":
    main()

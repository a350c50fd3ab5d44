"""A copy of the web stack with ports of its own, run by the real command line."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import urllib.request
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "web-stack"
WEAVER = Path(sys.executable).parent / "weaver"
# Debian keeps nginx where only root looks.
PATH = os.pathsep.join([str(WEAVER.parent), os.environ.get("PATH", os.defpath), "/usr/sbin"])
ATTEMPTS = 200


def free_ports() -> tuple[str, int]:
    """Find a prefix of which the ports `<prefix>0` and `<prefix>1` are free, and one more port."""
    for prefix in range(2100, 2100 + ATTEMPTS):
        ports = (prefix * 10, prefix * 10 + 1, prefix * 10 + 8)
        with ExitStack() as kept:
            try:
                for port in ports:
                    probe = kept.enter_context(socket.socket())
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return str(prefix), ports[2]
    raise AssertionError("no three free ports in a row of ten")


@dataclass(frozen=True, slots=True)
class Stack:
    """A repository with the web stack in it."""

    folder: Path
    port: int
    """Where nginx listens."""

    @classmethod
    def copied(cls, folder: Path) -> Stack:
        """Copy the example, put free ports into it, and commit it."""
        shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("var", ".weaver"))
        prefix, port = free_ports()
        for path in [folder / "nginx.conf", *(folder / "services.d").iterdir()]:
            text = path.read_text().replace("18088", str(port))
            path.write_text(re.sub(r"\b1808(?=[01]\b|\$)", prefix, text))
        stack = cls(folder, port)
        stack.git("init", "--quiet", "--initial-branch=main")
        stack.git("add", ".")
        stack.git("commit", "--quiet", "--message=A web stack")
        return stack

    def git(self, *arguments: str) -> None:
        """Run git in the repository."""
        who = ["-c", "user.name=Test", "-c", "user.email=test@weaver.invalid"]
        subprocess.run(["git", *who, *arguments], cwd=self.folder, check=True, capture_output=True)

    def weaver(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the real command line, with nothing in its environment but a PATH."""
        return subprocess.run(
            [str(WEAVER), "-C", str(self.folder), *arguments],
            env={"PATH": PATH},
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )

    def standing(self) -> dict[str, Any]:
        """Give what `weaver status` says of each service."""
        answer = json.loads(self.weaver("status", "-o", "json").stdout)
        return {service["name"]: service for service in answer["services"]}

    def pids(self) -> set[int]:
        """List the daemon, the holder and everything they run."""
        answer = json.loads(self.weaver("status", "-o", "json").stdout)
        instances = [each for service in answer["services"] for each in service["instances"]]
        found = [answer["daemon"]["pid"], answer["daemon"]["holderPid"]]
        found += [each["pid"] for each in instances if each["pid"] is not None]
        return {*found, *(child for pid in found for child in children(pid))}

    def page(self) -> tuple[str, int]:
        """Fetch the page through nginx: which instance answered, and the number of the visit."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/", timeout=5) as answer:
            text = answer.read().decode()
        told = re.fullmatch(r"hello from instance (\d), visit (\d+)\n", text)
        assert told, text
        return told[1], int(told[2])


def children(pid: int) -> list[int]:
    """List the children of a process."""
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def is_alive(pid: int) -> bool:
    """Tell whether a process runs; a zombie does not."""
    try:
        return bool(Path(f"/proc/{pid}/cmdline").read_bytes())
    except OSError:
        return False

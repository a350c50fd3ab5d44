"""Name the process behind a port, as /proc shows it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
_LISTEN = "0A"
_TABLES = ("net/tcp", "net/tcp6")


@dataclass(frozen=True, slots=True, kw_only=True)
class PortOwner:
    """Who listens on a port."""

    pid: int | None
    """None where it is another user's process, which only root may look into."""
    command: str
    run: str = ""
    """The WEAVER_RUN it carries: it belongs to a service of ours, or once did."""

    def __str__(self) -> str:
        return f"{self.command} (pid {self.pid})" if self.pid else "a process of another user"


def owner_of_port(port: int, proc: Path = PROC) -> PortOwner | None:
    """Find who listens on a TCP port of this host; None when nobody does."""
    sockets = {f"socket:[{inode}]" for inode in _listening(port, proc)}
    if not sockets:
        return None
    for pid in sorted(int(entry.name) for entry in proc.iterdir() if entry.name.isdigit()):
        if _holds(proc / str(pid), sockets):
            return _described(proc / str(pid))
    return PortOwner(pid=None, command="")


def _listening(port: int, proc: Path) -> Iterator[str]:
    """Yield the inodes of the sockets that listen on a port."""
    for table in _TABLES:
        try:
            rows = (proc / table).read_text().splitlines()[1:]
        except OSError:
            # A kernel without IPv6 has no table of it.
            continue
        for row in rows:
            fields = row.split()
            if fields[3] == _LISTEN and int(fields[1].rpartition(":")[2], 16) == port:
                yield fields[9]


def _holds(entry: Path, sockets: set[str]) -> bool:
    try:
        return any(str(fd.readlink()) in sockets for fd in (entry / "fd").iterdir())
    except OSError:
        # It ended meanwhile, or it is another user's.
        return False


def _described(entry: Path) -> PortOwner:
    words, environ = _read(entry / "cmdline"), _read(entry / "environ")
    marks = [word for word in environ if word.startswith("WEAVER_RUN=")]
    return PortOwner(
        pid=int(entry.name),
        command=" ".join(words).strip() or "a process",
        run=marks[0].partition("=")[2] if marks else "",
    )


def _read(path: Path) -> list[str]:
    try:
        return os.fsdecode(path.read_bytes()).split("\0")
    except OSError:
        return []

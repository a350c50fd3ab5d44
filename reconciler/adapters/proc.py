"""Name the process behind a port, as /proc shows it."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from reconciler.model.observed import Process

PROC = Path("/proc")
_LISTEN = "0A"
_ACCEPTS = 0x10000
"""The flag of a unix socket that accepts connections."""
_TABLES = ("net/tcp", "net/tcp6")


@dataclass(frozen=True, slots=True, kw_only=True)
class PortOwner:
    """Who listens on a port."""

    pid: int | None
    """None where it is another user's process, which only root may look into."""
    command: str
    run: str = ""
    """The WEAVER_RUN it carries: it belongs to a service of ours, or once did."""
    born: int = 0
    """The birth tick: /proc/PID/stat field 22."""

    @property
    def program(self) -> str:
        """Give the first word of its command, without the folders."""
        return os.path.basename(self.command.partition(" ")[0])  # noqa: PTH119 - a word, no path

    def __str__(self) -> str:
        return f"{self.command} (pid {self.pid})" if self.pid else "a process of another user"


def owner_of_port(
    port: int, proc: Path = PROC, but: Collection[int | None] = ()
) -> PortOwner | None:
    """Find who listens on a TCP port of this host, leaving some out; None when nobody does."""
    return _owner_of(_listening(port, proc), proc, but)


def owner_of_address(
    address: str, proc: Path = PROC, but: Collection[int | None] = ()
) -> PortOwner | None:
    """Find who listens at `tcp://HOST:PORT` or `unix:PATH`, leaving some out; None: nobody does."""
    if address.startswith("unix:"):
        return _owner_of(_listening_at(address.removeprefix("unix:"), proc), proc, but)
    return owner_of_port(int(address.rpartition(":")[2]), proc, but)


def _owner_of(inodes: Iterable[str], proc: Path, but: Collection[int | None]) -> PortOwner | None:
    sockets = {f"socket:[{inode}]" for inode in inodes}
    if not sockets:
        return None
    pids = {int(entry.name) for entry in proc.iterdir() if entry.name.isdigit()}
    for pid in sorted(pids.difference(but)):
        if _holds(proc / str(pid), sockets):
            return _described(proc / str(pid))
    is_ours = any(pid is not None and _holds(proc / str(pid), sockets) for pid in but)
    return None if is_ours else PortOwner(pid=None, command="")


def intruder(
    port: int, process: Process, proc: Path = PROC, but: Collection[int | None] = ()
) -> PortOwner | None:
    """Find who listens on a port in the place of a process, and did before that process began.

    None where somebody of the process's run listens, or somebody younger, as the proxy of a
    container it started; and where nobody can be seen, as another user's process.
    """
    sockets = {f"socket:[{inode}]" for inode in _listening(port, proc)}
    if not sockets or _holds(proc / str(process.id.pid), sockets):
        return None
    eldest: dict[str, PortOwner] = {}
    pids = {int(entry.name) for entry in proc.iterdir() if entry.name.isdigit()}
    for pid in sorted(pids.difference(but)):
        held = _held(proc / str(pid), sockets)
        if not held:
            continue
        owner = _described(proc / str(pid))
        if owner.run == process.run:
            return None
        for name in held:
            known = eldest.get(name)
            eldest[name] = owner if known is None or owner.born < known.born else known
    # A socket is inherited: whoever has had it for longest opened it.
    if any(owner.born >= process.id.born for owner in eldest.values()):
        return None
    return next(iter(eldest.values()), None)


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


def _listening_at(path: str, proc: Path) -> Iterator[str]:
    """Yield the inodes of the unix sockets that accept connections at a path."""
    try:
        rows = (proc / "net/unix").read_text(errors="backslashreplace").splitlines()[1:]
    except OSError:
        return
    for row in rows:
        fields = row.split(maxsplit=7)
        if len(fields) > 7 and fields[7] == path and int(fields[3], 16) & _ACCEPTS:
            yield fields[6]


def _holds(entry: Path, sockets: set[str]) -> bool:
    return bool(_held(entry, sockets))


def _held(entry: Path, sockets: set[str]) -> list[str]:
    """Give those of the sockets that a process has open."""
    try:
        return sorted(sockets.intersection(map(_target, (entry / "fd").iterdir())))
    except OSError:
        # It ended meanwhile, or it is another user's.
        return []


def _target(fd: Path) -> str:
    """Give what a descriptor is of; nothing where it was closed meanwhile."""
    try:
        return str(fd.readlink())
    except FileNotFoundError:
        return ""


def _described(entry: Path) -> PortOwner:
    words, environ = _read(entry / "cmdline"), _read(entry / "environ")
    marks = [word for word in environ if word.startswith("WEAVER_RUN=")]
    return PortOwner(
        pid=int(entry.name),
        command=" ".join(words).strip() or "a process",
        run=marks[0].partition("=")[2] if marks else "",
        born=_born(entry),
    )


def _born(entry: Path) -> int:
    try:
        stat = (entry / "stat").read_bytes()
    except OSError:
        return 0
    # The name in parentheses may hold anything, so count fields from its end.
    return int(stat[stat.rindex(b")") + 2 :].split()[19])


def _read(path: Path) -> list[str]:
    try:
        return os.fsdecode(path.read_bytes()).split("\0")
    except OSError:
        return []

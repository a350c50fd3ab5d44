"""Put each run into a leaf of its own among the control groups, to kill, count and limit it whole.

The leaf in the hierarchy of version 2 is where a run is killed and seen to be empty; that needs no
controllers. Limits are files of the same leaf where it has the controllers, else of leaves in the
hierarchies of version 1. The holder itself is in none of them. Whatever is missing on this host, or
vanishes later, is done without: see tree.py for how the processes of a run are found then.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal

from reconciler.failpoints import failpoint
from reconciler.holder.groups import (
    children,
    clear_dead,
    groups_in,
    make,
    make_and_lock,
    remove,
    words_of,
    write,
)
from reconciler.holder.hierarchy import LIMITED, UNIFIED, own_groups

TYPE_CHECKING = False  # see wire.py
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import Any

PERIOD_US = 100_000
LEAST_QUOTA_US = 1_000  # what the kernel takes
KILL_FILE = "cgroup.kill"
KILL_ROUNDS = 1_000
PINNED_AT_ONCE = 256
MAIN = "main"
"""Among the leaves of a run: the one of version 2."""
PURPOSES = (MAIN, *LIMITED)


class Cgroups:
    """Where leaves can be made on this host, and for what."""

    def __init__(self, name: str, proc: str = "/proc/self") -> None:
        self.name = name
        room = f"{name}.holder"
        own = {kind: _outside(room, group) for kind, group in own_groups(proc).items()}
        self._bases: dict[str, str] = {}
        """The folder that leaves are made in: of `MAIN`, and of each controller of version 1."""
        self._enabled: tuple[str, ...] = ()
        """The controllers that leaves of version 2 have."""
        self._stale: set[str] = set()
        """Leaves that could not be removed yet."""
        self._locks: dict[str, int] = {}
        """Tell other holders that the folders are in use, for as long as we live."""
        self.why: dict[str, str] = {}
        """What is in force for each purpose, in words."""
        if UNIFIED in own:
            self._open_unified(own[UNIFIED], name, room)
        else:
            self.why[MAIN] = "no cgroup v2 is mounted here"
        for controller in LIMITED:
            if controller in self._enabled:
                self.why[controller] = "cgroup v2"
            elif controller in own:
                self._open(controller, own[controller], name, "cgroup v1")
            else:
                self.why.setdefault(controller, f"no {controller} controller for us")

    def shown(self) -> dict[str, Any]:
        """Tell what is in force: for each purpose its version, 0 for none, and words."""
        return {
            purpose: {"version": self.version(purpose), "text": self.why[purpose]}
            for purpose in PURPOSES
        }

    def version(self, purpose: str) -> int:
        """Give the version of control groups that serves a purpose; 0: none does."""
        if purpose in self._enabled or (purpose == MAIN and MAIN in self._bases):
            return 2
        return 1 if purpose in self._bases else 0

    def plan(self, name: str, limits: Mapping[str, Any]) -> dict[str, str]:
        """Name the leaves of a run; nothing is made yet."""
        leaf = name.replace("/", ".")
        purposes = [MAIN, *(one for one in LIMITED if one in limits and one not in self._enabled)]
        return {
            purpose: os.path.join(self._bases[purpose], leaf)
            for purpose in purposes
            if purpose in self._bases
        }

    def leaves(self) -> list[str]:
        """Give all leaves of version 2 that there are."""
        return children(self._bases[MAIN]) if MAIN in self._bases else []

    def find(self, name: str) -> dict[str, str]:
        """Give the leaves that there are of a run which is on no record of ours."""
        every = self.plan(name, dict.fromkeys(LIMITED))
        return {purpose: leaf for purpose, leaf in every.items() if os.path.isdir(leaf)}

    def make(self, leaves: dict[str, str], limits: Mapping[str, Any]) -> None:
        """Make the leaves of a run and set their limits.

        Without a limit a leaf that cannot be made is left out; a limit that cannot be set raises
        OSError, with the file that refused it.
        """
        for purpose, leaf in [*leaves.items()]:
            try:
                self._make_leaf(self._bases[purpose], leaf)
            except (OSError, ValueError):
                if purpose != MAIN or any(one in limits for one in self._enabled):
                    raise
                del leaves[purpose]
        for controller, limit in limits.items():
            folder = leaves.get(MAIN if controller in self._enabled else controller)
            if folder is not None:
                for file, value in _settings(controller, limit, folder == leaves.get(MAIN)):
                    failpoint("holder.limit.before")
                    write(os.path.join(folder, file), value)
                    failpoint("holder.limit.set")

    def remove(self, leaves: Iterable[str]) -> None:
        """Remove leaves in which nothing is left; one that is not free yet is tried again later."""
        self._stale.update(leaves)
        self._stale = {leaf for leaf in self._stale if not remove(leaf)}

    def sweep(self, known: Iterable[str]) -> None:
        """Remove what dead holders left behind; leaves in which something lives stay."""
        kept = set(known)
        for base in self._bases.values():
            for leaf in children(base):
                if leaf not in kept:
                    remove(leaf)

    def clear(self) -> None:
        """Remove what dead holders of other directories left behind, as far as it is empty."""
        for base in self._bases.values():
            clear_dead(os.path.dirname(base), self.name)

    def close(self) -> None:
        """Leave nothing of ours behind, as far as it is empty."""
        for base in self._bases.values():
            remove(base)
        for fd in self._locks.values():
            os.close(fd)
        self._locks = {}

    def _make_leaf(self, base: str, leaf: str) -> None:
        """Make a leaf, and before it the folder that it is in where somebody has removed that."""
        try:
            make(leaf)
        except FileNotFoundError:
            self._lock(base)
            if base == self._bases.get(MAIN):
                self._hand_on(base)
            make(leaf)

    def _lock(self, base: str) -> None:
        fd = make_and_lock(base)
        if base in self._locks:
            os.close(self._locks[base])
        self._locks[base] = fd

    def _hand_on(self, base: str) -> None:
        """Let leaves of version 2 have the controllers that those before them had."""
        try:
            if self._enabled:
                _allow(base, self._enabled)
        except OSError:
            remove(base)  # The next start tries all of it again.
            raise

    def _open_unified(self, own: str, name: str, room: str) -> None:
        if not self._open(MAIN, own, name, "cgroup v2"):
            return
        base = self._bases[MAIN]
        try:
            self._enabled = _enable(own, base, os.path.join(own, room))
        except OSError as error:
            path = error.filename or base
            for controller in LIMITED:
                self.why[controller] = f"cannot use cgroup v2: {path}: {error.strerror}"

    def _open(self, purpose: str, own: str, name: str, words: str) -> bool:
        base = os.path.join(own, name)
        try:
            self._lock(base)
            # Where we may make folders but not move processes, a leaf is of no use.
            for file in (base, own):
                os.close(os.open(os.path.join(file, "cgroup.procs"), os.O_WRONLY | os.O_CLOEXEC))
        except OSError as error:
            remove(base)
            self.why[purpose] = f"cannot use {words}: {error.filename}: {error.strerror}"
            return False
        self._bases[purpose] = base
        self.why[purpose] = words
        return True


class Within:
    """The leaves that a child shall be in from its birth, or join before all else."""

    def __init__(self, leaves: Mapping[str, str]) -> None:
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
        self.fd = os.open(leaves[MAIN], flags) if MAIN in leaves else -1
        """A descriptor of the leaf of version 2; -1: there is none."""
        self.joins = [leaf for purpose, leaf in leaves.items() if purpose != MAIN]
        """The leaves of version 1."""
        self._open: list[int] = [self.fd] if self.fd >= 0 else []

    @property
    def is_somewhere(self) -> bool:
        """Tell whether there is any leaf."""
        return bool(self._open or self.joins)

    def open_joins(self) -> list[int]:
        """Open the files that who writes `0` to them joins the leaves of version 1 by."""
        flags = os.O_WRONLY | os.O_CLOEXEC
        fds = []
        for leaf in self.joins:
            fds.append(os.open(os.path.join(leaf, "cgroup.procs"), flags))
            self._open.append(fds[-1])
        return fds

    def close(self) -> None:
        """Let go of the leaves."""
        for fd in self._open:
            os.close(fd)


# --- what is in a leaf of version 2 ----------------------------------------------------------


def is_populated(leaf: str) -> bool | None:
    """Tell whether anything lives in a leaf or beneath it; None: there is no such leaf any more."""
    try:
        with open(os.path.join(leaf, "cgroup.events"), "rb") as file:
            return b"populated 1" in file.read()
    except OSError:
        return None


def open_events(leaf: str) -> int:
    """Open what has urgent news (EPOLLPRI) when a leaf becomes empty; `see_events` takes them."""
    return os.open(os.path.join(leaf, "cgroup.events"), os.O_RDONLY | os.O_CLOEXEC)


def see_events(fd: int) -> bool:
    """Take the news of a leaf, and tell whether it is populated."""
    try:
        return b"populated 1" in os.pread(fd, 256, 0)
    except OSError:
        return False


def members(leaf: str) -> list[int]:
    """Give the pids of who is in a leaf and beneath it; those of other name spaces are left out."""
    found = []
    for folder in (leaf, *groups_in(leaf)):
        with contextlib.suppress(OSError), open(os.path.join(folder, "cgroup.procs"), "rb") as file:
            found += [int(pid) for pid in file.read().split()]
    return [pid for pid in found if pid]


def send(leaf: str, number: int) -> int:
    """Send a signal to everybody in a leaf, and count them; SIGKILL reaches forks under way too."""
    pids = members(leaf)
    if number == signal.SIGKILL:
        return len(pids) if kill(leaf) else 0
    return _send_to_members(leaf, number)


def kill(leaf: str) -> bool:
    """Kill everybody in a leaf and beneath it; False where there is no such leaf any more."""
    try:
        failpoint("holder.cgroup.kill")
        write(os.path.join(leaf, KILL_FILE), "1")
        failpoint("holder.cgroup.killed")
    except FileNotFoundError:
        return os.path.isdir(leaf) and _kill_frozen(leaf)
    except OSError:
        return False
    return True


def _kill_frozen(leaf: str) -> bool:
    """Kill as kernels before 5.14 can: frozen, nobody forks while we send to one by one."""
    frozen = os.path.join(leaf, "cgroup.freeze")
    with contextlib.suppress(OSError):
        write(frozen, "1")
    for _ in range(KILL_ROUNDS):
        if not _send_to_members(leaf, signal.SIGKILL):
            break
    with contextlib.suppress(OSError):
        write(frozen, "0")
    return True


def _send_to_members(leaf: str, number: int) -> int:
    """Send to who is in a leaf, one by one: pinned first, and looked for again then."""
    reached = 0
    pids = members(leaf)
    for first in range(0, len(pids), PINNED_AT_ONCE):
        pinned = {}
        for pid in pids[first : first + PINNED_AT_ONCE]:
            with contextlib.suppress(OSError):
                pinned[pid] = os.pidfd_open(pid)
        still = {*members(leaf)}
        for pid, pidfd in pinned.items():
            with contextlib.suppress(OSError):
                if pid in still:
                    signal.pidfd_send_signal(pidfd, number)
                    reached += 1
            os.close(pidfd)
    return reached


# --- limits ----------------------------------------------------------------------------------


def oom_kills(leaves: Mapping[str, str]) -> int:
    """Give how many processes of a run the kernel has killed for want of memory."""
    for leaf, file in (
        (leaves.get("memory"), "memory.oom_control"),
        (leaves.get(MAIN), "memory.events"),
    ):
        if leaf is None:
            continue
        with contextlib.suppress(OSError), open(os.path.join(leaf, file), "rb") as lines:
            counts = dict(line.split(b" ", 1) for line in lines.read().splitlines())
            return int(counts.get(b"oom_kill", b"0"))
    return 0


def _settings(controller: str, limit: Any, is_v2: bool) -> Iterator[tuple[str, str]]:
    """Yield the files that a limit is written to, and what."""
    if controller == "memory":
        yield ("memory.max" if is_v2 else "memory.limit_in_bytes"), str(int(limit))
    elif controller == "pids":
        yield "pids.max", str(int(limit))
    else:
        quota = max(LEAST_QUOTA_US, round(limit * PERIOD_US))
        if is_v2:
            yield "cpu.max", f"{quota} {PERIOD_US}"
        else:
            yield "cpu.cfs_period_us", str(PERIOD_US)
            yield "cpu.cfs_quota_us", str(quota)


def _enable(own: str, base: str, room: str) -> tuple[str, ...]:
    """Let leaves in `base` have the controllers that our own group has; give which."""
    wanted = [name for name in LIMITED if name in words_of(os.path.join(own, "cgroup.controllers"))]
    missing = [name for name in wanted if name not in words_of(_control(own))]
    if missing:
        try:
            _allow(own, missing)
        except OSError as error:
            if error.errno != errno.EBUSY or _inhabitants(own) != [os.getpid()]:
                raise
            # A group with controllers for those beneath it holds no processes: we are alone in
            # it, which is how systemd delegates one, and move aside.
            make(room)
            write(os.path.join(room, "cgroup.procs"), "0")
            _allow(own, missing)
    if wanted:
        _allow(base, wanted)
    return tuple(wanted)


def _allow(group: str, controllers: Iterable[str]) -> None:
    """Let the groups beneath one have these controllers."""
    write(_control(group), " ".join(f"+{name}" for name in controllers))


def _inhabitants(group: str) -> list[int]:
    """Give the pids of who is in a group itself."""
    return [int(pid) for pid in words_of(os.path.join(group, "cgroup.procs"))]


def _outside(room: str, group: str) -> str:
    """Give the group that a former holder moved aside in, if we were started in its room."""
    return os.path.dirname(group) if os.path.basename(group) == room else group


def _control(group: str) -> str:
    return os.path.join(group, "cgroup.subtree_control")


def leaf_name(slot: str, run_id: str) -> str:
    """Name the leaf of a run."""
    return f"{slot}.{run_id}"

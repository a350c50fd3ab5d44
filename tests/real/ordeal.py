"""Twenty real services that prove what became of them, and blows at the failpoints around them.

At a point a program dies, fails or is stopped; while it stands there the other one is killed, or
both are; and in that state another service always ends, whose exit code must be known afterwards.
"""

from __future__ import annotations

import functools
import http.client
import os
import re
import signal
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from reconciler.holder import wire
from reconciler.ports import WeaverError
from tests.logs.test_rotation import all_of
from tests.real.station import Station, is_alive, state_of, station
from tests.waiting import until

SERVICES = 20
TABLE = Path(__file__).parents[2] / "docs" / "failpoints.md"
ROW = re.compile(r"^\| `([a-z.-]+)` \| .*? \| ([a-z]+) \| (.*?) \|$", re.MULTILINE)
NO_ERROR = "-"
NOT_SERVED = (OSError, http.client.HTTPException, ValueError, LookupError, WeaverError)
"""What asking comes to while daemon or holder are struck down."""

# It holds a lock as long as it lives, so that a second one of it is noticed; what it prints it
# writes down besides, after it was printed.
PROGRAM = r"""
name=$1 at=proof/$1 n=0
exec 9>>$at.lock 8<>$at.orders
flock -n 9 || echo "$name $$" >>proof/twice
say() {
    n=$((n + 1))
    echo "$name $$ $n $*"
    echo "$name $$ $n $*" >>$at.said
}
[ "$2" = deaf ] && trap '' TERM
# It is in no session, group or leaf of ours, and keeps our lock.
[ "$3" = astray ] && setsid sh -c '
    for at in /sys/fs/cgroup/unified /sys/fs/cgroup; do echo 0 >$at/cgroup.procs; done
    exec sleep 1000
' 2>/dev/null &
say begin $2
while read -r order number <&8; do
    say "$order $number"
    [ "$order" = exit ] && exit "$number"
    while [ "$order" = fill ] && [ "$number" -gt 0 ]; do
        number=$((number - 1))
        say "$number, and so on, and so on, and so on, and so on, and so on, and so on"
    done
done
"""
# It says how many descriptors it was given back, and stores another in their place.
SAYS_READY = r"""
import array, os, socket, sys
at = os.environ["NOTIFY_SOCKET"]
given = os.environ.get("LISTEN_FDS", "0")
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
    sock.connect("\0" + at[1:] if at[0] == "@" else at)
    sock.send(b"FDSTOREREMOVE=1\nFDNAME=kept")
    fds = array.array("i", [os.memfd_create("kept")])
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)]
    sock.sendmsg([b"FDSTORE=1\nFDNAME=kept"], rights)
    sock.send(b"READY=1")
os.execvp("sh", ["sh", "service.sh", sys.argv[1], given])
"""
ROTATED = 7
FILLS = 1000
"""Lines that are more than a log may have."""
CONCERNS = {
    "crash": "s0",
    "journal": "s0",
    "restart": "s3",
    "limit": "s1",
    "kill": "s4",
    "notify": "s2",
    "store": "s2",
    "edit": "s5",
    "worker": "s5",
}
"""Whose process is another one after a deed, s6 apart."""
HOOK = "{command: sleep 5, timeout: 500ms}"
COMMON = "backoff: {initial: 10ms, max: 20ms, jitter: 0ms}\nmaxRestarts: 100\nrestart: always\n"
PLAIN = "ready: {type: delay, delay: 10ms}\nstopTimeout: 2s\n"


class Blow(StrEnum):
    """What is done to the programs at a point."""

    KILL = "whoever passes is killed"
    OTHER = "the other one is killed while it stands still"
    BOTH = "both are killed"
    HALT = "whoever passes stands still for a while"
    RAISE = "an error there"


@dataclass(frozen=True, slots=True)
class Point:
    """One row of the table."""

    name: str
    deed: str
    error: str
    """What an input/output error comes to there."""

    @property
    def blows(self) -> list[Blow]:
        """Give what may be done here."""
        return [blow for blow in Blow if blow is not Blow.RAISE or self.error != NO_ERROR]


def points(*deeds: str) -> list[Point]:
    """Give the points that these deeds pass."""
    found = [Point(*row) for row in ROW.findall(TABLE.read_text("utf-8"))]
    return [point for point in found if point.deed in deeds] if deeds else found


class Ordeal:
    """A station whose programs are struck at one point after the other."""

    def __init__(self, here: Station, struck: Path, armed: Path) -> None:
        self.here = here
        self._struck = struck
        self._armed = armed
        self._deeds: dict[str, Callable[[], None]] = {
            name.removeprefix("_do_"): getattr(self, name)
            for name in dir(self)
            if name.startswith("_do_")
        }
        self._codes = 0
        self._code = 0
        self._edits = 0
        self.done: Counter[Blow] = Counter()
        self._is_stored = False
        """Whether a descriptor of s2's is surely kept."""
        self.deaths = 0
        """Services that ended while a program stood still or was gone."""
        self.unknown = 0
        """Exit codes that died with a holder."""
        self.lines = 0

    # --- the services ------------------------------------------------------------------------

    def begin(self) -> None:
        """Bring up all services."""
        root = self.here.root
        (root / "proof").mkdir()
        (root / "service.sh").write_text(PROGRAM)
        (root / "ready.py").write_text(SAYS_READY)
        (root / "weaver.yaml").write_text(f"hooks: {{post-service-config-change: {HOOK}}}\n")
        for number in range(SERVICES):
            os.mkfifo(root / "proof" / f"s{number}.orders")
            self._define(number)
        self.here.commit()
        self.here.options = replace(self.here.options, comes_back=True)
        self._arm("")
        self.here.up()
        done = self.here.settle()
        assert done["exitCode"] == 0, self._not_running()
        self._pids = self.pids()
        self._daemon, self._holder = self._both()

    def _define(self, number: int) -> None:
        name, more = f"s{number}", COMMON
        command = f"sh service.sh {name}"
        if number == 1:
            more += f'{PLAIN}umask: "027"\npidsMax: 100\n'
        elif number == 2:
            command = f"python3 -I -S ready.py {name}"
            more += "type: notify\nstopTimeout: 2s\nstartTimeout: 5s\n"
        elif number == 4:
            command += " deaf astray"
            more += "ready: {type: delay, delay: 10ms}\nstopTimeout: 100ms\n"
        elif number == ROTATED:
            more += f"{PLAIN}logRotation: {{maxSize: 64K, maxFiles: 2}}\n"
        else:
            more += PLAIN
        self.here.define(name, command, more, quick=False)

    def _runs_anew(self, slot: str) -> bool:
        return self.pids()[slot] not in (None, self._pids[slot])

    def _begins(self, name: str, after: int) -> int:
        """Count the processes that have begun but for the former one, which may be late to say."""
        words = [line.split() for line in self.said(name)[after:]]
        return sum(one[3] == "begin" and int(one[1]) != self._pids[f"{name}-0"] for one in words)

    def _not_running(self) -> list[tuple[str, str]]:
        services = self.here.status()["services"]
        return [(one["name"], one["reason"]) for one in services if one["state"] != "running"]

    def _both(self) -> tuple[int, int]:
        daemon = self.here.status()["daemon"]
        return daemon["pid"], daemon["holderPid"]

    def pids(self) -> dict[str, int | None]:
        return self.here.pids()

    def said(self, name: str) -> list[str]:
        """Give what a service wrote down of what it printed."""
        return (self.here.root / "proof" / f"{name}.said").read_text().splitlines()

    # --- deeds -------------------------------------------------------------------------------

    def _do_crash(self) -> None:
        self._codes = self._codes % 200 + 1
        self._order("s0", f"exit {self._codes}")

    def _do_journal(self) -> None:
        self.here.paths.journal.unlink()
        self._do_crash()

    def _restart(self, name: str) -> None:
        self.here.tell("/v1/operations", kind="restart", services=[name])

    def _do_restart(self) -> None:
        self._restart("s3")

    def _do_limit(self) -> None:
        self._restart("s1")

    def _do_kill(self) -> None:
        self._restart("s4")

    def _do_store(self) -> None:
        self._restart("s2")

    def _do_notify(self) -> None:
        author = {"name": "Grace", "email": "grace@example.org"}
        for kind in ("start", "stop", "start"):
            self.here.tell("/v1/changes", kind=kind, services=["s2"], author=author)

    def _do_edit(self) -> None:
        self._edits += 1
        assignments = [{"path": "env.EDITION", "value": str(self._edits)}]
        author = {"name": "Grace", "email": "grace@example.org"}
        self.here.tell(
            "/v1/changes", kind="set", service="s5", assignments=assignments, author=author
        )

    def _do_worker(self) -> None:
        for pid in _children(self._daemon):
            if _runs(pid, "reconciler.adapters.git.worker"):
                self._end(pid)
        self._do_edit()  # which may find out only now that it is gone
        self._do_edit()

    def _do_begin(self) -> None:
        self._end(self.daemon_pid)
        self.here.up()

    def _do_schema(self) -> None:
        self._end(self.daemon_pid)
        for part in self.here.paths.state.glob("state.db*"):
            part.unlink()
        self.here.up()

    def _do_holder(self) -> None:
        self._end(self._holder)

    def _do_rotate(self) -> None:
        for _ in range(4):  # until there is one too many
            known = self._archives()
            self._order(f"s{ROTATED}", f"fill {FILLS}")
            self._do_begin()
            until(functools.partial(self._has_rotated, known), 12)
            if self._has_struck:
                return

    def _has_rotated(self, known: list[str]) -> bool:
        return self._has_struck or self._archives() != known

    @property
    def _has_struck(self) -> bool:
        return any(self._struck.iterdir())

    def _archives(self) -> list[str]:
        folder = self.here.paths.logs / f"s{ROTATED}"
        return sorted(path.name for path in folder.glob("0.log.0*"))

    def _do_revive(self) -> None:
        self._end(self.daemon_pid)

    def _do_mend(self) -> None:
        self.here.paths.lock_file.unlink()
        self.here.paths.socket.unlink()

    def _do_reexec(self) -> None:
        began = time.monotonic()
        with suppress(*NOT_SERVED):
            self.here.tell("/v1/reexec")
        # It answers first: what is asked until it is another program is answered by none.
        until(lambda: self._has_begun_since(began) or not is_alive(self._daemon), 30)

    def _has_begun_since(self, moment: float) -> bool:
        with suppress(*NOT_SERVED):
            uptime: float = self.here.status()["daemon"]["uptime"]
            return uptime < time.monotonic() - moment
        return False

    def _do_leave(self) -> None:
        self._end_in_order(keepServices=True)

    def _do_down(self) -> None:
        self._end_in_order()

    def _end_in_order(self, **how: bool) -> None:
        with suppress(*NOT_SERVED):
            self.here.tell("/v1/shutdown", **how)
        until(lambda: not is_alive(self._daemon), 30)

    # --- blows -------------------------------------------------------------------------------

    @property
    def daemon_pid(self) -> int | None:
        """Give the pid in its file; asking its lock each time would fill the queue there."""
        with suppress(OSError, ValueError):
            pid = int(self.here.paths.lock_file.read_text().split("\n")[0])
            return pid if is_alive(pid) else None
        return None

    @property
    def holder_pid(self) -> int | None:
        """Give the pid of who listens by the holder's name."""
        with wire.open_socket() as asker, suppress(OSError):
            asker.setblocking(False)
            asker.connect(wire.address(str(self.here.root)))
            return wire.Channel(asker).peer_pid
        return None

    def strike(self, point: Point, blow: Blow) -> None:
        """Deal a blow at a point; bring all back; see that all is well."""
        if point.deed in ("crash", "journal"):
            self._have_own_child()
        elif point.deed == "store" and not self._is_stored:
            self._restart("s2")
            self._pids, self._is_stored = self.pids(), True
        begun = {name: len(self.said(name)) for name in ("s0", "s2", "s6")}
        action = {Blow.KILL: "kill", Blow.RAISE: "raise"}.get(blow, "stop")
        self._arm(f"{point.name}:{action}")
        doing = _Doing(self._deeds[point.deed])
        struck = int(until(lambda: self._who_was_struck(point), 45, f"{point.name} to strike"))
        try:
            self._end_some(blow, struck)
            if point.deed != "down":
                self._lose_one()
        finally:
            with suppress(ProcessLookupError):
                os.kill(struck, signal.SIGCONT)
        self._arm("")
        doing.join()
        (self._struck / point.name).unlink()
        # A rotation that failed is tried again after half a minute, or by the next daemon.
        self._come_back(in_order=blow is Blow.RAISE and point.deed != "rotate")
        self._check(point, begun=begun)
        self.done[blow] += 1

    def _have_own_child(self) -> None:
        """Have s0 be a child of the holder there is: one that was adopted is not reaped by it."""
        stat = Path(f"/proc/{self._pids['s0-0']}/stat").read_text()
        if int(stat.rpartition(")")[2].split()[1]) != self._holder:
            self._restart("s0")
            self._pids = self.pids()

    def _who_was_struck(self, point: Point) -> str:
        with suppress(FileNotFoundError):
            return (self._struck / point.name).read_text().partition("\n")[0]
        return ""

    def _end_some(self, blow: Blow, struck: int) -> None:
        """Kill whom the blow means, while who was struck stands still."""
        if blow is Blow.KILL:
            until(lambda: not is_alive(struck))
        elif blow is not Blow.RAISE:
            until(lambda: state_of(struck) == "T", 10, "it to stand still")
        daemon, holder = self.daemon_pid, self.holder_pid
        if blow is Blow.OTHER:
            self._end(holder if _runs(struck, "reconciler.app.detached") else daemon)
        elif blow is Blow.BOTH:
            for pid in (struck, daemon, holder):
                self._end(pid)

    def _lose_one(self) -> None:
        """Have a service end just now, whoever is there to see it."""
        pid = self._pids["s6-0"]
        self._code = self._code % 200 + 1
        self._order("s6", f"exit {self._code}")
        until(lambda: not is_alive(pid), 10, "s6 to end")
        self.deaths += 1

    def _come_back(self, *, in_order: bool) -> None:
        """Have a daemon that sees every service run, started by us unless it was by the holder."""
        deadline = time.monotonic() + 30
        while not self._is_served(in_order=in_order):
            assert time.monotonic() < deadline, self.here.paths.daemon_log.read_text()[-3000:]
            with suppress(*NOT_SERVED):
                if self.daemon_pid is None:
                    self.here.up()
                self.here.settle(timeout=5)

    def _is_served(self, *, in_order: bool) -> bool:
        with suppress(*NOT_SERVED):
            seen = self.here.status()
            services = seen["services"]
            return (
                bool(seen["daemon"]["holderPid"])
                and len(services) == SERVICES
                and all(one["state"] == "running" for one in services)
                and not (in_order and seen["daemon"]["troubles"])
            )
        return False

    def _check(self, point: Point, *, begun: dict[str, int]) -> None:
        """See that exactly what the deed was about has changed, and nothing is lost."""
        before, (self._daemon, self._holder) = (self._daemon, self._holder), self._both()
        replaced = self._holder != before[1]
        lost = {} if point.deed == "down" else {"s6": self._code}
        if point.deed in ("crash", "journal"):
            lost["s0"] = self._codes
        for name in lost:
            until(functools.partial(self._runs_anew, f"{name}-0"), 10, point.name)
        assert not (self.here.root / "proof/twice").exists()
        found = self.pids()
        changed = {slot for slot, pid in found.items() if self._pids[slot] != pid}
        may_change = found if point.deed == "down" else {f"{CONCERNS.get(point.deed)}-0", "s6-0"}
        assert changed <= {*may_change}, point
        for name, code in lost.items():
            told = self.here.instance(name)["lastExit"]
            if told is None and point.deed == "schema":
                continue  # with its record, what ran is forgotten; so no end of it is told
            assert told["code"] == code or (replaced and told.get("unknown")), (point, name, told)
            self.unknown += bool(told.get("unknown"))
            begins = until(functools.partial(self._begins, name, begun[name]))
            assert begins == 1, (point, name)
        # A descriptor has gone only where both have died that hold it.
        if replaced and self._daemon != before[0]:
            self._is_stored = False
        if point.deed == "store" and "s2-0" in changed and self._is_stored:
            until(functools.partial(self._begins, "s2", begun["s2"]))
            given = [line.split()[4] for line in self.said("s2")[begun["s2"] :] if "begin" in line]
            assert {*given} <= {"1"}, (point, given)
        self._pids = found

    def check_all(self) -> None:
        """See that logs, repository and record are whole."""
        for number in range(SERVICES):
            log, said = self.here.paths.logs / f"s{number}" / "0.log", self.said(f"s{number}")
            printed = all_of(log).decode().splitlines()
            self.lines += len(printed)
            assert len(printed) == len({*printed})
            if number == ROTATED:  # its oldest lines are not kept, and the last of them was cut
                said = said[1 - len(printed) :]
            assert {*said} <= {*printed}
        assert self.here.git("fsck", "--strict", "--no-dangling") == ""
        assert not [*(self.here.root / ".git").rglob("*.lock")]
        assert not [*(self.here.root / "services.d").glob(".weaver-tmp-*")]
        with sqlite3.connect(f"file:{self.here.paths.state / 'state.db'}?mode=ro", uri=True) as db:
            assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        db.close()

    def let_go(self) -> None:
        """Switch all points off, and let whoever stands still go on."""
        self._arm("")
        for note in self._struck.iterdir():
            with suppress(ProcessLookupError, ValueError):
                os.kill(int(note.read_text()), signal.SIGCONT)

    def _order(self, name: str, order: str) -> None:
        orders = os.open(self.here.root / f"proof/{name}.orders", os.O_WRONLY | os.O_NONBLOCK)
        os.write(orders, f"{order}\n".encode())
        os.close(orders)

    def _arm(self, text: str) -> None:
        fresh = self._armed.with_suffix(".new")
        fresh.write_text(text)
        fresh.replace(self._armed)

    def _end(self, pid: int | None) -> None:
        if pid:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            until(lambda: not is_alive(pid))


def _runs(pid: int, module: str) -> bool:
    with suppress(OSError):
        return module.encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
    return False


def _children(pid: int) -> list[int]:
    found = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for listed in found for child in listed.read_text().split()]


class _Doing:
    """A deed under way: whoever does it may stand still meanwhile."""

    def __init__(self, deed: Callable[[], object]) -> None:
        self._deed = deed
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            with suppress(*NOT_SERVED):
                self._deed()
        except BaseException as failure:  # noqa: BLE001 - whoever waits for it raises it
            self._failure = failure

    def join(self) -> None:
        """Wait until it is done or has failed."""
        self._thread.join(60)
        assert not self._thread.is_alive(), "the deed has no end"
        if self._failure is not None:
            raise self._failure


@contextmanager
def ordeal(folder: Path) -> Iterator[Ordeal]:
    """Give twenty services that run, and clear them away. It sets the variables of this process."""
    root, struck = folder / "repo", folder / "struck"
    root.mkdir(parents=True)
    struck.mkdir()
    os.environ["WEAVER_FAILPOINT"] = f"@{folder / 'armed'}"
    os.environ["WEAVER_FAILPOINT_DIR"] = str(struck)
    with station(root) as here:
        test = Ordeal(here, struck, folder / "armed")
        try:
            test.begin()
            yield test
        finally:
            test.let_go()

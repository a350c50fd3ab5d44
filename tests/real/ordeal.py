"""Twenty real services that prove what became of them, and blows at the failpoints around them."""

from __future__ import annotations

import http.client
import os
import re
import signal
import sqlite3
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from reconciler.ports import WeaverError
from tests.logs.test_rotation import all_of
from tests.real.station import Station, is_alive, station
from tests.waiting import until

SERVICES = 20
TABLE = Path(__file__).parents[2] / "docs" / "failpoints.md"
ROW = re.compile(r"^\| `([a-z.-]+)` \| .*? \| ([a-z]+) \|", re.MULTILINE)
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
say begin
while read -r order number <&8; do
    say "$order $number"
    [ "$order" = exit ] && exit "$number"
done
"""
SAYS_READY = """
import os, socket, sys
at = os.environ["NOTIFY_SOCKET"]
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
    sock.sendto(b"READY=1", "\\0" + at[1:] if at[0] == "@" else at)
os.execvp("sh", ["sh", "service.sh", sys.argv[1]])
"""
COMMON = "backoff: {initial: 10ms, max: 20ms, jitter: 0ms}\nmaxRestarts: 100\nrestart: always\n"
PLAIN = "ready: {type: delay, delay: 10ms}\nstopTimeout: 2s\n"


@dataclass(frozen=True, slots=True)
class Point:
    """One row of the table."""

    name: str
    deed: str


def points(*deeds: str) -> list[Point]:
    """Give the points that these deeds pass."""
    found = [Point(name, deed) for name, deed in ROW.findall(TABLE.read_text("utf-8"))]
    return [point for point in found if point.deed in deeds] if deeds else found


class Ordeal:
    """A station whose programs are struck at one point after the other."""

    def __init__(self, here: Station, struck: Path, armed: Path) -> None:
        self.here = here
        self._struck = struck
        self._armed = armed
        self._deeds: dict[str, Callable[[], Collection[str]]] = {
            name.removeprefix("_do_"): getattr(self, name)
            for name in dir(self)
            if name.startswith("_do_")
        }
        self._codes = 0
        self._edits = 0

    # --- the services ------------------------------------------------------------------------

    def begin(self) -> None:
        """Bring up all services."""
        root = self.here.root
        (root / "proof").mkdir()
        (root / "service.sh").write_text(PROGRAM)
        (root / "ready.py").write_text(SAYS_READY)
        for number in range(SERVICES):
            os.mkfifo(root / "proof" / f"s{number}.orders")
            self._define(number)
        self.here.commit()
        self.here.options = replace(self.here.options, comes_back=True)
        self._arm("")
        self.here.up()
        assert self.here.settle()["exitCode"] == 0
        self._pids = self.pids()
        self._holder: int = self.here.status()["daemon"]["holderPid"]

    def _define(self, number: int) -> None:
        name, more = f"s{number}", COMMON
        command = f"sh service.sh {name}"
        if number == 1:
            more += f'{PLAIN}umask: "027"\n'
        elif number == 2:
            command = f"python3 -I -S ready.py {name}"
            more += "type: notify\nstopTimeout: 2s\n"
        elif number == 4:
            command += " deaf"
            more += "ready: {type: delay, delay: 10ms}\nstopTimeout: 100ms\n"
        else:
            more += PLAIN
        self.here.define(name, command, more, quick=False)

    def pids(self) -> dict[str, int | None]:
        return self.here.pids()

    def said(self, name: str) -> list[str]:
        """Give what a service wrote down of what it printed."""
        return (self.here.root / "proof" / f"{name}.said").read_text().splitlines()

    # --- deeds: each gives the services whose processes may be others afterwards ----------------

    def _do_crash(self) -> Collection[str]:
        self._codes = self._codes % 200 + 1
        orders = os.open(self.here.root / "proof/s0.orders", os.O_WRONLY | os.O_NONBLOCK)
        os.write(orders, f"exit {self._codes}\n".encode())
        os.close(orders)
        return ["s0"]

    def _do_journal(self) -> Collection[str]:
        self.here.paths.journal.unlink()
        return self._do_crash()

    def _restarted(self, name: str) -> Collection[str]:
        self.here.tell("/v1/operations", kind="restart", services=[name])
        return [name]

    def _do_restart(self) -> Collection[str]:
        return self._restarted("s3")

    def _do_limit(self) -> Collection[str]:
        return self._restarted("s1")

    def _do_kill(self) -> Collection[str]:
        return self._restarted("s4")

    def _do_notify(self) -> Collection[str]:
        author = {"name": "Grace", "email": "grace@example.org"}
        for kind in ("start", "stop", "start"):
            self.here.tell("/v1/changes", kind=kind, services=["s2"], author=author)
        return ["s2"]

    def _do_edit(self) -> Collection[str]:
        self._edits += 1
        assignments = [{"path": "env.EDITION", "value": str(self._edits)}]
        author = {"name": "Grace", "email": "grace@example.org"}
        self.here.tell(
            "/v1/changes", kind="set", service="s5", assignments=assignments, author=author
        )
        return ["s5"]

    def _do_begin(self) -> Collection[str]:
        self._end(self.daemon_pid)
        self.here.up()
        return []

    def _do_schema(self) -> Collection[str]:
        self._end(self.daemon_pid)
        for part in self.here.paths.state.glob("state.db*"):
            part.unlink()
        self.here.up()
        return []

    def _do_holder(self) -> Collection[str]:
        self._end(self._holder)
        return []

    def _do_revive(self) -> Collection[str]:
        self._end(self.daemon_pid)
        return []

    def _do_mend(self) -> Collection[str]:
        self.here.paths.lock_file.unlink()
        self.here.paths.socket.unlink()
        return []

    def _do_reexec(self) -> Collection[str]:
        self.here.tell("/v1/reexec")
        return []

    def _do_leave(self) -> Collection[str]:
        self.here.tell("/v1/shutdown", keepServices=True)
        return []

    def _do_down(self) -> Collection[str]:
        self.here.tell("/v1/shutdown")
        return list(self._pids)

    # --- blows -------------------------------------------------------------------------------

    @property
    def daemon_pid(self) -> int | None:
        """Give the pid in its file; asking its lock each time would fill the queue there."""
        with suppress(OSError, ValueError):
            pid = int(self.here.paths.lock_file.read_text().split("\n")[0])
            return pid if is_alive(pid) else None
        return None

    def strike(self, point: Point, *, both: bool) -> None:
        """Have a point kill whoever passes it, or both; bring all back; see that all is well."""
        before = self._holder
        self._arm(f"{point.name}:kill")
        begun = len(self.said("s0"))
        with suppress(*NOT_SERVED):
            self._deeds[point.deed]()
        until((self._struck / point.name).exists, 15, f"{point.name} to strike")
        if both:
            self._end_both()
        self._arm("")
        (self._struck / point.name).unlink()
        self._come_back()
        self._check(point, replaced=self._holder != before, begun=begun)

    def _come_back(self) -> None:
        """Have a daemon that sees every service run, started by us unless it was by the holder."""
        deadline = time.monotonic() + 30
        while not self._is_served():
            assert time.monotonic() < deadline, self.here.paths.daemon_log.read_text()[-3000:]
            if self.daemon_pid is None:
                with suppress(WeaverError):
                    self.here.up()
            else:
                with suppress(AssertionError):
                    until(lambda: self._is_served() or self.daemon_pid is None, 0.5)

    def _is_served(self) -> bool:
        with suppress(*NOT_SERVED):
            seen = self.here.status()
            services = seen["services"]
            self._holder = seen["daemon"]["holderPid"] or self._holder
            return (
                bool(seen["daemon"]["holderPid"])
                and len(services) == SERVICES
                and all(one["state"] == "running" for one in services)
            )
        return False

    def _check(self, point: Point, *, replaced: bool, begun: int) -> None:
        """See that exactly what the deed was about has changed, and nothing is lost."""
        assert not (self.here.root / "proof/twice").exists()
        if point.deed in ("crash", "journal"):
            until(lambda: self.pids()["s0-0"] not in (None, self._pids["s0-0"]), 10, point.name)
        found = self.pids()
        may_change = {
            "crash": ["s0-0"],
            "journal": ["s0-0"],
            "restart": ["s3-0"],
            "limit": ["s1-0"],
            "kill": ["s4-0"],
            "notify": ["s2-0"],
            "edit": ["s5-0"],
            "down": list(found),
        }.get(point.deed, [])
        changed = {slot for slot, pid in found.items() if self._pids[slot] != pid}
        assert changed <= {*may_change}, point
        if point.deed in ("crash", "journal"):
            assert changed == {"s0-0"}, point
            told = self.here.instance("s0")["lastExit"]
            assert told["code"] == self._codes or (replaced and told["unknown"]), (point, told)
            news = until(
                lambda: [line for line in self.said("s0")[begun:] if line.endswith("begin")]
            )
            assert len(news) == 1, (point, news)
        self._pids = found

    def check_all(self) -> None:
        """See that logs, repository and record are whole."""
        for number in range(SERVICES):
            log = self.here.paths.logs / f"s{number}" / "0.log"
            printed = all_of(log).decode().splitlines()
            assert len(printed) == len({*printed})
            assert {*self.said(f"s{number}")} <= {*printed}
        assert self.here.git("fsck", "--strict", "--no-dangling") == ""
        assert not [*(self.here.root / ".git").rglob("*.lock")]
        assert not [*(self.here.root / "services.d").glob(".weaver-tmp-*")]
        with sqlite3.connect(f"file:{self.here.paths.state / 'state.db'}?mode=ro", uri=True) as db:
            assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        db.close()

    def _arm(self, text: str) -> None:
        fresh = self._armed.with_suffix(".new")
        fresh.write_text(text)
        fresh.replace(self._armed)

    def _end_both(self) -> None:
        for pid in (self.daemon_pid, self._holder):
            self._end(pid)

    def _end(self, pid: int | None) -> None:
        if pid is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            until(lambda: not is_alive(pid))


@contextmanager
def ordeal(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ordeal]:
    """Give twenty services that run, and clear them away."""
    root, struck = folder / "repo", folder / "struck"
    root.mkdir()
    struck.mkdir()
    monkeypatch.setenv("WEAVER_FAILPOINT", f"@{folder / 'armed'}")
    monkeypatch.setenv("WEAVER_FAILPOINT_DIR", str(struck))
    with station(root) as here:
        test = Ordeal(here, struck, folder / "armed")
        test.begin()
        yield test
        (folder / "armed").write_text("")

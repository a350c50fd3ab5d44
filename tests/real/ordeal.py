"""Twenty real services that prove what became of them, and blows at the failpoints around them.

At a point a program dies, fails or is stopped; while it stands there the other one is killed, or
both are; and in that state another service always ends, whose exit code must be known afterwards.
"""

from __future__ import annotations

import functools
import os
import signal
import socket
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from reconciler.holder import wire
from tests.logs.test_rotation import all_of
from tests.real.deeds import NOT_SERVED, Deeds, Doing, runs
from tests.real.points import Blow, Point
from tests.real.proving import (
    LISTENING,
    PROGRAM,
    ROTATED,
    SAYS_READY,
    SERVICES,
    define,
    listening_at,
)
from tests.real.station import Station, environment_of, is_alive, state_of, station
from tests.waiting import until

HOOK = "{command: sleep 5, timeout: 500ms}"
EVIDENCE_CHARS = 6000
EVIDENCE_EVENTS = 200
FOLLOWS_S = 45.0
"""A manifest is looked at again after half a minute where no news of it came."""
CONCERNS = {
    "crash": "s0",
    "journal": "s0",
    "restart": "s3",
    "limit": "s1",
    "kill": "s4",
    "notify": "s2",
    "store": "s2",
    "listen": "s8",
    "edit": "s5",
    "worker": "s5",
}
"""Whose process is another one after a deed, s6 apart."""


class Ordeal(Deeds):
    """A station whose programs are struck at one point after the other."""

    def __init__(self, here: Station, struck: Path, armed: Path) -> None:
        super().__init__(here, struck)
        self._armed = armed
        self._deeds: dict[str, Callable[[], None]] = {
            name.removeprefix("_do_"): getattr(self, name)
            for name in dir(self)
            if name.startswith("_do_")
        }
        self._code = 0
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
            define(self.here, number)
        self.here.commit()
        self.here.options = replace(self.here.options, comes_back=True)
        self._arm("")
        self.here.up()
        done = self.here.settle()
        assert done["exitCode"] == 0, self._not_running()
        self._pids = self.pids()
        self._daemon, self._holder = self._both()

    def _runs_anew(self, slot: str) -> bool:
        return self.pids()[slot] not in (None, self._pids[slot])

    def _begins(self, name: str, after: int) -> int:
        """Count the processes that have begun but for the former one, which may be late to say."""
        words = [line.split() for line in self.said(name)[after:]]
        return sum(one[3] == "begin" and int(one[1]) != self._pids[f"{name}-0"] for one in words)

    def _given(self, after: int) -> list[str]:
        """Give how many descriptors each new process of s2 got.

        The former one is ready before it says what it got, so on a busy host that may come late:
        it is left out, as in `_begins`.
        """
        words = [line.split() for line in self.said("s2")[after:]]
        former = self._pids["s2-0"]
        return [one[4] for one in words if one[3] == "begin" and int(one[1]) != former]

    def _runs_what_is_saved(self) -> bool:
        """Tell whether s5 runs the edition that its manifest names."""
        _, named, text = self.here.file("s5").read_text().partition("EDITION:")
        saved = text.split()[0].strip("\"'") if named else None
        with suppress(*NOT_SERVED):
            found = self.here.instance("s5")
            is_running = found["state"] == "running"
            return is_running and environment_of(found["pid"]).get("EDITION") == saved
        return False

    def _resume_what_failed(self) -> None:
        """Say that the mistake is mended where a version could not listen.

        Such a version is taken back, and not tried again before somebody says so.
        """
        name = f"s{LISTENING}"
        until(lambda: self._rollout_of(name) != "back", 10, f"{name} to be taken back")
        if self._rollout_of(name) == "undone":
            self.here.tell("/v1/operations", kind="rollout", service=name, steer="resume")
            self._come_back(in_order=False)

    def _rollout_of(self, name: str) -> str:
        """Give the phase of a service's rollout; nothing where none is under way."""
        found = self.here.ask("/v1/rollouts?format=json")["rollouts"]
        return next((str(one["phase"]) for one in found if one["service"] == name), "")

    def _not_running(self) -> list[tuple[str, str]]:
        services = self.here.status()["services"]
        return [(one["name"], one["reason"]) for one in services if one["state"] != "running"]

    def _both(self) -> tuple[int, int]:
        daemon = self.here.status()["daemon"]
        return daemon["pid"], daemon["holderPid"]

    def said(self, name: str) -> list[str]:
        """Give what a service wrote down of what it printed."""
        return (self.here.root / "proof" / f"{name}.said").read_text().splitlines()

    # --- blows -------------------------------------------------------------------------------

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
        doing = Doing(self._deeds[point.deed])
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
        self._come_back(in_order=blow is Blow.RAISE)
        if blow is Blow.RAISE and point.deed == "listen":
            # A version whose port could not be bound is kept away until somebody wants it.
            name = f"s{LISTENING}"
            self.here.tell("/v1/operations", kind="rollout", service=name, steer="resume")
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
            self._end(holder if runs(struck, "reconciler.app.detached") else daemon)
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
                and not (in_order and any(map(_lasts, seen["daemon"]["troubles"])))
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
        # Whoever edits hears of a failure where the commit is complete, and what follows it comes
        # later: a restart that belongs to this deed must not be taken for one of the next.
        until(self._runs_what_is_saved, FOLLOWS_S, f"s5 to be as saved after {point.name}")
        self._resume_what_failed()
        found = self.pids()
        changed = {slot for slot, pid in found.items() if self._pids[slot] != pid}
        may_change = found if point.deed == "down" else {f"{CONCERNS.get(point.deed)}-0", "s6-0"}
        wrong = sorted(changed - {*may_change})
        assert not wrong, (point, {slot: (self._pids[slot], found[slot]) for slot in wrong})
        for name, code in lost.items():
            told = self.here.instance(name)["lastExit"]
            if told is None and point.deed == "schema":
                continue  # with its record, what ran is forgotten; so no end of it is told
            if point.deed == "journal" and replaced and told["code"] != code:
                continue  # it ended with the journal away, and with whoever had seen it
            assert told["code"] == code or (replaced and told.get("unknown")), (point, name, told)
            self.unknown += bool(told.get("unknown"))
            begins = until(functools.partial(self._begins, name, begun[name]))
            assert begins == 1, (point, name)
        # A descriptor has gone only where both have died that hold it.
        if replaced and self._daemon != before[0]:
            self._is_stored = False
        if point.deed == "store" and "s2-0" in changed and self._is_stored:
            until(functools.partial(self._begins, "s2", begun["s2"]))
            given = self._given(begun["s2"])
            assert {*given} <= {"1"}, (point, given)
        # Somebody listens there, be it that nobody serves.
        port = listening_at(self.here)
        until(lambda: is_listened_on(port), 10, f"port {port} after {point.name}")
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

    def evidence(self) -> str:
        """Give what the programs wrote down last, while the folder with it is still there."""
        paths, proof = self.here.paths, self.here.root / "proof"
        files = [paths.daemon_log, paths.journal, *paths.journal.parent.glob("*.log")]
        files += [paths.state / "holder.log", *proof.glob("twice"), *proof.glob("*.said")]
        told = [f"pids before: {self._pids}"]
        for file in sorted({*files}):
            with suppress(OSError):
                text = file.read_bytes().decode(errors="replace")
                told.append(f"--- {file.name}:\n{text[-EVIDENCE_CHARS:]}")
        with suppress(*NOT_SERVED):
            told.append(f"--- status:\n{self.here.status()}")
        with suppress(*NOT_SERVED):
            events = self.here.events()[-EVIDENCE_EVENTS:]
            told.append("--- events:\n" + "\n".join(str(event) for event in events))
        return "\n".join(told)

    def let_go(self) -> None:
        """Switch all points off, and let whoever stands still go on."""
        self._arm("")
        for note in self._struck.iterdir():
            with suppress(ProcessLookupError, ValueError):
                os.kill(int(note.read_text()), signal.SIGCONT)

    def _arm(self, text: str) -> None:
        fresh = self._armed.with_suffix(".new")
        fresh.write_text(text)
        fresh.replace(self._armed)


def is_listened_on(port: int) -> bool:
    """Tell whether a connection to a port of this host is taken."""
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


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
        except Exception as failure:
            failure.add_note(test.evidence())
            raise
        finally:
            test.let_go()


def _lasts(trouble: str) -> bool:
    """Tell whether a trouble should be over: a rotation is tried again after half a minute."""
    return not trouble.startswith("cannot rotate ")

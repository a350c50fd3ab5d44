"""Keep Weaver busy for a while, and see that no rule breaks and nothing leaks.

One disturbance after another, chosen by a seed: services are killed, restarted, edited, broken and
mended; the daemon, the holder or both are killed or replaced, and services die while they are away.
After each, exactly what was meant to change has changed, every other service has the pid that it
had, no service runs twice, and each death without a daemon is on record with its signal.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks.processes import (
    NeverCameError,
    is_alive,
    leave_in_order,
    open_files,
    pss_bytes,
    until,
)
from benchmarks.supervisors import STOP_S, ImpatientWeaver, running

SERVICES = 200
EDITION = 1_000_000
"""The number that a process shows is service * EDITION + how often it was edited."""
SETTLES_S = 30.0
BACK_S = 2.5
"""How soon the daemon is there again that the holder started: 2 s, and a look at /proc."""
WARM_UP_SHARE = 0.25
STORM = 5
STORMS = ("storm", "kill the daemon and services")
MAY_OPEN = 8
"""Descriptors more than after the warm-up: a client or a worker may be there just then."""
MAY_GROW_BYTES = 8e6


class BrokenError(Exception):
    """A rule that must always hold did not."""


@dataclass(frozen=True, slots=True)
class Footprint:
    """What one process of Weaver's takes."""

    files: int
    memory: int

    @classmethod
    def of(cls, pid: int) -> Footprint:
        """Measure a process: the least of a few looks, so that a passing client is left out."""
        looks = []
        for _ in range(5):
            looks.append((open_files(pid), pss_bytes([pid])))
            time.sleep(0.2)
        return cls(min(files for files, _ in looks), min(memory for _, memory in looks))


class Soak:
    """A Weaver under disturbance, and what is expected of it."""

    def __init__(self, weaver: ImpatientWeaver, seed: int) -> None:
        self._weaver = weaver
        self._luck = random.Random(seed)
        self._editions = dict.fromkeys(range(SERVICES), 0)
        self._pids: dict[int, int] = {}
        self.done: Counter[str] = Counter()
        self.slowest_return_s = 0.0
        self.deaths_told = 0
        self._kinds = {
            "kill": self._kill,
            "storm": self._storm,
            "edit": self._edit,
            "restart": self._restart,
            "describe": self._describe,
            "break and mend": self._break_and_mend,
            "kill the daemon": self._kill_daemon,
            "kill the holder": self._kill_holder,
            "kill both": self._kill_both,
            "kill the daemon and services": self._kill_daemon_and_services,
            "replace in place": self._replace_in_place,
        }

    def begin(self) -> None:
        """Note what runs before the first disturbance."""
        for number in range(SERVICES):
            self._weaver.write(number, number * EDITION)
        until(self._is_settled, SETTLES_S * 2, "every service to run its first edition", 0.02)
        self._pids = self._by_service()

    def disturb(self) -> None:
        """Do one thing, wait for what must follow, and check what must not."""
        kind = self._luck.choice(sorted(self._kinds))
        victims = self._luck.sample(range(SERVICES), STORM if kind in STORMS else 1)
        changing = self._kinds[kind](victims)
        try:
            until(lambda: self._has_followed(changing), SETTLES_S, "what follows", 0.01)
        except NeverCameError as error:
            raise BrokenError(f"{kind} of {victims}: {error}: {self._differences()}") from error
        found = self._by_service()
        touched = {name for name, pid in self._pids.items() if found.get(name) != pid}
        if touched != set(changing):
            raise BrokenError(f"{kind} of {victims} changed the processes of {sorted(touched)}")
        self._pids = found
        self.done[kind] += 1

    def _kill(self, victims: list[int]) -> list[int]:
        for number in victims:
            os.kill(self._pids[number], signal.SIGKILL)
        return victims

    _storm = _kill

    def _kill_daemon(self, _: list[int]) -> list[int]:
        """Kill the daemon, and see the holder bring it back."""
        self._end(self._weaver.daemon())
        began = time.monotonic()
        until(lambda: len(self._weaver.daemons()) == 1, SETTLES_S, "the daemon to be brought back")
        took = time.monotonic() - began
        self.slowest_return_s = max(self.slowest_return_s, took)
        if took > BACK_S:
            raise BrokenError(f"the daemon was brought back after {took:.1f} s")
        return self._until_served()

    def _kill_holder(self, _: list[int]) -> list[int]:
        """Kill the holder, and see the daemon start another that knows every process."""
        self._end(self._weaver.holder())
        return self._until_served()

    def _kill_both(self, _: list[int]) -> list[int]:
        """Kill all of Weaver, and start it again."""
        for pid in (self._weaver.daemon(), self._weaver.holder()):
            self._end(pid)
        self._command("up", "--detach")
        return self._until_served()

    def _replace_in_place(self, _: list[int]) -> list[int]:
        """Let daemon and holder replace themselves, as for a newer version."""
        self._command("reexec")
        return self._until_served()

    def _command(self, *words: str) -> None:
        """Run a command of Weaver's that must succeed."""
        asked = self._weaver.command(*words)
        told = subprocess.run(asked, capture_output=True, text=True, timeout=STOP_S, check=False)
        if told.returncode != 0:
            raise BrokenError(f"weaver {' '.join(words)} failed: {told.stdout}{told.stderr}")

    def _kill_daemon_and_services(self, victims: list[int]) -> list[int]:
        """Let services die while there is no daemon: it learns of it, and how, when it is back."""
        before = {number: self._restarts(number) for number in victims}
        os.kill(self._weaver.daemon(), signal.SIGKILL)
        self._kill(victims)
        self._until_served()
        until(lambda: all(self._restarts(n) > before[n] for n in victims), SETTLES_S, "restarts")
        for number in victims:
            told = self._slot(number)["lastExit"] or {}
            if told.get("signal") != "SIGKILL":
                raise BrokenError(f"s{number} was killed while the daemon was away, told: {told}")
        self.deaths_told += len(victims)
        return victims

    def _end(self, pid: int) -> None:
        os.kill(pid, signal.SIGKILL)
        until(lambda: not is_alive(pid), SETTLES_S, f"{pid} to be gone")

    def _until_served(self) -> list[int]:
        """Wait until a daemon answers that sees every service run; nothing shall have changed."""
        until(self._is_served, SETTLES_S, "a daemon that sees every service run", 0.05)
        return []

    def _is_served(self) -> bool:
        seen = self._weaver.standing()
        services = seen.get("services", [])
        is_whole = bool(seen.get("daemon", {}).get("holderPid")) and len(services) == SERVICES
        return is_whole and all(service["state"] == "running" for service in services)

    def _slot(self, number: int) -> dict[str, Any]:
        """Give what `weaver status` says of a service's only slot."""
        services = self._weaver.standing()["services"]
        slots = next(one["instances"] for one in services if one["name"] == f"s{number}")
        found: dict[str, Any] = slots[0]
        return found

    def _restarts(self, number: int) -> int:
        return int(self._slot(number)["restartCount"])

    def _edit(self, victims: list[int]) -> list[int]:
        for number in victims:
            self._editions[number] += 1
            self._write(number)
        return victims

    def _restart(self, victims: list[int]) -> list[int]:
        self._command("restart", *(f"s{number}" for number in victims))
        return victims

    def _describe(self, victims: list[int]) -> list[int]:
        for number in victims:
            self._write(number, f"description: change {self.done['describe']}\n")
        return []

    def _break_and_mend(self, victims: list[int]) -> list[int]:
        """Save a typo, wait until it was noticed, and save the right text again."""
        (number,) = victims
        self._write(number, "comand: typo\n")
        until(lambda: self._sync(number) == "Invalid", SETTLES_S, "the typo to be found", 0.05)
        self._write(number)
        until(lambda: self._sync(number) == "Synced", SETTLES_S, "the typo to be mended", 0.05)
        return []

    def _write(self, number: int, extra: str = "") -> None:
        self._weaver.write(number, number * EDITION + self._editions[number], extra)

    def _sync(self, number: int) -> str:
        services = self._weaver.standing()["services"]
        return next(str(each["sync"]) for each in services if each["name"] == f"s{number}")

    def _by_service(self) -> dict[int, int]:
        """Give the pid of each service; a BrokenError where one runs twice."""
        found: dict[int, int] = {}
        for pid, shown in self._weaver.census.fresh().items():
            other = found.setdefault(shown // EDITION, pid)
            # One may have gone while /proc was read; two that are still here are two.
            if other != pid and is_alive(other) and is_alive(pid):
                raise BrokenError(f"s{shown // EDITION} runs twice: {other} and {pid}")
            found[shown // EDITION] = pid
        return found

    def _is_settled(self) -> bool:
        shown = sorted(self._weaver.census.fresh().values())
        return shown == self._wanted()

    def _has_followed(self, changing: list[int]) -> bool:
        found = self._by_service()
        return self._is_settled() and all(
            found.get(name, self._pids[name]) != self._pids[name] for name in changing
        )

    def _wanted(self) -> list[int]:
        return [number * EDITION + edition for number, edition in self._editions.items()]

    def _differences(self) -> str:
        shown = Counter(self._weaver.census.fresh().values())
        wanted = Counter(self._wanted())
        return f"missing {sorted(wanted - shown)}, too many {sorted(shown - wanted)}"


def main() -> int:
    """Disturb Weaver for the given time; exit 1 when a rule broke or something leaked."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10_000))
    given = parser.parse_args()
    print(f"{given.minutes:g} minutes with {SERVICES} services; replay with --seed={given.seed}")
    leave_in_order()
    try:
        faults = soak(given.minutes * 60, given.seed)
    except (BrokenError, NeverCameError) as error:
        faults = [str(error)]
    for fault in faults:
        print(f"FAULT: {fault}")
    print("nothing leaked, no rule was broken" if not faults else f"{len(faults)} faults")
    return 1 if faults else 0


def soak(seconds: float, seed: int) -> list[str]:
    """Disturb, and give what leaked."""
    with running(weaver := ImpatientWeaver(SERVICES)):
        weaver.until_converged()
        test = Soak(weaver, seed)
        test.begin()
        disturb_for(test, seconds * WARM_UP_SHARE)
        before = footprints(weaver)
        warmed_up = test.done.total()
        disturb_for(test, seconds * (1 - WARM_UP_SHARE))
        after = footprints(weaver)
    print(", ".join(f"{count} x {kind}" for kind, count in sorted(test.done.items())))
    print(
        f"{test.done.total()} disturbances of {SERVICES} services; the daemon was back within "
        f"{test.slowest_return_s:.1f} s; {test.deaths_told} deaths without a daemon, all told"
    )
    for name in before:
        print(f"{name}: {_shown(before[name])} after {warmed_up} disturbances, ", end="")
        print(f"{_shown(after[name])} after {test.done.total()}")
    return leaks(before, after)


def footprints(weaver: ImpatientWeaver) -> dict[str, Footprint]:
    """Measure daemon and holder; each may be another process than before."""
    weaver.until_quiet()
    own = {"daemon": weaver.daemon(), "holder": weaver.holder()}
    return {name: Footprint.of(pid) for name, pid in own.items()}


def disturb_for(test: Soak, seconds: float) -> None:
    """Disturb until the time is over."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        test.disturb()


def leaks(before: Mapping[str, Footprint], after: Mapping[str, Footprint]) -> list[str]:
    """Say what grew more than it may.

    >>> leaks({"daemon": Footprint(20, 10**7)}, {"daemon": Footprint(90, 10**7)})
    ['daemon: 70 more descriptors']
    """
    found = []
    for name, now in after.items():
        files = now.files - before[name].files
        memory = now.memory - before[name].memory
        if files > MAY_OPEN:
            found.append(f"{name}: {files} more descriptors")
        if memory > MAY_GROW_BYTES:
            found.append(f"{name}: {memory / 1e6:.1f} MB more")
    return found


def _shown(footprint: Footprint) -> str:
    return f"{footprint.files} descriptors and {footprint.memory / 1e6:.1f} MB"


if __name__ == "__main__":
    sys.exit(main())

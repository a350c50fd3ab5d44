"""How long it takes from a push that is accepted to the new process, and what following costs."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.processes import until
from benchmarks.report import Row, spread_text, time_text
from benchmarks.sample import Sample
from benchmarks.supervisors import Weaver, running

SERVICES = 1_000
REPETITIONS = 10
BUDGET_S = 1.0
CHANGED = 500
FIRST_VALUE = 1_000_000
IDLE_S = 60.0
BUDGET_IDLE_PERCENT = 0.3


class Deployed(Weaver):
    """Weaver that follows a bare repository, which its own folder is a clone of."""

    @property
    def home(self) -> Path:
        """Give the home of the daemon."""
        return self.folder / "home"

    @property
    def bare(self) -> Path:
        """Give the repository that is pushed to."""
        return self.folder / "deploy.git"

    def prepare(self) -> None:
        """Make all three, and push what is to run."""
        super().prepare()
        self.home.mkdir()
        with (self.folder / ".gitignore").open("a") as ignored:
            ignored.write("home/\ndeploy.git/\n")
        subprocess.run(
            [self.program, "init", "--bare", str(self.bare)], check=True, capture_output=True
        )
        self.commit("Ignore what is beside")
        self.git("push", "--quiet", str(self.bare), "HEAD:main")

    def launch(self) -> None:
        """Follow it in the background, as a person does."""
        words = ("up", "--repo", str(self.bare), "--detach")
        self._starting = self.spawn(*self.command(*words))

    def push(self) -> subprocess.Popen[bytes]:
        """Push what is committed, without waiting for the answer."""
        return self.spawn("git", "push", "--quiet", str(self.bare), "HEAD:main")

    def head(self) -> int:
        """Give the pid of the daemon."""
        return self.daemon()


def run() -> Iterator[Row]:
    """Push a change of one service again and again; then only follow."""
    with running(weaver := Deployed(SERVICES)):
        weaver.until_converged()
        before = weaver.census.fresh()
        _deploy(weaver, FIRST_VALUE - 1)
        pushes = [_deploy(weaver, FIRST_VALUE + turn) for turn in range(REPETITIONS)]
        kept = len(before.keys() & weaver.census.fresh().keys())
        weaver.until_quiet()
        idle = _idle_percent(weaver.daemon())
    accepted = Sample(tuple(after for _, after in pushes))
    whole = Sample(tuple(both for both, _ in pushes))
    yield Row(
        what=f"push accepted, one of {SERVICES:,} services changed, to new process, p95",
        budget=time_text(BUDGET_S),
        measured=time_text(accepted.p95),
        met=accepted.p95 < BUDGET_S and kept == SERVICES - 1,
        note=(
            f"{spread_text(accepted)}; from `git push` on, the check of all manifests included: "
            f"{spread_text(whole)}; {kept} of the {SERVICES - 1} other services kept their pid"
        ),
    )
    yield Row(
        what="following a branch where nothing happens: CPU of git",
        budget=f"{BUDGET_IDLE_PERCENT:g} % of a core",
        measured=f"{idle:.3f} %",
        met=idle < BUDGET_IDLE_PERCENT,
        note=f"a look every 10 s, over {time_text(IDLE_S)}",
    )


def _deploy(weaver: Deployed, value: int) -> tuple[float, float]:
    """Push a change; give the time to the new process, from the push and from its acceptance."""
    weaver.census.fresh()
    weaver.write(CHANGED, value)
    weaver.commit(f"Show {value}")
    head = weaver.bare / "refs" / "heads" / "main"
    old = head.read_text()
    began = time.perf_counter()
    pushing = weaver.push()
    until(lambda: head.read_text() != old, 30, "the push", 0.001)
    accepted = time.perf_counter()
    until(lambda: value in weaver.census.grown().values(), 30, "the changed service")
    came = time.perf_counter()
    pushing.wait(60)
    return came - began, came - accepted


def _idle_percent(daemon: int) -> float:
    """Give what a process' children took of a core that it has waited for meanwhile."""
    before, began = _children_s(daemon), time.monotonic()
    time.sleep(IDLE_S)
    return 100 * (_children_s(daemon) - before) / (time.monotonic() - began)


def _children_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")

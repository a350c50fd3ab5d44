"""Look after the processes of all runs, from their start until nothing is left of them."""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import select
import signal
import time

from reconciler.failpoints import failpoint
from reconciler.holder import cgroup, fate, lost, tree
from reconciler.holder.cgroup import MAIN, Cgroups
from reconciler.holder.deliver import deliver, eldest_leader, inhabitants, to_members
from reconciler.holder.spawn import Refused, Standing, spawn

TYPE_CHECKING = False  # see wire.py
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from reconciler.holder.journal import Journal
    from reconciler.holder.ledger import Run
    from reconciler.holder.notify import Notify
    from reconciler.holder.poller import Poller
    from reconciler.holder.wire import Message

SETTLE_S = 0.002
"""How long the dying get to die before /proc is searched for survivors."""
RETRY_S = 1.0
"""When to search again after a search that failed, for want of descriptors for instance."""


class Processes:
    """All runs, each with its main process and with what outlives that one.

    A run goes spawned -> exited -> empty. The main process is our child, or was adopted from a
    former holder; then its end is seen and its exit status is not.
    """

    def __init__(
        self,
        journal: Journal,
        poller: Poller,
        tell: Callable[[Message], None],
        cgroups: Cgroups,
        notify: Notify,
        equip: Callable[[Message], tuple[Message, Message]],
    ) -> None:
        self._journal = journal
        self._ledger = journal.ledger
        self._poller = poller
        self._tell = tell
        self._cgroups = cgroups
        self._notify, self._equip = notify, equip
        notify.move = self.move
        self.standing = Standing()
        self.apart: dict[int, Callable[[os.waitid_result], None]] = {}
        """Children that are no run, and what to do when one of them has ended."""
        self._children: dict[int, Run] = {}
        self._mains: dict[str, int] = {}
        """The pidfd of each living main process, by run."""
        self._survivors: dict[str, dict[int, int]] = {}
        """What outlived its main process: pidfds and pids, by run."""
        self._leaves: dict[str, int] = {}
        """What tells when the leaf of a run without a main process is empty, by run."""
        self._unsettled: dict[str, Run] = {}
        """Runs without a main process, of which /proc shall tell whether anything is left."""
        self._survey_at = 0.0

    # --- requests ---

    def spawn(self, order: Message) -> Message:
        """Start a run in an empty slot."""
        slot, run_id = order["slot"], order["run"]
        self._refuse_unless_free(slot, run_id)
        if order["env"].get(tree.MARK) != run_id:
            raise Refused("request", errno.EINVAL, f"{tree.MARK} must be the run")
        at = tree.now()
        limits = order.get("resources") or {}
        entry = {"run": run_id, "slot": slot, "tag": order["tag"], "at": at}
        order, equipped = self._equip(order)
        entry |= equipped
        if leaves := self._cgroups.plan(cgroup.leaf_name(slot, run_id), limits):
            entry["leaves"] = leaves
        self._journal.record({"is": "spawning"} | entry)
        order["env"] = order["env"] | lost.marks(entry, self._cgroups.name)
        try:
            run = self._ledger.runs[run_id]
            self._take_charge(run, self._spawn_within(run, order, limits))
        except Refused:
            self._journal.record({"is": "failed", "run": run_id})
            self._cgroups.remove(leaves.values())
            raise
        return {"pid": run.pid, "born": run.born, "at": at} | equipped

    def signal(self, order: Message) -> Message:
        """Send a signal to the main process, its group or the whole tree of a run."""
        run = self._ledger.runs.get(order["run"])
        identity = (order["pid"], order["born"])
        if run is None or run.empty is not None or run.main != identity:
            raise Refused("signal", errno.ESRCH, f"process {order['pid']} is not there any more")
        try:
            if (order["signal"], order["scope"]) == (signal.SIGKILL, "tree") and not run.doomed:
                self._journal.record({"is": "doomed", "run": run.id})
            main, survivors = self._mains.get(run.id), self._survivors.get(run.id, {})
            failpoint("holder.signal.before")
            reached = deliver(run, main, survivors, order["signal"], order["scope"])
        except OSError as error:
            raise Refused("signal", error.errno or errno.EIO, str(error.strerror)) from error
        if not reached:
            raise Refused("signal", errno.ESRCH, f"nothing is left of process {run.main[0]}")
        failpoint("holder.signal.after")
        if order.get("release"):
            self._notify.release(run.slot)
        return {"reached": reached}

    def adopt(self, order: Message) -> Message:
        """Take over a run that only the daemon knows of, since a journal was lost."""
        self._refuse_unless_free(order["slot"], order["run"])
        names = ("run", "slot", "tag", "at", "notice")
        run = {name: order[name] for name in names if name in order}
        run["leaves"] = self._cgroups.find(cgroup.leaf_name(order["slot"], order["run"]))
        identity = {"run": order["run"], "pid": order["pid"], "born": order["born"]}
        self._journal.record({"is": "spawning"} | run)
        self._journal.record({"is": "spawned", "seen": order["at"]} | identity)
        self.recover([self._ledger.runs[order["run"]]])
        return {}

    # --- what happens by itself ---

    def reap(self) -> None:
        """Record every child that has exited, then collect it."""
        ended = []
        while (status := fate.waitable()) is not None:
            if (run := self._children.get(status.si_pid)) is not None:
                # Its last word may be who goes on in its place.
                self._notify.hear_out(run)
            run = self._children.pop(status.si_pid, None)
            if run is not None:
                self._note_exit(run, fate.collected(status))
                ended.append(run)
            elif (told := self.apart.pop(status.si_pid, None)) is not None:
                told(status)
            fate.collect(status.si_pid)
        for run in ended:
            self._see_to_rest(run)

    def pause(self) -> float | None:
        """Give the seconds until `settle` is due; None while it is not."""
        return max(0.0, self._survey_at - time.monotonic()) if self._unsettled else None

    def settle(self) -> None:
        """Find out what is left of the runs whose main process is gone."""
        began = time.monotonic()
        if not self._unsettled or began < self._survey_at:
            return
        self._survey_at = began + RETRY_S
        for run in [*self._unsettled.values()]:
            if self._awaits_leaf(run, self._settle_soon):
                del self._unsettled[run.id]
        for run_id, members in tree.survey(self._unsettled.values()).items():
            run = self._unsettled[run_id]
            if run.doomed:
                with contextlib.suppress(PermissionError):
                    to_members(run, members, signal.SIGKILL, "tree")
            if members and not self._watch_survivors(run, members):
                # They ended before they could be watched: look again for their children.
                continue
            del self._unsettled[run_id]
            if not members:
                self._note_empty(run)
        # A tree that forks and dies all the time may cost half of our time and no more.
        self._survey_at = 2 * time.monotonic() - began

    def recover(self, runs: Collection[Run]) -> None:
        """Take over what a former holder left: adopt what lives, note what is gone."""
        for run in runs:
            pid, born = run.main
            if run.exit is None and pid is not None and born is not None:
                self._adopt(run, pid, born)
        unsure = [run for run in runs if run.id not in self._mains]
        found = tree.survey(unsure)
        for run in unsure:
            leader = eldest_leader(run, found[run.id])
            if run.exit is None and run.pid is None and leader is not None:
                self._adopt(run, leader.pid, leader.born)
            if run.id not in self._mains:
                if run.exit is None:
                    # A zombie that waits for its new parent still tells.
                    self._note_exit(run, fate.ending(None, run.pid or 0, run.born or 0))
                self._settle_soon(run)
        unfinished = self._ledger.unfinished()
        self._cgroups.sweep(leaf for run in unfinished for leaf in run.leaves.values())

    def belongings(self) -> tuple[Message, list[int]]:
        """Give what a program that replaces ours must know of processes, and their descriptors."""
        survivors = {run: [*pids.items()] for run, pids in self._survivors.items()}
        known: Message = {
            "children": {str(pid): run.id for pid, run in self._children.items()},
            "apart": [*self.apart],
            "mains": self._mains,
            "survivors": survivors,
            "doomed": [run.id for run in self._ledger.unfinished() if run.doomed],
        }
        return known, [
            *self._mains.values(),
            *(fd for fds in self._survivors.values() for fd in fds),
        ]

    def resume(self, known: Message) -> list[int]:
        """Hold what a program held that was replaced by ours; give the descriptors in use."""
        runs = self._ledger.runs
        for doomed in runs.keys() & known["doomed"]:  # what a former version kept in mind alone
            runs[doomed].doomed = True
        self._children = {int(pid): runs[run] for pid, run in known["children"].items()}
        self._mains = {run: fd for run, fd in known["mains"].items() if run in runs}
        children = {run.id for run in self._children.values()}
        for run_id, fd in self._mains.items():
            if run_id not in children or runs[run_id].moved:
                self._poller.watch(fd, functools.partial(self._adopted_gone, runs[run_id]))
        for run_id, pids in known["survivors"].items():
            self._survivors[run_id] = dict(pids)
            for fd, _ in pids:
                gone = functools.partial(self._survivor_gone, runs[run_id], fd)
                self._poller.watch(fd, gone)
        return self.belongings()[1]

    def catch_up(self) -> None:
        """Take in what happened while one program gave its place to the other."""
        held = {*self._mains, *self._survivors}
        self.reap()
        self.recover([run for run in self._ledger.unfinished() if run.id not in held])

    # --- parts of the above ---

    def _refuse_unless_free(self, slot: str, run_id: str) -> None:
        if run_id in self._ledger.runs:
            raise Refused("request", errno.EEXIST, f"run {run_id} was started before")
        if (former := self._ledger.holding(slot)) is not None:
            others = [one.pid for one in inhabitants(former)]
            others += self._survivors.get(former.id, {}).values()
            pid = former.pid if former.id in self._mains or not others else others[0]
            text = f"process {pid} of its former run is still there"
            raise Refused("slot", errno.EBUSY, text)

    def _spawn_within(self, run: Run, order: Message, limits: Message) -> int:
        """Execute a run's program within its leaves."""
        try:
            self._cgroups.make(run.leaves, limits)
            within = cgroup.Within(run.leaves) if run.leaves else None
        except OSError as error:
            what = "limit it" if limits else "enter its control group"
            text = f"cannot {what}: {error.filename}: {error.strerror}"
            raise Refused("cgroup", error.errno or errno.EIO, text) from error
        try:
            return spawn(order, self.standing, within)
        finally:
            if within is not None:
                within.close()

    def _take_charge(self, run: Run, pid: int) -> None:
        """Pin a child that was just executed; it is not reaped, so its pid is still its own."""
        try:
            failpoint("holder.spawn.after")
            process, pidfd = tree.find(pid), os.pidfd_open(pid)
        except OSError as error:
            os.killpg(pid, signal.SIGKILL)
            cgroup.kill(run.leaves.get(MAIN, ""))
            text = f"cannot watch process {pid}, which was killed: {error.strerror}"
            raise Refused("watch", error.errno or errno.EIO, text) from error
        self._children[pid] = run
        self._mains[run.id] = pidfd
        identity = {"pid": pid, "born": process.born if process else 0, "seen": run.at}
        self._journal.record({"is": "spawned", "run": run.id} | identity)
        lost.note(run, self._cgroups.name)
        failpoint("holder.identity.recorded")

    def _adopt(self, run: Run, pid: int, born: int) -> None:
        """Take over a living main process of a former holder, if it is exactly this one."""
        pidfd = tree.pin(pid, born)
        if pidfd is None:
            return
        identity = {"pid": pid, "born": born, "seen": tree.now()}
        if run.moved is None:
            self._journal.record({"is": "spawned", "run": run.id} | identity)
        self._mains[run.id] = pidfd
        self._poller.watch(pidfd, functools.partial(self._adopted_gone, run))

    def move(self, run: Run, pid: int) -> bool:
        """Take another process of a run for its main one, as the run asked; False if it is not."""
        found = tree.pin_of(run, pid) if run.id in self._mains else None
        if found is None:
            return False
        pidfd, born = found
        self._children.pop(run.main[0] or 0, None)
        self._poller.forget(self._mains[run.id])
        os.close(self._mains[run.id])
        # Once its parent is gone it is our child, and we see how it ends.
        self._children[pid], self._mains[run.id] = run, pidfd
        self._journal.record({"is": "moved", "run": run.id, "pid": pid, "born": born})
        lost.note(run, self._cgroups.name)
        self._poller.watch(pidfd, functools.partial(self._adopted_gone, run))
        return True

    def _adopted_gone(self, run: Run) -> None:
        self.reap()
        if run.id in self._mains:
            self._notify.hear_out(run)
            pid, born = run.main
            self._children.pop(pid or 0, None)
            self._note_exit(run, fate.ending(self._mains[run.id], pid or 0, born or 0))
            self._settle_soon(run)

    def _note_exit(self, run: Run, end: fate.Ending | None) -> None:
        """Record and tell the end of a main process; None where nobody can say how."""
        verdict = {"seq": self._ledger.seq + 1, "at": tree.now()} | fate.verdict(end)
        if verdict["signal"] == signal.SIGKILL and cgroup.oom_kills(run.leaves):
            verdict["oom"] = True
        self._journal.record({"is": "exited", "run": run.id} | verdict)
        if (pidfd := self._mains.pop(run.id, None)) is not None:
            self._poller.forget(pidfd)
            os.close(pidfd)
        pid, born = run.main
        identity = {"slot": run.slot, "run": run.id, "pid": pid, "born": born}
        self._tell({"event": "exited"} | identity | verdict)

    def _see_to_rest(self, run: Run) -> None:
        """Note that nothing is left of a run whose main process was our child, or wait for it."""
        if self._awaits_leaf(run, self._see_to_rest):
            return
        if self._left_nothing(run):
            self._note_empty(run)
        else:
            self._settle_soon(run)

    def _awaits_leaf(self, run: Run, then: Callable[[Run], None]) -> bool:
        """Tell whether something lives in the leaf of a run; `then` is called when nothing does."""
        leaf = run.leaves.get(MAIN)
        if run.id in self._leaves:
            return True
        if leaf is None or not cgroup.is_populated(leaf):
            return False
        if run.doomed:
            cgroup.kill(leaf)
        try:
            fd = cgroup.open_events(leaf)
        except OSError:
            return False
        self._leaves[run.id] = fd
        self._poller.watch(fd, functools.partial(self._leaf_stirred, run, then), select.EPOLLPRI)
        return True

    def _leaf_stirred(self, run: Run, then: Callable[[Run], None]) -> None:
        fd = self._leaves[run.id]
        if not cgroup.see_events(fd):
            self._poller.forget(fd)
            os.close(fd)
            del self._leaves[run.id]
            then(run)

    def _left_nothing(self, run: Run) -> bool:
        """Tell the common case fast: no group is left, and no orphan came to us, its reaper."""
        if tree.has_group(run):
            return False
        children = tree.children()
        return children is not None and children <= self._children.keys() | self.apart.keys()

    def _note_empty(self, run: Run) -> None:
        self._cgroups.remove(run.leaves.values())
        self._notify.ended(run)
        seq = self._ledger.seq + 1
        self._journal.record({"is": "empty", "run": run.id, "seq": seq})
        self._tell({"event": "empty", "slot": run.slot, "run": run.id, "seq": seq})

    def _settle_soon(self, run: Run) -> None:
        if not self._unsettled:
            self._survey_at = max(self._survey_at, time.monotonic() + SETTLE_S)
        self._unsettled[run.id] = run

    def _watch_survivors(self, run: Run, members: Iterable[tree.Process]) -> bool:
        """Wait for the end of these; False when they ended before they could be watched."""
        survivors = self._survivors.setdefault(run.id, {})
        for member in members:
            pidfd = tree.pin(member.pid, member.born)
            if pidfd is not None:
                survivors[pidfd] = member.pid
                self._poller.watch(pidfd, functools.partial(self._survivor_gone, run, pidfd))
        return bool(survivors)

    def _survivor_gone(self, run: Run, pidfd: int) -> None:
        self._poller.forget(pidfd)
        os.close(pidfd)
        del self._survivors[run.id][pidfd]
        if not self._survivors[run.id]:
            del self._survivors[run.id]
            self._settle_soon(run)

"""Know every run by adding up transitions: what has happened to it so far.

{"is": "spawning", "run", "slot", "tag", "at"}     written before the attempt; with the `leaves`
                                                   that it shall have among the control groups
{"is": "spawned", "run", "pid", "born", "seen"}    the main process was executed
{"is": "failed", "run"}                            it was not: nothing was started
{"is": "moved", "run", "pid", "born"}              another process is the main one since
{"is": "doomed", "run"}                            all of it shall be killed, whoever leaves it
{"is": "noticed", "run", "notice"}                 what it said of itself; see notice.py
{"is": "exited", "run", "seq", "at", "code", "signal", "core", "unknown"}
{"is": "empty", "run", "seq"}                      nothing is left of the run
{"is": "acked", "seq"}                             the daemon has recorded events up to here
{"is": "daemon", "plan"}                           how it is brought back; null: it is not
{"is": "listening", "address", "service", "file"}  a socket is held for a service
{"is": "closed", "address"}                        it is not any more
"""

from __future__ import annotations

TYPE_CHECKING = False  # see wire.py
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from reconciler.holder.wire import Message


class Run:
    """One start of one slot: a main process and whatever it started."""

    __slots__ = (
        "at",
        "born",
        "doomed",
        "empty",
        "exit",
        "id",
        "leaves",
        "moved",
        "notice",
        "pid",
        "seen",
        "slot",
        "sockets",
        "tag",
    )

    def __init__(self, entry: Message) -> None:
        self.id: str = entry["run"]
        self.slot: str = entry["slot"]
        self.tag: Any = entry["tag"]
        self.at: int = entry["at"]
        self.leaves: dict[str, str] = entry.get("leaves", {})
        """Its folders among the control groups, by what they are for."""
        self.sockets: list[tuple[str, str]] = [*map(tuple, entry.get("sockets", ()))]
        """The addresses that it listens on, and for which service."""
        self.pid: int | None = None
        self.born: int | None = None
        self.seen: int = self.at
        """When the main process surely was there for the last time, alive or not reaped."""
        self.moved: tuple[int, int] | None = None
        """The pid and the birth tick of the main process where that is not the first one."""
        self.notice: Message | None = entry.get("notice")
        """What it said of itself; None where it was given no way to."""
        self.doomed = False
        """Whether all of it shall be killed: whoever is found of it later, too."""
        self.exit: Message | None = None
        self.empty: int | None = None
        """The number of the event that nothing is left of it."""

    @property
    def main(self) -> tuple[int | None, int | None]:
        """Give the pid and the birth tick of the main process."""
        return self.moved or (self.pid, self.born)

    def shown(self) -> Message:
        """Give all that the daemon wants to know of it."""
        pid, born = self.main
        noticed = {"notice": self.notice} if self.notice else {}
        return (
            {name: getattr(self, name) for name in ("slot", "tag", "at")}
            | noticed
            | {
                "pid": pid,
                "born": born,
                "run": self.id,
                "exit": self.exit,
                "empty": self.empty is not None,
            }
        )


class Ledger:
    """All runs that live, or whose end the daemon has not acknowledged."""

    def __init__(self) -> None:
        self.boot = ""
        self.seq = 0
        self.acked = 0
        self.daemon: Message | None = None
        """How the daemon is brought back when it dies; None: somebody else sees to that."""
        self.sockets: dict[str, Message] = {}
        """What is known of the sockets that are held, by address."""
        self.runs: dict[str, Run] = {}
        self._slots: dict[str, Run] = {}

    def holding(self, slot: str) -> Run | None:
        """Give the run that occupies a slot."""
        return self._slots.get(slot)

    def unfinished(self) -> list[Run]:
        """Give the runs of which something may live."""
        return [run for run in self.runs.values() if run.empty is None]

    def apply(self, entry: Message) -> None:
        """Let one transition take effect; one of an unknown kind or run has none."""
        if entry["is"] == "journal":
            self.boot, self.seq, self.acked = entry["boot"], entry["seq"], entry["acked"]
        elif entry["is"] == "spawning":
            run = Run(entry)
            self.runs[run.id] = self._slots[run.slot] = run
        elif entry["is"] == "acked":
            self.acked = max(self.acked, entry["seq"])
            for run in [*self.runs.values()]:
                self._drop_if_acknowledged(run)
        elif entry["is"] == "daemon":
            self.daemon = entry["plan"]
        elif entry["is"] == "listening":
            self.sockets[entry["address"]] = {name: entry[name] for name in ("service", "file")}
        elif entry["is"] == "closed":
            self.sockets.pop(entry["address"], None)
        elif (known := self.runs.get(entry["run"])) is not None:
            self._apply_to(known, entry)

    def _apply_to(self, run: Run, entry: Message) -> None:
        if entry["is"] == "spawned":
            run.pid, run.born, run.seen = entry["pid"], entry["born"], entry["seen"]
        elif entry["is"] == "moved":
            run.moved = (entry["pid"], entry["born"])
        elif entry["is"] == "doomed":
            run.doomed = True
        elif entry["is"] == "noticed":
            run.notice = entry["notice"]
        elif entry["is"] == "failed":
            del self.runs[run.id]
            self._leave_slot(run)
        elif entry["is"] == "exited":
            # Of the first process' end we know only where it was the main one till then.
            is_late = entry["unknown"] or run.moved is not None
            run.seen = run.seen if is_late else entry["at"]
            run.exit = {name: entry[name] for name in entry if name not in ("is", "run")}
            self.seq = max(self.seq, entry["seq"])
        elif entry["is"] == "empty":
            self.seq = max(self.seq, entry["seq"])
            run.empty = entry["seq"]
            self._leave_slot(run)
            self._drop_if_acknowledged(run)

    def _leave_slot(self, run: Run) -> None:
        if self._slots.get(run.slot) is run:
            del self._slots[run.slot]

    def _drop_if_acknowledged(self, run: Run) -> None:
        if run.empty is not None and run.empty <= self.acked:
            self.runs.pop(run.id, None)

    def begin_boot(self, boot: str) -> None:
        """Enter a boot of the host; in another one no pid and no time means what it meant."""
        if self.boot != boot:
            # Of another boot it has an environment, and perhaps a unit, that are not there now.
            self.daemon = None
            self.sockets = {}
            for run in self.runs.values():
                run.pid = run.born = run.moved = None
                run.at = run.seen = 0
                run.leaves = {}
                if run.exit is not None:
                    run.exit["at"] = 0
        self.boot = boot

    def entries(self) -> Iterator[Message]:
        """Yield the shortest history that leads to this ledger."""
        yield {"is": "journal", "boot": self.boot, "seq": self.seq, "acked": self.acked}
        if self.daemon is not None:
            yield {"is": "daemon", "plan": self.daemon}
        for address, held in self.sockets.items():
            yield {"is": "listening", "address": address} | held
        for run in self.runs.values():
            known = {"run": run.id, "slot": run.slot, "tag": run.tag, "at": run.at}
            leaves = {"leaves": run.leaves} if run.leaves else {}
            noticed = {"notice": run.notice} if run.notice else {}
            passed = {"sockets": run.sockets} if run.sockets else {}
            yield {"is": "spawning"} | known | leaves | noticed | passed
            identity = {"pid": run.pid, "born": run.born, "seen": run.seen}
            yield {"is": "spawned", "run": run.id} | identity
            if run.moved is not None:
                yield {"is": "moved", "run": run.id, "pid": run.moved[0], "born": run.moved[1]}
            if run.doomed:
                yield {"is": "doomed", "run": run.id}
            if run.exit is not None:
                yield {"is": "exited", "run": run.id} | run.exit
            if run.empty is not None:
                yield {"is": "empty", "run": run.id, "seq": run.empty}

"""Hear what services say of themselves: a socket for each slot, read whoever listens.

A socket has an abstract address, so that a service of any user can reach it, whatever the rights
of the state folder are; part of it is random, so that nobody can take it beforehand. A datagram
counts if its sender, whom the kernel names, is a process of the slot's run. It is left in its
socket until what it says is kept, so that a holder that is killed meanwhile has heard nothing, and
the next one hears it. What came with it is closed then, which is what a BARRIER=1 waits for, but
for descriptors to be stored. These, and the sockets, are duplicated to the daemon, which gives
them to the next holder if we are killed.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import socket
import time

from reconciler.failpoints import failpoint
from reconciler.holder import notice, tree, wire
from reconciler.holder.door import (
    CREDENTIALS,
    Door,
    Stored,
    close_all,
    may_speak,
    name_of,
    sender_of,
)
from reconciler.holder.spawn import Refused

TYPE_CHECKING = False  # see wire.py
if TYPE_CHECKING:
    from collections.abc import Callable

    from reconciler.holder.journal import Journal
    from reconciler.holder.ledger import Run
    from reconciler.holder.log import Log
    from reconciler.holder.poller import Poller
    from reconciler.holder.wire import Message

LOOK = socket.MSG_PEEK | socket.MSG_CMSG_CLOEXEC
BATCH = 64
"""Datagrams that are read from a slot before others have their turn."""
FDS = 253  # the kernel passes no more at once
TELL_EVERY_S = 0.02
"""A run that talks all the time is told of so often."""
ROOM = socket.CMSG_SPACE(CREDENTIALS.size) + socket.CMSG_SPACE(FDS * 4)
SLOT_CHARS = 70  # an address has 107 bytes


class Notify:
    """The doors of all slots, and the notices of all runs."""

    def __init__(
        self,
        journal: Journal,
        poller: Poller,
        log: Log,
        tell: Callable[[Message, list[int]], None],
    ) -> None:
        self._journal = journal
        self._poller = poller
        self._log = log
        self._tell = tell
        self.move: Callable[[Run, int], bool] = lambda *_: False
        """Called with the process that a run names as its main one."""
        self._doors: dict[str, Door] = {}
        self._numbers = 0
        self._untold: dict[str, Run] = {}
        self._told_at: dict[str, float] = {}
        self._written: dict[str, Message] = {}
        self._leaving: set[str] = set()
        """Slots that nobody wants any more once they are empty."""

    # --- starts and ends ---

    def equip(self, order: Message) -> tuple[Message, Message]:
        """Give the order of a start with what its process needs to be heard, and its notice."""
        try:
            return self._equipped(order)
        except OSError as error:
            text = f"cannot open its notify socket: {error.strerror}"
            raise Refused("notify", error.errno or errno.EIO, text) from error

    def _equipped(self, order: Message) -> tuple[Message, Message]:
        slot, asked = order["slot"], order.get("notify")
        self._leaving.discard(slot)
        if asked is None:
            self._close_door(slot)
            return order, {}
        door = self._doors.get(slot) or self._open_door(slot)
        watchdog = int(asked.get("watchdog", 0))
        env = {"NOTIFY_SOCKET": f"@{door.address}"}
        own_pid = []
        if watchdog:
            env["WATCHDOG_USEC"] = str(watchdog // 1000)
            own_pid.append("WATCHDOG_PID")
        known: Message = {"address": door.address}
        known |= {"watchdog": watchdog} if watchdog else {}
        gifts = [*order.get("gifts", ()), *((one.fd, one.name) for one in door.stored)]
        gift = {"env": env | order["env"], "gifts": gifts, "own_pid": own_pid}
        return order | gift, {"notice": known}

    def release(self, slot: str) -> None:
        """Close a slot's door, and what was stored there, as soon as nothing of its run is left."""
        if self._journal.ledger.holding(slot) is None:
            self._close_door(slot)
        else:
            self._leaving.add(slot)

    def ended(self, run: Run) -> None:
        """Forget a run of which nothing is left."""
        for known in (self._untold, self._told_at, self._written):
            known.pop(run.id, None)
        if run.slot in self._leaving:
            self._leaving.discard(run.slot)
            self._close_door(run.slot)

    def recover(self, runs: list[Run]) -> None:
        """Bind the addresses of a former holder again; who has them gives them to us."""
        for run in runs:
            address = run.notice.get("address") if run.notice else None
            if address and run.slot not in self._doors:
                with contextlib.suppress(OSError):
                    self._open_door(run.slot, address)

    def belongings(self) -> tuple[list[Message], list[int]]:
        """Give all that another program needs to go on in our place, and its descriptors."""
        told: list[Message] = []
        fds: list[int] = []
        for door in self._doors.values():
            stored = [
                {"fd": one.fd, "name": one.name, "polled": self._poller.is_watched(one.fd)}
                for one in door.stored
            ]
            known = {"slot": door.slot, "address": door.address, "fd": door.sock.fileno()}
            told.append(known | {"stored": stored, "leaving": door.slot in self._leaving})
            fds += [door.sock.fileno(), *(one.fd for one in door.stored)]
        return told, fds

    def resume(self, told: list[Message]) -> list[int]:
        """Go on with the doors of a program that was replaced by ours; give their descriptors."""
        used: list[int] = []
        for known in told:
            sock = socket.socket(fileno=known["fd"])
            door = self._add_door(known["slot"], known["address"], sock)
            for one in known["stored"]:
                self._store(door, one["fd"], one["name"], polled=one["polled"])
            self._leaving |= {door.slot} if known["leaving"] else set()
            used += [known["fd"], *(one["fd"] for one in known["stored"])]
        return used

    # --- the daemon ---

    def show_all(self) -> None:
        """Give the daemon a duplicate of everything that must outlive us."""
        for door in self._doors.values():
            self._show_door(door)
            for one in door.stored:
                self._show_stored(door, one)

    def keep(self, order: Message) -> Message:
        """Take back what the daemon kept of a former holder's.

        A socket comes with all that was stored behind it: what waits in there may be about that.
        """
        for told in (order, *order.get("stored", ())):
            self._take_back(order["slot"], told, order["fds"].pop(0))
        return {}

    def _take_back(self, slot: str, told: Message, fd: int) -> None:
        door = self._doors.get(slot)
        if told["what"] == "socket" and door is None:
            door = self._add_door(slot, told["address"], socket.socket(fileno=fd))
            self._give_address(door)
        elif told["what"] == "fd" and door is not None:
            self._store(door, fd, told["name"], polled=told.get("polled", True))
        else:
            os.close(fd)

    def pause(self) -> float | None:
        """Give the seconds until `flush` is due; None while it is not."""
        if not self._untold:
            return None
        due = min(self._told_at.get(run, 0.0) for run in self._untold) + TELL_EVERY_S
        return max(0.0, due - time.monotonic())

    def flush(self, at_once: Run | None = None) -> None:
        """Write down and tell what runs have said, each so often at most."""
        if not self._untold:
            return
        now = time.monotonic()
        for run in [*self._untold.values()]:
            is_early = now - self._told_at.get(run.id, 0.0) < TELL_EVERY_S
            if is_early and run is not at_once:
                continue
            self._told_at[run.id] = now
            del self._untold[run.id]
            self._write_down(run)
            pid, born = run.main
            who = {"slot": run.slot, "run": run.id, "pid": pid, "born": born}
            self._tell({"event": "notified", "notice": run.notice} | who, [])

    def _write_down(self, run: Run) -> None:
        known = run.notice or {}
        before = self._written.get(run.id, {})
        if notice.lasting(known) != notice.lasting(before):
            self._written[run.id] = known
            self._journal.record({"is": "noticed", "run": run.id, "notice": known})

    # --- doors ---

    def _open_door(self, slot: str, address: str = "") -> Door:
        name = address or f"weaver-notify/{slot[:SLOT_CHARS]}/{os.urandom(8).hex()}"
        kind = socket.SOCK_DGRAM | socket.SOCK_CLOEXEC
        sock = socket.socket(socket.AF_UNIX, kind)
        try:
            failpoint("holder.door.before")
            sock.bind(f"\0{name}")
        except OSError:
            sock.close()
            raise
        failpoint("holder.door.bound")
        return self._add_door(slot, name, sock)

    def _add_door(self, slot: str, address: str, sock: socket.socket) -> Door:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        door = self._doors[slot] = Door(slot, address, sock)
        self._poller.watch(sock.fileno(), functools.partial(self._drain, door))
        self._show_door(door)
        return door

    def _give_address(self, door: Door) -> None:
        """Let the run that speaks through a door be known by it, where a journal was lost."""
        run = self._journal.ledger.holding(door.slot)
        known = (run.notice or {}) if run is not None else {}
        if run is not None and "address" not in known:
            known = {**known, "address": door.address}
            self._journal.record({"is": "noticed", "run": run.id, "notice": known})

    def _close_door(self, slot: str) -> None:
        door = self._doors.pop(slot, None)
        if door is None:
            return
        for one in [*door.stored]:
            self._drop_stored(door, one)
        self._poller.forget(door.sock.fileno())
        door.sock.close()
        self._tell({"event": "unkept", "slot": slot, "number": 0}, [])

    def _show_door(self, door: Door) -> None:
        kept = {"event": "kept", "what": "socket", "slot": door.slot, "number": 0}
        self._tell(kept | {"address": door.address}, [door.sock.fileno()])

    # --- datagrams ---

    def hear_out(self, run: Run) -> None:
        """Read what a run had to say before we take note of its end."""
        door = self._doors.get(run.slot)
        if door is not None and run.notice is not None:
            self._drain(door)
            self.flush(run)

    def _drain(self, door: Door) -> None:
        """Read what came, so that nobody who speaks has to wait."""
        run = self._journal.ledger.holding(door.slot)
        known: dict[int, bool] = {}
        for _ in range(BATCH):
            try:
                received = door.sock.recvmsg(notice.DATAGRAM_BYTES + 1, ROOM, LOOK)
            except OSError as error:
                if error.errno != errno.EAGAIN:
                    self._log.write(f"{door.slot}: cannot hear it: {error.strerror}")
                return
            data, ancillary, _, _ = received
            fds = wire.descriptors(ancillary)
            try:
                self._hear(door, run, known, data, fds, sender_of(ancillary))
            finally:
                # Its descriptors are ours besides, so that this closes none of them.
                door.sock.recv(1)
                close_all(fds)
                failpoint("holder.notice.taken")

    def _hear(
        self,
        door: Door,
        run: Run | None,
        known: dict[int, bool],
        data: bytes,
        fds: list[int],
        sender: tuple[int, int] | None,
    ) -> None:
        words = notice.parse(data)
        if run is None or sender is None or not words:
            return
        pid, uid = sender
        if pid not in known:
            known[pid] = may_speak(run, pid, uid)
        if not known[pid]:
            self._tell_dropped(door, run, pid)
            return
        self._keep_or_drop(door, words, fds)
        main = notice.number(words.get("MAINPID", ""))
        has_moved = main not in (0, run.main[0]) and self.move(run, main)
        before = run.notice or {}
        run.notice = notice.said(before, words, tree.now())
        if has_moved or {**before, "at": 0} != {**run.notice, "at": 0}:
            self._untold[run.id] = run
        failpoint("holder.notice.heard")
        if notice.urgent(run.notice) != notice.urgent(before):
            self._write_down(run)
        failpoint("holder.notice.kept")

    def _keep_or_drop(self, door: Door, words: dict[str, str], fds: list[int]) -> None:
        """Store the descriptors that came, taking them out, or drop what was stored before."""
        if words.get("FDSTORE") == "1":
            polled = words.get("FDPOLL") != "0"
            while fds:
                self._store(door, fds.pop(0), words.get("FDNAME", ""), polled=polled)
        elif words.get("FDSTOREREMOVE") == "1":
            name = name_of(words.get("FDNAME", ""))
            for one in [one for one in door.stored if one.name == name]:
                self._drop_stored(door, one)

    def _tell_dropped(self, door: Door, run: Run, pid: int) -> None:
        if door.dropped != run.id:
            door.dropped = run.id
            self._log.write(f"{door.slot}: drops what process {pid} says, which is not of it")

    # --- stored descriptors ---

    def _store(self, door: Door, fd: int, name: str, *, polled: bool) -> None:
        name = name_of(name)
        is_known = any(one.is_same(fd, name) for one in door.stored)
        if is_known or len(door.stored) >= wire.STORED_MOST:
            close_all([fd])
            return
        failpoint("holder.store.before")
        self._numbers += 1
        one = Stored(fd, name, self._numbers)
        door.stored.append(one)
        if polled:
            # Files cannot be waited for, and never hang up.
            with contextlib.suppress(PermissionError):
                self._poller.watch_end(fd, functools.partial(self._drop_stored, door, one))
        self._show_stored(door, one)
        failpoint("holder.store.shown")

    def _show_stored(self, door: Door, one: Stored) -> None:
        kept = {"event": "kept", "what": "fd", "slot": door.slot, "number": one.number}
        polled = self._poller.is_watched(one.fd)
        self._tell(kept | {"name": one.name, "polled": polled}, [one.fd])

    def _drop_stored(self, door: Door, one: Stored) -> None:
        failpoint("holder.drop.before")
        door.stored.remove(one)
        self._poller.forget(one.fd)
        close_all([one.fd])
        self._tell({"event": "unkept", "slot": door.slot, "number": one.number}, [])
        failpoint("holder.drop.told")

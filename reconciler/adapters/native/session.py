"""Keep a connection to the holder, whatever becomes of it, and know what runs."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import os
import socket
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from reconciler import __version__
from reconciler.adapters.native.keeping import NEWS, Keeping
from reconciler.adapters.native.link import Link, LinkLost, Message
from reconciler.adapters.native.start import (
    PROGRAM,
    allow_many_files,
    reach_holder,
    say_goodbye,
)
from reconciler.adapters.native.translate import (
    exit_of,
    holder_slot,
    notice_of,
    noticed,
    process_of,
    tag_of,
    ways_of,
)
from reconciler.adapters.native.witness import Witness
from reconciler.failpoints import failpoint
from reconciler.holder import wire
from reconciler.model.event import Event, Exited, HostLost, Notified, TreeEmptied
from reconciler.model.observed import Process
from reconciler.model.status import Way
from reconciler.model.units import RunId, is_older
from reconciler.ports import HostError

log = logging.getLogger(__name__)

CAN = ("notify", "sockets")
"""What of a holder's news we understand beyond the first version's."""
RECONNECT_S = (0.0, 0.2, 0.5, 1.0, 2.0, 5.0)
"""The pauses before each attempt to reach a holder again; the last one repeats."""
LEAVE_TIMEOUT_S = 5.0

Tell = Callable[[Event], None]


class Session:
    """The connection to the holder of a directory, made again whenever it breaks."""

    def __init__(self, directory: Path, state: Path, comeback: Message | None = None) -> None:
        self.revived = ""
        """How the former daemon ended where the holder brought this one back in its place."""
        self._comeback = comeback
        self.boot = ""
        self.holder_pid: int | None = None
        self.can: frozenset[str] = frozenset()
        """What the holder knows to do beyond its protocol's first version."""
        self.trouble = ""
        """What keeps the holder from writing its journal; empty when nothing does."""
        self.holder_version = ""
        self.problem = ""
        """Why there is no connection, where that is known."""
        self.ways: Mapping[str, Way] = {}
        """What control groups serve for, as the holder told."""
        self._directory = directory
        self._state = state
        self._tell: Tell = _nobody
        self._link: Link | None = None
        self._linked = asyncio.Event()
        self._reconnecting: asyncio.Task[None] | None = None
        self._witness: Witness | None = None
        self._known: dict[RunId, Process] = {}
        """Every run that is not over, so that a holder that lost its journal can learn of it."""
        self._told_seq: int | None = None
        """The last event told; None until a look on this connection showed those before it."""
        self._acked_seq = 0
        self.keeping = Keeping()

    async def open(self, tell: Tell) -> None:
        """Connect, and tell from now on what happens. Raises HostError when there is no way."""
        self._tell = tell
        if self._witness is None:
            allow_many_files()
            self._witness = Witness(self._saw_end)
        await self._connect()

    async def connected(self) -> None:
        """Wait until there is a connection."""
        await self._linked.wait()

    def ask(self, do: str, **fields: Any) -> asyncio.Future[Message]:
        """Send a request at once. Raises LinkLost when there is no connection."""
        if self._link is None:
            raise LinkLost
        return self._link.ask(do, **fields)

    def started(self, process: Process) -> None:
        """Know a process that was just started."""
        self._known[process.run] = process
        if self._witness is not None:
            self._witness.watch(process)

    def seen(self, process: Process) -> Process:
        """Put in how a process ended that nobody but us saw, its holder having died."""
        if process.exit is None or not process.exit.unknown or self._witness is None:
            return process
        exit_ = self._witness.exit_of(process.run)
        return process if exit_ is None else replace(process, exit=exit_)

    def looked(self, processes: Iterable[Process], seq: int, trouble: str) -> None:
        """Know all that the holder has listed; every event up to `seq` shows in it."""
        processes = [*processes]
        self._know(processes)
        if self._witness is not None:
            self._witness.keep({process.run for process in processes})
        self._told_seq = seq
        self._note_trouble(trouble)

    def acknowledge(self) -> None:
        """Let the holder forget what it has told so far, once it has got what was just begun."""
        if self._told_seq is not None and self._told_seq > self._acked_seq:
            self._acked_seq = self._told_seq
            asyncio.get_running_loop().call_soon(self._acknowledge, self._told_seq, self._link)

    def _acknowledge(self, seq: int, link: Link | None) -> None:
        if link is not None:
            with contextlib.suppress(LinkLost):
                failpoint("daemon.ack.before")
                link.ask("ack", seq=seq)
                failpoint("daemon.ack.sent")

    async def close(self, *, stop_holder: bool, returns: bool = False) -> None:
        """Leave in order; with `stop_holder` the holder ends too, if its services are gone.

        A daemon that `returns` by itself is not missed for a while.
        """
        self._tell = _nobody
        if self._reconnecting is not None:
            self._reconnecting.cancel()
        self._stop_watching()
        self.keeping.close()
        link, self._link = self._link, None
        if link is None:
            await asyncio.to_thread(say_goodbye, self._directory)
            return
        try:
            with contextlib.suppress(LinkLost, TimeoutError):
                async with asyncio.timeout(LEAVE_TIMEOUT_S):
                    failpoint("daemon.goodbye.before")
                    await link.ask("goodbye", returns=returns)
                    failpoint("daemon.goodbye.said")
            if stop_holder:
                await self._stop_holder(link)
        finally:
            link.close()

    def abandon(self) -> None:
        """Leave without a word."""
        self._tell = _nobody
        if self._reconnecting is not None:
            self._reconnecting.cancel()
        self._stop_watching()
        link, self._link = self._link, None
        if link is not None:
            link.close()

    def _stop_watching(self) -> None:
        if self._witness is not None:
            self._witness.close()
            self._witness = None

    # --- what the holder tells unasked ---

    def _told(self, event: Message, fds: list[int]) -> None:
        if event["event"] in NEWS:
            self.keeping.hear(event, fds)
            return
        wire.close_all(fds)
        if event["event"] == "trouble":
            self._note_trouble(event["text"])
            return
        process = self._known.get(event["run"])
        if event["event"] == "notified":
            self._told_notice(event, process)
            return
        if process is None:
            # A look shows it sooner or later, and until then nothing may be acknowledged.
            self._told_seq = None
            return
        if self._told_seq is not None:
            self._told_seq = event["seq"]
        failpoint("daemon.event.heard")
        if event["event"] == "exited":
            self._tell_end(self.seen(replace(process, exit=exit_of(event))))
        elif event["event"] == "empty":
            del self._known[process.run]
            self._tell(TreeEmptied(slot=process.slot, run=process.run, role=process.role))

    def _tell_end(self, ended: Process) -> None:
        assert ended.exit is not None
        self._known[ended.run] = ended
        self._tell(Exited(slot=ended.slot, run=ended.run, exit=ended.exit, role=ended.role))

    def _saw_end(self, run: RunId) -> None:
        """Tell of an end that we saw ourselves, unless there is a holder who will."""
        process = self._known.get(run)
        if self._link is not None or process is None or process.exit is not None:
            return
        assert self._witness is not None
        if (exit_ := self._witness.exit_of(run)) is not None:
            self._tell_end(replace(process, exit=exit_))

    def _told_notice(self, event: Message, process: Process | None) -> None:
        """Tell what a run says of itself; of an unknown one a look shows it."""
        if process is None:
            return
        who = replace(process.id, pid=event["pid"], born=event["born"])
        heard = replace(process, id=who, notice=notice_of(event["notice"]))
        self._known[process.run] = heard
        if who != process.id and self._witness is not None:
            self._witness.move(heard)
        slot, run = process.slot, process.run
        self._tell(Notified(slot=slot, run=run, id=who, notice=heard.notice))

    def _note_trouble(self, trouble: str) -> None:
        if trouble != self.trouble:
            self.trouble = trouble
            log.warning("holder: %s", trouble or "the journal is written again")

    def _know(self, processes: Iterable[Process]) -> None:
        self._known = {process.run: process for process in processes if process.is_live}
        if self._witness is not None:
            for process in self._known.values():
                self._witness.watch(process)

    # --- the connection ---

    async def touch(self) -> None:
        """Start a holder if none answers, and leave it at that."""
        (await self._reach()).close()

    async def _connect(self) -> None:
        link = Link(await self._reach(), self._told, self._lost)
        try:
            await self._greet(link)
        except LinkLost as error:
            raise HostError(f"cannot use the holder of {self._directory}: it left") from error
        except BaseException:
            link.close()
            raise
        self._link, self._told_seq, self._acked_seq = link, None, 0
        self._linked.set()

    async def _greet(self, link: Link) -> None:
        former, self.keeping = self.keeping, Keeping()
        try:
            holder = await self._introduce(link)
            await former.hand_over(link, holder, whole="doors" in self.can)
        except BaseException:
            # The next one may need what this one could not be given.
            self.keeping.close()
            self.keeping = former
            raise
        self.keeping.holder = holder

    async def _introduce(self, link: Link) -> int:
        hello = await link.ask(
            "hello",
            proto=wire.PROTO,
            version=__version__,
            comeback=self._comeback,
            can=CAN,
        )
        if "error" in hello:
            why = hello["error"]["text"]
            raise HostError(f"cannot use the holder of {self._directory}: {why}")
        self.boot, self.holder_pid = hello["boot"], hello["pid"]
        self.holder_version, self.can = hello["version"], frozenset(hello.get("can", ()))
        self.ways = ways_of(hello)
        self.revived = self.revived or hello.get("revived", "")
        if is_older(self.holder_version, __version__):
            await self._renew(link)
        listed = (await link.ask("list"))["runs"]
        await self._hand_over(link, [self.seen(process_of(run, self.boot)) for run in listed])
        holder: int = hello["pid"]
        return holder

    async def renew(self) -> str:
        """Have the holder replace itself by our version of it; say why that cannot be."""
        if self._link is None:
            return self.problem or "there is no holder"
        return await self._renew(self._link)

    async def _renew(self, link: Link) -> str:
        """Have the holder execute our version; it stays the same process, on the same link."""
        former = self.holder_version
        if "reexec" not in self.can:
            return f"the holder is of version {former}, which cannot replace itself"
        said = await link.ask("reexec", python=sys.executable, program=str(PROGRAM))
        if "error" in said:
            why: str = said["error"]["text"]
            log.warning("the holder goes on as version %s: %s", former, why)
            return why
        self.holder_version, self.can = said["version"], frozenset(said["can"])
        log.info("holder %s was %s and is %s now", said["pid"], former, said["version"])
        return ""

    async def _reach(self) -> socket.socket:
        reaching = asyncio.ensure_future(
            asyncio.to_thread(reach_holder, self._directory, self._state)
        )
        try:
            return await asyncio.shield(reaching)
        except asyncio.CancelledError:
            reaching.add_done_callback(_close_socket)
            raise

    async def _hand_over(self, link: Link, listed: list[Process]) -> None:
        """Tell a holder of the runs that are missing in its journal, which must have been lost."""
        runs = {process.run for process in listed}
        missing = [process for process in self._known.values() if process.run not in runs]
        for process in missing:
            answer = await link.ask(
                "adopt",
                slot=holder_slot(process.slot, process.role),
                run=process.run,
                pid=process.id.pid or None,
                born=process.id.born or None,
                at=process.started,
                tag=tag_of(process.slot, process.digest, process.role, process.place),
                **noticed(process.notice),
            )
            log.warning("the holder did not know %s: %s", process.slot, answer.get("error", "told"))
        self._know([*listed, *missing])

    def _lost(self, because: str) -> None:
        if self._link is None:
            return
        self._link, self.holder_pid = None, None
        self._linked.clear()
        self._tell(HostLost(because=because))
        for run in [*self._known]:
            self._saw_end(run)
        self._reconnecting = asyncio.create_task(self._reconnect())

    async def _stop_holder(self, link: Link) -> None:
        if self.holder_pid is None:
            return
        with contextlib.suppress(LinkLost, TimeoutError, ProcessLookupError):
            pidfd = os.pidfd_open(self.holder_pid)
            try:
                async with asyncio.timeout(LEAVE_TIMEOUT_S):
                    said = await link.ask("shutdown")
                    if "error" in said:
                        log.warning("the holder stays: %s", said["error"]["text"])
                        return
                    await _ended(pidfd)
            finally:
                os.close(pidfd)

    async def _reconnect(self) -> None:
        for pause in itertools.chain(RECONNECT_S, itertools.repeat(RECONNECT_S[-1])):
            await asyncio.sleep(pause)
            try:
                await self._connect()
            except (HostError, OSError) as error:
                # Without descriptors, for instance, there is not even a socket to reach it by.
                self.problem = str(error)
                log.warning("%s", error)
            else:
                self.problem = ""
                log.info("holder %s is there again", self.holder_pid)
                return


async def _ended(pidfd: int) -> None:
    """Wait until a process is gone."""
    loop, gone = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(pidfd, gone.set)
    try:
        await gone.wait()
    finally:
        loop.remove_reader(pidfd)


def _nobody(_: Event) -> None:
    """Take what nobody wants to hear."""


def _close_socket(reached: asyncio.Future[socket.socket]) -> None:
    if not reached.cancelled() and reached.exception() is None:
        reached.result().close()

"""The host as the daemon knows it: the holder behind a socket."""

from __future__ import annotations

import asyncio
import errno
import functools
import secrets
import signal
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from reconciler.adapters.native.command import not_found
from reconciler.adapters.native.condition import renice
from reconciler.adapters.native.link import LinkLost, Message
from reconciler.adapters.native.resources import resources, shortage
from reconciler.adapters.native.session import Session, Tell
from reconciler.adapters.native.translate import (
    holder_slot,
    identity_of,
    listen_order,
    process_of,
    refusal_of,
    signal_number,
    slot_of,
    sockets_of,
    tag_of,
)
from reconciler.core.launch import Launch
from reconciler.holder import wire
from reconciler.model.event import (
    Errand,
    Event,
    HostLooked,
    HostLost,
    LookAtHost,
    Scope,
    Signal,
    SignalAnswered,
    Spawn,
    Spawned,
    SpawnFailed,
)
from reconciler.model.listening import CloseSockets, SocketsClosed
from reconciler.model.observed import Look, Role, Slot
from reconciler.model.put_right import PutRight
from reconciler.model.spec import ServiceSpec
from reconciler.model.status import Way
from reconciler.model.units import RunId
from reconciler.ports import HostError, WeaverError

LOOK_PATIENCE_S = 5.0
"""How long a look waits for a connection that is being made."""
NEEDS_NO_WAKING = (signal.SIGKILL, signal.SIGCONT, signal.SIGSTOP)
LOST = "the holder was lost before it answered"

ListenerAt = Callable[[str], Awaitable[str]]
"""Names who listens at an address; empty where nobody can tell."""
Prepare = Callable[[ServiceSpec, Slot, RunId, Errand | None], Launch]


class NativeHost:
    """Processes of this machine, held by the holder of a directory.

    Commands go out in the order in which they were asked for, so a look shows all that earlier
    ones have done.
    """

    def __init__(
        self,
        directory: Path,
        state: Path,
        prepare: Prepare,
        comeback: Message | None = None,
        listener_at: ListenerAt | None = None,
    ) -> None:
        self._session = Session(directory, state, comeback)
        self._prepare = prepare
        self._listener_at = listener_at
        self._turn = asyncio.Lock()

    @property
    def holder_pid(self) -> int | None:
        """Give the holder's pid, None while there is none."""
        return self._session.holder_pid

    @property
    def holder_version(self) -> str:
        """Give the version of the holder's program."""
        return self._session.holder_version

    @property
    def trouble(self) -> str:
        """Say what keeps the holder from writing its journal; empty when nothing does."""
        return self._session.trouble

    @property
    def ways(self) -> Mapping[str, Way]:
        """Tell by which control groups runs are killed (`main`) and limited, as far as is known."""
        return self._session.ways

    async def warm(self) -> None:
        """Have a holder at hand for `open`, which tells of it if there is no way."""
        with suppress(HostError):
            await self._session.touch()

    async def open(self, tell: Tell) -> None:
        """Connect, starting a holder if none answers. Raises HostError when there is no way."""
        await self._session.open(tell)

    async def perform(
        self, command: Spawn | Signal | PutRight | LookAtHost | CloseSockets
    ) -> Event:
        """Do one command and give the event that answers it."""
        match command:
            case Spawn():
                return await self._spawn(command)
            case Signal():
                return await self._signal(command)
            case PutRight():
                return await self._put_right(command)
            case LookAtHost():
                return await self._look(command)
            case CloseSockets():
                return await self._close_sockets(command)

    def acknowledge(self) -> None:
        """Tell the holder, after what was just begun, that every exit told so far is on record.

        To be called when no event waits to be recorded: what was told since would be lost.
        """
        self._session.acknowledge()

    def close_doors(self, slots: tuple[Slot, ...]) -> None:
        """Have the holder close notify sockets and what is stored behind them, where it has some.

        Nobody waits for that: where it is lost with the connection, a look shows what is there.
        """
        kept = self._session.keeping.slots
        if "release" not in self._session.can:
            return
        with suppress(LinkLost):
            for slot in slots:
                if holder_slot(slot) in kept:
                    self._session.ask("release", slot=holder_slot(slot))

    async def revived(self) -> str:
        """Say, once there is a holder, how the daemon ended that it brought back; else nothing."""
        await self._session.connected()
        return self._session.revived

    async def close(self, *, stop_holder: bool, returns: bool = False) -> None:
        """Leave in order; with `stop_holder` the holder ends too, if its services are gone.

        A daemon that `returns` by itself, as one that replaces itself, is not missed.
        """
        await self._session.close(stop_holder=stop_holder, returns=returns)

    async def renew(self) -> str:
        """Have the holder replace its program by ours, in place; say why that cannot be."""
        try:
            return await self._session.renew()
        except LinkLost:
            return LOST

    def abandon(self) -> None:
        """Leave without a goodbye, as after a defect: the holder brings the next daemon up."""
        self._session.abandon()

    async def _spawn(self, command: Spawn) -> Event:
        run = RunId(secrets.token_hex(8))
        slot = command.slot
        failed = functools.partial(SpawnFailed, serial=command.serial, slot=slot)
        if command.errand is None and (lack := shortage(command.spec)):
            return failed(step="memory", errno=errno.ENOMEM, because=lack, is_short=True)
        try:
            async with self._turn:
                launch = await self._prepared(command, run)
                order = _order(launch, command, run)
                self._check_means(order)
                # Each is asked for every time: what is there already stays as it is.
                listening = [
                    self._session.ask("listen", **listen_order(slot.service, one))
                    for one in launch.sockets
                ]
                answer = self._session.ask("spawn", **order)
            said = await answer
        except LinkLost:
            # It may have been started all the same: only a look can tell.
            return failed(step="answer", errno=0, because=LOST, is_busy=True)
        except wire.WireError as error:
            return failed(step="exec", errno=errno.E2BIG, because=str(error))
        except (OSError, ValueError, WeaverError) as error:
            number = getattr(error, "errno", None) or errno.EINVAL
            mend = getattr(error, "mend", "")
            because = f"{error}; {mend}" if mend else str(error)
            return failed(step="prepare", errno=number, because=because)
        if "error" in said:
            refused = [one for one in [await each for each in listening] if "error" in one]
            if refused and said["error"]["step"] == "socket":
                failure = refusal_of(refused[0]["error"], command.serial, slot)
                return await self._named(failure)
            return await _refused(refusal_of(said["error"], command.serial, slot), order)
        process = process_of({**order, **said, "exit": None, "empty": False}, self._session.boot)
        self._session.started(process)
        return Spawned(serial=command.serial, process=process)

    async def _prepared(self, command: Spawn, run: RunId) -> Launch:
        spec, slot, errand = command.spec, command.slot, command.errand
        if spec.env_file or spec.has_account:  # either may have to wait
            return await asyncio.to_thread(self._prepare, spec, slot, run, errand)
        return self._prepare(spec, slot, run, errand)

    async def _named(self, failed: SpawnFailed) -> SpawnFailed:
        """Say who listens where a service shall, if that is what its start failed for."""
        if failed.errno != errno.EADDRINUSE:
            return failed
        address = failed.because.removeprefix("cannot listen on ").partition(": ")[0]
        who = await self._listener_at(address) if self._listener_at is not None else ""
        because = f"{address} is in use by {who}" if who else failed.because
        return replace(failed, because=because, is_taken=True)

    def _check_means(self, order: Message) -> None:
        """Raise HostError rather than let a holder of an older version leave something out."""
        asked = [name for name in ("identity", "stdin", "stderr") if order[name]]
        if asked and "identity" not in self._session.can:
            raise HostError(
                f"cannot start {order['slot']}: the holder is of an older version, "
                "and knows neither users nor limits nor errorFile",
                mend="weaver down; weaver up",
            )
        if order["sockets"] and "sockets" not in self._session.can:
            raise HostError(
                f"cannot start {order['slot']}: the holder is of an older version, "
                "and cannot listen for services",
                mend="weaver down; weaver up",
            )

    async def _signal(self, command: Signal) -> Event:
        answered = functools.partial(SignalAnswered, serial=command.serial, slot=command.slot)
        target = command.target
        if target.boot != self._session.boot:
            return answered(problem=f"process {target.pid} was of another boot of this host")
        whom = {"run": command.run, "pid": target.pid or None, "born": target.born or None}
        try:
            number = signal_number(command.signal)
            async with self._turn:
                release = {"release": True} if command.releases else {}
                answer = self._session.ask(
                    "signal", **whom, signal=number, scope=command.scope.value, **release
                )
                if number not in NEEDS_NO_WAKING:
                    # A stopped process would not even hear that it shall end.
                    self._session.ask(
                        "signal", **whom, signal=signal.SIGCONT, scope=command.scope.value
                    )
            said = await answer
        except LinkLost:
            return answered(problem=LOST)
        except ValueError as error:
            return answered(problem=str(error))
        return answered(problem=said["error"]["text"] if "error" in said else "")

    async def _put_right(self, command: PutRight) -> Event:
        answered = functools.partial(SignalAnswered, serial=command.serial, slot=command.slot)
        target = command.target
        problem = ""
        if command.nice is not None:
            problem = renice(target.pid, target.born, command.nice)
        if command.resumes:
            goes_on = Signal(
                serial=command.serial,
                slot=command.slot,
                run=command.run,
                target=target,
                signal="SIGCONT",
                scope=Scope.GROUP,
                because=command.because,
            )
            said = await self._signal(goes_on)
            problem = getattr(said, "problem", "") or problem
        return answered(problem=problem)

    async def _look(self, command: LookAtHost) -> Event:
        try:
            async with asyncio.timeout(LOOK_PATIENCE_S):
                await self._session.connected()
            async with self._turn:
                answer = self._session.ask("list")
            said = await answer
        except TimeoutError:
            return HostLost(because=self._session.problem or "there is no holder")
        except LinkLost:
            return HostLost(because=LOST)
        boot, seen = self._session.boot, self._session.seen
        processes = tuple(seen(process_of(run, boot)) for run in said["runs"])
        self._session.looked(processes, said["seq"], said["trouble"])
        return HostLooked(
            look=Look(
                serial=command.serial,
                boot=self._session.boot,
                processes=processes,
                sockets=sockets_of(said),
                kept=tuple(map(slot_of, sorted(self._session.keeping.slots))),
            )
        )

    async def _close_sockets(self, command: CloseSockets) -> Event:
        closed = functools.partial(SocketsClosed, serial=command.serial, service=command.service)
        try:
            async with self._turn:
                addresses = [*command.addresses]
                answer = self._session.ask("unlisten", service=command.service, addresses=addresses)
            said = await answer
        except LinkLost:
            return closed(problem=LOST)
        return closed(problem=said["error"]["text"] if "error" in said else "")


async def _refused(failed: SpawnFailed, order: Message) -> SpawnFailed:
    """Add what was probably meant to the news of a command that is not on its PATH."""
    argv = order["argv"]
    if (failed.step, failed.errno) != ("exec", errno.ENOENT) or not argv or "/" in argv[0]:
        return failed
    search = order["env"].get("PATH", "")
    words = await asyncio.to_thread(not_found, argv[0], search) if search else ""
    return replace(failed, because=words or failed.because)


def _order(launch: Launch, command: Spawn, run: RunId) -> Message:
    place = command.errand.place if command.errand is not None else 0
    spec = command.spec
    is_heard = spec.has_notify and command.role is Role.MAIN
    notify = {"notify": {"watchdog": spec.watchdog_timeout or 0}} if is_heard else {}
    return notify | {
        "resources": resources(command.spec) if command.errand is None else {},
        "slot": holder_slot(command.slot, command.role),
        "run": run,
        "argv": list(launch.argv),
        "env": dict(launch.env),
        "cwd": launch.cwd,
        "root": launch.root,
        "stdin": launch.stdin,
        "stdout": launch.log_file,
        "stderr": launch.error_file or None,
        "identity": identity_of(launch.identity),
        "sockets": [{"address": one.address, "name": one.name} for one in launch.sockets],
        "tag": tag_of(command.slot, command.spec.digest, command.role, place),
    }

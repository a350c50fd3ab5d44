"""Do what changes no manifest: restart, reload, retry, approve, settle, shut down."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Iterator
from contextlib import suppress
from typing import assert_never

from reconciler.model.change import Verb
from reconciler.model.event import OperationKind
from reconciler.model.overlay import TakeAway
from reconciler.model.spec import DesiredState, OnRestart
from reconciler.model.status import ServiceStatus
from reconciler.model.units import Nanos, ServiceName
from reconciler.ports import HostError, NotFoundError
from reconciler.runtime import detach, guards
from reconciler.runtime.changes import replaced
from reconciler.runtime.daemon import Daemon
from reconciler.runtime.guards import Services
from reconciler.runtime.journal import Listener
from reconciler.runtime.messages import EventSeen, Message, Note, Problem, Summary
from reconciler.runtime.operator import Operator
from reconciler.runtime.outlook import Aim, keeps_its_version
from reconciler.runtime.pursuit import TIMED_OUT, Tail, action_of
from reconciler.runtime.requests import (
    ApprovePrune,
    Operating,
    Reexec,
    ReloadServices,
    RestartServices,
    RetryServices,
    Revert,
    Settle,
    Shutdown,
    Steer,
    SteerRollout,
    Terms,
)

FAILED = 4
FIRST_LOOK_S = 15.0
"""For the first look at manifests and host; what keeps it is told rather than waited for."""


class Operations(Operator):
    """Hands operations to the engine and follows what comes of them."""

    def __init__(
        self,
        daemon: Daemon,
        tail: Tail,
        now: Callable[[], Nanos],
        renew_holder: Callable[[], Awaitable[str]],
        fetch: Callable[[], Awaitable[str]],
    ) -> None:
        super().__init__(daemon, tail)
        self._fetch = fetch
        self._renew_holder = renew_holder
        self._now = now
        self._begun = now()
        self._has_told_adopted = False

    async def run(  # noqa: C901 - one arm for each request
        self, request: Operating, terms: Terms
    ) -> AsyncIterator[Message]:
        """Carry an operation out. Raises WeaverError where it cannot be done."""
        if not isinstance(request, Shutdown | Reexec):
            await self._daemon.manifests_read()
        with self._daemon.journal.listen() as listener:
            match request:
                case RestartServices(services=names):
                    told = self._restart(names, terms, listener)
                case ReloadServices(services=names):
                    told = self._reload(names, terms, listener)
                case RetryServices(services=names):
                    told = self._retry(names, terms, listener)
                case SteerRollout(service=name, steer=steer):
                    told = self._steer(name, steer, terms, listener)
                case ApprovePrune(prune_id=prune_id):
                    told = self._approve(prune_id, terms, listener)
                case Revert(services=names):
                    told = self._revert(names, terms, listener)
                case Settle(services=names):
                    told = self._settle(names, terms, listener)
                case Shutdown():
                    told = self._shut_down(request, terms, listener)
                case Reexec():
                    told = self._reexec()
                case _:
                    assert_never(request)
            async for message in told:
                yield message

    async def _restart(
        self, names: tuple[ServiceName, ...], terms: Terms, listener: Listener
    ) -> AsyncIterator[Message]:
        services = self._daemon.picture().services
        guards.understood("restart", names, services)
        stopped = [name for name in names if services[name].desired is not DesiredState.RUNNING]
        for name in stopped:
            yield Note(text=f"{name} is not started: {_why_stopped(services[name])}")
        for note in self._kept(name for name in names if name not in stopped):
            yield note
        since = self._now()
        self._ask(OperationKind.RESTART, terms, services=names)
        moved = [name for name in moving_along(names, services) if name not in stopped]
        chase = self._chase(
            tuple(moved),
            terms,
            verbs=dict.fromkeys(moved, (Verb.RESTART,)),
            aim=Aim(since=since),
        )
        async for message in self._pursue(f"restart {_list(names)}", chase, terms, listener):
            yield message

    async def _reload(
        self, names: tuple[ServiceName, ...], terms: Terms, listener: Listener
    ) -> AsyncIterator[Message]:
        services = self._daemon.picture().services
        guards.may_reload(names, services)
        wanted = [name for name in names if services[name].desired is DesiredState.RUNNING]
        for name in names:
            if name not in wanted:
                yield Note(text=f"{name} is not reloaded: {_why_stopped(services[name])}")
        for note in self._kept(wanted):
            yield note
        since = self._now()
        self._ask(OperationKind.RELOAD, terms, services=names)
        chase = self._chase(
            tuple(wanted),
            terms,
            verbs=dict.fromkeys(wanted, (Verb.RELOAD,)),
            aim=Aim(loaded_since=since),
        )
        async for message in self._pursue(f"reload {_list(names)}", chase, terms, listener):
            yield message

    def _kept(self, names: Iterable[ServiceName]) -> Iterator[Note]:
        """Name those that get processes anew, and not what their manifests may say by now."""
        picture = self._daemon.picture()
        for name in names:
            status = picture.services[name]
            because = picture.source_held or status.reason
            if keeps_its_version(status) and because:
                yield Note(text=f"{name} keeps its version: {because}")

    async def _retry(
        self, names: tuple[ServiceName, ...], terms: Terms, listener: Listener
    ) -> AsyncIterator[Message]:
        guards.known(names, self._daemon.picture().services)
        self._ask(OperationKind.START, terms, services=names)
        await self._daemon.caught_up()  # what was decided before is no answer to this
        chase = self._chase(names, terms, verbs=dict.fromkeys(names, (Verb.START,)))
        async for message in self._pursue(f"start {_list(names)}", chase, terms, listener):
            yield message

    async def _steer(
        self, name: ServiceName, steer: Steer, terms: Terms, listener: Listener
    ) -> AsyncIterator[Message]:
        guards.may_steer(name, steer, self._daemon.picture().services)
        self._ask(OperationKind(f"{steer}-rollout"), terms, services=(name,))
        what = f"{steer} the rollout of {name}"
        await self._daemon.caught_up()  # what was decided before is no answer to this
        if steer is Steer.PAUSE:
            yield Summary(exit_code=0, text=f"{what} - done; all runs on as it is")
            return
        aim = Aim(undoes_rollout=steer is Steer.UNDO)
        chase = self._chase((name,), terms, verbs={name: (Verb.RESTART,)}, aim=aim)
        async for message in self._pursue(what, chase, terms, listener):
            yield message

    async def _approve(
        self, prune_id: str, terms: Terms, listener: Listener
    ) -> AsyncIterator[Message]:
        hold = self._daemon.picture().prune
        if hold is None or hold.id != prune_id:
            raise NotFoundError(
                f"no removal {prune_id} is held",
                mend=f"weaver prune approve {hold.id}" if hold else "weaver status shows what is",
            )
        self._ask(OperationKind.APPROVE_PRUNE, terms, services=(), prune_id=prune_id)
        chase = self._chase(hold.services, terms)
        what = f"removal of {len(hold.services)} services"
        async for message in self._pursue(what, chase, terms, listener):
            yield message

    async def _revert(
        self, names: tuple[ServiceName, ...], terms: Terms, listener: Listener
    ) -> AsyncIterator[Message]:
        services = self._daemon.picture().services
        guards.known(names, services)
        for name in names:
            if services[name].overlay is None:
                raise NotFoundError(
                    f"cannot revert {name}: nothing ephemeral was applied to it",
                    mend="weaver undo takes back the last commit",
                )
        actor = f"uid:{terms.author.uid}"
        self._daemon.tell(TakeAway(services=names, actor=actor, reason=terms.reason))
        await self._daemon.caught_up()  # what was decided before is no answer to this
        chase = self._chase(names, terms, verbs=replaced(services, self._daemon.picture().services))
        async for message in self._pursue(f"{_list(names)}: revert", chase, terms, listener):
            yield message

    async def _settle(
        self, names: tuple[ServiceName, ...], terms: Terms, listener: Listener
    ) -> AsyncIterator[Message]:
        awaited = await self._first_look(terms)
        if awaited:
            yield Summary(exit_code=0, text=awaited)
            return
        if not self._daemon.has_seen_all:
            why = self._daemon.source.held or self._daemon.host_problem or "the host was not seen"
            yield Problem(title=f"nothing is done yet: {why}", exit_code=TIMED_OUT)
            yield Summary(exit_code=TIMED_OUT, text="the daemon goes on trying")
            return
        services = self._daemon.picture().services
        guards.known(names, services)
        if adopted := self._adopted(services):
            yield Note(text=adopted)
        chase = self._chase(names or tuple(services), terms, aim=Aim(finishes_oneshots=False))
        what = _list(names) if names else _count(services)
        async for message in self._pursue(
            what, chase, terms, listener, done=f"{what} as wanted after"
        ):
            yield message

    def _adopted(self, services: Services) -> str:
        """Say once how many processes this daemon found running; empty where there were none."""
        if self._has_told_adopted:
            return ""
        self._has_told_adopted = True
        slots = [slot for status in services.values() for slot in status.slots]
        count = sum(
            slot.process is not None and slot.process.started < self._begun for slot in slots
        )
        return f"adopted {count} running process{'' if count == 1 else 'es'}" if count else ""

    async def _first_look(self, terms: Terms) -> str:
        """Wait until the manifests, as they are now, and the host have been read.

        Gives what is waited for where there cannot be manifests yet.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(min(terms.timeout, FIRST_LOOK_S)):
                if awaited := await self._fetch():
                    return awaited
                await self._daemon.source.refresh()
                await self._daemon.manifests_read()
                while not self._daemon.has_seen_all and not self._daemon.is_over:
                    await self._daemon.next_picture()
        return ""

    async def _shut_down(
        self, request: Shutdown, terms: Terms, listener: Listener
    ) -> AsyncIterator[Message]:
        running = [
            name
            for name, status in self._daemon.picture().services.items()
            if any(slot.process for slot in status.slots)
        ]
        if request.keep_services:
            self._daemon.leave()
            yield Summary(
                exit_code=0,
                text=f"the daemon ends; {_count(running)} running under the holder",
            )
            return
        kind = OperationKind.KILL if request.kill else OperationKind.SHUTDOWN
        self._ask(kind, terms)
        while not self._daemon.is_over:
            for message in self._news(listener):
                yield message
            await self._daemon.next_picture()
        for message in self._news(listener):
            yield message
        yield Summary(exit_code=0, text=f"everything is stopped: {_count(running)} ended")

    async def _reexec(self) -> AsyncIterator[Message]:
        if why := await asyncio.to_thread(detach.cannot_begin):
            raise HostError(
                f"cannot replace the daemon: {why}", mend="mend the installation; all goes on"
            )
        kept = await self._renew_holder()
        if kept:
            yield Problem(title=f"the holder goes on as it is: {kept}", exit_code=FAILED)
        else:
            yield Note(text="the holder is replaced")
        self._daemon.leave(returns=True)
        code = FAILED if kept else 0
        yield Summary(exit_code=code, text="the daemon replaces itself; no service is touched")

    def _news(self, listener: Listener) -> list[Message]:
        found: list[Message] = []
        services = self._daemon.picture().services
        for event in listener.drain():
            if event.service:
                found.append(EventSeen(event=event))
                status = services.get(ServiceName(event.service))
                spec = status.spec if status else None
                if (action := action_of(event, (Verb.STOP,), spec)) is not None:
                    found.append(action)
        return found


def moving_along(names: Iterable[ServiceName], services: Services) -> list[ServiceName]:
    """Give services and those dependents whose manifest says that they restart with them."""
    moved = list(dict.fromkeys(names))
    for name in guards.dependents(moved, services):
        spec = services[name].spec
        needs = spec.needs if spec else ()
        if any(n.service in moved and n.on_restart is OnRestart.RESTART for n in needs):
            moved.append(name)
    return moved


def _why_stopped(status: ServiceStatus) -> str:
    return status.why_stopped if status.spec is not None else "no manifest defines it"


def _list(names: Iterable[ServiceName]) -> str:
    return ", ".join(names)


def _count(names: Collection[ServiceName]) -> str:
    return "1 service" if len(names) == 1 else f"{len(names)} services"

"""The facade of a daemon at work: it gathers what the parts know, and lets them do the rest."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from reconciler import __version__
from reconciler.core.launch import Account, Launch
from reconciler.core.pointers import Pointers, pointers
from reconciler.model.log import LogLine, LogQuery
from reconciler.model.observed import ProcessId, Slot, State
from reconciler.model.spec import ServiceSpec
from reconciler.model.status import Picture, ServiceStatus, Way
from reconciler.model.units import Nanos, RunId, ServiceName, in_seconds
from reconciler.ports import (
    Clock,
    EventRecord,
    LogEntry,
    ManifestError,
    NotFoundError,
    Sampler,
    Store,
    Usage,
)
from reconciler.runtime import guards, previews, reasons
from reconciler.runtime.changes import Changes
from reconciler.runtime.checked import Charts
from reconciler.runtime.checkup import returned
from reconciler.runtime.control import (
    DaemonFacts,
    Finding,
    History,
    Reason,
    Scene,
    Setting,
    Surroundings,
    WaitResult,
)
from reconciler.runtime.daemon import Daemon
from reconciler.runtime.following import Following
from reconciler.runtime.landing import Tools
from reconciler.runtime.logbook import Logbook
from reconciler.runtime.messages import Message, Preview
from reconciler.runtime.operations import Operations
from reconciler.runtime.outlook import cannot_reach, concerns, has_reached
from reconciler.runtime.paths import StatePaths
from reconciler.runtime.pushing import Pushing
from reconciler.runtime.requests import (
    Change,
    EventQuery,
    OperationRequest,
    Syncing,
    Terms,
    WaitQuery,
)
from reconciler.runtime.safely import safely
from reconciler.runtime.syncing import Syncer

CATCH_UP_LIMIT = 10_000
"""Stored events that one who comes back gets before the new ones."""
FIRST_SIGHT_S = 2.0
NEWS_S = 0.2
"""What a status may wait for the commit that somebody made just before."""
QUICKLY_S = 0.25
"""What a status may wait for figures; old ones, or none, are better than a late answer."""
LAST_WORDS = 5
"""Lines of a log, with the reason why its service crashed."""
POINTER_SEARCH = 1000
"""Changes of state in which a service's pointers are looked for."""
NO_RUN = RunId("")
NOT_MET, TIMED_OUT = 7, 9


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What the facade draws on besides the daemon."""

    paths: StatePaths
    clock: Clock
    store: Store
    logbook: Logbook
    sampler: Sampler
    tools: Tools
    prepare: Callable[[ServiceSpec, Slot, RunId], Launch]
    holder_pid: Callable[[], int | None]
    renew_holder: Callable[[], Awaitable[str]]
    """Has the holder replace its program; gives why that cannot be."""
    settings: Callable[[], Sequence[Setting]]
    troubles: Callable[[], Sequence[str]]
    """What is wrong outside of the loop: the watch, the holder's journal, a port not to be had."""
    examine: Callable[[], Sequence[Finding]]
    """Looks for what is wrong with the set-up."""
    metrics_listen: Callable[[], str]
    ways: Callable[[], Mapping[str, Way]]
    """What control groups serve for, as the holder told."""
    charts: Callable[[], Charts]
    """What checks say of the slots that are checked."""
    following: Following | None = None
    """What is followed elsewhere; None where the files of a checkout are."""
    pushing: Pushing | None = None
    """What pushes a checkout."""


class LiveControl:
    """Implements `Control` for the daemon of this process."""

    def __init__(self, daemon: Daemon, parts: Parts) -> None:
        self._daemon = daemon
        self._parts = parts
        self._begun = parts.clock.now()
        self.brought_back = ""
        """How the daemon ended in whose place the holder started this one; empty where none did."""
        self._changes = Changes(daemon, parts.tools)
        self.resuming = self._changes.resuming
        self._operations = Operations(
            daemon, parts.tools.tail, parts.clock.now, parts.renew_holder, self._fetch
        )
        self._syncer = Syncer(daemon, parts.tools.tail, parts.following)

    # --- questions -------------------------------------------------------------------------

    async def scene(self) -> Scene:
        """Give everything that status, services, graph, health and metrics show."""
        if not self._has_been_told:
            await self._first_sight()
        await self._catch_up()
        picture = self._daemon.picture()
        wall = self._wall_at(picture.now)  # before the figures, which may be long in coming
        return Scene(
            picture=picture,
            usage=await self._usage(picture),
            daemon=self._facts(),
            wall=wall,
            ways=self._parts.ways(),
            charts=self._parts.charts(),
        )

    async def preview(self) -> Preview:
        """Compare what is desired with what runs."""
        return previews.live(self._daemon.situation(), self._parts.tools.language)

    async def events(self, query: EventQuery) -> Sequence[EventRecord]:
        """Give stored events in order."""
        return await self._parts.store.events(
            after=query.after, service=query.service, limit=query.limit, since=query.since
        )

    async def follow(self, query: EventQuery) -> AsyncIterator[EventRecord]:
        """Give stored events after `query.after`, then each new one, without end."""
        last = query.after
        with self._daemon.journal.listen() as listener:
            if query.after:
                for event in await self._parts.store.events(
                    after=query.after, service=query.service, limit=CATCH_UP_LIMIT
                ):
                    yield event
                    last = event.seq
            async for event in listener:
                is_new = event.seq == 0 or event.seq > last
                if is_new and query.service in ("", event.service):
                    yield event

    async def history(self, service: ServiceName, limit: int = 100) -> History:
        """Give a service's state changes and commits."""
        status = self._known(service)
        commits: Sequence[LogEntry] = ()
        if status.source.file:
            commits = await self._parts.tools.repository.log(status.source.file, limit)
        transitions = await self._parts.store.history(service, limit)
        return History(service=service, transitions=transitions, commits=commits)

    async def pointers(self, service: ServiceName) -> Pointers:
        """Tell how far a service has come along its history."""
        status = self._known(service)
        head = self._daemon.picture().revision.commit
        history = await self._parts.store.history(service, POINTER_SEARCH)
        return pointers(status, head, history)

    async def why(self, service: ServiceName) -> Sequence[Reason]:
        """Give the chain of reasons for a service's state."""
        self._known(service)
        chain = reasons.chain(self._daemon.picture(), service)
        return await asyncio.gather(*map(self._with_last_words, chain))

    async def _with_last_words(self, link: Reason) -> Reason:
        if link.state != State.CRASHED:
            return link
        tail = await self._parts.tools.tail(link.service)
        return replace(link, log_tail=tail[-LAST_WORDS:])

    def logs(self, query: LogQuery) -> AsyncIterator[LogLine]:
        """Give log lines, merged by time."""
        return self._parts.logbook.read(query, self._daemon)

    async def wait(self, query: WaitQuery) -> WaitResult:
        """Answer when the goal is reached, cannot be reached, or time is up."""
        begun = asyncio.get_running_loop().time()
        missing: Mapping[ServiceName, str] = {}
        try:
            async with asyncio.timeout(query.timeout):
                # What was saved just before counts, whether or not the watch has seen it yet.
                await self._daemon.source.refresh()
                await self._daemon.manifests_read()
                while (missing := self._missing(query)) and not self._in_vain(query):
                    await self._daemon.next_picture()
                    if self._daemon.is_over:
                        break
            exit_code = NOT_MET if missing else 0
        except TimeoutError:
            missing, exit_code = self._missing(query), TIMED_OUT
        took = asyncio.get_running_loop().time() - begun
        return WaitResult(
            exit_code=exit_code if missing else 0,
            missing={**missing, **self._in_vain(query)} if missing else {},
            seconds=took,
        )

    async def settings(self) -> Sequence[Setting]:
        """Give the effective weaver.yaml."""
        return self._parts.settings()

    async def doctor(self) -> Sequence[Finding]:
        """Look for what is wrong with this set-up."""
        return [*self._parts.examine(), *returned(self.brought_back)]

    async def manifest(self, service: ServiceName) -> str:
        """Give the text of a service's manifest as saved, its document alone."""
        status = self._known(service)
        if not status.source.file:
            raise NotFoundError(
                f"no manifest defines {service}: it is ephemeral",
                mend="weaver apply -f, without --ephemeral, writes one",
            )
        return await self._parts.tools.drafts.document(status.source.file, service)

    async def surroundings(self, service: ServiceName) -> Surroundings:
        """Give the environment, directory and identity of a service's first slot."""
        spec = self._known(service).spec
        if spec is None:
            raise ManifestError(
                f"cannot tell how {service} runs: its manifest never was valid",
                mend=f"weaver why {service}",
            )
        slot = Slot(service=service, index=0)
        made = await asyncio.to_thread(self._parts.prepare, spec, slot, NO_RUN)
        env = {name: value for name, value in made.env.items() if name != "WEAVER_RUN"}
        account = made.identity.account or Account(
            uid=os.geteuid(), gid=os.getegid(), groups=tuple(os.getgroups())
        )
        return Surroundings(
            service=service,
            cwd=made.cwd,
            env=env,
            account=account,
            identity=made.identity,
        )

    # --- long verbs ------------------------------------------------------------------------

    def change(self, request: Change, terms: Terms) -> AsyncIterator[Message]:
        """Change manifests: validate, guard, preview, commit, follow that commit, report."""
        return safely(self._changes.run(request, terms))

    def operate(self, request: OperationRequest, terms: Terms) -> AsyncIterator[Message]:
        """Do what changes no manifest."""
        if isinstance(request, Syncing):
            return safely(self._syncer.run(request, terms))
        return safely(self._operations.run(request, terms))

    # --- gathering -------------------------------------------------------------------------

    @property
    def _has_been_told(self) -> bool:
        """Tell whether there is something to show: all, or why the manifests cannot be read."""
        return self._daemon.has_seen_all or bool(self._daemon.source.held)

    async def _first_sight(self) -> None:
        """Wait a moment for what is read at the start, rather than show nothing."""
        with suppress(TimeoutError):
            async with asyncio.timeout(FIRST_SIGHT_S):
                while not self._has_been_told and not self._daemon.is_over:
                    await self._daemon.next_picture()

    async def _catch_up(self) -> None:
        """Show a commit that was made just now, if that can be had quickly."""
        with suppress(TimeoutError):
            async with asyncio.timeout(NEWS_S):
                if await self._daemon.source.follow_branch():
                    await self._daemon.caught_up()

    async def _fetch(self) -> str:
        """Have what is followed looked at; say so where nobody has pushed anything yet."""
        following = self._parts.following
        if following is None:
            return ""
        await following.look()
        if not following.awaits_first:
            return ""
        facts = following.facts()
        return f"{facts.address} is empty: the first push of {facts.branch} starts what it brings"

    async def listening(self, within_s: float) -> dict[Slot, tuple[str, ...]]:
        """Give where each running slot listens, for somebody who can wait for it."""
        usage = await self._usage(self._daemon.picture(), within_s)
        return {slot: found.listening for slot, found in usage.items()}

    async def _usage(self, picture: Picture, within_s: float = QUICKLY_S) -> dict[Slot, Usage]:
        slots = {
            str(shown.slot): shown
            for status in picture.services.values()
            for shown in status.slots
            if shown.process is not None
        }
        targets: dict[str, ProcessId] = {
            key: shown.process.id for key, shown in slots.items() if shown.process is not None
        }
        found = self._parts.sampler.sample(targets)
        if len(found) < len(targets):
            found = await self._parts.sampler.fresh(targets, within_s=within_s)
        return {slots[key].slot: usage for key, usage in found.items()}

    def _wall_at(self, at: Nanos) -> float:
        clock = self._parts.clock
        return clock.wall() - in_seconds(Nanos(clock.now() - at))

    def _facts(self) -> DaemonFacts:
        parts = self._parts
        return DaemonFacts(
            pid=os.getpid(),
            version=__version__,
            uptime=in_seconds(parts.clock.now()) - in_seconds(self._begun),
            holder_pid=parts.holder_pid(),
            root=str(parts.paths.root),
            state_dir=str(parts.paths.state),
            socket=str(parts.paths.socket),
            mode="commit" if parts.following else "worktree",
            source=parts.following.facts() if parts.following else None,
            push=parts.pushing.facts() if parts.pushing else None,
            metrics_listen=parts.metrics_listen(),
            troubles=self.troubles(),
            brought_back=self.brought_back,
        )

    def troubles(self) -> tuple[str, ...]:
        """Say what is wrong with Weaver itself just now."""
        daemon = self._daemon
        said = (daemon.journal.trouble, daemon.problem, daemon.host_problem)
        return tuple(text for text in (*said, *self._parts.troubles()) if text)

    def _known(self, service: ServiceName) -> ServiceStatus:
        services = self._daemon.picture().services
        guards.known((service,), services)
        return services[service]

    def _missing(self, query: WaitQuery) -> dict[ServiceName, str]:
        """Give the services that are not where they are waited for, and why."""
        picture = self._daemon.picture()
        guards.known(query.services, picture.services)
        names = self._awaited(query)
        missing = {
            name: picture.services[name].reason or f"it is {picture.services[name].state}"
            for name in names
            if not has_reached(picture.services[name], query.goal)
        }
        if query.revision and not picture.revision.commit.startswith(query.revision):
            behind = f"revision {query.revision[:7]} is not the one followed"
            missing = {name: missing.get(name, behind) for name in names}
        return missing

    def _awaited(self, query: WaitQuery) -> Sequence[ServiceName]:
        """Give the services that are waited for: those named, else all that the goal is for."""
        services = self._daemon.picture().services
        return query.services or [
            name for name, status in services.items() if concerns(status, query.goal)
        ]

    def _in_vain(self, query: WaitQuery) -> dict[ServiceName, str]:
        """Give the services that will not get there by waiting, and why."""
        if query.revision:
            return {}  # what that revision asks for is not known before it is read
        services = self._daemon.picture().services
        found = {
            name: cannot_reach(services[name], query.goal)
            for name in self._awaited(query)
            if name in services and not has_reached(services[name], query.goal)
        }
        return {name: why for name, why in found.items() if why}

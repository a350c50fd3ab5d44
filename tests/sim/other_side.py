"""What a daemon of a day of asking has around it: its record, its repository, and a way to die.

Each part belongs to one life. Who belongs to a dead daemon writes nothing any more.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from reconciler.adapters.git.reading import Reading
from reconciler.adapters.git.remote.repository import FollowedRepository, Ties
from reconciler.adapters.sqlite import reading, writing
from reconciler.core.engine import Engine
from reconciler.model.desired import ManifestSet
from reconciler.model.event import Event, Happening, ManifestsRead
from reconciler.model.overlay import LayOver
from reconciler.model.record import Memory
from reconciler.model.spec import ServiceSpec
from reconciler.model.units import ServiceName
from reconciler.ports import CommitRequest, Committed, HostError
from tests.runtime import fakes
from tests.runtime.fakes import apply
from tests.sim.branches import Branch
from tests.sim.store import empty_record

Specs = Mapping[ServiceName, ServiceSpec]
POLL_S = 10.0
DISK_TAKES_S, BUILDING_TAKES_S = 0.01, 0.1


def new_record() -> sqlite3.Connection:
    """Give a record in which nothing is written."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.deserialize(empty_record())
    return connection


@dataclass(eq=False)
class Life:
    """One daemon's life; it may end at a point that is named before."""

    doom: str = ""
    is_over: bool = False
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    async def comes_to(self, point: str) -> None:
        """Pass a point of the way from a wish to a commit, unless that is where it dies."""
        if not self.is_over and self.doom == point:
            self.is_over = True
            self.ended.set()
            await asyncio.get_running_loop().create_future()


class Disk:
    """Implements `Pending` by the real statements; the disk outlives the daemon."""

    def __init__(self, connection: sqlite3.Connection, life: Life) -> None:
        self._connection = connection
        self._life = life
        self._turn = asyncio.Lock()
        """One thread writes, in the order in which it is asked."""

    async def keep(self, change: str, text: str) -> None:
        await self._reach("keep")
        writing.keep_change(self._connection, change, text)
        await self._life.comes_to("kept")

    async def let_go(self, changes: Sequence[str]) -> None:
        await self._reach("let go")
        writing.let_changes_go(self._connection, changes)
        await self._life.comes_to("gone")

    async def kept(self) -> Sequence[tuple[str, str]]:
        await self._reach("look up")
        return reading.changes(self._connection)

    async def _reach(self, point: str) -> None:
        await self._life.comes_to(point)
        async with self._turn:
            if not self._life.is_over:
                await asyncio.sleep(DISK_TAKES_S)
        if self._life.is_over:
            raise asyncio.CancelledError  # the dead write nothing, and answer nobody


class _Found(Reading):
    """Finds the commits of operations on the made-up branch."""

    branch: Branch

    async def landed(self, op_id: str, since: str) -> str:
        news = self.branch.past(self.branch.verified) - self.branch.past(since)
        return next((one for one in sorted(news) if op_id in self.branch.commits[one].asked), "")


class Pushed(FollowedRepository, _Found):
    """The shipped repository that is followed, above a made-up mirror and a made-up hand."""

    def __init__(self, branch: Branch, contents: dict[str, Specs], life: Life, luck: Any) -> None:
        self._life = life
        self._behind = ""
        self.branch = branch
        self.contents = contents
        self._requests: dict[str, CommitRequest] = {}
        self._asked: CommitRequest | None = None
        mirror = SimpleNamespace(
            repo=SimpleNamespace(git_dir=Path("/srv/home/mirror.git"), folder=""),
            address=branch.address,
            push=self._send,
            verified=lambda: branch.verified,
        )
        ties = Ties(look=self._look, adopt=self._adopt, held=lambda: self._behind, luck=luck)
        super().__init__(cast(Any, mirror), "/srv/home", ties)
        self._writer = cast(Any, _Hand(self._build))

    @property
    def writes(self) -> str:
        """Name the operations that are being written; empty while none is."""
        return "" if self._asked is None else self._asked.op_id

    async def commit(self, request: CommitRequest) -> Committed:
        self._asked = request
        try:
            return await super().commit(request)
        finally:
            self._asked = None

    async def poll(self) -> None:
        """Look at the other side by the clock, as whoever follows it does."""
        while True:
            await asyncio.sleep(POLL_S)
            await self._look()

    async def _look(self) -> None:
        try:
            tip = await self.branch.look()
        except HostError as why:
            self._behind = str(why)
            return
        self._behind = ""
        if not self._life.is_over:
            self.branch.verified = tip

    async def _adopt(self, commit: str) -> None:
        await self._life.comes_to("pushed")
        self.branch.verified = commit

    async def _build(self) -> Committed:
        await self._life.comes_to("build")
        await asyncio.sleep(BUILDING_TAKES_S)
        request, parent = self._asked, self.branch.verified
        assert request is not None, "a commit is built that nobody asked for"
        before = self.contents[parent]
        after = apply(before, request.intents)
        if after == before:
            return Committed(commit=parent, changed=False)
        made = self.branch.make(parent, is_signed=True, asked=tuple(request.op_id.split(", ")))
        self.contents[made] = after
        await self._life.comes_to("built")
        return Committed(commit=made, changed=True)

    def _send(self, commit: str, home: str) -> None:
        if self._life.is_over:
            raise HostError("the daemon is dead")
        self.branch.push(commit, home)


@dataclass(frozen=True, slots=True)
class _Hand:
    """Makes commits as the writer does."""

    build: Callable[[], Any]

    async def ask(self, question: bytes) -> Committed:
        del question
        return cast(Committed, await self.build())

    async def close(self) -> None:
        """Nothing is kept open."""


class Around:
    """What a daemon is to those who write; it reads what is followed, and runs nothing."""

    def __init__(self, repository: Pushed, dropped: set[str]) -> None:
        self._dropped = dropped
        self._repository = repository
        self._engine = Engine(Memory(boot=fakes.BOOT))
        self.clock = fakes.FakeClock()
        self.laid: list[Event] = []
        self.source = SimpleNamespace(last=None, held="", refresh=self._refresh)

    async def manifests_read(self) -> None:
        if self.source.last is None:
            await self._refresh()

    async def _refresh(self) -> None:
        await asyncio.sleep(0.02)
        commit = self._repository.branch.verified
        found = fakes.manifests(*self._repository.contents[commit].values(), commit=commit)
        self.source.last = found
        self.tell(ManifestsRead(manifests=found))

    async def caught_up(self) -> None:
        await asyncio.sleep(0)

    def tell(self, event: Event) -> None:
        if isinstance(event, LayOver):
            self.laid.append(event)
        self._engine.step([event], self.clock.now())

    def picture(self) -> Any:
        return self._engine.picture(self.clock.now())

    def situation(self) -> Any:
        return self._engine.situation(self.clock.now())

    def credit(self, commit: str, actor: str) -> None:
        del commit, actor

    def ask(self, operation: object) -> None:
        del operation

    async def note(self, happening: Happening) -> None:
        if happening.kind == "git.dropped":
            self._dropped.add(str(happening.data["opId"]))


class Saved:
    """What drafts are made to: the manifests as they were read last."""

    def __init__(self, around: Around) -> None:
        self._around = around

    @property
    def specs(self) -> Specs:
        last: ManifestSet = self._around.source.last
        return {name: found.spec for name, found in last.definitions.items()}

"""People who ask a daemon for changes all day, while it dies and others push: none is lost.

Plays the shipped queue, what is kept of it, and its commits under races, by a clock that leaps.
The rules are stated anew, from who asked what in which order, and what is in the branch.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections import Counter
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any, cast

from reconciler.adapters.sqlite import reading
from reconciler.core.diff import Language
from reconciler.model.change import Effect
from reconciler.model.units import ServiceName
from reconciler.ports import Author, BlockedError, ConflictError, ManifestError
from reconciler.runtime.landing import Landed, Landing, Tools
from reconciler.runtime.pending import Keeping, read
from reconciler.runtime.requests import (
    Apply,
    Assignment,
    Change,
    Document,
    SetValues,
    StopServices,
    Terms,
)
from reconciler.runtime.resuming import Resuming
from tests.runtime import fakes
from tests.sim.branches import PATIENCE_S, Branch
from tests.sim.leaping import play_out
from tests.sim.luck import Luck
from tests.sim.other_side import Around, Disk, Life, Pushed, Saved, Specs, new_record

DEEDS = 14
NAMES = ("api", "db", "web")
KINDS = (
    *("ask",) * 8,
    *("burst", "push", "race", "die", "die") * 2,
    *("spoil", "hang-up", "for-a-while", "leave", "down", "slow", "mend", "mend"),
)
POINTS = ("keep", "kept", "build", "built", "pushed", "let go", "gone", "look up")
"""Where a daemon may die on the way from a wish to a commit."""
SPANS = (0.0, 0.03, 0.15, 0.6, 4.0)
REST_S = 4 * PATIENCE_S + 120.0
NUMBER = re.compile(r"=(\d+)")
LANGUAGE = Language(
    describe=lambda spec: {"digest": spec.digest, "state": str(spec.state)},
    effect_of=lambda _: Effect.RESTART,
)


def ask_for_a_day(seed: int) -> None:
    """Play one day. Raises AssertionError, in words, where a rule is broken."""
    # A daemon that dies all day complains all day.
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        play_out(_Day(Luck(f"askers {seed}")).live())
    finally:
        logging.disable(before)


@dataclass(eq=False)
class _Wish:
    """A change that somebody asked for."""

    number: int
    author: str
    service: str
    task: asyncio.Task[None] | None = None
    answer: Landed | BaseException | None = None
    has_left: bool = False
    is_kept: bool = False
    """Whether it was on disk when its daemon died."""
    is_dropped: bool = False
    never: str = ""
    """Why it must not be in the branch; empty where it may."""


class _Day:
    def __init__(self, luck: Luck) -> None:
        self.luck = luck.of("deeds")
        self.jitter = luck.of("jitter")
        self.branch = Branch(
            watch=lambda *_: None, watch_look=lambda _: None, watch_break=lambda: None
        )
        first = self.branch.make("", is_signed=True)
        self.branch.tip = self.branch.verified = first
        specs = [fakes.service(name) for name in NAMES]
        self.contents: dict[str, Specs] = {first: {spec.name: spec for spec in specs}}
        self.record = new_record()
        self.wishes: list[_Wish] = []
        self.numbers: dict[str, int] = {}
        """Of wishes, by the operation id under which they are kept."""
        self.dropped: set[str] = set()

    # --- a daemon --------------------------------------------------------------------------

    def begin(self) -> None:
        """Begin a daemon's life, which takes up what is kept."""
        self.life = Life()
        disk = Disk(self.record, self.life)
        self.repository = Pushed(self.branch, self.contents, self.life, self.jitter.random)
        self.around = Around(self.repository, self.dropped)
        tools = Tools(
            repository=cast(Any, self.repository),
            drafts=cast(Any, fakes.FakeDrafts(cast(Any, Saved(self.around)))),
            language=LANGUAGE,
            tail=cast(Any, None),
            auto_commit=lambda: True,
            pending=disk,
        )
        daemon, keeping = cast(Any, self.around), Keeping(disk, lambda: True)
        self.landing = Landing(daemon, tools, keeping)
        self.resuming = Resuming(daemon, tools.repository, self.landing, keeping)
        work = (self.resuming.run(), self.repository.poll())
        self.tasks = [asyncio.create_task(one) for one in work]

    async def die(self) -> None:
        """End the daemon where it stands; whoever waits hears nothing."""
        self.life.is_over = True
        for id_, text in self.on_disk():
            number = self.number_of(id_, text)
            if number is not None:
                self.wishes[number].is_kept = True
        mine = asyncio.all_tasks() - {asyncio.current_task()}
        for one in mine:
            one.cancel()
        await asyncio.gather(*mine, return_exceptions=True)

    def on_disk(self) -> list[tuple[str, str]]:
        """Give what is kept."""
        return reading.changes(self.record)

    def number_of(self, id_: str, text: str) -> int | None:
        """Give the number of a wish that is kept."""
        request = read(id_, text).request
        if not isinstance(request, SetValues):
            return None
        self.numbers[id_] = int(request.assignments[0].value or 0)
        return self.numbers[id_]

    # --- deeds -----------------------------------------------------------------------------

    async def live(self) -> None:
        """Live through the day, and come to rest."""
        self.begin()
        try:
            for _ in range(DEEDS):
                await self.do(self.luck.choice(KINDS))
                await self.pass_time(self.luck.choice(SPANS))
                self.see()
            await self.come_to_rest()
        finally:
            await self.die()

    async def pass_time(self, span_s: float) -> None:
        """Let time pass; a daemon that dies in it has a successor at once."""
        until = asyncio.get_running_loop().time() + span_s
        while True:
            left = until - asyncio.get_running_loop().time()
            try:
                async with asyncio.timeout(max(0.0, left)):
                    await self.life.ended.wait()
            except TimeoutError:
                return
            await self.die()
            self.begin()

    async def do(self, kind: str) -> None:
        """Do one thing to the daemon, to the branch, or to the line."""
        match kind:
            case "ask" | "burst":
                for _ in range(1 if kind == "ask" else self.luck.randint(2, 4)):
                    self.ask()
            case "push":
                self.push()
            case "race":
                self.ask()
                await self.pass_time(0.08)
                self.push()
            case "die":
                await self.have_it_die()
            case "spoil":
                self.spoil()
            case "for-a-while":
                stop = StopServices(services=(ServiceName("web"),), lasts=60.0)
                self.ask(request=stop, never="it is for a while")
            case "leave":
                await self.leave()
            case _:
                self.disturb(kind)

    async def have_it_die(self) -> None:
        """Let the daemon die now, or where it comes to a point of its way with a wish."""
        self.life.doom = self.luck.choice(("", *POINTS))
        self.ask()
        if not self.life.doom:
            await self.pass_time(self.luck.choice(SPANS))
            await self.die()
            self.begin()

    def disturb(self, kind: str) -> None:
        """Put the line out of order, or in order."""
        side = self.branch
        match kind:
            case "hang-up":
                side.forgets_answer = True
                self.ask()
            case "down":
                side.is_down = True
            case "slow":
                side.delay_s = 3.0
            case _:
                self.mend()

    def mend(self) -> None:
        """Put the line in order."""
        side = self.branch
        side.is_down, side.delay_s, side.forgets_answer = False, 0.0, False

    def push(self) -> None:
        """Have somebody else push a change of a service."""
        side, name = self.branch, ServiceName(self.luck.choice(NAMES))
        made = side.make(side.tip, is_signed=True)
        specs = self.contents[side.tip]
        other = replace(specs[name], digest=cast(Any, f"{specs[name].digest}+theirs"))
        self.contents[made] = {**specs, name: other}
        side.tip = made

    def ask(self, request: Change | None = None, never: str = "") -> _Wish:
        """Have somebody ask for a change of one service, and wait for the answer."""
        number = len(self.wishes)
        author, service = self.luck.choice(("ada", "ada", "bob")), self.luck.choice(NAMES)
        assignment = Assignment(path="env.A", value=str(number))
        plain = SetValues(service=ServiceName(service), assignments=(assignment,))
        wish = _Wish(number, author, service, never=never)
        self.wishes.append(wish)
        wish.task = asyncio.create_task(self._wait(wish, request or plain))
        return wish

    def spoil(self) -> None:
        """Have somebody ask for what is no manifest, in the middle of others."""
        self.ask()
        bad = Apply(documents=(Document(text=f"{self.luck.choice(NAMES)} bad"),))
        self.ask(request=bad, never="it is no manifest")
        self.ask()

    async def leave(self) -> None:
        """Have somebody hang up; behind another one's commit nothing of it may be made."""
        first, second = self.ask(), self.ask()
        await self.pass_time(0.1)
        life, others = self.life, self.repository.writes
        queued = {self.number_of(*one): one[0] for one in self.on_disk()}
        is_behind = bool(others) and queued.get(second.number, others) not in others
        for wish in (second, first)[: self.luck.randint(1, 2)]:
            if wish.task is not None and not wish.task.done():
                wish.has_left = True
                wish.task.cancel()
        await self.pass_time(0.03)
        if second.has_left and is_behind and life is self.life and not life.is_over:
            second.never = "nobody waits for it any more"

    async def _wait(self, wish: _Wish, request: Change) -> None:
        author = Author(name=wish.author, email=f"{wish.author}@example.org", uid=1000)
        try:
            async with aclosing(self.landing.land(request, Terms(author=author))) as told:
                async for one in told:
                    if isinstance(one, Landed):
                        wish.answer = one
        except asyncio.CancelledError:
            raise
        except Exception as why:  # noqa: BLE001 - it is the answer
            wish.answer = why

    # --- what must hold --------------------------------------------------------------------

    def written(self) -> dict[str, list[int]]:
        """Give the numbers of the wishes in the branch, by service, in their order."""
        specs = self.contents[self.branch.tip]
        return {name: [int(n) for n in NUMBER.findall(spec.digest)] for name, spec in specs.items()}

    def see(self) -> None:
        """See what holds at every moment."""
        written = self.written()
        there = Counter(number for numbers in written.values() for number in numbers)
        for number, times in there.items():
            assert times == 1, f"change {number} is in the branch {times} times"
            never = self.wishes[number].never
            assert not never, f"change {number} is in the branch, but {never}"
        for name, numbers in written.items():
            for author in ("ada", "bob"):
                own = [n for n in numbers if self.wishes[n].author == author]
                assert own == sorted(own), f"of {name} a later change was overtaken by an earlier"
        for wish in self.wishes:
            self._answered_truly(wish, is_there=wish.number in there)
        self._is_kept_in_time()
        bad = [
            spec.name for spec in self.contents[self.branch.tip].values() if spec.digest == "bad"
        ]
        assert not bad, f"{bad} is no manifest, and in the branch"

    def _is_kept_in_time(self) -> None:
        """See that what is being written is on disk, and nothing that has an end of its own."""
        kept = dict(self.on_disk())
        for id_ in filter(None, self.repository.writes.split(", ")):
            assert id_ in kept, f"{id_} is written, and would die with its daemon"
        for id_, text in kept.items():
            request = read(id_, text).request
            lasts = isinstance(request, StopServices | Apply) and request.lasts
            assert not lasts, "what is for a while is kept like a commit"

    def _answered_truly(self, wish: _Wish, *, is_there: bool) -> None:
        answer = wish.answer
        if isinstance(answer, Landed) and not wish.never:
            assert is_there, f"change {wish.number} was told as made, and is nowhere"
        if isinstance(answer, ConflictError | BlockedError | ManifestError):
            assert not is_there, f"change {wish.number} was refused, and made"
        if isinstance(answer, BaseException) and not wish.never:
            assert not isinstance(answer, ManifestError), f"{wish.number} is refused for another"

    async def come_to_rest(self) -> None:
        """Put all in order, and see that every change that was kept has come to its end."""
        self.life.doom = ""
        self.mend()
        await self.pass_time(REST_S)
        self.see()
        written = {number for numbers in self.written().values() for number in numbers}
        dropped = {self.numbers.get(id_) for id_ in self.dropped}
        for wish in self.wishes:
            is_known = wish.number in written or wish.number in dropped or wish.never
            is_owed = wish.is_kept and wish.answer is None and not wish.has_left
            assert is_known or not is_owed, f"change {wish.number} was kept, and is lost"
            is_waiting = wish.task is not None and not wish.task.done()
            assert not is_waiting, f"who asked for change {wish.number} waits for ever"
        assert self.on_disk() == [], "what is over is kept"
        assert not self.resuming.problem, "an obstacle is told that is gone"
        last = self.ask()
        await self.pass_time(5.0)
        self.see()
        assert isinstance(last.answer, Landed), f"nobody can change anything: {last.answer}"

"""A host that follows a branch elsewhere, for a day: people push, rewrite and remove it.

Plays the shipped following and pushing by a clock that leaps. The rules are stated anew, against
what is on the other side, what the host reads, and when it asks.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import msgspec

from reconciler.adapters.git.reading import Reading
from reconciler.adapters.git.remote.repository import FollowedRepository, Ties
from reconciler.core.trust import Verify
from reconciler.manifest.config import Config
from reconciler.manifest.intent import Intent
from reconciler.model.desired import ManifestSet, Revision
from reconciler.model.event import Happening
from reconciler.model.units import Nanos, ServiceName, seconds
from reconciler.ports import (
    Author,
    BlockedError,
    CommitRequest,
    Committed,
    ConflictError,
    WeaverError,
)
from reconciler.runtime.drafting import EnvFiles, Texts
from reconciler.runtime.following import Following, Hands
from tests.sim.branches import PATIENCE_S, Branch
from tests.sim.leaping import play_out
from tests.sim.luck import Luck

DEEDS = 45
LONGEST_S = 300.0
"""Between two looks at a side that is down, but for a tenth."""
ENOUGH = 3
"""Failed looks in a row, after which what runs is called old."""
SOON_S = 4 * PATIENCE_S + 1
"""Within which an answer to who asks for a look is there, were each question as slow as can be."""
FIRST_POLL_S = 10
"""Until settings were read."""
HURRIED_LOOKS = 2
"""The one under way when somebody hurries, and the one that is asked for."""
ADA = Author(name="Ada", email="ada@example.org", uid=1000)
KINDS = (
    *("push",) * 6,
    *("unsigned", "burst", "set-back", "rewrite", "remove", "down", "silent", "slow") * 2,
    *("old-answers", "change", "change", "change", "race", "race", "hang-up", "accept", "wrong"),
    *("mend", "mend", "mend", "restart", "sync", "sync", "wait", "wait"),
)


def follow_for_a_day(seed: int) -> None:
    """Play one day. Raises AssertionError, in words, where a rule is broken."""
    play_out(_Day(Luck(f"followers {seed}")).live())


@dataclass(frozen=True, slots=True)
class _Read:
    """What a reading gave: nothing but where it was read."""

    config: Config
    env_files: EnvFiles = field(default_factory=dict)

    def assemble(self, revision: Revision) -> ManifestSet:
        return ManifestSet(revision=revision)


class _Hand:
    """Makes commits of what people ask Weaver for, on what is followed."""

    def __init__(self, branch: Branch) -> None:
        self._branch = branch

    async def ask(self, question: bytes) -> Committed:
        await asyncio.sleep(0.1)
        told = msgspec.json.decode(question)
        made = self._branch.make(self._branch.verified, is_signed=True, asked=(told["op_id"],))
        return Committed(commit=made, changed=True)

    async def close(self) -> None:
        """Nothing is kept open."""


class _Found(Reading):
    """Finds the commits of operations on the made-up branch."""

    branch: Branch

    async def landed(self, op_id: str, since: str) -> str:
        news = self.branch.past(self.branch.verified) - self.branch.past(since)
        return next((one for one in news if op_id in self.branch.commits[one].asked), "")


class _Pushing(FollowedRepository, _Found):
    def __init__(self, branch: Branch, ties: Ties) -> None:
        mirror = SimpleNamespace(
            repo=SimpleNamespace(git_dir=Path("/srv/home/mirror.git"), folder=""),
            address=branch.address,
            push=branch.push,
            verified=lambda: branch.verified,
        )
        super().__init__(cast(Any, mirror), "/srv/home", ties)
        self.branch = branch
        self._writer = cast(Any, _Hand(branch))


class _Day:
    def __init__(self, luck: Luck) -> None:
        self.luck = luck.of("deeds")
        self.jitter = luck.of("jitter")
        own = luck.of("host")
        self.poll_s = own.choice((10, 30, 60))
        self.verify = own.choice((Verify.OFF, Verify.HEAD, Verify.RANGE, Verify.RANGE))
        self.config = Config(poll=seconds(self.poll_s), verify=self.verify)
        self.branch = Branch(
            watch=self._followed, watch_look=self._looked, watch_break=self._broke_off
        )
        self.allowed = ""
        """The commit that somebody is saying yes to."""
        self.faults: list[str] = []
        self.asked: dict[str, asyncio.Task[Committed]] = {}
        self.runs = ""
        """The commit that was read last."""
        self.failures = self.before = 0
        """Failed looks in a row, now and before the last look."""
        self.looked_at: float | None = None
        self.hurried = 0
        self.tasks: list[asyncio.Task[None]] = []

    # --- a daemon --------------------------------------------------------------------------

    async def begin(self) -> None:
        """Begin a daemon's life."""
        self.runs = ""
        self.hurried, self.looked_at, self.failures = HURRIED_LOOKS, None, 0
        self.following = Following(Path("/srv/home"), self.branch, self._hands())
        await self.following.resume()
        ties = Ties(
            look=self._look,
            adopt=self.following.adopt,
            held=lambda: self.following.behind,
            luck=self.jitter.random,
        )
        self.repository = _Pushing(self.branch, ties)
        work = (self.following.run(), self._read())
        self.tasks = [asyncio.create_task(one) for one in work]

    async def end(self) -> None:
        """End the daemon, and whoever waits for it."""
        mine = [*self.tasks, *self.asked.values()]
        for one in mine:
            one.cancel()
        await asyncio.gather(*mine, return_exceptions=True)
        self.see()

    async def _read(self) -> None:
        """Read as the daemon does: at first, and whenever something moved."""
        with suppress(WeaverError):
            await self._read_once()
        async for _ in self.following.changes():
            with suppress(WeaverError):
                await self._read_once()

    async def _read_once(self) -> None:
        try:
            self.runs = (await self.following.read()).revision.commit
        except WeaverError:
            self._must(not self.branch.verified, "what was followed is read no more")
            raise

    async def _look(self) -> None:
        self.hurried = HURRIED_LOOKS
        await self.following.look()

    def _hands(self) -> Hands:
        return Hands(
            read_commit=self._read_commit,
            own_settings=self._own_settings,
            read_texts=self._read_texts,
            texts=lambda _: {},
            changes=_no_changes,
            also_watch=lambda _: None,
            contents=lambda _: ({}, {}),
            replay=self._replay,
            split=_split,
            now=lambda: Nanos(int(_now() * 1e9)),
            luck=self.jitter.random,
            note=self._note,
        )

    async def _read_commit(self, commit: str) -> _Read:
        del commit
        if self.following.settings.now.poll != self.config.poll:
            self.hurried = HURRIED_LOOKS  # another rhythm begins with a look
        return _Read(self.config)

    async def _own_settings(self) -> Config:
        return self.config

    async def _read_texts(self, texts: Texts, env_files: EnvFiles) -> _Read:
        del texts
        return _Read(self.config, env_files)

    async def _replay(self, texts: Texts, intents: Sequence[Intent]) -> Mapping[str, bytes | None]:
        del texts, intents
        return {}

    async def _note(self, happening: Happening) -> None:
        del happening

    # --- what must hold --------------------------------------------------------------------

    def _must(self, holds: bool, rule: str) -> None:
        """Keep what is broken until it can be told: following survives any exception."""
        if not holds:
            self.faults.append(rule)

    def _followed(self, new: str, old: str) -> None:
        ours = new in self.branch.taken
        if new == self.allowed:
            return
        past = self.branch.past(new)
        self._must(not old or old in past, "an older or another history is followed unasked")
        if self.verify is not Verify.OFF and not ours:
            signed = self.branch.commits
            is_range = self.verify is Verify.RANGE and old
            new_ones = past - self.branch.past(old) if is_range else {new}
            bad = [one for one in new_ones if not signed[one].is_signed]
            self._must(not bad, "a commit is followed whose signature does not hold")

    def _looked(self, has_worked: bool) -> None:
        now = _now()
        if self.looked_at is not None and not self.hurried:
            poll_s = self.poll_s if self.runs else FIRST_POLL_S
            most = max(LONGEST_S, float(poll_s))
            wanted = min(poll_s * 2.0 ** max(0, self.failures - 1), most)
            pause = now - self.looked_at
            self._must(pause >= 0.89 * wanted, "the other side is asked too often")
            self._must(
                pause <= 1.11 * wanted + 2 * PATIENCE_S, "the other side is asked too seldom"
            )
        self.looked_at, self.hurried = now, max(0, self.hurried - 1)
        self.before = self.failures
        self.failures = 0 if has_worked else self.failures + 1

    def _broke_off(self) -> None:
        """Heed that a look has failed behind its first answer."""
        self.looked_at, self.failures = _now(), self.before + 1

    def see(self) -> None:
        """See that no rule was broken, and that what is told is true."""
        for rule in self.faults:
            raise AssertionError(rule)
        problem = self.following.problem
        assert not problem.startswith("cannot follow"), problem
        landed = [name for one in self.branch.taken for name in self.branch.commits[one].asked]
        assert len(set(landed)) == len(landed), "a change is in the branch twice"
        for name, task in self.asked.items():
            if task.done() and not task.cancelled():
                why = task.exception()
                is_there = name in landed
                assert is_there or why is not None, "a change that was told as made is nowhere"
                is_refused = isinstance(why, BlockedError | ConflictError)
                assert not (is_there and is_refused), "a change was refused, and made"

    def look_around(self) -> None:
        """See, while nobody looks at the other side, that the host says where it stands."""
        self.see()
        if self.branch.delay_s or not self.tasks or self.looked_at is None:
            return
        if self.failures:
            is_old = bool(self.following.behind)
            held = self.following.standing.held is not None
            if self.failures >= ENOUGH:
                assert is_old, "nobody is told that the branch is not seen"
            elif not held:
                assert not is_old, "a branch that was missed once or twice counts as not seen"

    async def come_to_rest(self) -> None:
        """Put all in order, and see that the branch is followed, first late and then in time."""
        side = self.branch
        side.is_down, side.delay_s, side.says_old, side.forgets_answer = False, 0.0, "", False
        side.tip = side.tip or side.verified or side.make("", is_signed=True)
        await asyncio.sleep(1.1 * max(LONGEST_S, self.poll_s) + 2 * PATIENCE_S)
        self.look_around()
        if not self._may_follow():
            assert self.following.behind, "a branch is not followed, and nobody says why"
            assert self.following.standing.fetched == side.tip, "the newest is not named"
            await self.accept(side.tip)
            assert side.verified == side.tip, "what somebody said yes to is not followed"
        await asyncio.sleep(1)
        assert side.verified == self.runs == side.tip, "a branch that may be followed is not"
        assert not self.following.behind, "an obstacle is told that is gone"
        side.tip = side.make(side.tip, is_signed=True)
        await asyncio.sleep(1.1 * self.poll_s + 1)
        self.look_around()
        assert self.runs == side.tip, "a push is not followed within the interval"
        await self._come_back()
        await self._be_quick()

    async def _come_back(self) -> None:
        """See that a branch that was gone, or elsewhere, for a moment is followed as before."""
        side, here = self.branch, self.branch.tip
        for away in ("", side.commits[here].parent):
            side.tip = away
            await self.sync()
            assert self.following.behind, "a branch that went away counts as followed"
            side.tip = here
            await self.sync()
            self.see()
            assert not self.following.behind, "an obstacle is told that is gone"
            assert side.verified == self.runs == here, "a branch that came back is not followed"

    async def _be_quick(self) -> None:
        """See, while all is in order, that nobody waits who asks for a look or a change."""
        side = self.branch
        side.delay_s = 1.0
        first = asyncio.create_task(self.sync(within_s=5.0))
        await asyncio.sleep(0.5)
        await self.sync(within_s=5.0)
        await first
        side.delay_s = 0.0
        await self._made(self.change())
        assert self.runs == side.tip == side.taken[-1], "a change of ours is not followed at once"
        raced = self.change()
        await asyncio.sleep(0.05)
        side.tip = side.make(side.tip, is_signed=True)
        await self._made(raced)

    async def _made(self, name: str) -> None:
        await asyncio.sleep(5)
        self.see()
        assert self.asked[name].done(), "a change that nothing is against is not made"
        assert self.asked[name].exception() is None, "a change that nothing is against is refused"

    def _may_follow(self) -> bool:
        side, old = self.branch, self.branch.verified
        past = side.past(side.tip)
        if side.tip == old:
            return True
        if old not in ("", *past):
            return False
        is_range = self.verify is Verify.RANGE and old
        new_ones = past - side.past(old) if is_range else {side.tip}
        return self.verify is Verify.OFF or all(side.commits[one].is_signed for one in new_ones)

    # --- deeds -----------------------------------------------------------------------------

    async def live(self) -> None:
        """Live through the day, with a rest at noon and in the evening."""
        self.branch.tip = self.branch.make("", is_signed=True)
        await self.begin()
        try:
            for number in range(1, DEEDS + 1):
                await self.do(self.luck.choice(KINDS))
                spans = (0.05, 0.4, 2.0, self.poll_s / 3, self.poll_s * 1.2, self.poll_s * 4.0)
                await asyncio.sleep(self.luck.choice(spans))
                self.look_around()
                if number in (DEEDS // 2, DEEDS):
                    await self.come_to_rest()
        finally:
            await self.end()

    async def do(self, kind: str) -> None:
        """Do one thing to the branch, to the line, or to the host."""
        if not (self._move(kind) or self._disturb(kind)):
            await self._ask(kind)

    def _move(self, kind: str) -> bool:
        """Do to the branch what people do who have a clone; False: this is something else."""
        side = self.branch
        here = side.tip or side.verified
        match kind:
            case "push" | "unsigned":
                side.tip = side.make(here, is_signed=kind == "push")
            case "burst":
                middle = side.make(here, is_signed=self.luck.randrange(2) > 0)
                side.tip = side.make(middle, is_signed=True)
            case "set-back":
                past = sorted(side.past(here) - {here})
                side.tip = self.luck.choice(past[-3:]) if past else side.tip
            case "rewrite":
                side.tip = side.make(side.commits[here].parent if here else "", is_signed=True)
            case "remove":
                side.tip = ""
            case _:
                return False
        return True

    def _disturb(self, kind: str) -> bool:
        """Put the line to the other side out of order, or in order."""
        side = self.branch
        match kind:
            case "down":
                side.is_down = True
            case "silent" | "slow":
                side.delay_s = 3.0 if kind == "slow" else 10 * PATIENCE_S
            case "old-answers":
                side.says_old = self.luck.choice([*sorted(side.past(side.tip))[-3:], ""])
            case "mend":
                side.is_down, side.delay_s, side.says_old = False, 0.0, ""
                side.tip = side.tip or side.verified
            case _:
                return False
        return True

    async def _ask(self, kind: str) -> None:
        """Have people ask the host for something."""
        side = self.branch
        match kind:
            case "change" | "race" | "hang-up":
                side.forgets_answer = kind == "hang-up"
                self.change()
                if kind == "race":
                    await asyncio.sleep(0.05)
                    side.tip = side.make(side.tip or side.verified, is_signed=True)
            case "accept" | "wrong":
                await self.accept(self.following.standing.fetched, is_wrong=kind == "wrong")
            case "restart":
                await self.end()
                self.asked.clear()
                await self.begin()
            case "sync":
                await self.sync()
            case _:
                pass  # They leave it alone.

    def change(self) -> str:
        """Ask for a change, and wait for nothing."""
        name = f"op-{len(self.branch.commits)}-{len(self.asked)}"
        request = CommitRequest(intents=(), subject="web: set", author=ADA, op="set", op_id=name)
        self.asked[name] = asyncio.create_task(self.repository.commit(request))
        return name

    async def accept(self, commit: str, *, is_wrong: bool = False) -> None:
        """Say yes to a commit, or to one that is not there."""
        self.allowed = "" if is_wrong else commit
        self.hurried = HURRIED_LOOKS
        try:
            async with asyncio.timeout(SOON_S):
                await self.following.accept("f" * 40 if is_wrong else commit)
        except WeaverError:
            pass
        except TimeoutError:
            raise AssertionError("who says yes to a commit waits for the clock") from None
        else:
            assert not is_wrong, "a yes to one commit was taken for another"
        self.allowed = ""

    async def sync(self, within_s: float = SOON_S) -> None:
        """Have the other side looked at now."""
        self.hurried = HURRIED_LOOKS
        try:
            async with asyncio.timeout(within_s):
                await self.following.look()
        except TimeoutError:
            raise AssertionError("who asks for a look waits for the clock") from None


async def _no_changes() -> AsyncIterator[None]:
    await asyncio.get_running_loop().create_future()
    yield


async def _split(
    path: str, data: bytes, *, must_be_valid: bool
) -> Sequence[tuple[ServiceName, str]]:
    del path, data, must_be_valid
    return []


def _now() -> float:
    return asyncio.get_running_loop().time()

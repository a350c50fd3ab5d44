"""The manifests of a branch elsewhere: looked at by the clock or at once, read at one commit.

What is read is always the verified head of our mirror. Whatever goes wrong on the way to a newer
one - the other side is down, its history was rewritten - is said, and what runs runs on.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from reconciler.core import heads, polling, trust
from reconciler.core.heads import Held, Relation, Step
from reconciler.core.polling import Looks
from reconciler.core.trust import Keys, Verify
from reconciler.manifest.config import Config
from reconciler.manifest.intent import Intent
from reconciler.model.desired import ManifestSet, Revision
from reconciler.model.event import Happening
from reconciler.model.units import Nanos, ServiceName, in_seconds
from reconciler.ports import ConflictError, SourceHeldError, WeaverError
from reconciler.ports.upstream import Upstream
from reconciler.runtime.choosing import chosen, loaded_files, with_contents
from reconciler.runtime.control import SourceFacts
from reconciler.runtime.drafting import Drafting, EnvFiles, Gathered, Pens, Split, Texts
from reconciler.runtime.settings import Settings

log = logging.getLogger(__name__)

SHORTEST_COMMIT = 7
_ACCEPTABLE = (heads.HeadHold.HISTORY_REWRITTEN, heads.HeadHold.SIGNATURE_INVALID)
"""Holds that a person may lift, who has looked at the commit."""

Found = tuple[Mapping[str, str], Mapping[str, str]]
"""The hashes of files, and of those without one the reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where a branch is, here and elsewhere."""

    fetched: str = ""
    """What the other side had when it was looked at last."""
    verified: str = ""
    """What is followed."""
    held: Held | None = None
    """Why what was fetched is not followed."""
    looks: Looks = field(default_factory=Looks)
    problem: str = ""
    """Why the last look failed; empty where it did not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hands:
    """What a mirror and its home are read with."""

    read_commit: Callable[[str], Awaitable[Gathered]]
    """Reads the manifests of a commit, with the host's own settings."""
    own_settings: Callable[[], Awaitable[Config]]
    """Reads the host's own settings, whatever was followed so far."""
    read_texts: Callable[[Texts, EnvFiles], Awaitable[Gathered]]
    texts: Callable[[str], Texts]
    """Gives every manifest of a commit, and weaver.yaml. Blocks."""
    changes: Callable[[], AsyncIterator[None]]
    """Tells of changes in the home: the host's settings, env files."""
    also_watch: Callable[[Iterable[Path]], None]
    contents: Callable[[Iterable[str]], Found]
    """Hashes the files that services load. Blocks."""
    replay: Callable[[Texts, Sequence[Intent]], Awaitable[Mapping[str, bytes | None]]]
    split: Split
    now: Callable[[], Nanos]
    luck: Callable[[], float]
    note: Callable[[Happening], Awaitable[None]]


class Following:
    """One branch. Implements `Manifests`; `run` looks at the other side without end."""

    def __init__(
        self, home: Path, upstream: Upstream, hands: Hands, *, only: Iterable[ServiceName] = ()
    ) -> None:
        self._home = home
        self._upstream = upstream
        self._hands = hands
        self._only = frozenset(only)
        self.settings = Settings()
        self.standing = Standing()
        self.drafts = Drafting(
            Pens(texts=self._texts, read=self._read_draft, replay=hands.replay, split=hands.split)
        )
        """Tries changes of what is followed."""
        self._last: Gathered | None = None
        self._contents: Found = ({}, {})
        self._moved = asyncio.Event()
        self._hurried = asyncio.Event()
        self._opened = False
        self.awaits_first = False
        """Whether the repository is there, and nobody has pushed anything yet."""
        self._begun = 0
        self._done = 0
        self._turn = asyncio.Condition()
        self._following = asyncio.Lock()

    # --- Manifests -------------------------------------------------------------------------

    @property
    def behind(self) -> str:
        """Say why what is read is not the newest; empty where it is."""
        if self.standing.held is not None:
            return str(self.standing.held)
        return self.standing.problem if self.standing.looks.is_stale else ""

    async def read(self) -> ManifestSet:
        """Read the verified commit. Raises SourceHeldError where there is none yet."""
        if not self.standing.verified:
            await self._first_round()
        commit = self.standing.verified
        if not commit:
            raise SourceHeldError(
                str(self.standing.held or self.standing.problem or "nothing was fetched yet")
            )
        gathered = await self._hands.read_commit(commit)
        self._last = gathered
        if gathered.config.poll != self.settings.now.poll:
            self.hurry()  # the pause under way was by the former rhythm
        self.settings.take(gathered.config)
        found = gathered.assemble(Revision(commit=commit, branch=self._upstream.branch))
        loaded = loaded_files(found)
        self._hands.also_watch(self._home / path for path in (*gathered.env_files, *loaded))
        self._contents = await asyncio.to_thread(self._hands.contents, loaded)
        return chosen(with_contents(found, *self._contents), self._only)

    async def changes(self) -> AsyncIterator[None]:
        """Yield whenever another commit is followed, or something in the home has changed."""
        at_home = asyncio.create_task(self._hear_home())
        try:
            while True:
                await self._moved.wait()
                self._moved.clear()
                yield
        finally:
            at_home.cancel()
            await asyncio.gather(at_home, return_exceptions=True)

    async def _hear_home(self) -> None:
        async for _ in self._hands.changes():
            self._moved.set()

    async def has_moved(self, since: Revision) -> bool:
        """Tell whether another commit is followed now than that which was read."""
        return bool(self.standing.verified) and self.standing.verified != since.commit

    # --- looking ---------------------------------------------------------------------------

    async def run(self) -> None:
        """Look at the other side now, and again by the clock or when somebody hurries."""
        while True:
            self._hurried.clear()
            await self._round()
            pause = polling.pause(self.standing.looks, self.settings.now.poll, self._hands.luck())
            with suppress(TimeoutError):
                async with asyncio.timeout(in_seconds(pause)):
                    await self._hurried.wait()

    def hurry(self) -> None:
        """Look as soon as may be; many who hurry are one."""
        self._hurried.set()

    async def look(self) -> None:
        """Return once a look that began after this call is over."""
        async with self._turn:
            wanted = self._begun + 1
            self.hurry()
            await self._turn.wait_for(lambda: self._done >= wanted)

    async def _first_round(self) -> None:
        async with self._turn:
            await self._turn.wait_for(lambda: self._done >= 1)

    async def _round(self) -> None:
        async with self._turn:
            self._begun += 1
        before = self.behind
        try:
            async with self._following:
                await self._follow()
        except WeaverError as why:
            self._fail(f"{why}; mend: {why.mend}" if why.mend else str(why))
        except Exception as why:
            log.exception("cannot follow %s", self._upstream.address)
            self._fail(f"cannot follow {self._upstream.address}: {type(why).__name__}: {why}")
        else:
            looks = polling.succeeded(self._hands.now())
            self.standing = replace(self.standing, looks=looks, problem="")
        if self.behind != before:
            self._moved.set()
            await self._tell_refusal()
        async with self._turn:
            self._done = self._begun
            self._turn.notify_all()

    def _fail(self, problem: str) -> None:
        looks = polling.failed(self.standing.looks)
        self.standing = replace(self.standing, looks=looks, problem=problem)

    async def _tell_refusal(self) -> None:
        if self.behind:
            data = {"code": self._code(), "fetched": self.standing.fetched}
            await self._hands.note(Happening(kind="git.refused", reason=self.behind, data=data))

    def _code(self) -> str:
        held = self.standing.held
        return str(held.code if held is not None else heads.HeadHold.SOURCE_STALE)

    async def _follow(self) -> None:
        """Look, fetch what is new, and follow it where nothing is against it."""
        await self._open()
        tip = await self._upstream.look()
        if not tip:
            others = tuple(await self._upstream.others())
            there = heads.gone(self._upstream.branch, self.standing.verified, others)
            self.standing = replace(self.standing, held=there)
            self.awaits_first = not (others or self.standing.verified)
            return
        self.awaits_first = False
        fetched = self.standing.fetched
        if tip not in (fetched, self.standing.verified):
            fetched = await self._upstream.fetch()
        elif tip == self.standing.verified:
            fetched = tip
        step = await self._upstream.compare(self.standing.verified, fetched)
        held = heads.judge(step, self._upstream.branch)
        if held is None and step.relation is not Relation.SAME:
            held = await self._unsigned(step)
        self.standing = replace(self.standing, fetched=fetched, held=held)
        if held is None and step.relation is not Relation.SAME:
            await self._advance(step, "fetched")

    async def _unsigned(self, step: Step) -> Held | None:
        """Give what is against following a step by its signatures; what only warns is said."""
        settings = await self._hands.own_settings()
        if settings.verify is Verify.OFF:
            return None
        found = await self._upstream.signatures(
            step.verified, step.fetched, self.keys(settings), every=settings.verify.takes_all
        )
        branch = self._upstream.branch
        held = trust.faults(found, branch, step.fetched)
        if held is None or settings.verify is not Verify.WARN:
            return held
        reason = f"{branch} is followed to {step.fetched[:12]} though {trust.against(found)}"
        data = {"code": str(held.code), "fetched": step.fetched}
        await self._hands.note(Happening(kind="git.unsigned", reason=reason, data=data))
        return None

    def keys(self, settings: Config) -> Keys:
        """Give whom the host believes, where its files are."""
        return Keys(
            allowed_signers=self._at_home(settings.allowed_signers),
            gpg_home=self._at_home(settings.gpg_home),
        )

    def _at_home(self, path: str) -> str:
        return str(self._home / path) if path else ""

    async def _open(self) -> None:
        """Take up where an earlier life ended; what it followed is read without another look."""
        if self._opened:
            return
        verified = await self._upstream.open()
        fetched = await self._upstream.fetched()
        self.standing = replace(self.standing, verified=verified, fetched=fetched)
        self._opened = True

    async def resume(self) -> None:
        """Have what was followed before at hand, before the other side is looked at."""
        async with self._following:
            await self._open()

    async def _advance(self, step: Step, how: str) -> None:
        await self._upstream.advance(step.fetched, step.verified)
        commit = step.fetched
        self.standing = replace(self.standing, fetched=commit, verified=commit, held=None)
        self._moved.set()
        branch, address = self._upstream.branch, self._upstream.address
        await self._hands.note(
            Happening(
                kind="git.fetched",
                reason=f"{branch} of {address} is at {step.fetched[:12]}",
                data={"commit": step.fetched, "before": step.verified, "how": how},
            )
        )

    async def accept(self, text: str) -> str:
        """Follow a rewritten history, whose head a person names; give the commit.

        Raises ConflictError where the branch is not there, or nothing has to be accepted.
        """
        await self.look()
        async with self._following:
            fetched, held = self.standing.fetched, self.standing.held
            if held is None or held.code not in _ACCEPTABLE:
                raise ConflictError(
                    f"no history waits to be accepted: {fetched[:12] or 'nothing'} is followed",
                    mend="weaver status shows what is held",
                )
            if len(text) < SHORTEST_COMMIT or not fetched.startswith(text.lower()):
                raise ConflictError(
                    f"cannot accept {text}: {self._upstream.branch} is at {fetched[:12]}",
                    mend=f"look at it, then: weaver accept-history {fetched[:12]}",
                )
            step = await self._upstream.compare(self.standing.verified, fetched)
            await self._advance(step, "accepted")
        return fetched

    async def adopt(self, commit: str) -> None:
        """Follow a commit of ours that the other side has taken, without another look."""
        async with self._following:
            step = await self._upstream.compare(self.standing.verified, commit)
            if step.relation in (Relation.FIRST, Relation.AHEAD):
                await self._advance(step, "pushed")

    async def includes(self, commit: str) -> bool:
        """Tell whether what is followed is this commit, or descends from it."""
        verified = self.standing.verified
        if verified.startswith(commit):
            return True
        with suppress(WeaverError):
            step = await self._upstream.compare(commit, verified)
            return step.relation in (Relation.SAME, Relation.AHEAD)
        return False

    @property
    def problem(self) -> str:
        """Say why the last look failed; empty where it did not."""
        return self.standing.problem

    @property
    def is_unsigned(self) -> bool:
        """Tell whether what was fetched is not followed for want of a signature."""
        held = self.standing.held
        return held is not None and held.code is heads.HeadHold.SIGNATURE_INVALID

    @property
    def trouble(self) -> str:
        """Say what is wrong with looking, where `behind` does not say it yet."""
        return "" if self.behind else self.standing.problem

    # --- Drafts ----------------------------------------------------------------------------

    def facts(self) -> SourceFacts:
        """Give what people are shown of it."""
        standing = self.standing
        held = standing.held
        return SourceFacts(
            address=self._upstream.address,
            branch=self._upstream.branch,
            fetched=standing.fetched,
            verified=standing.verified,
            reason=str(held) if held is not None else standing.problem,
            reason_code=self._code() if self.behind else "",
            seen_at=standing.looks.seen_at,
        )

    async def _texts(self) -> Texts:
        commit = self.standing.verified
        return await asyncio.to_thread(self._hands.texts, commit) if commit else {}

    async def _read_draft(self, texts: Texts) -> ManifestSet:
        env_files = self._last.env_files if self._last else {}
        gathered = await self._hands.read_texts(texts, env_files)
        revision = Revision(commit=self.standing.verified, branch=self._upstream.branch)
        found = gathered.assemble(revision)
        return chosen(with_contents(found, *self._contents), self._only)

"""Push the branch of a checkout once Weaver committed to it, where `git.push` asks for that.

What is to be pushed is told from the branch here and the one there, each time anew: so nothing has
to be kept, whenever a daemon dies. Nobody waits for a push. What is in its way is said, and tried
again less and less often, or at once when somebody moved the branch.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace

from reconciler.core import polling, pushes
from reconciler.core.polling import Looks
from reconciler.core.pushes import Compared, PushHeld, PushHold, Target
from reconciler.model.event import Happening
from reconciler.model.units import in_seconds, seconds
from reconciler.ports import ConflictError, ForbiddenError, ManifestError, WeaverError
from reconciler.ports.outbox import Outbox, Waiting
from reconciler.runtime.control import PushFacts
from reconciler.runtime.journal import Listener
from reconciler.runtime.settings import Settings

log = logging.getLogger(__name__)

FIRST_PAUSE = seconds(2)
"""After a push that failed; each further pause is twice as long, up to five minutes."""
IDLE_S = 60.0
"""Between looks while nothing waits, should a commit have been missed."""
MARK_S = 1.0
"""Between looks whether somebody moved the branch, while something is in the way of a push."""
CALLS = "git.committed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hands:
    """What a push is told with, and timed by."""

    listen: Callable[[], Listener]
    note: Callable[[Happening], Awaitable[None]]
    luck: Callable[[], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How far pushing has come."""

    target: Target | None = None
    waiting: int = 0
    """Commits of Weaver's that the other side has not, as far as is known."""
    held: PushHeld | None = None
    """What is in the way of a push; None: nothing is."""
    looks: Looks = field(default_factory=Looks)
    """The tries that did not end well, in a row."""


class Pushing:
    """The one that pushes for a checkout."""

    def __init__(self, outbox: Outbox, settings: Settings, hands: Hands) -> None:
        self._outbox = outbox
        self._settings = settings
        self._hands = hands
        self._called = asyncio.Event()
        self.standing = Standing()

    async def run(self) -> None:
        """Go on for ever."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._heed_commits())
            tasks.create_task(self._heed_settings())
            while True:
                self._called.clear()
                mark = self._outbox.mark()
                await self.once()
                await self._rest(mark)

    async def _heed_commits(self) -> None:
        """Push whenever a commit was made."""
        while True:
            with self._hands.listen() as listener:
                self._called.set()
                async for event in listener:
                    if event.kind == CALLS:
                        self._called.set()

    async def _heed_settings(self) -> None:
        while True:
            await self._settings.other_than(self._settings.now)
            self._called.set()

    async def _rest(self, mark: object) -> None:
        """Wait until there is something to do: told, moved, or by the clock."""
        looks = self.standing.looks
        if not looks.failures:
            await self._wait(IDLE_S)
            return
        pause_s = in_seconds(polling.pause(looks, FIRST_PAUSE, self._hands.luck()))
        until = asyncio.get_running_loop().time() + pause_s
        while (left_s := until - asyncio.get_running_loop().time()) > 0:
            if await self._wait(min(MARK_S, left_s)) or self._outbox.mark() != mark:
                self.standing = replace(self.standing, looks=Looks())
                return

    async def _wait(self, within_s: float) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._called.wait()
        return self._called.is_set()

    # --- one look ----------------------------------------------------------------------------

    async def once(self) -> None:
        """Push what is to be pushed now; whatever is in the way is said."""
        if not self._settings.now.push:
            self.standing = Standing()
            return
        try:
            await self._deliver()
        except ForbiddenError as why:
            await self._hold(_fault(PushHold.REFUSED, why))
        except ManifestError as why:
            await self._hold(_fault(PushHold.NO_REMOTE, why))
        except ConflictError as why:
            await self._hold(_fault(PushHold.REMOTE_MOVED, why))
        except WeaverError as why:
            await self._hold(_fault(PushHold.UNREACHABLE, why))
        except Exception as why:
            log.exception("cannot push")
            because = f"cannot push: {type(why).__name__}: {why}"
            await self._hold(PushHeld(code=PushHold.UNREACHABLE, because=because))

    async def _deliver(self) -> None:
        waiting = await self._outbox.waiting()
        self.standing = replace(self.standing, target=waiting.target, waiting=waiting.ours)
        if waiting.held is not None:
            await self._hold(waiting.held)
        elif waiting.target is None or not waiting.ours:
            self._settle()
        else:
            await self._compare(waiting, waiting.target)

    async def _compare(self, waiting: Waiting, target: Target) -> None:
        found = await self._outbox.compare(waiting, target)
        self.standing = replace(self.standing, waiting=found.ours)
        if not found.ours:
            self._settle()
            return
        held = pushes.decide(found)
        if held is not None:
            await self._hold(held)
            return
        await self._outbox.push(found)
        self._settle()
        await self._tell(found)

    def _settle(self) -> None:
        """Take down that nothing waits."""
        self.standing = Standing(target=self.standing.target)

    async def _hold(self, held: PushHeld) -> None:
        """Take down what is in the way, and tell of it once."""
        before = self.standing.held
        looks = polling.failed(self.standing.looks)
        self.standing = replace(self.standing, held=held, looks=looks)
        if before is None or before.code is not held.code:
            log.warning("%s", self.trouble)
            await self._hands.note(
                Happening(
                    kind="git.unpushed",
                    reason=str(held),
                    data={"code": str(held.code), "waiting": self.standing.waiting},
                )
            )

    async def _tell(self, found: Compared) -> None:
        commits = "a commit" if found.ours == 1 else f"{found.ours} commits"
        await self._hands.note(
            Happening(
                kind="git.pushed",
                reason=f"{commits} of weaver's came to {found.target.there}",
                data={"commit": found.head, "before": found.there},
            )
        )

    # --- for people --------------------------------------------------------------------------

    @property
    def trouble(self) -> str:
        """Say what is in the way of a push; empty while nothing is."""
        standing = self.standing
        if standing.held is None:
            return ""
        if not standing.waiting:
            return f"git.push cannot work: {standing.held}"
        commits = "a commit waits" if standing.waiting == 1 else f"{standing.waiting} commits wait"
        return f"{commits} to be pushed: {standing.held}"

    def facts(self) -> PushFacts | None:
        """Give what people are shown of it; None where nothing is to be pushed, ever."""
        if not self._settings.now.push:
            return None
        standing = self.standing
        return PushFacts(
            remote=standing.target.remote if standing.target else "",
            branch=standing.target.branch if standing.target else "",
            waiting=standing.waiting,
            reason=str(standing.held) if standing.held else "",
            reason_code=str(standing.held.code) if standing.held else "",
        )


def _fault(code: PushHold, why: WeaverError) -> PushHeld:
    return PushHeld(code=code, because=str(why), mend=why.mend)

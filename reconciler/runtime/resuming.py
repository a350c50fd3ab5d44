"""Make the changes that an earlier daemon was asked for and did not see in the branch."""

from __future__ import annotations

import asyncio
import logging
from contextlib import aclosing

from reconciler.model.event import Happening, Operation, OperationKind
from reconciler.ports import HostError, Repository, WeaverError
from reconciler.runtime.daemon import Daemon
from reconciler.runtime.landing import Landing
from reconciler.runtime.pending import Asked, Keeping
from reconciler.runtime.requests import Unregister

log = logging.getLogger(__name__)

AGAIN_S = 5.0
"""After the repository could not be reached."""


class Resuming:
    """Takes up what was left, each change exactly once: its commit tells of it.

    Nobody waits for an answer any more. What cannot be made is told as an event, in the words
    that the person would have got.
    """

    def __init__(
        self, daemon: Daemon, repository: Repository, landing: Landing, keeping: Keeping
    ) -> None:
        self._daemon = daemon
        self._repository = repository
        self._landing = landing
        self._keeping = keeping
        self.problem = ""
        """Why something is still to be made; empty while nothing is."""

    async def run(self, pause_s: float = AGAIN_S) -> None:
        """Make all that was left, and end. What is asked for meanwhile comes behind it."""
        self._keeping.hold_back()
        try:
            for asked in await self._keeping.kept():
                while not await self._is_over(asked):
                    self._keeping.release(self.problem)
                    await asyncio.sleep(pause_s)
                    self._keeping.hold_back()
                await self._keeping.let_go([asked.id])
                self.problem = ""
        finally:
            self._keeping.release()

    async def _is_over(self, asked: Asked) -> bool:
        """Make one; False where that has to be tried again."""
        try:
            await self._daemon.manifests_read()
            if commit := await self._repository.landed(asked.id, asked.base):
                log.info("change %s was made before, by commit %s", asked.id, commit[:7])
                self._let_leave(asked)
            else:
                await self._make(asked)
        except HostError as why:
            self.problem = f"a change of an earlier daemon waits: {why}"
            return False
        except WeaverError as why:
            await self._give_up(asked, why)
        return True

    async def _make(self, asked: Asked) -> None:
        async with aclosing(self._landing.land(asked.request, asked.terms, again=asked)) as told:
            async for _ in told:
                pass
        log.info("change %s, which an earlier daemon was asked for, is made", asked.id)

    def _let_leave(self, asked: Asked) -> None:
        """Let those leave that somebody removed by name, as the earlier daemon would have."""
        if not isinstance(asked.request, Unregister):
            return
        operation = Operation(
            id=asked.id,
            kind=OperationKind.APPROVE_PRUNE,
            services=asked.request.services,
            actor=f"uid:{asked.terms.author.uid}",
        )
        self._daemon.ask(operation)

    async def _give_up(self, asked: Asked, why: WeaverError) -> None:
        kind = type(asked.request).__name__
        words = f"{why}; mend: {why.mend}" if why.mend else str(why)
        log.warning("change %s (%s) of an earlier daemon is not made: %s", asked.id, kind, words)
        actor = f"uid:{asked.terms.author.uid}"
        await self._daemon.note(
            Happening(kind="git.dropped", reason=words, actor=actor, data={"opId": asked.id})
        )

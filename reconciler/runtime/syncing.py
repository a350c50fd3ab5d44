"""Have a newer revision followed because somebody says so, and tell what comes of it."""

from __future__ import annotations

from collections.abc import AsyncIterator

from reconciler.model.change import Verb
from reconciler.model.spec import DesiredState
from reconciler.model.status import Health
from reconciler.model.units import ServiceName
from reconciler.ports import BlockedError, ForbiddenError, HostError, NotFoundError
from reconciler.runtime.daemon import Daemon
from reconciler.runtime.following import Following
from reconciler.runtime.guards import Services
from reconciler.runtime.journal import Listener
from reconciler.runtime.messages import Message, Note, Summary
from reconciler.runtime.operator import Operator
from reconciler.runtime.pursuit import Tail
from reconciler.runtime.requests import AcceptHistory, Sync, Syncing, Terms


class Syncer(Operator):
    """Fetches, reads, and follows the services that a newer revision moves."""

    def __init__(self, daemon: Daemon, tail: Tail, following: Following | None) -> None:
        super().__init__(daemon, tail)
        self._following = following

    async def run(self, request: Syncing, terms: Terms) -> AsyncIterator[Message]:
        """Carry it out. Raises WeaverError where nothing newer can be followed."""
        await self._daemon.manifests_read()
        with self._daemon.journal.listen() as listener:
            match request:
                case Sync(revision=revision):
                    told = self._sync(revision, terms, listener)
                case AcceptHistory(commit=commit):
                    told = self._accept_history(commit, terms, listener)
            async for message in told:
                yield message

    async def _sync(
        self, revision: str, terms: Terms, listener: Listener
    ) -> AsyncIterator[Message]:
        before = self._daemon.picture().services
        if self._following is not None:
            await self._following.look()
        await self._daemon.source.refresh()
        if self._following is not None and self._following.problem:
            raise HostError(self._following.problem)
        if held := self._daemon.source.held:
            is_unsigned = self._following is not None and self._following.is_unsigned
            kind = ForbiddenError if is_unsigned else BlockedError
            raise kind(f"nothing newer is followed: {held}")
        if revision and not await self._follows(revision):
            raise NotFoundError(
                f"{revision[:12]} is not part of what is followed",
                mend="is it on the branch that this host follows? weaver status says which",
            )
        async for message in self._pursue_news("sync", before, terms, listener):
            yield message

    async def _follows(self, revision: str) -> bool:
        if self._following is not None:
            return await self._following.includes(revision)
        return self._daemon.picture().revision.commit.startswith(revision)

    async def _accept_history(
        self, commit: str, terms: Terms, listener: Listener
    ) -> AsyncIterator[Message]:
        if self._following is None:
            raise BlockedError(
                "cannot accept a history: what is saved here is followed, whatever its history",
                mend="this is for a host that follows a branch: weaver up --repo URL",
            )
        before = self._daemon.picture().services
        accepted = await self._following.accept(commit)
        await self._daemon.source.refresh()
        yield Note(text=f"{accepted[:12]} is followed from now on")
        async for message in self._pursue_news("accept-history", before, terms, listener):
            yield message

    async def _pursue_news(
        self, what: str, before: Services, terms: Terms, listener: Listener
    ) -> AsyncIterator[Message]:
        """Follow what a newer revision moves, and what was on its way before."""
        await self._daemon.caught_up()
        after = self._daemon.picture()
        verbs = moved(before, after.services)
        at = after.revision.commit[:7] or "what is saved"
        hold = after.prune
        if hold is not None and not hold.approved:
            mend = f"weaver prune approve {hold.id}, or bring the manifests back"
            yield Note(text=f"held: {hold.because}; mend: {mend}")
        if not verbs:
            matches = "all else matches" if hold else "all matches"
            yield Summary(exit_code=0, text=f"{what}: nothing to do, {matches} {at}")
            return
        chase = self._chase(tuple(verbs), terms, verbs=verbs)
        async for message in self._pursue(f"{what} {at}", chase, terms, listener):
            yield message


def moved(before: Services, after: Services) -> dict[ServiceName, tuple[Verb, ...]]:
    """Give the services that another revision changes, and those that are on their way already."""
    found: dict[ServiceName, tuple[Verb, ...]] = {}
    for name in (*after, *(name for name in before if name not in after)):
        old, new = before.get(name), after.get(name)
        runs = old is not None and any(slot.process for slot in old.slots)
        if new is None or new.desired is not DesiredState.RUNNING:
            if runs:
                found[name] = (Verb.STOP,)
        elif old is None or not runs:
            found[name] = (Verb.START,)
        elif (old.spec and old.spec.digest) != (new.spec and new.spec.digest):
            found[name] = (Verb.RESTART,)
        elif old.spec != new.spec:
            found[name] = (Verb.UPDATE,)
        elif new.health is Health.PROGRESSING:
            found[name] = (Verb.RESTART,)
    return found

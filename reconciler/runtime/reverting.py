"""Take a version that failed out of its manifest, where `update.revert` asks for that.

The version before serves already when this begins. What is written is the newest text of the
manifest that means that version, as one more commit: nothing of the history is lost. A version
that was only saved is somebody's work, and stays as it is.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from reconciler.model.plan import Situation
from reconciler.model.record import Rollout, RolloutPhase
from reconciler.model.units import Digest, ServiceName
from reconciler.ports import Author, Drafts, ManifestError, NotFoundError, Repository, WeaverError
from reconciler.runtime import intents
from reconciler.runtime.journal import Listener
from reconciler.runtime.messages import Message
from reconciler.runtime.requests import Change, Restore, Terms
from reconciler.runtime.restraint import SOURCE, Restraint

log = logging.getLogger(__name__)

COMMITS_SEARCHED = 20
"""Of those that touched a file, the newest."""
AGAIN_S = 10.0
"""After a commit could not be made."""
BRANCH_LOOK_S = 1.0
"""While a version is only saved: nobody tells that what is saved was committed."""
CALLS = "rollout.undone"

MakeChange = Callable[[Change, Terms], AsyncIterator[Message]]


class Owner(Protocol):
    """The daemon, as far as this needs it."""

    def situation(self) -> Situation:
        """Give what a plan would be made of."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The manifest of the version before: its text, and the commit that has it."""

    text: str
    commit: str
    against: str
    """Who wrote what is there now."""


class Reverting:
    """Waits for versions that were taken back, and takes them out of their manifests."""

    def __init__(
        self,
        owner: Owner,
        listen: Callable[[], Listener],
        repository: Repository,
        drafts: Drafts,
        change: MakeChange,
        restraint: Restraint,
    ) -> None:
        self._owner = owner
        self._listen = listen
        self._repository = repository
        self._drafts = drafts
        self._change = change
        self._restraint = restraint
        self._something_came = asyncio.Event()
        self._left: dict[ServiceName, tuple[Digest, str]] = {}
        """Versions that cannot be taken out of a revision, so that none is sought twice there."""
        self.problem = ""
        """Why a version is still in a manifest; empty while none has to go."""

    async def run(self) -> None:
        """Go on for ever."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._heed())
            while True:
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._pause_s):
                        await self._something_came.wait()
                self._something_came.clear()
                await self.once()

    def look(self) -> None:
        """Look again: the manifests were read, or a version was taken back."""
        self._something_came.set()

    @property
    def _pause_s(self) -> float | None:
        if self._left:
            return BRANCH_LOOK_S
        return AGAIN_S if self.problem else None

    async def _heed(self) -> None:
        """Look whenever a version was taken back."""
        while True:
            with self._listen() as listener:
                self.look()
                async for event in listener:
                    if event.kind == CALLS:
                        self.look()

    async def once(self) -> None:
        """Take every version out of its manifest that has to go now."""
        problems = []
        due = {name: (path, rollout) for name, path, rollout in _due(self._owner.situation())}
        self._left = {name: what for name, what in self._left.items() if name in due}
        for name, (path, rollout) in due.items():
            try:
                await self._revert(name, path, rollout)
            except WeaverError as why:
                problems.append(f"cannot take a version that failed out of {name}: {why}")
                if problems[-1] not in self.problem:
                    log.warning("%s", problems[-1])
        self.problem = "; ".join(problems)

    async def _revert(self, name: ServiceName, path: str, rollout: Rollout) -> None:
        head = (await self._repository.revision()).commit
        if self._left.get(name) == (rollout.to.digest, head):
            return
        found = await self._version_before(name, path, rollout)
        if found is None:
            self._left[name] = (rollout.to.digest, head)
            return
        await self._restraint.refuse_loop(name, restores=found.commit, against=found.against)
        author = Author(name="Weaver", email="weaver@localhost", uid=os.getuid())
        terms = Terms(
            author=author, reason=rollout.because, source=SOURCE, wait=False, if_revision=head
        )
        request = Restore(service=name, text=found.text, commit=found.commit)
        async for _ in self._change(request, terms):
            pass
        log.info("%s is what it was in %s: %s", name, found.commit[:7], rollout.because)

    async def _version_before(self, name: ServiceName, path: str, rollout: Rollout) -> Found | None:
        """Give the newest manifest that means the version before; None: it is not ours to write."""
        entries = await self._repository.log(path, COMMITS_SEARCHED)
        for place, entry in enumerate(entries):
            text = await self._text(name, path, entry.commit)
            if not place and text != await self._drafts.document(path, name):
                log.info("%s is left as it is: it was saved, and not committed", name)
                return None
            if text and await self._digest(name, text) == rollout.base.digest:
                found = Found(text=text, commit=entry.commit, against=entries[0].author)
                return found if place else None
        log.warning(
            "%s is left as it is: none of its last %d commits means the version that serves",
            name,
            len(entries),
        )
        return None

    async def _text(self, name: ServiceName, path: str, commit: str) -> str:
        """Give the document of a service in a revision; empty where there is none."""
        data = (await self._repository.blobs(commit)).get(path)
        if data is None:
            return ""
        with suppress(ManifestError, UnicodeDecodeError):
            return dict(await self._drafts.documents(data.decode(), path)).get(name, "")
        return ""

    async def _digest(self, name: ServiceName, text: str) -> Digest | None:
        """Give the version that a document would be today; None where it would be none."""
        with suppress(ManifestError, NotFoundError):
            draft = await self._drafts.draft(intents.put(((name, text),), verbatim=True))
            definition = draft.manifests.definitions.get(name)
            return definition.spec.digest if definition is not None else None
        return None


def _due(situation: Situation) -> Iterator[tuple[ServiceName, str, Rollout]]:
    """Yield the services whose manifest wants a version that was taken back, and their file."""
    for name, memory in sorted(situation.services.items()):
        rollout, wanted = memory.rollout, situation.desired.services.get(name)
        if rollout is None or wanted is None or wanted.spec is None or wanted.overlay is not None:
            continue
        is_other = rollout.to.digest != rollout.base.digest
        is_wanted = wanted.spec.digest == rollout.to.digest
        is_back = rollout.phase is RolloutPhase.UNDONE and wanted.spec.update.revert
        if is_other and is_wanted and is_back:
            yield name, memory.source.file, rollout

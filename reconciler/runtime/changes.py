"""Change manifests for somebody: have it land, show it, follow what was committed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import aclosing
from dataclasses import replace

from reconciler.core.rollout_words import what_is_left
from reconciler.model.change import Verb
from reconciler.model.record import Rollout, RolloutPhase
from reconciler.model.spec import DesiredState
from reconciler.model.units import ServiceName
from reconciler.ports import Committed
from reconciler.runtime import intents
from reconciler.runtime.daemon import Daemon
from reconciler.runtime.guards import Services
from reconciler.runtime.landing import Landed, Landing, Tools, branch_of
from reconciler.runtime.messages import CommitMade, Message, Note, Preview, Summary
from reconciler.runtime.pending import Keeping
from reconciler.runtime.previews import is_move
from reconciler.runtime.pursuit import Chase, Pursuit
from reconciler.runtime.requests import Change, Terms
from reconciler.runtime.resuming import Resuming
from reconciler.runtime.tasks import Task

UNDO = "weaver undo"


class Changes:
    """Has one change after the other made; waits for the results side by side."""

    def __init__(self, daemon: Daemon, tools: Tools) -> None:
        self._daemon = daemon
        self._tail = tools.tail
        keeping = Keeping(tools.pending, tools.auto_commit)
        self._landing = Landing(daemon, tools, keeping)
        self.resuming = Resuming(daemon, tools.repository, self._landing, keeping)

    async def run(self, request: Change, terms: Terms) -> AsyncIterator[Message]:
        """Carry a change out. Raises WeaverError where it cannot be done."""
        begun = asyncio.get_running_loop().time()
        with self._daemon.journal.listen() as listener:
            async with aclosing(self._landing.land(request, terms)) as told:
                async for message in told:
                    if isinstance(message, Landed):
                        landed = message
                    else:
                        yield message
            task, preview, committed = landed.task, landed.preview, landed.committed
            if committed is None:
                yield Summary(exit_code=0, text=_rehearsed(preview))
                return
            for one in _told(committed) if not landed.lasts else ():
                yield one
            if branch := branch_of(request):
                yield _proposed(task, committed, branch)
                return
            names = self._affected(task, preview, committed)
            if not terms.wait:
                yield _ended(landed, committed, "not waited for", 0)
                return
            chase = Chase(
                names=names,
                verbs=_verbs(preview) or replaced(landed.before, self._daemon.picture().services),
                deadline=begun + terms.timeout,
                begun=begun,
            )
            pursuit = Pursuit(self._daemon, chase, self._tail)
            async for message in pursuit.run(listener):
                yield message
        yield self._summary(landed, committed, pursuit, begun)

    # --- telling ---------------------------------------------------------------------------

    def _affected(
        self, task: Task, preview: Preview | None, committed: Committed
    ) -> tuple[ServiceName, ...]:
        """Give the services to wait for: those named or written, and those that move with them."""
        moved = [change.service for change in preview.changes if is_move(change)] if preview else []
        written = [
            name
            for name, status in self._daemon.picture().services.items()
            if not task.services and status.source.file in committed.files
        ]
        return tuple(dict.fromkeys((*task.services, *moved, *written)))

    def _summary(
        self, landed: Landed, committed: Committed, pursuit: Pursuit, begun: float
    ) -> Summary:
        took, code = asyncio.get_running_loop().time() - begun, pursuit.exit_code
        how = {0: f"done in {took:.1f} s", 9: "time is up, it goes on"}.get(code, "failed")
        left = [words for one in pursuit.fallen.values() if (words := what_is_left(one))]
        ended = _ended(landed, committed, how, code)
        text = "; ".join([ended.text, *left])
        reverted = _reverted(committed, pursuit.fallen.values())
        if not reverted:
            return replace(ended, text=text)
        text += ", and weaver takes the commit back by itself"
        return Summary(exit_code=code, text=text, next=f"weaver history {reverted}")


def replaced(before: Services, after: Services) -> dict[ServiceName, tuple[Verb, ...]]:
    """Give the services whose processes must be replaced, where no preview said so."""
    return {
        name: (Verb.RESTART,)
        for name, status in after.items()
        if (old := before.get(name)) is not None
        and any(slot.process for slot in old.slots)
        and status.desired is DesiredState.RUNNING
        and (old.spec and old.spec.digest) != (status.spec and status.spec.digest)
    }


def _verbs(preview: Preview | None) -> dict[ServiceName, tuple[Verb, ...]]:
    return {change.service: change.verbs for change in preview.changes} if preview else {}


def _told(committed: Committed) -> Sequence[Message]:
    made = CommitMade(
        commit=committed.commit,
        changed=committed.changed,
        pushed=committed.pushed,
        files=committed.files,
    )
    return [made, *(Note(text=text) for text in committed.notes)]


def _done(task: Task, committed: Committed, how: str) -> str:
    """Say what was done, in one line.

    >>> task = Task(op="stop", what="stop", services=("web",))
    >>> _done(task, Committed(commit="3f2c91a4e5", changed=True), "done in 0.3 s")
    'web: stop - done in 0.3 s, commit 3f2c91a'
    """
    what = intents.subject(task.services, task.what) if task.services else task.what
    if committed.changed:
        return f"{what} - {how}, commit {committed.commit[:7]}"
    written = "written, not committed" if committed.files else "no commit was needed"
    return f"{what} - {how}, {written}"


def _ended(landed: Landed, committed: Committed, how: str, code: int) -> Summary:
    """Say how a change ended, and what takes it back."""
    task = landed.task
    if not landed.lasts:
        undo = UNDO if committed.changed else ""
        return Summary(exit_code=code, text=_done(task, committed, how), undo=undo)
    what = intents.subject(task.services, task.what)
    text = f"{what} - {how}, for {landed.lasts}, not committed"
    return Summary(exit_code=code, text=text, undo=f"weaver revert {' '.join(task.services)}")


def _proposed(task: Task, committed: Committed, branch: str) -> Summary:
    """Say what was committed to another branch, and how it comes to take effect."""
    what = intents.subject(task.services, task.what)
    if not committed.changed:
        return Summary(exit_code=0, text=f"{what} - {branch} has this already")
    text = f"{what} - commit {committed.commit[:7]} on {branch}, which takes effect once merged"
    return Summary(exit_code=0, text=text, next=f"git merge {branch}")


def _reverted(committed: Committed, fallen: Iterable[Rollout]) -> ServiceName | None:
    """Name a service whose new version is taken out of its manifest without anybody's doing."""
    for rollout in fallen:
        is_back = rollout.phase is RolloutPhase.UNDONE and rollout.to.update.revert
        if committed.changed and is_back and what_is_left(rollout):
            return rollout.to.name
    return None


def _rehearsed(preview: Preview | None) -> str:
    if preview is None or preview.is_empty:
        return "nothing would change"
    return "a dry run: nothing was written"

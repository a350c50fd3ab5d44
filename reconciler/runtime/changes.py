"""Change manifests for somebody: try it out, guard, show, commit, follow what was committed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass

from reconciler.core.diff import Language
from reconciler.model.change import ServiceChange, Verb
from reconciler.model.event import Happening, Operation, OperationKind
from reconciler.model.spec import DesiredState
from reconciler.model.units import ServiceName
from reconciler.ports import (
    CommitRequest,
    Committed,
    Draft,
    Drafts,
    ManifestError,
    Repository,
)
from reconciler.runtime import intents, previews
from reconciler.runtime.daemon import Daemon
from reconciler.runtime.guards import Services
from reconciler.runtime.messages import CommitMade, Message, Note, Planned, Preview, Summary
from reconciler.runtime.pursuit import Chase, Pursuit, Tail
from reconciler.runtime.requests import Change, Terms, UndoLast
from reconciler.runtime.tasks import Task, work_out

UNDO = "weaver undo"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """What changes are made with."""

    repository: Repository
    drafts: Drafts
    language: Language
    tail: Tail
    auto_commit: Callable[[], bool]


class Changes:
    """Makes one change at a time; waits for the results side by side."""

    def __init__(self, daemon: Daemon, tools: Tools) -> None:
        self._daemon = daemon
        self._tools = tools
        self._turn = asyncio.Lock()

    async def run(self, request: Change, terms: Terms) -> AsyncIterator[Message]:
        """Carry a change out. Raises WeaverError where it cannot be done."""
        begun = asyncio.get_running_loop().time()
        with self._daemon.journal.listen() as listener:
            async with self._turn:
                await self._daemon.manifests_read()
                services = before = self._daemon.picture().services
                task = await work_out(request, services, self._tools.drafts)
                preview = await self._preview(task)
                for note in task.notes:
                    yield Note(text=note)
                if preview is not None:
                    yield Planned(preview=preview, dry_run=terms.dry_run)
                if terms.dry_run:
                    yield Summary(exit_code=0, text=_rehearsed(preview))
                    return
                committed = await self._commit(request, task, terms)
                for message in _landed(committed):
                    yield message
                await self._follow(task, committed, terms)
            names = self._affected(task, preview, committed)
            if not terms.wait:
                yield Summary(
                    exit_code=0,
                    text=_done(task, committed, "not waited for"),
                    undo=_undo(committed),
                )
                return
            chase = Chase(
                names=names,
                verbs=_verbs(preview) or replaced(before, self._daemon.picture().services),
                deadline=begun + terms.timeout,
                begun=begun,
            )
            pursuit = Pursuit(self._daemon, chase, self._tools.tail)
            async for message in pursuit.run(listener):
                yield message
        yield self._summary(task, committed, pursuit.exit_code, begun)

    # --- trying out ------------------------------------------------------------------------

    async def _preview(self, task: Task) -> Preview | None:
        """Try the change on the saved manifests. Raises ManifestError where it breaks them."""
        if not task.intents:
            return None
        draft = await self._tools.drafts.draft(task.intents)
        self._refuse_faults(task, draft)
        situation = self._daemon.situation()
        return previews.drafted(situation, draft, frozenset(task.released), self._tools.language)

    def _refuse_faults(self, task: Task, draft: Draft) -> None:
        faults = previews.new_errors(draft.manifests, self._daemon.source.last)
        own = [fault for name in task.services for fault in draft.manifests.invalid.get(name, ())]
        found = tuple(dict.fromkeys((*own, *faults)))
        if found:
            raise ManifestError(
                f"cannot {task.op} {_few(task.services)}: the manifest would be invalid",
                mend="nothing was written; mend what is named and try again",
                diagnostics=found,
            )

    # --- writing ---------------------------------------------------------------------------

    async def _commit(self, request: Change, task: Task, terms: Terms) -> Committed:
        repository = self._tools.repository
        if isinstance(request, UndoLast):
            commits = self._tools.auto_commit()
            return await repository.undo(terms.author, task.id, auto_commit=commits)
        if not task.intents:
            head = await repository.revision()
            return Committed(commit=head.commit, changed=False)
        return await repository.commit(
            CommitRequest(
                intents=task.intents,
                subject=intents.subject(task.services, task.what),
                author=terms.author,
                op=task.op,
                op_id=task.id,
                source=terms.source,
                services=task.services,
                reason=terms.reason,
                if_revision=terms.if_revision,
                auto_commit=self._tools.auto_commit(),
            )
        )

    async def _follow(self, task: Task, committed: Committed, terms: Terms) -> None:
        """Have what was written read and decided on, under the name of who asked for it."""
        actor = f"uid:{terms.author.uid}"
        if task.released:
            self._ask(OperationKind.APPROVE_PRUNE, task, task.released, actor)
        if committed.changed:
            self._daemon.credit(committed.commit, actor)
            await self._daemon.note(
                Happening(
                    kind="git.committed",
                    reason=intents.subject(task.services, task.what) if task.services else "undo",
                    actor=actor,
                    data={"commit": committed.commit, "op": task.op, "opId": task.id},
                )
            )
        if task.intents or committed.changed:
            await self._daemon.source.refresh()
        if task.retried:
            self._ask(OperationKind.START, task, task.retried, actor)
        await self._daemon.caught_up()

    def _ask(
        self, kind: OperationKind, task: Task, services: tuple[ServiceName, ...], actor: str
    ) -> None:
        self._daemon.ask(Operation(id=task.id, kind=kind, services=services, actor=actor))

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

    def _summary(self, task: Task, committed: Committed, exit_code: int, begun: float) -> Summary:
        took = asyncio.get_running_loop().time() - begun
        how = {0: f"done in {took:.1f} s", 9: "time is up, it goes on"}.get(exit_code, "failed")
        return Summary(exit_code=exit_code, text=_done(task, committed, how), undo=_undo(committed))


def is_move(change: ServiceChange) -> bool:
    """Tell whether a change touches processes."""
    return any(verb not in (Verb.NONE, Verb.UPDATE) for verb in change.verbs)


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


def _landed(committed: Committed) -> Sequence[Message]:
    made = CommitMade(commit=committed.commit, changed=committed.changed, files=committed.files)
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


def _undo(committed: Committed) -> str:
    return UNDO if committed.changed else ""


def _rehearsed(preview: Preview | None) -> str:
    if preview is None or preview.is_empty:
        return "nothing would change"
    return "a dry run: nothing was written"


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")

"""Have changes land: one commit at a time, which takes what came in while the last one was made.

Whoever waits is heard in turn. A change that cannot go with the others is made by itself, in its
turn, so that nobody is refused for what somebody else asked for. Who hangs up before it is written
has changed nothing; what is being written is finished.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field, replace

from reconciler.core.batching import Batch
from reconciler.core.diff import Language
from reconciler.model.event import Happening, Operation, OperationKind
from reconciler.model.overlay import LayOver, TakeAway
from reconciler.model.units import ServiceName
from reconciler.ports import (
    BlockedError,
    Committed,
    ConflictError,
    Draft,
    Drafts,
    ManifestError,
    NotFoundError,
    Pending,
    Repository,
    SourceHeldError,
    WeaverError,
)
from reconciler.runtime import intents, previews
from reconciler.runtime.asking import joined, request_of
from reconciler.runtime.daemon import Daemon
from reconciler.runtime.ephemeral import Interlude, interlude, lasting
from reconciler.runtime.guards import Services, keeps_protection
from reconciler.runtime.messages import Message, Note, Planned, Preview
from reconciler.runtime.pending import Asked, Keeping
from reconciler.runtime.pursuit import Tail
from reconciler.runtime.requests import (
    Apply,
    Change,
    PutManifest,
    Scale,
    SetValues,
    Terms,
    UndoLast,
)
from reconciler.runtime.tasks import Task, work_out

SHARED_NOTE = (
    "committed together with {count} that came at the same time; weaver undo takes back all of them"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """What changes are made with."""

    repository: Repository
    drafts: Drafts
    language: Language
    tail: Tail
    auto_commit: Callable[[], bool]
    pending: Pending


@dataclass(frozen=True, slots=True, kw_only=True)
class Landed:
    """What became of a change; a rehearsal has no commit."""

    task: Task
    preview: Preview | None
    before: Services
    committed: Committed | None = None
    lasts: str = ""
    """For how long, where that is not for good."""


@dataclass(eq=False, slots=True, kw_only=True)
class _Waiting:
    """Somebody who waits for a change."""

    id: str
    request: Change
    terms: Terms
    told: asyncio.Queue[Message | Landed | Exception] = field(default_factory=asyncio.Queue)
    is_alone: bool
    is_again: bool
    """Whether an earlier daemon kept it: who takes it up lets it go, once it is over."""

    @property
    def author(self) -> str:
        return repr((self.terms.author, self.terms.source))

    def tell(self, task: Task, preview: Preview | None) -> None:
        for note in task.notes:
            self.told.put_nowait(Note(text=note))
        if preview is not None:
            self.told.put_nowait(Planned(preview=preview, dry_run=self.terms.dry_run))


class Landing:
    """The one that writes."""

    def __init__(self, daemon: Daemon, tools: Tools, keeping: Keeping) -> None:
        self._daemon = daemon
        self._tools = tools
        self._keeping = keeping
        self._queue: list[_Waiting] = []
        self._taken: list[_Waiting] = []
        """Those whose turn it is."""
        self._writing: asyncio.Task[None] | None = None

    async def land(
        self, request: Change, terms: Terms, again: Asked | None = None
    ) -> AsyncGenerator[Message | Landed]:
        """Tell what a change will do, then what became of it. Raises WeaverError.

        One that an earlier daemon was asked for is made `again` under the same operation id.
        """
        asked = again or self._asked(request, terms)
        is_alone, is_again = _is_alone(request, terms), again is not None
        one = _Waiting(
            id=asked.id, request=request, terms=terms, is_alone=is_alone, is_again=is_again
        )
        is_queued = False
        try:
            if again is None:
                await self._keeping.keep(asked)
            self._queue.append(one)
            is_queued = True
            if self._writing is None:
                self._writing = asyncio.create_task(self._write())
            while True:
                told = await one.told.get()
                if isinstance(told, Exception):
                    raise told
                yield told
                if isinstance(told, Landed):
                    return
        finally:
            is_waiting = one in self._queue
            if is_waiting:
                self._queue.remove(one)
            if not is_again and (is_waiting or not is_queued):
                await self._keeping.let_go([one.id])

    def _asked(self, request: Change, terms: Terms) -> Asked:
        last = self._daemon.source.last
        base = last.revision.commit if last is not None else ""
        return Asked(id=secrets.token_hex(6), request=request, terms=terms, base=base)

    async def _write(self) -> None:
        """Go on until nobody waits."""
        try:
            while self._queue:
                first = self._queue.pop(0)
                self._taken = [first]
                fault: Exception | None = None
                try:
                    await self._daemon.manifests_read()
                    await self._turn(first)
                except Exception as why:  # noqa: BLE001 - it is raised where somebody waits for it
                    fault = why
                over = [one for one in self._taken if one not in self._queue]
                await self._keeping.let_go(one.id for one in over if not one.is_again)
                # Not before: who is told of a refusal must not find it made by the next daemon.
                if fault is not None:
                    for one in over:
                        one.told.put_nowait(fault)
        finally:
            self._writing = None

    async def _turn(self, first: _Waiting) -> None:
        """Land the first, and all that go with it."""
        before = self._daemon.picture().services
        task = await self._work_out(first, before)
        batch = {first: task}
        if not first.is_alone and self._tools.auto_commit():
            batch |= await self._company(first, task, before)
        if len(batch) > 1:
            if await self._together(batch, before):
                return
            # The faults of one are no faults of another: each is made by itself, in its turn.
            company = [one for one in batch if one is not first]
            for one in company:
                one.is_alone = True
            self._queue[:0] = company
        await self._by_itself(first, task, before)

    async def _work_out(self, one: _Waiting, before: Services) -> Task:
        return replace(await work_out(one.request, before, self._tools.drafts), id=one.id)

    async def _company(self, first: _Waiting, task: Task, before: Services) -> dict[_Waiting, Task]:
        """Take those out of the queue that go into the same commit."""
        batch = Batch(author=first.author).having(set(task.services))
        found: dict[_Waiting, Task] = {}
        for one in list(self._queue):
            if one.is_alone:
                break
            if one.author != first.author:
                continue
            try:
                its = await self._work_out(one, before)
            except WeaverError:
                break  # It may need what comes before it; its turn will tell.
            names = set(its.services)
            if one not in self._queue:
                continue
            if its.intents and batch.takes(one.author, names):
                self._queue.remove(one)
                self._taken.append(one)
                batch, found[one] = batch.having(names), its
            else:
                batch = batch.passing(names)
        return found

    async def _by_itself(self, one: _Waiting, task: Task, before: Services) -> None:
        preview = meanwhile = None
        if task.intents:
            draft = await self._tools.drafts.draft(task.intents)
            self._refuse_wrong(task, draft)
            meanwhile = self._interlude(one, task, draft)
            preview = self._preview(draft, task, is_ephemeral=meanwhile is not None)
        one.tell(task, preview)
        if meanwhile is not None:
            await self._lay_over(one, task, preview, meanwhile, before)
            return
        committed = None
        if not one.terms.dry_run:
            committed = await self._commit(one.request, task, one.terms)
            if not branch_of(one.request):
                await self._follow({one: task}, committed)
        one.told.put_nowait(Landed(task=task, preview=preview, before=before, committed=committed))

    def _interlude(self, one: _Waiting, task: Task, draft: Draft) -> Interlude | None:
        """Give what a change makes of its services for a while; None: it is for good."""
        lasts, now = lasting(one.request), self._daemon.source.last
        if not lasts:
            return None
        if now is None:
            raise SourceHeldError(
                f"cannot apply anything for a while: {self._daemon.source.held}",
                mend="weaver status shows when the manifests are read again",
            )
        return interlude(task, draft, now, lasts, one.terms, self._daemon.clock)

    async def _lay_over(
        self,
        one: _Waiting,
        task: Task,
        preview: Preview | None,
        meanwhile: Interlude,
        before: Services,
    ) -> None:
        """Have something else wanted for a while; nothing of it is written."""
        landed = Landed(task=task, preview=preview, before=before)
        if not one.terms.dry_run:
            actor = f"uid:{one.terms.author.uid}"
            if meanwhile.ended:
                why = "what was applied is what its manifest says"
                self._daemon.tell(TakeAway(services=meanwhile.ended, actor=actor, reason=why))
            if meanwhile.overlays:
                self._daemon.tell(LayOver(overlays=meanwhile.overlays))
            if task.hurried:
                self._ask(OperationKind.STOP_NOW, task, task.hurried, actor)
            await self._daemon.caught_up()
            committed = Committed(commit=self._daemon.picture().revision.commit, changed=False)
            landed = replace(landed, committed=committed, lasts=meanwhile.span)
        one.told.put_nowait(landed)

    async def _together(self, batch: dict[_Waiting, Task], before: Services) -> bool:
        """Land all in one commit; False where that cannot be, and nothing was written."""
        tasks = list(batch.values())
        try:
            draft = await self._tools.drafts.draft([one for task in tasks for one in task.intents])
            for task in tasks:
                self._refuse_wrong(task, draft)
            whole = self._preview(draft, *tasks)
            committed = await self._tools.repository.commit(
                joined([(task, one.terms) for one, task in batch.items()])
            )
        except (ManifestError, ConflictError, NotFoundError, BlockedError):
            return False
        except Exception as why:  # noqa: BLE001 - it is raised where somebody waits for it
            for one in batch:
                one.told.put_nowait(why)
            return True
        if committed.changed:
            note = SHARED_NOTE.format(count=len(batch) - 1)
            committed = replace(committed, notes=(*committed.notes, note))
        ends = {
            one: Landed(
                task=task,
                preview=previews.share(whole, draft, task, tasks),
                before=before,
                committed=committed,
            )
            for one, task in batch.items()
        }
        for one, end in ends.items():
            one.tell(end.task, end.preview)
        await self._tell_all(ends, committed)
        return True

    async def _tell_all(self, ends: dict[_Waiting, Landed], committed: Committed) -> None:
        """Have what was written followed, and tell everybody, whatever comes of that."""
        fault: Exception | None = None
        try:
            await self._follow({one: end.task for one, end in ends.items()}, committed)
        except Exception as why:  # noqa: BLE001 - it is raised where somebody waits for it
            fault = why
        for one, end in ends.items():
            one.told.put_nowait(fault or end)

    # --- trying out ------------------------------------------------------------------------

    def _preview(self, draft: Draft, *tasks: Task, is_ephemeral: bool = False) -> Preview:
        released = frozenset(name for task in tasks for name in task.released)
        above = frozenset(name for task in tasks for name in task.services if is_ephemeral)
        situation = self._daemon.situation()
        found = previews.drafted(situation, draft, released, self._tools.language, above)
        return replace(found, files=()) if is_ephemeral else found

    def _refuse_wrong(self, task: Task, draft: Draft) -> None:
        faults = previews.new_errors(draft.manifests, self._daemon.source.last)
        own = [fault for name in task.services for fault in draft.manifests.invalid.get(name, ())]
        found = tuple(dict.fromkeys((*own, *faults)))
        if found:
            raise ManifestError(
                f"cannot {task.op} {_few(task.services)}: the manifest would be invalid",
                mend="nothing was written; mend what is named and try again",
                diagnostics=found,
            )
        if (last := self._daemon.source.last) is not None:
            now, then = last.definitions, draft.manifests.definitions
            keeps_protection(task.op, task.services, now, then)

    # --- writing ---------------------------------------------------------------------------

    async def _commit(self, request: Change, task: Task, terms: Terms) -> Committed:
        repository = self._tools.repository
        commits = self._tools.auto_commit()
        if isinstance(request, UndoLast):
            return await repository.undo(terms.author, task.id, auto_commit=commits)
        if not task.intents:
            head = await repository.revision()
            return Committed(commit=head.commit, changed=False)
        whole = replace(request_of(task, terms), auto_commit=commits, branch=branch_of(request))
        return await repository.commit(whole)

    async def _follow(self, batch: dict[_Waiting, Task], committed: Committed) -> None:
        """Have what was written read and decided on, under the name of who asked for it."""
        for one, task in batch.items():
            actor = f"uid:{one.terms.author.uid}"
            if task.released:
                self._ask(OperationKind.APPROVE_PRUNE, task, task.released, actor)
            if committed.changed:
                self._daemon.credit(committed.commit, actor)
                await self._daemon.note(_happening(task, committed, actor))
        if committed.changed or any(task.intents for task in batch.values()):
            await self._daemon.source.refresh()
        for one, task in batch.items():
            actor = f"uid:{one.terms.author.uid}"
            if task.retried:
                self._ask(OperationKind.START, task, task.retried, actor)
            if task.hurried:
                self._ask(OperationKind.STOP_NOW, task, task.hurried, actor)
        await self._daemon.caught_up()

    def _ask(self, kind: OperationKind, task: Task, of: Sequence[ServiceName], actor: str) -> None:
        self._daemon.ask(Operation(id=task.id, kind=kind, services=tuple(of), actor=actor))


def _is_alone(request: Change, terms: Terms) -> bool:
    """Tell whether a change is made by itself: it depends on the commit that it is made to."""
    is_plain = isinstance(request, Apply | SetValues | Scale | PutManifest)
    goes_elsewhere = bool(branch_of(request) or lasting(request))
    return not is_plain or goes_elsewhere or terms.dry_run or bool(terms.if_revision)


def branch_of(request: Change) -> str:
    """Give the branch that a change goes to; empty: the one that is followed."""
    return request.branch if isinstance(request, Apply) else ""


def _happening(task: Task, committed: Committed, actor: str) -> Happening:
    return Happening(
        kind="git.committed",
        reason=intents.subject(task.services, task.what) if task.services else "undo",
        actor=actor,
        data={"commit": committed.commit, "op": task.op, "opId": task.id},
    )


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")

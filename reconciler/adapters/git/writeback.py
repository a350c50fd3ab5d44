"""Write a change back: one commit, and the same change in the person's index and saved files.

Everything that can fail is done first and beside: objects nobody refers to, a new index and new
files under temporary names, the branch locked and checked. Then come the renames, in the order in
which a person works: the file is saved, staged, committed. So whoever is killed between them
leaves a state that every git user knows, and the same change asked again completes it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from reconciler.adapters.git import guards, layers, locks, message, publishing, recovery
from reconciler.adapters.git.checkout import Checkout
from reconciler.adapters.git.committing import (
    Ids,
    Words,
    author_notes,
    entries_of,
    write_commit,
    write_texts,
)
from reconciler.adapters.git.edits import Edit, Write
from reconciler.adapters.git.layers import Layers
from reconciler.adapters.git.objects import Objects
from reconciler.adapters.git.outcome import Outcome, work_out, work_out_saved
from reconciler.adapters.git.publishing import Target, Tell
from reconciler.adapters.git.references import BranchMovedError
from reconciler.adapters.git.saved import SavedFileMovedError
from reconciler.adapters.git.state import head
from reconciler.failpoints import failpoint
from reconciler.ports import CommitRequest, Committed, ConflictError

TRIES = 10
PAUSE_S = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One change and the words that go with it."""

    checkout: Checkout
    request: CommitRequest
    edit: Edit
    trailers: Sequence[tuple[str, str]] = ()
    sign: str = ""
    tell: Tell = lambda _: None
    lock_wait_s: float = locks.WAIT_S

    @property
    def words(self) -> Words:
        """Give the words of the commit."""
        return Words(request=self.request, trailers=self.trailers, sign=self.sign)


def writes_into(checkout: Checkout, sign: str = "") -> Write:
    """Give what a change or an undo in a checkout is written by, signed with this key."""

    def write(
        request: CommitRequest, edit: Edit, trailers: Sequence[tuple[str, str]] = ()
    ) -> Committed:
        job = Job(checkout=checkout, request=request, edit=edit, trailers=trailers, sign=sign)
        return write_back(job)

    return write


def write_back(job: Job) -> Committed:
    """Do the job, again where somebody else was faster. Raises WeaverError with the mend."""
    try:
        guards.refuse_foreign(job.checkout)
        guards.refuse_read_only(job.checkout)
        guards.refuse_link(job.checkout)
        with (
            locks.writer(job.checkout, job.lock_wait_s),
            locks.index(job.checkout, job.lock_wait_s),
        ):
            return _with_locks(job)
    except OSError as fault:
        raise guards.worded(fault) from fault


def _with_locks(job: Job) -> Committed:
    recovery.sweep(job.checkout)
    guards.refuse_operation(job.checkout)
    job.tell("locked")
    words = ""
    for attempt in range(TRIES):
        time.sleep(PAUSE_S * attempt)
        try:
            return _attempt(job)
        except (BranchMovedError, SavedFileMovedError) as lost:
            words = str(lost)
    raise ConflictError(
        f"cannot commit: others were faster {TRIES} times ({words})", mend="try again"
    )


def _attempt(job: Job) -> Committed:
    base = head(job.checkout)
    guards.refuse_stale(job.request.if_revision, base)
    found = layers.read(job.checkout, base)
    if job.request.auto_commit:
        guards.refuse_detached(job.checkout, base)
        outcome = work_out(found, job.edit)
    else:
        outcome = work_out_saved(found, job.edit)
    failpoint("git.objects.before")
    with Objects(job.checkout) as objects:
        ids = write_texts(objects, outcome)
        commit = write_commit(job.checkout, job.words, objects, found, outcome, ids)
    failpoint("git.objects.written")
    job.tell("objects")
    publishing.publish(job.checkout, _target(job, found, outcome, ids, commit), job.tell)
    return Committed(
        commit=commit or base.commit,
        changed=bool(commit),
        files=outcome.files,
        notes=(*outcome.notes, *_kept_notes(outcome, ids), *author_notes(job.request, commit)),
    )


def _target(job: Job, found: Layers, outcome: Outcome, ids: Ids, commit: str) -> Target:
    return Target(
        base=found.base,
        commit=commit,
        note=message.reflog_note(job.request),
        staged=entries_of(outcome.staged, ids, found.staged_entries),
        saved=outcome.saved,
        saved_files=found.saved_files,
    )


def _kept_notes(outcome: Outcome, ids: Ids) -> list[str]:
    return [
        f"your edits of {kept.path} that were not committed are kept: "
        f"git cat-file -p {ids[kept.text]}"
        for kept in outcome.kept
    ]

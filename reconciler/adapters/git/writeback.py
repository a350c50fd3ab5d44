"""Write a change back: one commit, and the same change in the person's index and saved files.

Everything that can fail is done first and beside: objects nobody refers to, a new index and new
files under temporary names, the branch locked and checked. Then come the renames, in the order in
which a person works: the file is saved, staged, committed. So whoever is killed between them
leaves a state that every git user knows, and the same change asked again completes it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from reconciler.adapters.git import guards, layers, locks, message, plumbing, publishing, recovery
from reconciler.adapters.git.checkout import Checkout
from reconciler.adapters.git.edits import Changes, Edit
from reconciler.adapters.git.index import GONE_MODE, NEW_FILE_MODE, Staged
from reconciler.adapters.git.layers import Layers
from reconciler.adapters.git.objects import Objects
from reconciler.adapters.git.outcome import Outcome, work_out, work_out_saved
from reconciler.adapters.git.publishing import Target, Tell
from reconciler.adapters.git.references import BranchMovedError
from reconciler.adapters.git.saved import SavedFileMovedError
from reconciler.adapters.git.state import head
from reconciler.failpoints import failpoint
from reconciler.ports import CommitRequest, Committed, ConflictError, HostError

TRIES = 10
PAUSE_S = 0.05

EMPTY_TREES = {
    40: "4b825dc642cb6eb9a060e54bf8d69288fbee4904",
    64: "6ef19b41225c5369f1c104d45d8d85efa9b057b53b14b4b9b939dd74decc5321",
}
"""The tree without entries, by the length of its id; git knows it without storing it."""

Ids = Mapping[bytes, str]
"""Each text that git was given, to its id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One change and the words that go with it."""

    checkout: Checkout
    request: CommitRequest
    edit: Edit
    trailers: Sequence[tuple[str, str]] = ()
    tell: Tell = lambda _: None
    lock_wait_s: float = locks.WAIT_S


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
        ids = _write_texts(objects, outcome)
        commit = _write_commit(job, objects, found, outcome, ids)
    failpoint("git.objects.written")
    job.tell("objects")
    publishing.publish(job.checkout, _target(job, found, outcome, ids, commit), job.tell)
    return Committed(
        commit=commit or base.commit,
        changed=bool(commit),
        files=outcome.files,
        notes=(*outcome.notes, *_kept_notes(outcome, ids), *_author_notes(job, commit)),
    )


def _write_texts(objects: Objects, outcome: Outcome) -> Ids:
    """Write every text that git is to know, each once."""
    new = {*outcome.committed.values(), *outcome.staged.values()}
    kept = {kept.text for kept in outcome.kept}
    texts = sorted(text for text in new | kept if text is not None)
    return dict(zip(texts, objects.blobs(texts), strict=True))


def _write_commit(job: Job, objects: Objects, found: Layers, outcome: Outcome, ids: Ids) -> str:
    """Write the commit that nobody refers to yet; empty where there is nothing to commit."""
    if not outcome.committed:
        return ""
    base = found.base.commit
    tree = objects.tree(base, _entries(outcome.committed, ids, found.committed_entries))
    _refuse_strays(job.checkout, base, tree, outcome.committed)
    text = message.compose(job.request, job.trailers)
    return objects.commit(tree, base, text, message.identify(job.request.author))


def _entries(changes: Changes, ids: Ids, before: Mapping[str, Staged]) -> list[Staged]:
    """Give the entries of the new texts; a file keeps its mode and its marks."""
    entries = []
    for path, text in changes.items():
        entry = before.get(path) or Staged(path=path, mode=NEW_FILE_MODE, blob="")
        if text is not None:
            entries.append(replace(entry, blob=ids[text]))
        elif entry.blob:
            entries.append(replace(entry, mode=GONE_MODE))
    return entries


def _refuse_strays(checkout: Checkout, base: str, tree: str, changes: Changes) -> None:
    """Check what git made against what was meant: a commit of ours touches nothing else."""
    output = plumbing.run(
        checkout,
        *("diff-tree", "-r", "-z", "--no-renames", "--name-only"),
        *(base or EMPTY_TREES[len(tree)], tree),
    )
    touched = {checkout.from_git(os.fsdecode(path)) for path in output.split(b"\0") if path}
    if touched != changes.keys():
        strays = ", ".join(sorted(touched ^ changes.keys()))
        raise HostError(
            f"cannot commit: the commit would differ from what was meant in {strays}",
            mend="check the repository with `git fsck`",
        )


def _target(job: Job, found: Layers, outcome: Outcome, ids: Ids, commit: str) -> Target:
    return Target(
        base=found.base,
        commit=commit,
        note=message.reflog_note(job.request),
        staged=_entries(outcome.staged, ids, found.staged_entries),
        saved=outcome.saved,
        saved_files=found.saved_files,
    )


def _kept_notes(outcome: Outcome, ids: Ids) -> list[str]:
    return [
        f"your edits of {kept.path} that were not committed are kept: "
        f"git cat-file -p {ids[kept.text]}"
        for kept in outcome.kept
    ]


def _author_notes(job: Job, commit: str) -> list[str]:
    author = message.identify(job.request.author)
    if not commit or not message.is_anonymous(author):
        return []
    return [message.IDENTITY_NOTE.format(author=author)]

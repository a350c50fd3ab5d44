"""Build a commit in a mirror: nothing refers to it until the other side has taken it."""

from __future__ import annotations

from collections.abc import Sequence

from reconciler.adapters.git import guards, layers
from reconciler.adapters.git.checkout import Bare
from reconciler.adapters.git.committing import Words, author_notes, write_commit, write_texts
from reconciler.adapters.git.edits import Edit, Write
from reconciler.adapters.git.objects import Objects
from reconciler.adapters.git.outcome import work_out
from reconciler.adapters.git.state import head
from reconciler.failpoints import failpoint
from reconciler.ports import CommitRequest, Committed


def builds_in(repo: Bare, sign: str = "") -> Write:
    """Give what a change or an undo in a mirror is written by, signed with this key."""

    def write(
        request: CommitRequest, edit: Edit, trailers: Sequence[tuple[str, str]] = ()
    ) -> Committed:
        return build(repo, Words(request=request, trailers=trailers, sign=sign), edit)

    return write


def build(repo: Bare, words: Words, edit: Edit) -> Committed:
    """Make the change to the verified head, and give the commit. Raises WeaverError.

    Where nothing changes the commit is that head.
    """
    base, request = head(repo), words.request
    guards.refuse_stale(request.if_revision, base)
    found = layers.read_committed(repo, base)
    outcome = work_out(found, edit)
    failpoint("git.build.before")
    with Objects(repo) as objects:
        ids = write_texts(objects, outcome)
        commit = write_commit(repo, words, objects, found, outcome, ids)
    failpoint("git.build.written")
    return Committed(
        commit=commit or base.commit,
        changed=bool(commit),
        files=outcome.files,
        notes=tuple(author_notes(request, commit)),
    )

"""Undo what a person last did through Weaver, as a new commit; undoing that is a redo."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace

from reconciler.adapters.git import history, message, plumbing, revisions
from reconciler.adapters.git.checkout import Repo
from reconciler.adapters.git.committing import EMPTY_TREES
from reconciler.adapters.git.documents import document_of
from reconciler.adapters.git.edits import Write
from reconciler.adapters.git.history import Commit
from reconciler.adapters.git.revert import RevertEdit
from reconciler.adapters.git.state import head
from reconciler.manifest.naming import is_manifest
from reconciler.ports import Author, CommitRequest, Committed, ConflictError, NotFoundError

TRIES = 3
REVERTS = "Weaver-Reverts"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Who asked for an undo, and how it is to be done."""

    author: Author
    op_id: str
    write: Write
    """How it is done where it is done."""
    auto_commit: bool = True


def undo(repo: Repo, asked: Asked) -> Committed:
    """Revert the last commit that this person made through Weaver. Raises WeaverError."""
    for _ in range(TRIES):
        base = head(repo).commit
        try:
            return _undo_at(repo, base, asked)
        except ConflictError:
            if head(repo).commit == base:
                raise
    raise ConflictError("cannot undo: the branch moves all the time", mend="try again")


def _undo_at(repo: Repo, base: str, asked: Asked) -> Committed:
    newest_first = history.commits(repo)
    commit = last_of(newest_first, asked.author)
    if commit is None:
        raise NotFoundError(
            f"cannot undo: no commit of {message.identify(asked.author)} through weaver is left "
            f"among the last {history.LIMIT}",
            mend="see `git log`, and `git revert` what you want to take back",
        )
    edit = _edit_of(repo, commit)
    _refuse_later_changes(repo, commit, edit)
    request = CommitRequest(
        intents=(),
        subject=subject_after(commit.subject),
        author=asked.author,
        op="undo",
        op_id=asked.op_id,
        services=edit.services,
        if_revision=base,
        auto_commit=asked.auto_commit,
    )
    done = asked.write(request, edit, ((REVERTS, commit.sha),))
    return replace(done, notes=(f"took back {commit.sha[:7]} ({commit.subject})", *done.notes))


def last_of(newest_first: Sequence[Commit], author: Author) -> Commit | None:
    """Find the newest commit of this person through Weaver that is not undone.

    Walking back in time, a revert is met before what it reverts; one that is itself undone
    counts for nothing.
    """
    undone: set[str] = set()
    for commit in newest_first:
        if commit.sha in undone:
            continue
        if commit.is_ours and _is_by(commit, author):
            return commit
        undone.add(commit.trailers.get(REVERTS, ""))
    return None


def _is_by(commit: Commit, author: Author) -> bool:
    """Tell whether a commit is this person's: by address, or by uid where one has no address."""
    person = message.identify(author)
    if commit.author.email == person.email:
        return True
    actor = commit.trailers.get("Weaver-Actor")
    nameless = message.is_anonymous(person) or message.is_anonymous(commit.author)
    return nameless and actor == f"uid:{author.uid}"


def subject_after(subject: str) -> str:
    """Word the undoing of a commit.

    >>> subject_after("web: set env.A=1"), subject_after("undo: web: set env.A=1")
    ('undo: web: set env.A=1', 'redo: web: set env.A=1')
    """
    for prefix, opposite in (("undo: ", "redo: "), ("redo: ", "undo: ")):
        if subject.startswith(prefix):
            return opposite + subject.removeprefix(prefix)
    return f"undo: {subject}"


def _edit_of(repo: Repo, commit: Commit) -> RevertEdit:
    parent = commit.parents[0] if commit.parents else ""
    output = plumbing.run(
        repo,
        *("diff-tree", "-r", "-z", "--no-renames", "--name-only"),
        *(parent or EMPTY_TREES[len(commit.sha)], commit.sha),
    )
    names = (repo.from_git(os.fsdecode(path)) for path in output.split(b"\0") if path)
    paths = tuple(name for name in names if is_manifest(name))
    return RevertEdit(
        before=revisions.read_paths(repo, parent, paths),
        made=revisions.read_paths(repo, commit.sha, paths),
    )


def _refuse_later_changes(repo: Repo, commit: Commit, edit: RevertEdit) -> None:
    """Refuse where a service has been changed since: undoing would take that back too."""
    now = revisions.read_revision(repo, "HEAD").files
    made = {path: data for path, data in edit.made.items() if data is not None}
    for service in edit.services:
        if document_of(now, service) != document_of(made, service):
            since = _later_change(repo, commit, tuple(edit.made))
            raise ConflictError(
                f"cannot undo {commit.sha[:7]} ({commit.subject}): {service} was changed "
                f"since{since}",
                mend=f"see `weaver history {service}`, and change it as you want it now",
            )


def _later_change(repo: Repo, commit: Commit, paths: Sequence[str]) -> str:
    for path in paths:
        newest = next(iter(history.commits(repo, path=path, limit=1)), commit)
        if newest.sha != commit.sha:
            return f" by {newest.author} in {newest.sha[:12]} ({newest.subject})"
    return ""

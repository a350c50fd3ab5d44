"""Write a commit that nobody refers to yet: its texts, its tree, its words."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from reconciler.adapters.git import message, plumbing
from reconciler.adapters.git.checkout import Repo
from reconciler.adapters.git.edits import Changes
from reconciler.adapters.git.index import GONE_MODE, NEW_FILE_MODE, Staged
from reconciler.adapters.git.layers import Layers
from reconciler.adapters.git.objects import Objects
from reconciler.adapters.git.outcome import Outcome
from reconciler.ports import CommitRequest, HostError

EMPTY_TREES = {
    40: "4b825dc642cb6eb9a060e54bf8d69288fbee4904",
    64: "6ef19b41225c5369f1c104d45d8d85efa9b057b53b14b4b9b939dd74decc5321",
}
"""The tree without entries, by the length of its id; git knows it without storing it."""

Ids = Mapping[bytes, str]
"""Each text that git was given, to its id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """What a commit says of itself."""

    request: CommitRequest
    trailers: Sequence[tuple[str, str]] = ()
    sign: str = ""
    """The SSH key that it is signed with; empty: it is not signed."""


def write_texts(objects: Objects, outcome: Outcome) -> Ids:
    """Write every text that git is to know, each once."""
    new = {*outcome.committed.values(), *outcome.staged.values()}
    kept = {kept.text for kept in outcome.kept}
    texts = sorted(text for text in new | kept if text is not None)
    return dict(zip(texts, objects.blobs(texts), strict=True))


def write_commit(
    repo: Repo, words: Words, objects: Objects, found: Layers, outcome: Outcome, ids: Ids
) -> str:
    """Write the commit that nobody refers to yet; empty where there is nothing to commit."""
    if not outcome.committed:
        return ""
    base = found.base.commit
    tree = objects.tree(base, entries_of(outcome.committed, ids, found.committed_entries))
    _refuse_strays(repo, base, tree, outcome.committed)
    text = message.compose(words.request, words.trailers)
    author = message.identify(words.request.author)
    return objects.commit(tree, base, text, author, words.sign)


def entries_of(changes: Changes, ids: Ids, before: Mapping[str, Staged]) -> list[Staged]:
    """Give the entries of the new texts; a file keeps its mode and its marks."""
    entries = []
    for path, text in changes.items():
        entry = before.get(path) or Staged(path=path, mode=NEW_FILE_MODE, blob="")
        if text is not None:
            entries.append(replace(entry, blob=ids[text]))
        elif entry.blob:
            entries.append(replace(entry, mode=GONE_MODE))
    return entries


def _refuse_strays(repo: Repo, base: str, tree: str, changes: Changes) -> None:
    """Check what git made against what was meant: a commit of ours touches nothing else."""
    output = plumbing.run(
        repo,
        *("diff-tree", "-r", "-z", "--no-renames", "--name-only"),
        *(base or EMPTY_TREES[len(tree)], tree),
    )
    touched = {repo.from_git(os.fsdecode(path)) for path in output.split(b"\0") if path}
    if touched != changes.keys():
        strays = ", ".join(sorted(touched ^ changes.keys()))
        raise HostError(
            f"cannot commit: the commit would differ from what was meant in {strays}",
            mend="check the repository with `git fsck`",
        )


def author_notes(request: CommitRequest, commit: str) -> list[str]:
    """Say who counts as the author where git knows no name."""
    author = message.identify(request.author)
    if not commit or not message.is_anonymous(author):
        return []
    return [message.IDENTITY_NOTE.format(author=author)]

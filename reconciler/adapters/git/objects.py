"""Make trees and commits with GitPython; the one module that knows it.

GitPython is heavy and has a history of option injection, so it is imported in the worker process
only, and every value that reaches it was made or checked by us: ids of objects, paths of our own
temporary files, a message on standard input. It starts git for whatever writes an object, which
syncs to disk and honours the repository's object format, as its Python writer does not.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Self

from git import Repo
from git.exc import GitError

from reconciler.adapters.git import message, plumbing
from reconciler.adapters.git.checkout import Repo as Place
from reconciler.adapters.git.index import Staged, records
from reconciler.adapters.git.locks import LEFT_OVER
from reconciler.ports import HostError


class Objects:
    """Writes new objects into the repository; nothing refers to them until a branch does."""

    def __init__(self, place: Place) -> None:
        self._place = place
        try:
            self._repo = Repo(place.place, expand_vars=False)
        except GitError as failed:
            raise HostError(f"cannot open the repository {place.place}: {failed}") from failed
        self._repo.git.update_environment(**plumbing.environment(place))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._repo.close()

    def blobs(self, texts: Sequence[bytes]) -> list[str]:
        """Write texts and give their ids, in order."""
        if not texts:
            return []
        with self._folder() as folder:
            names = [folder / str(number) for number in range(len(texts))]
            for name, text in zip(names, texts, strict=True):
                name.write_bytes(text)
            asked = "".join(f"{name}\n" for name in names).encode()
            output = self._git("hash-object", "-w", "--no-filters", "--stdin-paths", stdin=asked)
        return output.split()

    def tree(self, base: str, changes: Sequence[Staged]) -> str:
        """Write the tree of `base` (a commit, or empty) with these entries, by a private index."""
        with self._folder() as folder:
            index = {"GIT_INDEX_FILE": str(folder / "index")}
            self._git("read-tree", *([base] if base else ["--empty"]), extra=index)
            lines = records(self._place, changes)
            self._git("update-index", "--add", "-z", "--index-info", stdin=lines, extra=index)
            return self._git("write-tree", extra=index)

    def commit(
        self, tree: str, parent: str, text: str, author: message.Identity, sign: str = ""
    ) -> str:
        """Write a commit by this author; the committer is Weaver, who signs with this key."""
        people = {
            "GIT_AUTHOR_NAME": author.name,
            "GIT_AUTHOR_EMAIL": author.email,
            "GIT_COMMITTER_NAME": message.COMMITTER_NAME,
            "GIT_COMMITTER_EMAIL": message.COMMITTER_EMAIL,
        }
        parents = ["-p", parent] if parent else []
        if not sign:
            return self._git(
                "commit-tree", *parents, "-F", "-", tree, stdin=text.encode(), extra=people
            )
        # With a key of the host and git's own program, whatever the repository says of signing.
        program = ("-c", "gpg.format=ssh", "-c", "gpg.ssh.program=ssh-keygen")
        command = ("commit-tree", f"-S{sign}", *parents, "-F", "-", tree)
        try:
            return self._git(*program, *command, stdin=text.encode(), extra=people)
        except HostError as why:
            raise HostError(
                f"cannot sign the commit with {sign}: {str(why).partition(': ')[2]}",
                mend="git.sign must name an SSH key without a passphrase that only its owner reads",
            ) from why

    def _git(
        self, *arguments: str, stdin: bytes = b"", extra: Mapping[str, str] | None = None
    ) -> str:
        command = ["git", *arguments]
        with _file_of(stdin) as source, self._repo.git.custom_environment(**extra or {}):
            status, output, complaint = self._repo.git.execute(
                command,
                istream=source,
                with_extended_output=True,
                with_exceptions=False,
                kill_after_timeout=plumbing.DEADLINE_S,
            )
        if status:
            words = plumbing.words_of(complaint, status)
            raise HostError(f"cannot run git {arguments[0]}: {words}")
        return output

    @contextmanager
    def _folder(self) -> Iterator[Path]:
        with tempfile.TemporaryDirectory(prefix=LEFT_OVER, dir=self._place.git_dir) as folder:
            yield Path(folder)


@contextmanager
def _file_of(data: bytes) -> Iterator[BinaryIO]:
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.seek(os.SEEK_SET)
        yield file

"""The git repository of a checkout as the runtime knows it: it is written by a worker process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from reconciler.adapters.git import recovery, wire
from reconciler.adapters.git.checkout import locate
from reconciler.adapters.git.reading import Reading
from reconciler.adapters.git.writer import DEADLINE_S, IDLE_S, Writer
from reconciler.ports import Author, CommitRequest, Committed


class GitRepository(Reading):
    """One repository. Writes queue up behind each other and are never cut short."""

    def __init__(
        self,
        root: Path,
        sign: Callable[[], str] = str,
        *,
        idle_s: float = IDLE_S,
        deadline_s: float = DEADLINE_S,
    ) -> None:
        """Write into the checkout at `root`, signed with the key that `sign` names, if any."""
        super().__init__(lambda: locate(root))
        self._root = root
        self._sign = sign
        self._writer = Writer(
            lambda: recovery.clear_left_over(locate(root)), idle_s=idle_s, deadline_s=deadline_s
        )

    async def commit(self, request: CommitRequest) -> Committed:
        """Write the intents back as one commit. Raises WeaverError with the mend."""
        question = wire.commit_question(str(self._root), request, sign=self._sign())
        return await self._writer.ask(question)

    async def undo(self, author: Author, op_id: str, *, auto_commit: bool = True) -> Committed:
        """Revert the last commit that this person made through Weaver."""
        question = wire.undo_question(
            str(self._root), author, op_id, auto_commit=auto_commit, sign=self._sign()
        )
        return await self._writer.ask(question)

    async def close(self) -> None:
        """Let what is being written finish, and end the worker."""
        await self._writer.close()

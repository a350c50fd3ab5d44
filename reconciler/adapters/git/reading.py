"""Read a repository's history for the runtime, in threads."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

from reconciler.adapters.git import history, revisions, state
from reconciler.adapters.git.checkout import Repo
from reconciler.model.desired import Revision
from reconciler.ports import LogEntry


class Reading:
    """What can be asked of a repository, with a work tree or without; HEAD is what is followed."""

    def __init__(self, repo: Callable[[], Repo]) -> None:
        self._repo = repo

    async def revision(self) -> Revision:
        """Give HEAD and its branch (`dirty` is left empty)."""
        return state.head(self._repo())

    async def landed(self, op_id: str, since: str) -> str:
        """Give the commit of an operation, if HEAD has it and it came after `since`."""
        return await asyncio.to_thread(history.landed, self._repo(), op_id, since)

    async def blobs(self, revision: str) -> Mapping[str, bytes]:
        """Give all manifest files of a revision: path to bytes. Raises NotFoundError."""
        repo = self._repo()
        found = await asyncio.to_thread(revisions.read_revision, repo, revision)
        return found.files

    async def log(self, path: str, limit: int) -> Sequence[LogEntry]:
        """Give the commits that touched a file, newest first."""
        return await asyncio.to_thread(history.log, self._repo(), path, limit)

    async def service_log(self, path: str, service: str, limit: int) -> Sequence[LogEntry]:
        """Give the commits that touched a service in its file, newest first."""
        repo = self._repo()
        return await asyncio.to_thread(history.service_log, repo, path, service, limit)

    async def who(self, path: str) -> LogEntry | None:
        """Give the last commit that touched a file, None where none did."""
        return await asyncio.to_thread(history.who, self._repo(), path)

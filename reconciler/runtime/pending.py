"""Keep what people asked for until it is in the branch, so that no death of a daemon loses it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import cast, get_args

from reconciler.manifest.codec import CodecError, decode, encode
from reconciler.ports import BlockedError, Pending, StoreError
from reconciler.runtime.ephemeral import lasting
from reconciler.runtime.requests import Apply, Change, Restore, Terms
from reconciler.runtime.restraint import SOURCE

log = logging.getLogger(__name__)

_KINDS = {kind.__name__: kind for kind in get_args(Change)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A change that somebody asked for."""

    id: str
    """What `Weaver-Op-Id` of its commit says."""
    request: Change
    terms: Terms
    base: str
    """The commit that was followed then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stored:
    kind: str
    request: str
    terms: Terms
    base: str


def text_of(asked: Asked) -> str:
    """Give a change as it is kept."""
    kind, request = type(asked.request).__name__, encode(asked.request).decode()
    stored = _Stored(kind=kind, request=request, terms=asked.terms, base=asked.base)
    return encode(stored).decode()


def read(id_: str, text: str) -> Asked:
    """Read one back. Raises CodecError where another version kept it."""
    stored = decode(text, _Stored)
    if stored.kind not in _KINDS:
        raise CodecError(f"cannot read a change: {stored.kind} is unknown")
    request = cast(Change, decode(stored.request, _KINDS[stored.kind]))
    return Asked(id=id_, request=request, terms=stored.terms, base=stored.base)


class Keeping:
    """Keeps changes as far as the record can be written, without which they are made all the same.

    What nobody asked for is worked out anew by whoever comes next. A rehearsal, a change for
    review, one for a while and one that is only saved end in no commit of the branch.
    """

    def __init__(self, pending: Pending, auto_commit: Callable[[], bool]) -> None:
        self._pending = pending
        self._auto_commit = auto_commit
        self._kept: set[str] = set()
        self._is_free = asyncio.Event()
        """Clear until what an earlier daemon kept is made: nobody overtakes that."""
        self._obstacle = ""

    async def keep(self, asked: Asked) -> None:
        """Keep a change, if it is one to be kept, and wait for those of an earlier daemon.

        Raises BlockedError where these cannot be made yet.
        """
        if self._is_fleeting(asked):
            return
        self._kept.add(asked.id)
        try:
            await self._pending.keep(asked.id, text_of(asked))
        except StoreError as why:
            log.warning("a change is not kept in the case that the daemon dies: %s", why)
        await self._is_free.wait()
        if self._obstacle:
            raise BlockedError(f"cannot change anything: {self._obstacle}", mend="try again later")

    def hold_back(self) -> None:
        """Let new changes wait from now on."""
        self._is_free.clear()

    def release(self, obstacle: str = "") -> None:
        """Let new changes go on, or be refused while there is an obstacle."""
        self._obstacle = obstacle
        self._is_free.set()

    async def let_go(self, ids: Iterable[str]) -> None:
        """Forget changes that are in the branch, or refused, or asked for by nobody any more."""
        done = self._kept.intersection(ids)
        self._kept -= done
        if done:
            with suppress(StoreError):  # the next daemon finds it in the branch
                await self._pending.let_go(sorted(done))

    async def kept(self) -> Sequence[Asked]:
        """Give what an earlier daemon kept, the oldest first."""
        found = []
        for id_, text in await self._pending.kept():
            if id_ in self._kept:
                continue
            self._kept.add(id_)
            try:
                found.append(read(id_, text))
            except CodecError as why:
                log.warning("a change of an earlier daemon is lost: %s", why)
                await self.let_go([id_])
        return found

    def _is_fleeting(self, asked: Asked) -> bool:
        request, terms = asked.request, asked.terms
        is_elsewhere = isinstance(request, Apply) and bool(request.branch)
        is_elsewhere = is_elsewhere or bool(lasting(request))
        is_own = isinstance(request, Restore) or terms.source == SOURCE
        return is_elsewhere or is_own or terms.dry_run or not self._auto_commit()

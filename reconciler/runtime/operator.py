"""What every operation does: ask the engine, follow what comes of it, and say how it ended."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator

from reconciler.model.change import Verb
from reconciler.model.event import Operation, OperationKind
from reconciler.model.units import ServiceName
from reconciler.runtime.daemon import Daemon
from reconciler.runtime.journal import Listener
from reconciler.runtime.messages import Message, Summary
from reconciler.runtime.outlook import Aim
from reconciler.runtime.pursuit import Chase, Pursuit, Tail
from reconciler.runtime.requests import Terms


class Operator:
    """Somebody who asks things of the engine for a person."""

    def __init__(self, daemon: Daemon, tail: Tail) -> None:
        self._daemon = daemon
        self._tail = tail

    async def _pursue(
        self, what: str, chase: Chase, terms: Terms, listener: Listener, *, done: str = ""
    ) -> AsyncIterator[Message]:
        await self._daemon.caught_up()
        if not terms.wait:
            yield Summary(exit_code=0, text=f"{what} - asked for, not waited for")
            return
        pursuit = Pursuit(self._daemon, chase, self._tail)
        async for message in pursuit.run(listener):
            yield message
        took = asyncio.get_running_loop().time() - chase.begun
        how = {9: "time is up, it goes on"}.get(pursuit.exit_code, "failed")
        good = f"{done or f'{what} - done in'} {took:.1f} s"
        yield Summary(
            exit_code=pursuit.exit_code,
            text=f"{what} - {how}" if pursuit.exit_code else good,
        )

    def _chase(
        self,
        names: tuple[ServiceName, ...],
        terms: Terms,
        *,
        verbs: dict[ServiceName, tuple[Verb, ...]] | None = None,
        aim: Aim | None = None,
    ) -> Chase:
        begun = asyncio.get_running_loop().time()
        return Chase(
            names=names,
            verbs=verbs or {},
            aim=aim or Aim(),
            begun=begun,
            deadline=begun + terms.timeout,
        )

    def _ask(
        self,
        kind: OperationKind,
        terms: Terms,
        *,
        services: tuple[ServiceName, ...] = (),
        prune_id: str = "",
    ) -> None:
        self._daemon.ask(
            Operation(
                id=secrets.token_hex(6),
                kind=kind,
                services=services,
                actor=f"uid:{terms.author.uid}",
                reason=terms.reason,
                prune_id=prune_id,
            )
        )

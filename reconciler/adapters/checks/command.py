"""Probe and check by a command."""

from __future__ import annotations

import asyncio
import shlex
from contextlib import suppress

from reconciler.adapters.checks.child import Child, Heard, how_it_ended
from reconciler.adapters.checks.matching import Matcher
from reconciler.adapters.checks.place import Place, ProbeError, Seen
from reconciler.model.health import CheckFault, CommandCheck
from reconciler.model.spec import CommandTarget

OUTPUT_LIMIT = 4096
"""Bytes of a probing command's output that are kept; what comes after them is read and dropped."""
MATCHED_LIMIT = 65536
"""Bytes of it that a pattern is looked for in."""


async def ask_command(target: CommandTarget, place: Place) -> str:
    """Run a command in a session of its own; nothing of it outlives the question."""
    argv = [place.expand(word) for word in (*target.cmd, *target.args)]
    code, said = await _run(argv, place, OUTPUT_LIMIT)
    if code == 0:
        return said.last_line() or "exited with 0"
    raise ProbeError(_failure(argv, code, said), CheckFault.EXIT)


async def check_command(check: CommandCheck, place: Place, matcher: Matcher) -> Seen:
    """Run a command and judge its exit code and what it wrote."""
    argv = [place.expand(word) for word in (*check.cmd, *check.args)]
    code, said = await _run(argv, place, MATCHED_LIMIT)
    facts = {"exitCode": code}
    if code != check.expected_exit_code:
        wanted = f", want {check.expected_exit_code}" if check.expected_exit_code else ""
        raise ProbeError(_failure(argv, code, said) + wanted, CheckFault.EXIT, facts)
    if check.expected_output:
        await matcher.require(check.expected_output, bytes(said.kept), "expectedOutput")
    return Seen(detail=said.last_line() or how_it_ended(code), facts=facts)


async def _run(argv: list[str], place: Place, keep: int) -> tuple[int, Heard]:
    """Run to the end, and give the exit code, negative for a signal, and what was written."""
    child = Child(argv, place)
    said = Heard(child.output, keep)
    try:
        await until_ended(child, said)
    finally:
        await child.end()
    assert child.code is not None
    return child.code, said


async def until_ended(child: Child, *ends: Heard) -> None:
    """Listen until the child itself ended. Raises ProbeError where it floods an end."""
    ended = asyncio.create_task(child.ended())
    listening = [asyncio.create_task(end.listen()) for end in ends]
    try:
        waiting: set[asyncio.Task[None]] = {ended, *listening}
        while not ended.done():
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
    finally:
        for task in (ended, *listening):
            task.cancel()
        await asyncio.gather(ended, *listening, return_exceptions=True)
    for end in ends:
        with suppress(OSError):
            end.take()


def _failure(argv: list[str], code: int, said: Heard) -> str:
    words = said.last_line()
    return f"{shlex.join(argv)[:80]} {how_it_ended(code)}" + (f": {words}" if words else "")

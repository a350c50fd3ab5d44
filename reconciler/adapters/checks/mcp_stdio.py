"""Check a server of the Model Context Protocol that speaks on its standard input and output."""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress

from reconciler import __version__
from reconciler.adapters.checks import mcp
from reconciler.adapters.checks.child import CHUNK, Child, Heard, how_it_ended, readable
from reconciler.adapters.checks.place import Place, ProbeError, Seen
from reconciler.model.health import CheckFault, McpCheck

LEAVE_S = 0.5
"""What a server may take to end once its input is closed; then it is killed."""
_SAID = 4096


async def check_mcp_stdio(check: McpCheck, place: Place) -> Seen:
    """Start a server, speak with it, and end it."""
    argv = [place.expand(word) for word in (*check.cmd, *check.args)]
    its_input, ours = os.pipe2(os.O_CLOEXEC)
    try:
        child = Child(argv, place, stdin=its_input, has_own_errors=True)
    except BaseException:
        os.close(ours)
        raise
    finally:
        os.close(its_input)
    errors = Heard(child.errors, _SAID)
    listening = asyncio.create_task(errors.listen())
    talk = _Talk(child, ours, errors)
    try:
        found = await _spoken(talk)
        talk.hang_up()
        with suppress(TimeoutError):
            async with asyncio.timeout(LEAVE_S):
                await child.ended()
        return found
    finally:
        talk.hang_up()
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
        await child.end()


async def _spoken(talk: _Talk) -> Seen:
    talk.say(mcp.initialize(__version__))
    found = mcp.seen(mcp.result_of(await talk.answer(mcp.INITIALIZE), "initialize"))
    talk.say(mcp.initialized())
    talk.say(mcp.ping())
    mcp.result_of(await talk.answer(mcp.PING), "ping")
    return found


class _Talk:
    """What is said to a server and by it, a message a line."""

    def __init__(self, child: Child, its_input: int, errors: Heard) -> None:
        self._child = child
        self._its_input = its_input
        self._errors = errors
        self._bounded = mcp.Bounded()
        self._lines: list[bytes] = []

    def say(self, message: mcp.Message) -> None:
        """Say something; how a server ended that hears nothing more, its answer tells."""
        with suppress(BrokenPipeError):
            os.write(self._its_input, mcp.encoded(message) + b"\n")

    async def answer(self, number: int) -> mcp.Message:
        """Give the answer to a request, and pass over what else a server says."""
        while True:
            while self._lines:
                found = mcp.answer_in(self._lines.pop(0), number)
                if found is not None:
                    return found
            await readable(self._child.output)
            piece = os.read(self._child.output, CHUNK)
            if not piece:
                raise await self._gone()
            self._lines += self._bounded.lines(piece)

    def hang_up(self) -> None:
        """Close its input: it is to leave."""
        if self._its_input >= 0:
            os.close(self._its_input)
            self._its_input = -1

    async def _gone(self) -> ProbeError:
        await self._child.ended()
        with suppress(OSError, ProbeError):
            self._errors.take()
        how = how_it_ended(self._child.code or 0)
        words = self._errors.last_line()
        text = f"the server gave no answer: {how}" + (f": {words}" if words else "")
        return ProbeError(text, CheckFault.EXIT)

"""Check a server of the Model Context Protocol over streamable HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from reconciler import __version__
from reconciler.adapters.checks import mcp
from reconciler.adapters.checks.exchange import Answer, Question, Target, asked, target_of
from reconciler.adapters.checks.net import Network
from reconciler.adapters.checks.place import ProbeError, Seen
from reconciler.model.health import CheckFault, McpCheck

LEAVE_S = 1.0
"""What it may take to give a session back, after the check."""
Headers = dict[str, str]
Later = Callable[["asyncio.Task[None]"], None]
"""Sees to it that a task is not forgotten."""


async def check_mcp_http(
    network: Network, check: McpCheck, expand: Callable[[str], str], later: Later
) -> Seen:
    """Open a session, ask whether anybody is there, and give it back."""
    target = target_of(expand(check.url), verify=check.verify_tls)
    post = partial(_posted, network, target)
    headers = {
        "Accept": "application/json, text/event-stream",
        "Content-Type": "application/json",
        **check.headers,
    }
    said, session = await post(headers, mcp.initialize(__version__), "initialize", mcp.INITIALIZE)
    headers |= {"Mcp-Session-Id": session} if session else {}
    try:
        result = mcp.result_of(said, "initialize")
        found = mcp.seen(result)
        headers["MCP-Protocol-Version"] = str(result["protocolVersion"])
        await post(headers, mcp.initialized(), "notifications/initialized")
        answer, _ = await post(headers, mcp.ping(), "ping", mcp.PING)
        mcp.result_of(answer, "ping")
        return found
    finally:
        if session:
            later(asyncio.create_task(_left(network, target, headers)))


async def _left(network: Network, target: Target, headers: Headers) -> None:
    """Give a session back; a server that cannot do that says 405."""
    question = Question(target, "DELETE", tuple(headers.items()), is_steady=False)
    with suppress(ProbeError, OSError, TimeoutError):
        async with asyncio.timeout(LEAVE_S), asked(network, question):
            pass


async def _posted(
    network: Network,
    target: Target,
    headers: Headers,
    message: mcp.Message,
    name: str,
    number: int | None = None,
) -> tuple[mcp.Message, str]:
    """Post a message; give the answer to it and the session's id, both empty where none is."""
    body = mcp.encoded(message)
    question = Question(target, "POST", tuple(headers.items()), body, is_steady=False)
    async with asked(network, question) as (answer, _):
        if not 200 <= answer.status < 300:
            raise ProbeError(_refusal(answer, name), CheckFault.STATUS, {"status": answer.status})
        session = answer.header(b"mcp-session-id")
        if number is None:
            return {}, session
        if answer.header(b"content-type").startswith("text/event-stream"):
            return await _streamed(answer, number, name), session
        found = mcp.answer_in(await answer.whole(), number)
        if found is None:
            raise ProbeError(f"its answer to {name} is not JSON-RPC", CheckFault.PROTOCOL)
        return found, session


def _refusal(answer: Answer, name: str) -> str:
    where = answer.header(b"location")[:80]
    return f"{name}: status {answer.status}" + (f", which leads to {where!r}" if where else "")


async def _streamed(answer: Answer, number: int, name: str) -> mcp.Message:
    """Read server-sent events until one is the answer."""
    bounded, data = mcp.Bounded(), b""
    while piece := await answer.some():
        for line in bounded.lines(piece):
            if line.startswith(b"data:"):
                data += line[5:].removeprefix(b" ")
            elif not line:
                found, data = mcp.answer_in(data, number), b""
                if found is not None:
                    return found
    raise ProbeError(f"its events ended without an answer to {name}", CheckFault.PROTOCOL)

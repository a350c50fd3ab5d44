"""Check over TCP and over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

from reconciler.adapters.checks.exchange import Answer, Question, asked, redirected, target_of
from reconciler.adapters.checks.matching import Matcher
from reconciler.adapters.checks.net import Endpoint, Network
from reconciler.adapters.checks.place import ProbeError, Seen
from reconciler.model.health import CheckFault, HttpCheck, TcpCheck
from reconciler.model.spec import HttpTarget, TcpTarget

Expand = Callable[[str], str]
Ranges = tuple[tuple[int, int], ...]
WELL: Ranges = ((200, 299),)
READY: Ranges = ((200, 399),)
POLITE_S = 0.25
"""How long a body is read that nobody wants, so that the server is not cut off in mid-sentence."""
POLITE_BYTES = 65536


async def check_tcp(network: Network, check: TcpCheck, expand: Expand) -> Seen:
    """Connect and hang up."""
    to = _endpoint(check, expand)
    async with network.connected(to):
        return Seen(detail=f"{to} accepts connections")


def _endpoint(target: TcpCheck | TcpTarget, expand: Expand) -> Endpoint:
    port = expand(str(target.port))
    if not port.isdecimal():
        raise ProbeError(f"`{port}` is no port: none is picked yet")
    return Endpoint(host=expand(target.host), port=int(port))


async def check_http(network: Network, matcher: Matcher, check: HttpCheck, expand: Expand) -> Seen:
    """Ask, follow as many redirects as allowed, and judge the status and the body."""
    question = Question(
        target_of(expand(check.url), verify=check.verify_tls),
        check.method,
        tuple(check.headers.items()),
        check.body.encode(),
    )
    for left in range(check.max_redirects, -1, -1):
        async with asked(network, question) as (answer, connected):
            if not _leads_on(answer, check):
                return await _judged(answer, check, matcher)
            if left:
                question = redirected(question, answer, connected.peer)
    raise ProbeError(_too_often(check, answer), CheckFault.REDIRECT, {"status": answer.status})


def _leads_on(answer: Answer, check: HttpCheck) -> bool:
    is_redirect = 300 <= answer.status < 400 and bool(answer.header(b"location"))
    return is_redirect and not is_within(answer.status, check.expected_status or WELL)


def _too_often(check: HttpCheck, answer: Answer) -> str:
    if check.max_redirects:
        return f"redirected more than {check.max_redirects} times"
    where = answer.header(b"location")[:80]
    return f"status {answer.status}: it leads to {where!r}; ask that, or allow `maxRedirects`"


async def _judged(answer: Answer, check: HttpCheck, matcher: Matcher) -> Seen:
    facts = {"status": answer.status}
    expected = check.expected_status or WELL
    if not is_within(answer.status, expected):
        text = f"status {answer.status}, want {spelt(expected)}"
        raise ProbeError(text, CheckFault.STATUS, facts)
    body = await answer.whole()
    if check.expected_body:
        try:
            await matcher.require(check.expected_body, body, "expectedBody")
        except ProbeError as why:
            why.facts = facts
            raise
    return Seen(detail=f"status {answer.status}", facts=facts)


async def probe_tcp(network: Network, target: TcpTarget, expand: Expand) -> tuple[str, int | None]:
    """Connect and hang up; give what is to be said, and the port where this host answered."""
    to = _endpoint(target, expand)
    async with network.connected(to) as connected:
        return f"{to} accepts connections", to.port if connected.is_here else None


async def probe_http(
    network: Network, target: HttpTarget, expand: Expand
) -> tuple[str, int | None]:
    """Ask once, follow no redirect, and judge the status alone."""
    question = Question(target_of(expand(target.url)))
    async with asked(network, question) as (answer, connected):
        is_here = connected.is_here
        await _hear_out(answer)
    expected = tuple((one, one) for one in target.expected_status) or READY
    if not is_within(answer.status, expected):
        raise ProbeError(f"status {answer.status}, want {spelt(expected)}", CheckFault.STATUS)
    return f"status {answer.status}", question.target.endpoint.port if is_here else None


async def _hear_out(answer: Answer) -> None:
    """Read the body: hanging up before it is written fills a server's log with broken pipes."""
    left = POLITE_BYTES
    with suppress(OSError, TimeoutError, ProbeError):
        async with asyncio.timeout(POLITE_S):
            while left > 0 and (piece := await answer.some()):
                left -= len(piece)


def is_within(status: int, ranges: Ranges) -> bool:
    """Tell whether a status is in one of some ranges.

    >>> is_within(204, WELL), is_within(404, ((200, 200), (404, 404)))
    (True, True)
    """
    return any(first <= status <= last for first, last in ranges)


def spelt(ranges: Ranges) -> str:
    """Say ranges as people do.

    >>> spelt(READY), spelt(((200, 200), (404, 410)))
    ('2xx or 3xx', '200 or 404-410')
    """
    if ranges == READY:
        return "2xx or 3xx"
    return " or ".join(_span(*one) for one in ranges)


def _span(first: int, last: int) -> str:
    if first % 100 == 0 and last == first + 99:
        return f"{first // 100}xx"
    return str(first) if first == last else f"{first}-{last}"

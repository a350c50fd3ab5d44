"""Speak HTTP/1.1 as a client that trusts no server: everything it reads is bounded."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from urllib.parse import SplitResult, quote, urljoin, urlsplit

import h11

from reconciler.adapters.checks.net import Endpoint, Link, Network
from reconciler.adapters.checks.place import ProbeError
from reconciler.model.health import CheckFault

BODY_LIMIT = 65536
"""Bytes of an answer's body that are read."""
HEAD_LIMIT = 16384
INTERIM_LIMIT = 8
"""Answers before the answer: 100 Continue, 103 Early Hints."""
_UNQUOTED = "/%:@!$&'()*+,;=~-._?"


@dataclass(frozen=True, slots=True)
class Target:
    """Where a URL leads."""

    endpoint: Endpoint
    host: str
    """As the server wants it named."""
    path: str
    """With the query."""
    url: str


@lru_cache(maxsize=4096)
def target_of(url: str, *, verify: bool = False) -> Target:
    """Take a URL apart: `http://host/path`, `https://`, or `unix:/path/of.sock:/url`.

    >>> target_of("unix:/run/web.sock:/up?deep=1").endpoint.path
    '/run/web.sock'
    >>> target_of("http://[::1]:80/a b").path
    '/a%20b'
    """
    if url.startswith("unix:"):
        socket_path, _, rest = url.removeprefix("unix:").partition(":")
        parts = urlsplit(rest or "/")
        return Target(Endpoint(path=socket_path), "localhost", _path(parts), url)
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ProbeError(f"cannot ask {url!r}: not an http or https URL")
    secure = parts.scheme == "https"
    try:
        port = parts.port or (443 if secure else 80)
    except ValueError as why:
        raise ProbeError(f"cannot ask {url!r}: {why}") from why
    endpoint = Endpoint(host=parts.hostname, port=port, secure=secure, verify=verify and secure)
    return Target(endpoint, parts.netloc.rpartition("@")[2], _path(parts), url)


def _path(parts: SplitResult) -> str:
    query = f"?{quote(parts.query, safe=_UNQUOTED)}" if parts.query else ""
    return quote(parts.path or "/", safe=_UNQUOTED) + query


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked for."""

    target: Target
    method: str = "GET"
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    is_steady: bool = True
    """Whether it is asked again and again, word for word."""


class Answer:
    """What a server answers: its status and headers; its body is read piece by piece."""

    def __init__(self, link: Link, exchange: h11.Connection, head: h11.Response) -> None:
        self._link = link
        self._exchange = exchange
        self.status = head.status_code
        self._headers = head.headers

    def header(self, name: bytes) -> str:
        """Give a header by its name in small letters; empty where there is none."""
        found = (value for key, value in self._headers if key == name)
        return next(found, b"").decode("latin-1")

    async def some(self) -> bytes:
        """Give the next piece of the body; nothing at its end."""
        while True:
            event = await _event(self._link, self._exchange)
            if isinstance(event, h11.Data):
                return bytes(event.data)
            if isinstance(event, h11.EndOfMessage | h11.ConnectionClosed):
                return b""

    async def whole(self) -> bytes:
        """Give the whole body."""
        body = b""
        while piece := await self.some():
            body += piece
            if len(body) > BODY_LIMIT:
                text = (
                    f"its answer is longer than {BODY_LIMIT >> 10} KiB: ask for something smaller"
                )
                raise ProbeError(text, CheckFault.BODY, {"status": self.status})
        return body


@asynccontextmanager
async def asked(network: Network, question: Question) -> AsyncIterator[tuple[Answer, bool]]:
    """Ask, and give the answer and whether it comes from this host; hang up at the end."""
    async with network.connected(question.target.endpoint) as (link, is_here):
        exchange = h11.Connection(h11.CLIENT, max_incomplete_event_size=HEAD_LIMIT)
        head = _steady_head(question) if question.is_steady else _head(question)
        request = exchange.send(head) or b""
        if question.body:
            request += exchange.send(h11.Data(data=question.body)) or b""
        request += exchange.send(h11.EndOfMessage()) or b""
        await link.send(request)
        yield Answer(link, exchange, await _answer_head(link, exchange)), is_here


@lru_cache(maxsize=4096)
def _steady_head(question: Question) -> h11.Request:
    return _head(question)


def _head(question: Question) -> h11.Request:
    """Give the head of a request."""
    own: Mapping[str, str] = {
        "Host": question.target.host,
        "User-Agent": "weaver-check",
        "Accept": "*/*",
        "Connection": "close",
    }
    given = {name.lower() for name, _ in question.headers}
    headers = [(name, value) for name, value in own.items() if name.lower() not in given]
    headers += question.headers
    if question.body:
        headers.append(("Content-Length", str(len(question.body))))
    try:
        return h11.Request(method=question.method, target=question.target.path, headers=headers)
    except h11.LocalProtocolError as why:
        raise ProbeError(f"cannot ask {question.target.url!r}: {why}") from why


async def _answer_head(link: Link, exchange: h11.Connection) -> h11.Response:
    for _ in range(INTERIM_LIMIT + 1):
        event = await _event(link, exchange)
        if isinstance(event, h11.Response):
            return event
        if not isinstance(event, h11.InformationalResponse):
            raise ProbeError("it hung up without an answer", CheckFault.CONNECTION)
    text = f"more than {INTERIM_LIMIT} interim answers, and no answer"
    raise ProbeError(text, CheckFault.PROTOCOL)


async def _event(link: Link, exchange: h11.Connection) -> object:
    """Give the next thing that the server says."""
    heard = None
    while True:
        state = exchange.their_state
        try:
            event = exchange.next_event()
            if event is not h11.NEED_DATA:
                return event
            heard = await link.receive()
            if state is h11.SEND_RESPONSE:
                _refuse_other_protocols(exchange.trailing_data[0] + heard)
            exchange.receive_data(heard)
        except h11.RemoteProtocolError as why:
            raise _broken(why, state, has_ended=heard == b"") from why


def _refuse_other_protocols(begun: bytes) -> None:
    """See at once that a server speaks something else: it may wait for us to go on."""
    if not begun.startswith(b"HTTP/"[: len(begun)]):
        raise ProbeError(f"the answer is not HTTP: {begun[:40]!r}", CheckFault.PROTOCOL)


def _broken(why: h11.RemoteProtocolError, state: object, *, has_ended: bool) -> ProbeError:
    if has_ended:
        text = "it hung up without an answer"
        if state is h11.SEND_BODY:
            text = "it hung up in the middle of its answer"
        return ProbeError(text, CheckFault.CONNECTION)
    if why.error_status_hint == 431:
        text = f"an answer's head of more than {HEAD_LIMIT} bytes"
        return ProbeError(text, CheckFault.PROTOCOL)
    return ProbeError(f"the answer is not HTTP: {why}", CheckFault.PROTOCOL)


def redirected(question: Question, location: str) -> Question:
    """Give the question that a redirect asks for. Raises ProbeError where it leads elsewhere."""
    target = question.target
    if target.endpoint.path:
        raise ProbeError(f"redirected to {location[:80]!r}", CheckFault.REDIRECT)
    try:
        new = target_of(urljoin(target.url, location), verify=target.endpoint.verify)
    except (ProbeError, ValueError) as why:
        text = f"redirected to {location[:80]!r}, which is no http URL"
        raise ProbeError(text, CheckFault.REDIRECT) from why
    before, after = target.endpoint, new.endpoint
    is_same = (before.host, before.port, before.secure) == (after.host, after.port, after.secure)
    is_safer = before.host == after.host and after.secure and not before.secure
    if not (is_same or is_safer):
        text = f"redirected to {after}, which is another server than {before}"
        raise ProbeError(text, CheckFault.REDIRECT)
    return replace(question, target=new, method="GET", body=b"")

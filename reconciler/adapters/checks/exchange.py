"""Speak HTTP/1.1 as a client that trusts no server: everything it reads is bounded."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from urllib.parse import SplitResult, quote, urljoin, urlsplit

import h11

from reconciler.adapters.checks.net import Connected, Endpoint, Link, Network
from reconciler.adapters.checks.place import ProbeError
from reconciler.model.health import CheckFault

BODY_LIMIT = 65536
"""Bytes of an answer's body that are read."""
HEAD_LIMIT = 16384
INTERIM_LIMIT = 8
"""Answers before the answer: 100 Continue, 103 Early Hints."""
_VERSION, _SHOWN = b"HTTP/", 40
_SIMPLE_HEAD = re.compile(
    rb"HTTP/1\.[01] ([2-5][0-9]{2})(?: [\t -~\x80-\xff]*)?\r\n"
    rb"((?:[A-Za-z0-9!#$%&'*+.^_`|~-]+:[\t -~\x80-\xff]*\r\n)*)\r\n"
)
_LENGTHS = (b"content-length", b"transfer-encoding")
_WITHOUT_BODY = (b"204", b"304")
_SAME_METHOD = (307, 308)
_UNQUOTED = "/%:@!$&'()*+,;=~-._?"


Headers = Iterable[tuple[bytes, bytes]]


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

    def __init__(
        self, status: int, headers: Headers, body: bytes = b"", rest: _Exchange | None = None
    ) -> None:
        self.status = status
        self._headers = headers
        self._body = body
        self._rest = rest

    def header(self, name: bytes) -> str:
        """Give a header by its name in small letters; empty where there is none."""
        found = (value for key, value in self._headers if key == name)
        return next(found, b"").decode("latin-1")

    async def some(self) -> bytes:
        """Give the next piece of the body; nothing at its end."""
        if self._rest is None:
            piece, self._body = self._body, b""
            return piece
        while True:
            event = await self._rest.event()
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
async def asked(network: Network, question: Question) -> AsyncIterator[tuple[Answer, Connected]]:
    """Ask, and give the answer and who gave it; hang up at the end."""
    async with network.connected(question.target.endpoint) as connected:
        request, text = _steady_request(question) if question.is_steady else _request(question)
        link = connected.link
        await link.send(text)
        heard = await link.receive()
        answer = _simple_answer(heard) if question.method != "HEAD" else None
        yield answer or await _answered(_Exchange(link, request, heard)), connected


Request = tuple[h11.Event, ...]


@lru_cache(maxsize=4096)
def _steady_request(question: Question) -> tuple[Request, bytes]:
    return _request(question)


def _request(question: Question) -> tuple[Request, bytes]:
    """Give a request, and the bytes of it."""
    request: Request = (_head(question), h11.EndOfMessage())
    if question.body:
        request = (request[0], h11.Data(data=question.body), request[1])
    exchange = h11.Connection(h11.CLIENT)
    return request, b"".join(exchange.send(event) or b"" for event in request)


def _head(question: Question) -> h11.Request:
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


def _simple_answer(heard: bytes) -> Answer | None:
    r"""Read an answer that came as a whole, with its length: nearly all are, and that is quick.

    Whatever else it may be is for h11 to say, which takes ten times as long.

    >>> _simple_answer(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").status
    200
    >>> _simple_answer(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok") is None
    True
    """
    found = _SIMPLE_HEAD.match(heard, 0, HEAD_LIMIT)
    if found is None:
        return None
    headers = [
        (name.lower(), value.strip(b" \t"))
        for name, _, value in (line.partition(b":") for line in found[2].split(b"\r\n")[:-1])
    ]
    lengths = [value for name, value in headers if name in _LENGTHS]
    is_whole = len(lengths) == 1 and lengths[0] == str(len(heard) - found.end()).encode()
    if not is_whole or found[1] in _WITHOUT_BODY:
        return None
    return Answer(int(found[1]), headers, heard[found.end() :])


class _Exchange:
    """A request that was sent, and what is heard of its answer, as h11 understands it."""

    def __init__(self, link: Link, request: Request, heard: bytes) -> None:
        self._link = link
        self._talk = h11.Connection(h11.CLIENT, max_incomplete_event_size=HEAD_LIMIT)
        for event in request:
            self._talk.send(event)
        self._begun = b""
        self._has_ended = False
        self._hear(heard)

    async def event(self) -> object:
        """Give the next thing that the server says."""
        while True:
            state = self._talk.their_state
            try:
                event = self._talk.next_event()
                if event is not h11.NEED_DATA:
                    return event
                self._hear(await self._link.receive())
            except h11.RemoteProtocolError as why:
                raise _broken(why, state, has_ended=self._has_ended) from why

    def _hear(self, heard: bytes) -> None:
        if len(self._begun) < len(_VERSION):
            # Who speaks something else may wait for us to go on.
            self._begun += heard[: _SHOWN - len(self._begun)]
            if not self._begun.startswith(_VERSION[: len(self._begun)]):
                text = f"the answer is not HTTP: {self._begun!r}"
                raise ProbeError(text, CheckFault.PROTOCOL)
        self._has_ended = not heard
        self._talk.receive_data(heard)


async def _answered(exchange: _Exchange) -> Answer:
    for _ in range(INTERIM_LIMIT + 1):
        event = await exchange.event()
        if isinstance(event, h11.Response):
            return Answer(event.status_code, event.headers, rest=exchange)
        if not isinstance(event, h11.InformationalResponse):
            raise ProbeError("it hung up without an answer", CheckFault.CONNECTION)
    text = f"more than {INTERIM_LIMIT} interim answers, and no answer"
    raise ProbeError(text, CheckFault.PROTOCOL)


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


def redirected(question: Question, answer: Answer, peer: str) -> Question:
    """Give the question that a redirect asks for, to the address that the first one went to.

    Raises ProbeError where it leads to another server.
    """
    target, location = question.target, answer.header(b"location")
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
    new = replace(new, endpoint=replace(after, address=peer))
    if answer.status in _SAME_METHOD or question.method in ("GET", "HEAD"):
        return replace(question, target=new)
    return replace(question, target=new, method="GET", body=b"")

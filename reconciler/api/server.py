"""Serve the table of routes: who may, what was asked, and every failure as a problem document."""

from __future__ import annotations

import asyncio
import functools
import logging
import secrets
from collections.abc import Collection, Sequence

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route, Router
from starlette.types import Message, Receive, Scope, Send

from reconciler.api.ask import Ask, Backend
from reconciler.api.peer import peer_of
from reconciler.api.replies import REQUEST_ID, client_left, reply_problem, status_of
from reconciler.api.routes import ENDPOINTS, METRICS_ENDPOINTS, Endpoint, Who
from reconciler.api.wire import queries
from reconciler.api.wire.requests import MalformedError, decode
from reconciler.ports import ForbiddenError, WeaverError

LARGEST_BODY = 2 * 1024 * 1024
LARGEST_DRAINED = 8 * 1024 * 1024
"""What is too large is still read up to here, so that an honest client gets to read the answer."""
LARGEST_HEADERS = 16 * 1024
BODY_WITHIN_S = 10.0
INTERNAL_ERROR = 255

_EXIT_OF_STATUS = {404: 6, 405: 2}
_UNREAD = frozenset({408, 413, 431})
"""After these, part of the request is still to come: only a new connection starts clean."""

log = logging.getLogger(__name__)


class TooLargeError(WeaverError):
    """A request is larger than any that makes sense (exit 2)."""

    exit_code = 2


class HeadersTooLargeError(WeaverError):
    """A request has more headers than any client of ours sends (exit 2)."""

    exit_code = 2


class TooSlowError(WeaverError):
    """A request did not arrive in time (exit 9)."""

    exit_code = 9


class Api:
    """The ASGI application of the unix socket, or with other endpoints that of TCP."""

    def __init__(
        self,
        backend: Backend,
        allowed_uids: Collection[int],
        endpoints: Sequence[Endpoint] = ENDPOINTS,
    ) -> None:
        self._backend = backend
        self._allowed = frozenset(allowed_uids)
        self._is_open = all(endpoint.who is Who.ANYONE for endpoint in endpoints)
        routes = [
            Route(e.path, _Handler(e, self), methods=[e.method], name=e.name) for e in endpoints
        ]
        self._router = Router(routes, redirect_slashes=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request_id = secrets.token_hex(8)
        answer = _Answer(send, request_id)
        try:
            self._admit(scope)
            # Starlette raises what it refuses, instead of answering in text, where there is `app`.
            await self._router({**scope, "app": self}, receive, answer.send)
        except ClientDisconnect:
            return
        except Exception as error:
            if answer.has_begun:
                raise
            await _refusal(error, request_id)(scope, receive, answer.send)

    def _admit(self, scope: Scope) -> None:
        """Refuse whoever is not the daemon's own user or root, whatever they ask for."""
        if sum(len(name) + len(value) for name, value in scope["headers"]) > LARGEST_HEADERS:
            raise HeadersTooLargeError("cannot accept so many headers", mend="send fewer")
        peer = peer_of(scope)
        if not self._is_open and (peer is None or peer.uid not in self._allowed):
            raise ForbiddenError(
                "not allowed: the socket is for the user that the daemon runs as",
                mend="run the command as that user, or as root",
            )

    async def ask(self, endpoint: Endpoint, request: Request) -> Response:
        """Read what is asked, and let the handler answer it."""
        peer = peer_of(request.scope)
        query = queries.read(request.query_params.multi_items(), endpoint.query)
        body = None
        if endpoint.body is not None:
            body = decode(await _body(request), endpoint.body)
        ask = Ask(
            backend=self._backend,
            uid=peer.uid if peer else -1,
            parameters=request.path_params,
            query=query,
            body=body,
            leaving=functools.partial(client_left, request.receive),
            last_event=_last_event(request),
        )
        return await endpoint.handler(ask, query)


def metrics_api(backend: Backend) -> Api:
    """Give the application for TCP: the metrics and nothing else."""
    return Api(backend, (), METRICS_ENDPOINTS)


class _Handler:
    """One route as ASGI."""

    def __init__(self, endpoint: Endpoint, api: Api) -> None:
        self._endpoint = endpoint
        self._api = api

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = await self._api.ask(self._endpoint, Request(scope, receive))
        await response(scope, receive, send)


class _Answer:
    """An answer on its way: numbered, and known to have begun."""

    def __init__(self, send: Send, request_id: str) -> None:
        self._send = send
        self._request_id = request_id.encode()
        self.has_begun = False

    async def send(self, message: Message) -> None:
        """Pass on a message; the head gets the request's id."""
        if message["type"] == "http.response.start":
            self.has_begun = True
            message["headers"] = [
                *message["headers"],
                (REQUEST_ID.encode(), self._request_id),
            ]
        await self._send(message)


async def _body(request: Request) -> bytes:
    """Read a body within its limits of size and time."""
    length = request.headers.get("content-length", "0")
    if not length.isdecimal() or int(length) > LARGEST_DRAINED:
        raise _too_large()
    body = bytearray()
    size = 0
    try:
        async with asyncio.timeout(BODY_WITHIN_S):
            async for chunk in request.stream():
                size += len(chunk)
                if size <= LARGEST_BODY:
                    body += chunk
                if size > LARGEST_DRAINED:
                    break
    except TimeoutError as error:
        raise TooSlowError("the request took too long to arrive", mend="send it again") from error
    if size > LARGEST_BODY:
        raise _too_large()
    return bytes(body)


def _too_large() -> TooLargeError:
    """Say what the limit is."""
    return TooLargeError(
        f"cannot accept more than {LARGEST_BODY >> 20} MiB in one request",
        mend="send fewer manifests at once",
    )


def _last_event(request: Request) -> int:
    """Give the number of the last event that a client has seen, 0 where it says none."""
    said = request.headers.get("last-event-id", "")
    return int(said) if said.isdecimal() and len(said) < 19 else 0


def _refusal(error: Exception, request_id: str) -> Response:
    """Turn whatever went wrong into a problem document."""
    match error:
        case HTTPException():
            code = _EXIT_OF_STATUS.get(error.status_code, 1)
            mend = "GET /v1/openapi.json says what can be asked"
            return reply_problem(
                error.status_code,
                f"cannot do that: {error.detail.lower()}",
                mend=mend,
                exit_code=code,
                request_id=request_id,
                headers=error.headers,
            )
        case WeaverError():
            status = _status(error)
            return reply_problem(
                status,
                str(error),
                mend=error.mend,
                exit_code=error.exit_code,
                request_id=request_id,
                headers={"connection": "close"} if status in _UNREAD else None,
            )
        case _:
            log.error("request %s broke", request_id, exc_info=error)
            return reply_problem(
                500,
                f"internal error in request {request_id}",
                mend="weaver logs --daemon has more about it",
                exit_code=INTERNAL_ERROR,
                request_id=request_id,
            )


def _status(error: WeaverError) -> int:
    """Give the HTTP status of an error."""
    match error:
        case MalformedError():
            return 400
        case TooLargeError():
            return 413
        case HeadersTooLargeError():
            return 431
        case TooSlowError():
            return 408
        case _:
            return status_of(error.exit_code)

"""Serve `POST /webhook` on a TCP port of its own, and nothing else there."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Sequence

from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from reconciler.api.webhooks import Outcome, RefusedError, Seen, verify

PATH = "/webhook"
LARGEST_BODY = 5 * 1024 * 1024
BODY_WITHIN_S = 10.0
MOST_AT_ONCE = 8
"""Bodies that are read side by side; who comes besides is asked to come again."""
TOLD_EVERY_S = 60.0
"""Refusals are counted, and told in the log so often."""

_OUTCOMES = {202: Outcome.FETCHING, 200: Outcome.KNOWN, 401: Outcome.UNSIGNED}

log = logging.getLogger(__name__)


class WebhookApi:
    """The ASGI application: it checks a signature, and has the daemon fetch."""

    def __init__(
        self,
        secrets: Callable[[], Sequence[bytes]],
        hurry: Callable[[], None],
        wall: Callable[[], float],
        counts: Counter[str],
    ) -> None:
        """Count in `counts` what becomes of each request, by its `Outcome`."""
        self._secrets = secrets
        self._hurry = hurry
        self._wall = wall
        self._counts = counts
        self._seen = Seen()
        self._under_way = 0
        self._refused = 0
        self._told_at = 0.0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, in a word or two."""
        try:
            answer = await self._answer(Request(scope, receive))
        except ClientDisconnect:
            return
        self._counts[_OUTCOMES.get(answer.status_code, Outcome.REFUSED)] += 1
        await answer(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        if request.url.path != PATH:
            return _said(404, "not found")
        if request.method != "POST":
            return _said(405, "POST only", allow="POST")
        if self._under_way >= MOST_AT_ONCE:
            return _said(503, "try again", **{"retry-after": "5"})
        self._under_way += 1
        try:
            async with asyncio.timeout(BODY_WITHIN_S):
                body = await _body(request)
        except TimeoutError:
            return _said(408, "too slow")
        finally:
            self._under_way -= 1
        if body is None:
            return _said(413, "too large")
        return self._judge(request, body)

    def _judge(self, request: Request, body: bytes) -> Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        try:
            delivery = verify(headers, body, self._secrets(), self._wall())
        except RefusedError as why:
            self._tell_refusal(str(why))
            return _said(401, "not signed as it must be")
        if not self._seen.is_news(delivery):
            return _said(200, "known already")
        log.info("%s says that there is news: fetching now", delivery.forge)
        self._hurry()
        return _said(202, "fetching")

    def _tell_refusal(self, why: str) -> None:
        """Count a refusal; a flood of them is one line a minute."""
        self._refused += 1
        now = self._wall()
        if abs(now - self._told_at) >= TOLD_EVERY_S:
            log.warning("refused %d webhooks; the last one: %s", self._refused, why)
            self._told_at, self._refused = now, 0


async def _body(request: Request) -> bytes | None:
    """Read a body; None where it is larger than any that makes sense."""
    length = request.headers.get("content-length", "0")
    if not length.isdecimal() or int(length) > LARGEST_BODY:
        return None
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST_BODY:
            return None
    return bytes(body)


def _said(status: int, text: str, **headers: str) -> Response:
    # Who is refused may not have sent all yet: nobody waits for the rest of it.
    close = {} if status in (200, 202) else {"connection": "close"}
    return PlainTextResponse(f"{text}\n", status_code=status, headers={**headers, **close})

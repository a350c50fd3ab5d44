"""Build answers: documents, text, streams and problems, each with its exit code."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Mapping

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from reconciler.api.wire.answers import ProblemDocument
from reconciler.api.wire.base import Document, document

EXIT_CODE = "weaver-exit-code"
REQUEST_ID = "weaver-request-id"

JSON = "application/json"
PROBLEM = "application/problem+json"
LINES = "application/x-ndjson"
EVENTS = "text/event-stream"
TEXT = "text/plain; charset=utf-8"
CSV = "text/csv; charset=utf-8"
YAML = "application/yaml"

_KINDS = {
    400: ("malformed", "the request cannot be read"),
    403: ("forbidden", "not allowed"),
    404: ("not-found", "not found"),
    405: ("method-not-allowed", "this cannot be done here"),
    408: ("too-slow", "the request took too long to arrive"),
    409: ("conflict", "something is in the way"),
    413: ("too-large", "the request is too large"),
    422: ("unacceptable", "the request cannot be accepted"),
    431: ("too-large", "the request is too large"),
    500: ("internal", "internal error"),
    503: ("unavailable", "cannot be done just now"),
    504: ("timed-out", "time is up"),
}

_STATUS_OF_EXIT = {2: 422, 3: 403, 4: 503, 5: 409, 6: 404, 7: 409, 9: 504, 10: 409, 11: 503}


def status_of(exit_code: int) -> int:
    """Give the HTTP status that goes with an exit code.

    >>> [status_of(code) for code in (2, 5, 6, 255)]
    [422, 409, 404, 500]
    """
    return _STATUS_OF_EXIT.get(exit_code, 500)


def reply_json(content: Document) -> Response:
    """Answer with a document."""
    return Response(document(content), media_type=JSON, headers={EXIT_CODE: str(content.exit_code)})


def reply_text(text: str, exit_code: int = 0, media_type: str = TEXT) -> Response:
    """Answer with finished text; half of a surrogate pair has no bytes and is replaced."""
    body = text.encode("utf-8", "replace")
    return Response(body, media_type=media_type, headers={EXIT_CODE: str(exit_code)})


def reply_bytes(body: bytes, media_type: str) -> Response:
    """Answer with bytes made elsewhere."""
    return Response(body, media_type=media_type, headers={EXIT_CODE: "0"})


def reply_problem(
    status: int,
    detail: str,
    *,
    mend: str = "",
    exit_code: int = 1,
    request_id: str = "",
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Answer with a problem document (RFC 9457)."""
    kind, title = _KINDS.get(status, ("problem", "cannot be done"))
    problem = ProblemDocument(
        exit_code=exit_code,
        type=f"urn:weaver:problem:{kind}",
        title=title,
        status=status,
        detail=detail,
        mend=mend,
        request_id=request_id,
    )
    return Response(
        document(problem),
        status_code=status,
        media_type=PROBLEM,
        headers={**(headers or {}), EXIT_CODE: str(exit_code)},
    )


class StreamReply(Response):
    """An answer that comes bit by bit; its source is closed as soon as the client has left.

    `exit_code` is None where only the last line of the stream can tell it.
    """

    def __init__(
        self, chunks: AsyncGenerator[bytes, None], media_type: str, exit_code: int | None = 0
    ) -> None:
        code = {} if exit_code is None else {EXIT_CODE: str(exit_code)}
        super().__init__(media_type=media_type, headers={**code, "cache-control": "no-store"})
        del self.headers["content-length"]
        self._chunks = chunks

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send head and chunks, until they end or the client leaves."""
        start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        await send(start)
        if scope["method"] == "HEAD":
            await self._chunks.aclose()
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            return
        sending = asyncio.create_task(self._send(send))
        leaving = asyncio.create_task(client_left(receive))
        try:
            await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            leaving.cancel()
            sending.cancel()
            await asyncio.wait({sending, leaving})
        with contextlib.suppress(asyncio.CancelledError):
            sending.result()

    async def _send(self, send: Send) -> None:
        """Send the chunks."""
        async with contextlib.aclosing(self._chunks) as chunks:
            async for chunk in chunks:
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def client_left(receive: Receive) -> None:
    """Wait until the client closes its connection."""
    while (await receive())["type"] != "http.disconnect":
        pass

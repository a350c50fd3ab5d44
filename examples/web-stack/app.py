"""A small ASGI application that counts its visits in redis."""

import asyncio
import os

REDIS = os.environ["REDIS_SOCKET"]
INSTANCE = os.environ["WEAVER_INSTANCE"]


async def visits() -> int:
    """Count one more visit: a single command of redis' own protocol."""
    reader, writer = await asyncio.open_unix_connection(REDIS)
    try:
        writer.write(b"*2\r\n$4\r\nINCR\r\n$6\r\nvisits\r\n")
        answer = await reader.readline()
    finally:
        writer.close()
    return int(answer.removeprefix(b":"))


async def app(scope, receive, send):  # noqa: ARG001 - ASGI passes three
    """Answer every request: `/healthz` by itself, all else with the count."""
    if scope["type"] != "http":
        return
    is_probe = scope["path"] == "/healthz"
    text = "ok\n" if is_probe else f"hello from instance {INSTANCE}, visit {await visits()}\n"
    headers = [(b"content-type", b"text/plain")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": text.encode()})

"""Webhooks: who signs how, what is news, and what a port that anybody can reach puts up with.

The signatures of GitHub and Bitbucket are those that their documentation gives as examples. The
others are made here as the documentation says: Gitea and Forgejo sign the raw body by HMAC-SHA256
in hex; GitLab sends its secret token as it is, or with a signing token a signature of
standardwebhooks.com.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from collections import Counter
from collections.abc import Mapping

import pytest
from starlette.types import Message

from reconciler.api.webhook_port import LARGEST_BODY, MOST_AT_ONCE, WebhookApi
from reconciler.api.webhooks import Delivery, Forge, RefusedError, Seen, verify

SECRET = b"It's a Secret to Everybody"
NOW = 1_763_900_000.0
PUSH = json.dumps({"ref": "refs/heads/main", "after": "b2" * 20, "commits": []}).encode()
KEY = b"0123456789abcdef01234567"
TOKEN = b"whsec_" + base64.b64encode(KEY)


def digest(body: bytes = PUSH, key: bytes = SECRET) -> str:
    return hmac.new(key, body, hashlib.sha256).hexdigest()


def standard(at: float = NOW, body: bytes = PUSH, key: bytes = KEY) -> dict[str, str]:
    text = f"msg_1.{at:.0f}.".encode() + body
    made = base64.b64encode(hmac.digest(key, text, "sha256")).decode()
    return {
        "webhook-id": "msg_1",
        "webhook-timestamp": f"{at:.0f}",
        "webhook-signature": f"v1,bm90aGluZw== v1,{made}",
    }


GITHUB = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
"""Of `Hello, World!`, as docs.github.com has it under "Validating webhook deliveries"."""
BITBUCKET = "a4771c39fbe90f317c7824e83ddef3caae9cb3d976c214ace1f2937e133263c9"
"""Of `Hello World!`, as support.atlassian.com has it under "Manage webhooks"."""


@pytest.mark.parametrize(
    ("forge", "headers", "body"),
    [
        ("GitHub", {"x-hub-signature-256": f"sha256={GITHUB}"}, b"Hello, World!"),
        (
            "GitHub",
            {"x-github-event": "push", "x-hub-signature-256": f"sha256={digest()}"},
            PUSH,
        ),
        ("Bitbucket", {"x-hub-signature": f"sha256={BITBUCKET}"}, b"Hello World!"),
        ("Gitea", {"x-gitea-event": "push", "x-gitea-signature": digest()}, PUSH),
        (
            "Forgejo",
            {"x-forgejo-signature": digest(), "x-gitea-signature": digest()}
            | {"x-hub-signature-256": f"sha256={digest()}"},
            PUSH,
        ),
        ("GitLab", {"x-gitlab-event": "Push Hook", "x-gitlab-token": SECRET.decode()}, PUSH),
        ("GitLab", standard(), PUSH),
        ("GitLab", standard(NOW - 299), PUSH),
    ],
)
def test_each_forge_is_known_by_its_signature(
    forge: str, headers: Mapping[str, str], body: bytes
) -> None:
    found = verify(headers, body, [b"the one before", SECRET, TOKEN], NOW)
    assert found.forge == forge


@pytest.mark.parametrize(
    ("headers", "words"),
    [
        ({}, "no signature"),
        ({"x-github-event": "push"}, "no signature"),
        ({"x-hub-signature-256": f"sha256={digest(PUSH + b' ')}"}, "not ours"),
        ({"x-hub-signature-256": f"sha256={digest(key=b'guess')}"}, "not ours"),
        ({"x-hub-signature-256": digest()}, "not made with SHA-256"),
        ({"x-hub-signature-256": "sha256="}, "not ours"),
        ({"x-hub-signature-256": "sha256=é"}, "not ours"),
        ({"x-hub-signature": "sha1=7d38cdd689735b008b3c702edd92eea23791c5f6"}, "not made with"),
        ({"x-forgejo-signature": "bad", "x-gitea-signature": digest()}, "not ours"),
        ({"x-gitlab-token": "guess"}, "not ours"),
        ({"x-gitlab-token": ""}, "not ours"),
        (standard(NOW - 301), "another time"),
        (standard(NOW + 301), "another time"),
        (standard(key=b"guess"), "not ours"),
        (standard() | {"webhook-id": "msg_2"}, "not ours"),
        (standard() | {"webhook-timestamp": "now"}, "not ours"),
    ],
)
def test_what_is_not_signed_with_our_secret_is_refused(
    headers: Mapping[str, str], words: str
) -> None:
    with pytest.raises(RefusedError, match=words):
        verify(headers, PUSH, [SECRET, TOKEN], NOW)


def test_without_a_secret_nobody_is_known() -> None:
    with pytest.raises(RefusedError):
        verify({"x-gitlab-token": ""}, PUSH, [], NOW)


def test_what_comes_again_is_no_news_and_memory_has_an_end() -> None:
    seen = Seen(most=3)
    marks = [Delivery(forge=Forge.GITHUB, mark=bytes([number])) for number in range(5)]
    assert [seen.is_news(one) for one in (*marks[:3], marks[0])] == [True, True, True, False]
    assert [seen.is_news(one) for one in (*marks[3:], marks[0])] == [True, True, True]


def test_a_delivery_whose_unsigned_number_was_changed_is_the_same() -> None:
    headers = {"x-hub-signature-256": f"sha256={digest()}"}
    one, other = (
        verify(headers | {"x-github-delivery": number}, PUSH, [SECRET], NOW) for number in "12"
    )
    assert one == other


# --- the port ----------------------------------------------------------------------------------


NOTHING: Mapping[str, str] = {}


class Wire:
    """A port with nobody but us on it."""

    def __init__(self) -> None:
        self.fetches = 0
        self.is_closed = False
        """Whether the last answer ended the connection."""
        self.secrets = [SECRET]
        self.counts: Counter[str] = Counter()
        self.api = WebhookApi(lambda: self.secrets, self._hurry, lambda: NOW, self.counts)

    def _hurry(self) -> None:
        self.fetches += 1

    async def ask(
        self,
        headers: Mapping[str, str] = NOTHING,
        *,
        body: bytes = PUSH,
        method: str = "POST",
        path: str = "/webhook",
    ) -> tuple[int, str]:
        return await self.send([(body, False)], headers, method=method, path=path)

    async def send(
        self,
        chunks: list[tuple[bytes, bool]],
        headers: Mapping[str, str] = NOTHING,
        *,
        method: str = "POST",
        path: str = "/webhook",
    ) -> tuple[int, str]:
        coming = iter(chunks)
        answer: list[Message] = []

        async def receive() -> Message:
            chunk = next(coming, None)
            if chunk is None:
                await asyncio.Event().wait()
            assert chunk is not None
            return {"type": "http.request", "body": chunk[0], "more_body": chunk[1]}

        async def send(message: Message) -> None:
            answer.append(message)

        raw = [(name.encode(), text.encode()) for name, text in headers.items()]
        scope = {"type": "http", "method": method, "path": path, "headers": raw}
        await self.api({**scope, "query_string": b"", "root_path": ""}, receive, send)
        self.is_closed = (b"connection", b"close") in answer[0]["headers"]
        return answer[0]["status"], answer[1]["body"].decode()


SIGNED = {"x-hub-signature-256": f"sha256={digest()}"}


def test_all_that_a_webhook_does_is_to_have_the_daemon_fetch_once() -> None:
    async def play() -> None:
        wire = Wire()
        assert await wire.ask(SIGNED) == (202, "fetching\n")
        assert await wire.ask(SIGNED) == (200, "known already\n")
        assert wire.fetches == 1
        wire.secrets = []
        assert (await wire.ask({"x-hub-signature-256": "sha256=x"}, body=b"{}"))[0] == 401
        assert wire.fetches == 1
        assert (await wire.ask(method="GET"))[0] == 405
        assert wire.counts == {"fetching": 1, "known": 1, "unsigned": 1, "refused": 1}

    asyncio.run(play())


def test_answers_tell_a_stranger_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async def play() -> None:
        wire = Wire()
        assert await wire.ask() == (401, "not signed as it must be\n")
        for _ in range(50):
            assert (await wire.ask({"x-gitlab-token": "guess"}))[0] == 401
        assert (await wire.ask(SIGNED, path="/v1/status"))[0] == 404
        assert (await wire.ask(SIGNED, method="GET"))[0] == 405
        assert wire.fetches == 0

    asyncio.run(play())
    assert len(caplog.records) == 1, "a flood of refusals is one line a minute"


def test_what_is_too_large_is_refused_whatever_it_says_of_its_length() -> None:
    async def play() -> None:
        wire = Wire()
        assert (await wire.ask({"content-length": str(LARGEST_BODY + 1)}))[0] == 413
        assert (await wire.ask({"content-length": "many"}))[0] == 413
        flood = [(b"x" * (1 << 20), True)] * 8
        assert (await wire.send(flood))[0] == 413

    asyncio.run(play())


def test_who_is_refused_does_not_keep_the_connection() -> None:
    async def play() -> None:
        wire = Wire()
        for path, method in (("/", "POST"), ("/webhook", "PUT"), ("/webhook", "POST")):
            await wire.ask(path=path, method=method)
            assert wire.is_closed
        await wire.ask(SIGNED)
        assert not wire.is_closed

    asyncio.run(play())


def test_those_who_drip_keep_nobody_else_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reconciler.api.webhook_port.BODY_WITHIN_S", 0.2)

    async def play() -> None:
        wire = Wire()
        slow = [asyncio.create_task(wire.send([(b"{", True)])) for _ in range(MOST_AT_ONCE)]
        await asyncio.sleep(0)
        assert (await wire.ask(SIGNED))[0] == 503
        assert {status for status, _ in await asyncio.gather(*slow)} == {408}
        assert (await wire.ask(SIGNED))[0] == 202

    asyncio.run(play())

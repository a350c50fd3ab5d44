"""Tell whether a webhook is from a forge that knows our secret, and whether it is news.

Nothing of a body is read before its signature, made over the very bytes that arrived, is known to
be good; and nothing is read afterwards either: whatever a forge says, all it does is "fetch now".
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

CLOCK_SKEW_S = 300.0
"""How far a signed time may be from ours (Standard Webhooks)."""
MOST_REMEMBERED = 1000

Headers = Mapping[str, str]
"""By their names in lower case."""


class Forge(StrEnum):
    """Who signs in which way."""

    GITHUB = "GitHub"
    GITLAB = "GitLab"
    GITEA = "Gitea"
    FORGEJO = "Forgejo"
    BITBUCKET = "Bitbucket"


class Outcome(StrEnum):
    """What becomes of a request to the port of webhooks."""

    FETCHING = "fetching"
    KNOWN = "known"
    """It came before."""
    UNSIGNED = "unsigned"
    REFUSED = "refused"
    """It is no webhook, or too large, too slow or one of too many."""


class RefusedError(Exception):
    """A webhook is not from a forge that knows our secret; the text is for our log alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A webhook whose signature is good."""

    forge: Forge
    mark: bytes
    """What tells it from others: made of what is signed, so that nobody can change it."""


def verify(headers: Headers, body: bytes, secrets: Sequence[bytes], now: float) -> Delivery:
    """Give the delivery that a request is, by the first kind of signature that it bears.

    `now` is the wall clock in seconds. Raises RefusedError.
    """
    if "webhook-signature" in headers:
        return _standard(headers, body, secrets, now)
    for forge, header, prefix in _BY_DIGEST:
        if header in headers:
            found = headers[header]
            if not found.startswith(prefix):
                raise RefusedError(f"{header} is not made with SHA-256")
            _compare(found.removeprefix(prefix), [_hex(key, body) for key in secrets])
            return Delivery(forge=forge, mark=hashlib.sha256(body).digest())
    if "x-gitlab-token" in headers:
        _compare(headers["x-gitlab-token"], [key.decode(errors="replace") for key in secrets])
        return Delivery(forge=Forge.GITLAB, mark=hashlib.sha256(body).digest())
    raise RefusedError("it bears no signature that is known here")


_BY_DIGEST = (
    # Forgejo sends those of Gitea and of GitHub as well, Gitea that of GitHub.
    (Forge.FORGEJO, "x-forgejo-signature", ""),
    (Forge.GITEA, "x-gitea-signature", ""),
    (Forge.GITHUB, "x-hub-signature-256", "sha256="),
    (Forge.BITBUCKET, "x-hub-signature", "sha256="),
)


def _standard(headers: Headers, body: bytes, secrets: Sequence[bytes], now: float) -> Delivery:
    """Check what GitLab signs with a signing token (standardwebhooks.com)."""
    identity, at = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    text = f"{identity}.{at}.".encode() + body
    made = [_base64(_signing_key(key), text) for key in secrets]
    given = [one.removeprefix("v1,") for one in headers["webhook-signature"].split()]
    if not any(_is_one_of(one, made) for one in given):
        raise RefusedError("its signature is not ours")
    if not at.isdecimal() or abs(now - int(at)) > CLOCK_SKEW_S:
        raise RefusedError("it was signed at another time")
    return Delivery(forge=Forge.GITLAB, mark=identity.encode())


def _signing_key(secret: bytes) -> bytes:
    """Give the bytes of a signing token, which is written `whsec_` and base64."""
    written = secret.removeprefix(b"whsec_")
    if written == secret:
        return secret
    try:
        return base64.b64decode(written, validate=True)
    except binascii.Error:
        return secret


def _hex(key: bytes, body: bytes) -> str:
    return hmac.new(key, body, hashlib.sha256).hexdigest()


def _base64(key: bytes, text: bytes) -> str:
    return base64.b64encode(hmac.digest(key, text, "sha256")).decode()


def _compare(given: str, wanted: Sequence[str]) -> None:
    if not _is_one_of(given, wanted):
        raise RefusedError("its signature is not ours")


def _is_one_of(given: str, wanted: Sequence[str]) -> bool:
    """Compare with all, in a time that tells nothing about them."""
    found = [hmac.compare_digest(given.encode(), one.encode()) for one in wanted]
    return any(found)


class Seen:
    """The deliveries of late: one that comes again is no news."""

    def __init__(self, most: int = MOST_REMEMBERED) -> None:
        self._most = most
        self._marks: OrderedDict[bytes, None] = OrderedDict()

    def is_news(self, delivery: Delivery) -> bool:
        """Tell whether a delivery is here for the first time, and remember it."""
        if delivery.mark in self._marks:
            return False
        self._marks[delivery.mark] = None
        while len(self._marks) > self._most:
            self._marks.popitem(last=False)
        return True

"""Take out of a text what looks like a password, a token or a key before others read it."""

from __future__ import annotations

import re

from reconciler.manifest.intent import is_secret

MASK = "***"

_SECRET = re.compile(
    r"(?i)([\w.-]*(?:passw(?:or)?d|secret|token|api[_-]?key|credential|private[_-]?key)[\w.-]*"
    r"[\"']?\s*[:=]\s*[\"']?)[^\s\"',]+"
)
_FLAG = re.compile(r"(?i)(--?[\w-]*(?:passw(?:or)?d|secret|token|api-?key)[\w-]*\s+)[^\s-]\S*")
_URL_LOGIN = re.compile(r"(://[^/\s:@]*:)[^/\s@]+@")
_BEARER = re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9+/=._-]{8,}")
_WORDS = (
    (_SECRET, rf"\1{MASK}"),
    (_FLAG, rf"\1{MASK}"),
    (_URL_LOGIN, rf"\1{MASK}@"),
    (_BEARER, rf"\1 {MASK}"),
)


def without_words(line: str) -> str:
    """Replace what a line itself calls a secret.

    >>> without_words("serve --token=abc http://me:pw@db/")
    'serve --token=*** http://me:***@db/'
    """
    for pattern, kept in _WORDS:
        line = pattern.sub(kept, line)
    return line


def masked(path: str, value: str | None) -> str | None:
    """Replace the value of a field that is called like a secret, or what in it is one.

    >>> masked("env.API_TOKEN", "abc"), masked("env.PORT", "80"), masked("env.API_TOKEN", None)
    ('***', '80', None)
    """
    if value is None:
        return None
    return MASK if is_secret(path) else without_words(value)

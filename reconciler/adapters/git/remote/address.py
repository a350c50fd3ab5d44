"""Check what people name as a repository, a branch or a folder, before git sees any of it.

Git takes a URL such as `ext::sh -c ...` for a program to run, one that begins with a dash for an
option, and hands a host that begins with a dash to ssh as one. None of these gets that far.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from reconciler.ports import ManifestError

URL_LIMIT = 2048
NAME_LIMIT = 255
SCHEMES = ("https", "http", "ssh", "git", "file")

_HELPER = re.compile(r"[A-Za-z0-9+.-]*::")
_SHORT = re.compile(
    r"(?:(?P<user>[\w.-]+)@)?(?P<host>\[[0-9A-Fa-f:.]+\]|[^\s/:@\[\]]+):(?P<path>.+)"
)
"""ssh as scp writes it: `git@example.org:team/deploy.git`."""
_SECRET = re.compile(r"(?<=://)[^/@]*@")
_BAD_IN_BRANCH = re.compile(
    r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|^/|/$|\.$|\.lock(?:/|$)|(?:^|/)\."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where a repository is."""

    url: str
    """As git is to be given it."""
    local: Path | None = None
    """Its folder, where it is on this host."""

    def __str__(self) -> str:
        """Give the URL without what may be a secret in it."""
        return shown(self.url)


def check_url(text: str, base: Path) -> Address:
    """Give the address that a person named; a path is relative to `base`. Raises ManifestError.

    >>> str(check_url("https://token@example.org/deploy.git", Path("/")))
    'https://***@example.org/deploy.git'
    """
    if not text or len(text) > URL_LIMIT or not text.isprintable():
        raise _refused(text, "a repository's address is one line of text")
    if text.startswith("-"):
        raise _refused(text, "it begins with a dash, as options do")
    if _HELPER.match(text):
        raise _refused(text, "it names a program that git would run")
    if "://" in text:
        return _by_scheme(text)
    found = _SHORT.fullmatch(text)
    if found is not None and not text.startswith(("/", ".")):
        if found["host"].startswith("-") or found["path"].startswith("-"):
            raise _refused(text, "its host or path begins with a dash, as options do")
        return Address(url=text)
    path = Path(os.path.normpath(base / text))
    return Address(url=str(path), local=path)


def _by_scheme(text: str) -> Address:
    scheme = text.partition("://")[0].lower()
    if scheme not in SCHEMES:
        raise _refused(text, f"git's way {scheme}:// is not one of {', '.join(SCHEMES)}")
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname or "", parts.port
    except ValueError as why:
        raise _refused(text, str(why)) from why
    if scheme == "file":
        path = Path(unquote(parts.path))
        if host not in ("", "localhost") or not path.is_absolute():
            raise _refused(text, "a file:// address is one of this host: file:///srv/deploy.git")
        return Address(url=f"file://{parts.path}", local=path)
    if not host or host.startswith("-") or (parts.username or "").startswith("-"):
        raise _refused(text, "it names no host")
    return Address(url=text)


def _refused(text: str, why: str) -> ManifestError:
    return ManifestError(
        f"cannot follow {shown(text)[:80]!r}: {why}",
        mend="give https://HOST/PATH, ssh://HOST/PATH, HOST:PATH or a folder of this host",
    )


def shown(text: str) -> str:
    """Give a URL, or words of git's that have one in them, without user names and passwords.

    A user name alone may be a token. That of ssh is none.

    >>> shown("unable to access 'https://ana:x@example.org/d/': no route")
    "unable to access 'https://***@example.org/d/': no route"
    >>> shown("ssh://git@example.org/d")
    'ssh://git@example.org/d'
    """
    if "ssh://" in text:
        return re.sub(r"(?<=ssh://)([^/@:]*):[^/@]*@", r"\1@", text)
    return _SECRET.sub("***@", text)


def check_branch(text: str) -> str:
    """Give a branch's name back if it is one (git-check-ref-format(1)). Raises ManifestError.

    >>> check_branch("release/2.x")
    'release/2.x'
    """
    name = text.removeprefix("refs/heads/")
    is_strange = not name.isprintable() or len(name) > NAME_LIMIT or name == "@"
    if not name or name.startswith("-") or is_strange or _BAD_IN_BRANCH.search(name):
        raise ManifestError(
            f"cannot follow the branch {text[:80]!r}: that is no branch's name",
            mend="name one, such as main",
        )
    return name


def check_folder(text: str) -> str:
    """Give the folder of a repository that holds `services.d`, as git writes it.

    >>> check_folder("./deploy/"), check_folder(".")
    ('deploy', '')
    """
    path = os.path.normpath(text) if text else "."
    if path.startswith(("/", "..", "-")) or not path.isprintable():
        raise ManifestError(
            f"cannot follow the folder {text[:80]!r}: it is not below the repository's top",
            mend="give a path such as deploy or hosts/web-1",
        )
    return "" if path == "." else path

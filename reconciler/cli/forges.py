"""Where a forge lets people open a pull request for a branch; asks nobody."""

from __future__ import annotations

import re
from urllib.parse import quote, urlsplit

_SCP_LIKE = re.compile(r"(?:[^@/:]+@)?(?P<host>[^@/:]+):(?P<path>[^/].*)")
_WEB_SCHEMES = ("http", "https")
_FORGES = (
    ("github", "{place}/compare/{base}...{branch}?expand=1"),
    ("gitlab", "{place}/-/merge_requests/new?merge_request%5Bsource_branch%5D={branch}"),
    ("bitbucket", "{place}/pull-requests/new?source={branch}&dest={base}"),
    ("gitea", "{place}/compare/{base}...{branch}"),
    ("forgejo", "{place}/compare/{base}...{branch}"),
    ("codeberg", "{place}/compare/{base}...{branch}"),
)
"""What a host's name says of its forge, and its page."""


def request_url(remote: str, branch: str, base: str) -> str:
    """Give the page of the forge for a new pull request; empty where the forge is not known.

    >>> request_url("git@github.com:acme/shop.git", "more/memory", "main")
    'https://github.com/acme/shop/compare/main...more/memory?expand=1'
    >>> request_url("https://ada:secret@git.example.org/acme/shop", "x", "main")
    ''
    """
    host, place = _place(remote)
    labels = re.split(r"[.-]", host.partition(":")[0].lower())
    for forge, page in _FORGES:
        if forge in labels:
            in_query = "branch}" in page.partition("?")[2]
            safe = "" if in_query else "/"
            return page.format(
                place=place, branch=quote(branch, safe=safe), base=quote(base, safe=safe)
            )
    return ""


def _place(remote: str) -> tuple[str, str]:
    """Give the host, and the repository's page there, without anybody's name or password."""
    if "://" in remote:
        parts = urlsplit(remote)
        host, path = parts.hostname or "", parts.path
        is_web = parts.scheme in _WEB_SCHEMES
        scheme = parts.scheme if is_web else "https"
        if is_web and ":" in parts.netloc.rpartition("@")[2]:
            host = parts.netloc.rpartition("@")[2]
    elif found := _SCP_LIKE.fullmatch(remote):
        scheme, host, path = "https", found["host"], found["path"]
    else:
        return "", ""
    inner = quote(path.strip("/").removesuffix(".git"))
    return host, f"{scheme}://{host}/{inner}"

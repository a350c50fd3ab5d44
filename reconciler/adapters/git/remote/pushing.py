"""Give a commit of ours to the other side: forwards only, and never more than one branch."""

from __future__ import annotations

import os
import re

from reconciler.adapters.git import plumbing
from reconciler.adapters.git.checkout import Repo
from reconciler.adapters.git.remote import transport
from reconciler.adapters.git.remote.address import Address, shown
from reconciler.failpoints import failpoint
from reconciler.ports import ForbiddenError

PUSH_DEADLINE_S = 90.0
"""Longer than a hook of the other side that tells of hosts may take: 60 s of `weaver receive`."""
PUSHER = "WEAVER_PUSHER"
"""In the environment of a push of ours: the home that pushes. A hook on this host, which sees it,
need not ask that daemon to fetch."""

_RACED = (
    "non-fast-forward",
    "fetch first",
    "stale info",
    "failed to update ref",
    "cannot lock ref",
)
"""What git says of a branch that somebody else has moved."""
_REJECTED = re.compile(r"^!\t[^\t]*\t\[(?P<kind>[^\]]*)\](?: \((?P<why>.*)\))?", re.MULTILINE)
_MOST_WORDS = 400


class PushRacedError(Exception):
    """Somebody else moved the branch; fetch, and make the change to what is there now."""


def push(repo: Repo, address: Address, commit: str, branch: str, home: str) -> None:
    """Move the other side's branch forwards to a commit.

    Raises PushRacedError where it is elsewhere by now, ForbiddenError where the other side does
    not want it, HostError where it cannot be reached.
    """
    failpoint("git.push.before")
    code, out, err = transport.ask(
        repo,
        address,
        *("push", "--porcelain", "--no-verify", "--no-follow-tags", "origin"),
        f"{commit}:refs/heads/{branch}",
        deadline_s=PUSH_DEADLINE_S,
        extra={PUSHER: home},
    )
    failpoint("git.push.answered")
    if code == 0:
        return
    found = _REJECTED.search(out.decode(errors="replace"))
    if found is None:
        raise transport.unreachable(address, plumbing.words_of(err, code))
    why = f"{found['kind']} {found['why'] or ''}".strip()
    if any(sign in why for sign in _RACED):
        raise PushRacedError(why)
    raise ForbiddenError(
        f"{address} does not take a change of {branch}: {_told(why, err)}",
        mend=f"change it in a clone, and have it merged; or let uid {os.geteuid()} push there",
    )


def _told(why: str, err: str) -> str:
    """Give what the other side said, as far as it fits, else git's short reason."""
    lines = [line.removeprefix("remote: ").strip() for line in err.splitlines()]
    said = [line for line in lines if line and not line.startswith(("error:", "To ", "hint:"))]
    return shown("; ".join(said)[:_MOST_WORDS] or why)

"""Decide whether commits are followed by who signed them.

A signature counts only where git finds it good and its signer is one of those whom the host names
(`%G?` is `G`). Everything else is a fault: none, a bad one, one of somebody unknown, one that
cannot be checked, an expired or revoked key.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from reconciler.core.heads import HeadHold, Held

MOST_CHECKED = 500
"""Commits of one step; a longer one waits for a person."""
MOST_NAMED = 3
GOOD = "G"
UNCHECKED = "E"

_WHAT = {
    "N": "is not signed",
    "B": "has a signature that is bad",
    "U": "is signed by nobody whom this host allows",
    "E": "has a signature that cannot be checked here",
    "X": "has a signature that has expired",
    "Y": "is signed by a key that has expired",
    "R": "is signed by a key that was revoked",
}


class Verify(StrEnum):
    """Which commits must be signed."""

    OFF = "off"
    WARN = "warn"
    """Every new one; what is not is said, and followed all the same."""
    HEAD = "head"
    """The newest."""
    RANGE = "range"
    """Every new one, along all parents."""

    @property
    def takes_all(self) -> bool:
        """Tell whether every new commit is looked at."""
        return self in (Verify.WARN, Verify.RANGE)

    @property
    def is_required(self) -> bool:
        """Tell whether what is not signed is not followed."""
        return self in (Verify.HEAD, Verify.RANGE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """What git says of a commit's signature."""

    commit: str
    status: str
    """A letter: see git-log(1), `%G?`."""
    signer: str
    author: str

    def __str__(self) -> str:
        """Say it in words."""
        who = f" ({self.signer})" if self.signer and self.status != "N" else ""
        what = _WHAT.get(self.status, f"has a signature of the kind {self.status}")
        return f"{self.commit[:12]} by {self.author} {what}{who}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """Whom a host believes; from its own settings, never from what is verified."""

    allowed_signers: str = ""
    """The path of a file as ssh-keygen(1) has it under ALLOWED SIGNERS; empty: nobody by SSH."""
    gpg_home: str = ""
    """The path of a directory with a keyring; empty: nobody by GPG."""


def against(signatures: Sequence[Signature]) -> str:
    """Say what is against following commits by their signatures; empty: nothing is.

    >>> against([Signature(commit="b2b2b2b2b2b2b2", status="N", signer="", author="Ana")])
    'b2b2b2b2b2b2 by Ana is not signed'
    """
    if not signatures:
        return "git names no commit that could be checked"
    if len(signatures) > MOST_CHECKED:
        return f"more than {MOST_CHECKED} new commits"
    bad = [one for one in signatures if one.status != GOOD]
    more = len(bad) - MOST_NAMED
    what = "; ".join(str(one) for one in bad[:MOST_NAMED])
    return what + (f"; and {more} more" if more > 0 else "")


def faults(signatures: Sequence[Signature], branch: str, head: str) -> Held | None:
    """Hold a branch whose commits may not be followed by their signatures; None: they may.

    >>> one = Signature(commit="b2b2b2b2b2b2b2", status="N", signer="", author="Ana")
    >>> faults([one], "main", "b2b2b2b2b2b2b2").because
    'main is not followed to b2b2b2b2b2b2: b2b2b2b2b2b2 by Ana is not signed'
    """
    what = against(signatures)
    if not what:
        return None
    because = f"{branch} is not followed to {head[:12]}: {what}"
    mend = f"have it signed, or look at it and: weaver accept-history {head[:12]}"
    return Held(code=HeadHold.SIGNATURE_INVALID, because=because, mend=mend)

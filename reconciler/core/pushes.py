"""Decide where the branch of a checkout is pushed to, and when that is left to a person.

Only forwards, and nothing that somebody took out there is brought back: whatever is not plainly
newer than what the other side has is held, with what helps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from reconciler.core.heads import Relation

BRANCHES = "refs/heads/"
_TRACKING = "refs/remotes/"
_HERE = "."
"""What git calls this repository where a remote is asked for."""
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._/+=@%-")
"""What a shell takes as it is."""

Settings = Mapping[str, Sequence[str]]
"""Git's, by their names as `git config --list` writes them; the last value of one counts."""


class PushHold(StrEnum):
    """Why a branch is not pushed."""

    NO_REMOTE = "NoRemote"
    """Nothing says where it goes, or that is no place for a push of ours."""
    BRANCH_GONE = "BranchGone"
    REMOTE_MOVED = "RemoteMoved"
    """The other side has commits that are not here."""
    REMOTE_SET_BACK = "RemoteSetBack"
    """The other side has not any more what it had, and what is here would bring it back."""
    REFUSED = "PushRefused"
    UNREACHABLE = "RemoteUnreachable"


@dataclass(frozen=True, slots=True, kw_only=True)
class PushHeld:
    """That a branch is not pushed, and why."""

    code: PushHold
    because: str
    mend: str = ""

    def __str__(self) -> str:
        """Say it in one line."""
        return f"{self.because}; mend: {self.mend}" if self.mend else self.because


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where a branch goes."""

    local: str
    """The branch here."""
    remote: str
    """What git calls the other repository here."""
    branch: str
    """The branch there."""
    tracking: str = ""
    """The reference here that says where it was there; empty: none."""

    @property
    def by_hand(self) -> str:
        """Give the command that pushes as we would."""
        words = self.local if self.local == self.branch else f"{self.local}:{self.branch}"
        return f"git push {_quoted(self.remote)} {_quoted(words)}"

    @property
    def there(self) -> str:
        """Name the branch there for people."""
        return f"{self.branch} of {self.remote}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """A branch here, and what the other side has."""

    target: Target
    head: str
    """Where it is here."""
    there: str
    """Where it is there; empty: there is no such branch."""
    relation: Relation
    """How what is here comes after what is there."""
    ours: int
    """So many commits of Weaver's are here and not there."""
    known: str = ""
    """Where it was there when it was seen last; empty: it never was."""
    brings_back: bool = False
    """What is here descends from that, and what is there does not."""


def decide(found: Compared) -> PushHeld | None:
    """Give what is against pushing commits of ours that are not there; None: nothing is.

    >>> main = Target(local="main", remote="origin", branch="main")
    >>> newer = Compared(target=main, head="b2", there="a1", relation=Relation.AHEAD, ours=1)
    >>> decide(newer) is None
    True
    """
    target = found.target
    if not found.there:
        return _gone(target) if found.known else None
    if found.brings_back:
        return PushHeld(
            code=PushHold.REMOTE_SET_BACK,
            because=f"{target.there} was set back to {found.there[:12]}, "
            f"and had {found.known[:12]} before",
            mend=f"{target.by_hand} brings that back; git reset --keep {found.there[:12]} "
            "lets it go here too",
        )
    if found.relation in (Relation.FIRST, Relation.SAME, Relation.AHEAD):
        return None
    return PushHeld(
        code=PushHold.REMOTE_MOVED,
        because=f"{target.there} has commits that are not here",
        mend=f"git pull --rebase {_quoted(target.remote)} {_quoted(target.branch)}",
    )


def _gone(target: Target) -> PushHeld:
    return PushHeld(
        code=PushHold.BRANCH_GONE,
        because=f"{target.there} is not there any more",
        mend=f"{target.by_hand} makes it anew; git branch --set-upstream-to names another",
    )


def choose(settings: Settings, branch: str) -> Target | PushHeld:
    """Give where a branch goes by git's settings, else `origin`, else the only remote.

    >>> choose({"remote.origin.url": ["/srv/deploy.git"]}, "main").there
    'main of origin'
    """
    own = f"branch.{branch}"
    upstream = _last(settings, f"{own}.remote")
    remotes = _remotes(settings)
    remote = (
        _last(settings, f"{own}.pushremote") or _last(settings, "remote.pushdefault") or upstream
    )
    if not remote:
        remote = "origin" if "origin" in remotes else remotes[0] if len(remotes) == 1 else ""
    fault = _fault(remote, remotes, branch)
    if fault is not None:
        return fault
    merge = _last(settings, f"{own}.merge") if remote == upstream else ""
    if merge and not merge.startswith(BRANCHES):
        return _held(f"{branch} goes to {merge}, which is no branch", branch)
    there = merge.removeprefix(BRANCHES) or branch
    tracking = _tracking(settings.get(f"remote.{remote}.fetch", ()), there)
    return Target(local=branch, remote=remote, branch=there, tracking=tracking)


def _fault(remote: str, remotes: Sequence[str], branch: str) -> PushHeld | None:
    """Give what is against pushing to a remote, by its name alone."""
    if remote == _HERE:
        return _held(f"{branch} goes to another branch of this very repository", branch)
    if not remote and remotes:
        return _held(f"nothing says which of {', '.join(remotes)} {branch} goes to", branch)
    if not remote:
        return PushHeld(
            code=PushHold.NO_REMOTE,
            because="this repository has no remote",
            mend="git remote add origin URL",
        )
    if remote not in remotes or remote.startswith("-") or not remote.isprintable():
        return _held(
            f"{remote[:80]!r}, where {branch} goes, is no remote of this repository", branch
        )
    return None


def _held(because: str, branch: str) -> PushHeld:
    mend = f"git branch --set-upstream-to=REMOTE/BRANCH {_quoted(branch)}"
    return PushHeld(code=PushHold.NO_REMOTE, because=because, mend=mend)


def _remotes(settings: Settings) -> Sequence[str]:
    """Name the remotes that have an address."""
    found = {
        key.removeprefix("remote.").rpartition(".")[0]
        for key in settings
        if key.startswith("remote.") and key.endswith((".url", ".pushurl"))
    }
    return sorted(found - {""})


def _tracking(refspecs: Sequence[str], branch: str) -> str:
    """Give the reference that fetching notes a branch of theirs in; empty where none does.

    >>> _tracking(["+refs/heads/*:refs/remotes/origin/*"], "team/main")
    'refs/remotes/origin/team/main'
    """
    wanted = f"{BRANCHES}{branch}"
    for refspec in refspecs:
        theirs, _, here = refspec.removeprefix("+").partition(":")
        if theirs == wanted and here.startswith(_TRACKING):
            return here
        front, star, end = theirs.partition("*")
        fits = wanted.startswith(front) and wanted.endswith(end) and len(wanted) >= len(theirs)
        if star and fits and here.startswith(_TRACKING) and here.count("*") == 1:
            middle = wanted[len(front) : len(wanted) - len(end)]
            return here.replace("*", middle)
    return ""


def _last(settings: Settings, name: str) -> str:
    values = settings.get(name, ())
    return values[-1] if values else ""


def _quoted(word: str) -> str:
    """Write a word for a shell.

    >>> _quoted("main"), _quoted("a b")
    ('main', "'a b'")
    """
    if word and set(word) <= _PLAIN | {":"}:
        return word
    return "'" + word.replace("'", "'\\''") + "'"

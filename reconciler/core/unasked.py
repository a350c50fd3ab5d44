"""Bound what is committed without anybody asking for it, so that no loop can fill a history.

What was committed before is what the history says, not what is remembered: a restart of the
daemon begins no new count.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

WINDOW_S = 3600.0
OF_A_SERVICE = 6
"""Commits that nobody asked for, within the window."""
OF_ALL = 60
RETURNS = 2
"""Commits after which what we wrote ourselves is not brought back once more: whoever changes it
back may have done so unknowingly once, and does not mean to stop after the second time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A commit that nobody asked for."""

    commit: str
    at: float
    """Seconds since 1970."""
    services: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """A commit that nobody asked for, before it is made."""

    service: str
    at: float
    restores: str = ""
    """The commit whose text it would bring back; empty where it writes something new."""
    against: str = ""
    """Whose text it would replace."""


def why_held(wish: Wish, past: Sequence[Made]) -> str:
    """Say why a commit has to wait; empty where nothing is against it.

    >>> first = Made(commit="c0ffee12", at=1000.0, services=frozenset({"web"}))
    >>> second = Made(commit="3f2c91a4", at=1000.0, services=frozenset({"web"}))
    >>> again = Wish(service="web", at=1600.0, restores="3f2c91a4", against="Bob")
    >>> why_held(again, [second, first])
    'weaver wrote the same in 3f2c91a 10 min ago, and Bob changed it since: one of both must stop'
    >>> why_held(again, [second])
    ''
    """
    recent = [made for made in past if made.at > wish.at - WINDOW_S]
    own = [made for made in recent if wish.service in made.services]
    written = next((made for made in own if made.commit == wish.restores), None)
    if written is not None and len(own) >= RETURNS:
        return (
            f"weaver wrote the same in {written.commit[:7]} {_minutes(wish.at - written.at)} ago, "
            f"and {wish.against or 'somebody'} changed it since: one of both must stop"
        )
    for counted, most, whose in ((own, OF_A_SERVICE, "its"), (recent, OF_ALL, "the repository's")):
        if len(counted) >= most:
            free = sorted(made.at for made in counted)[-most] + WINDOW_S
            return (
                f"{len(counted)} of {whose} commits of the last hour were asked for by nobody; "
                f"the next one may come in {_minutes(free - wish.at)}"
            )
    return ""


def _minutes(seconds: float) -> str:
    """Say a time in whole minutes.

    >>> _minutes(600), _minutes(601), _minutes(-3)
    ('10 min', '11 min', '1 min')
    """
    return f"{max(1, int(-(-seconds // 60)))} min"

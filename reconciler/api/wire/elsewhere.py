"""Status: the repositories elsewhere that are followed, or pushed to."""

from __future__ import annotations

from reconciler.api.wire.base import Wire, timestamp
from reconciler.runtime.control import Scene


class SourceKeys(Wire, frozen=True, kw_only=True):
    """A branch of a repository elsewhere, as it is followed."""

    address: str
    """With user names and passwords left out."""
    branch: str
    fetched: str | None
    """Where the branch was when it was looked at last."""
    verified: str | None
    """What is followed: it descends from all that was followed before, or was accepted."""
    reason: str
    """Why it is not followed further, or what is wrong with looking at it; else empty."""
    reason_code: str
    """`HistoryRewritten` `BranchGone` `SourceStale` ...; empty where it is followed."""
    seen_at: str | None
    """When the other side was last seen in this life of the daemon."""


class PushKeys(Wire, frozen=True, kw_only=True):
    """The branch elsewhere that the checkout's is pushed to, as `git.push` asks."""

    remote: str | None
    """As git calls it in the checkout."""
    branch: str | None
    waiting: int
    """Commits of Weaver's that are not there yet, as far as is known."""
    reason: str
    """What is in the way of a push; else empty."""
    reason_code: str
    """`NoRemote` `BranchGone` `RemoteMoved` `RemoteSetBack` `PushRefused` `RemoteUnreachable`."""


def source_keys(scene: Scene) -> SourceKeys | None:
    """Write what is followed elsewhere; None where the files of a checkout are."""
    source = scene.daemon.source
    if source is None:
        return None
    seen = source.seen_at
    return SourceKeys(
        address=source.address,
        branch=source.branch,
        fetched=source.fetched or None,
        verified=source.verified or None,
        reason=source.reason,
        reason_code=source.reason_code,
        seen_at=None if seen is None else timestamp(scene.wall_at(seen)),
    )


def push_keys(scene: Scene) -> PushKeys | None:
    """Write where a checkout is pushed to; None where `git.push` is not set."""
    push = scene.daemon.push
    if push is None:
        return None
    return PushKeys(
        remote=push.remote or None,
        branch=push.branch or None,
        waiting=push.waiting,
        reason=push.reason,
        reason_code=push.reason_code,
    )

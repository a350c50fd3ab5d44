"""Push the branch of a checkout, without letting the checkout's own settings run anything.

A repository of ours, beside the checkout and with nothing in it, borrows the checkout's objects:
so git goes by the settings of the person and by ours, and never by a `.git/config`, whose ssh
commands, helpers and hooks are anybody's. What was fetched to compare with stays there, too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Hashable
from contextlib import suppress
from pathlib import Path

from reconciler.adapters.git import plumbing, state
from reconciler.adapters.git.checkout import Checkout, locate
from reconciler.adapters.git.remote import transport
from reconciler.adapters.git.remote.address import Address, check_branch, check_url
from reconciler.adapters.git.remote.mirror import Mirror
from reconciler.adapters.git.remote.pushing import PushRacedError
from reconciler.core.heads import Relation
from reconciler.core.pushes import Compared, PushHeld, Target, choose
from reconciler.ports import ConflictError, HostError, ManifestError, WeaverError
from reconciler.ports.outbox import Waiting

LIMIT = 1000
"""The most commits of ours that are counted."""
_OURS = "--grep=^Weaver-Op-Id: "
_KNOWN = "weaver.known"
"""In our repository's settings: where the branch was there when it was seen last, and which."""


class CheckoutOutbox:
    """Implements `Outbox`."""

    def __init__(self, root: Path, place: Path) -> None:
        """Push the branch of the checkout at `root`, by way of a repository at `place`."""
        self._root = root
        self._place = place
        self._tracking = ""

    def mark(self) -> Hashable:
        """Give where the branch is, here and as far as is known there."""
        with suppress(WeaverError, OSError, ValueError):
            checkout = locate(self._root)
            head = state.head(checkout)
            known = state.resolve(checkout, self._tracking) if self._tracking else ""
            return (head.commit, head.branch, known)
        return None

    async def waiting(self) -> Waiting:
        """Look here for commits that are to be pushed."""
        return await asyncio.to_thread(self._waiting)

    async def compare(self, waiting: Waiting, target: Target) -> Compared:
        """Ask the other side what it has."""
        return await asyncio.to_thread(self._compare, waiting, target)

    async def push(self, found: Compared) -> None:
        """Move the branch there forwards."""
        await asyncio.to_thread(self._push, found)

    def close(self) -> None:
        """End what talks to the other side."""
        transport.hang_up(self._place)

    # --- here --------------------------------------------------------------------------------

    def _waiting(self) -> Waiting:
        checkout = locate(self._root)
        head = state.head(checkout)
        if not head.branch or not head.commit:
            return Waiting(head=head.commit)
        target = choose(_settings(checkout), check_branch(head.branch))
        if isinstance(target, PushHeld):
            return Waiting(head=head.commit, held=target)
        self._tracking = target.tracking
        mirror = self._mirror(checkout, target, head.commit)
        ours = _count(mirror, head.commit, self._seen(checkout, target), _known(mirror))
        return Waiting(head=head.commit, target=target, ours=ours)

    @staticmethod
    def _seen(checkout: Checkout, target: Target) -> str:
        """Give where the branch was there, as the checkout knows it; empty: it does not."""
        return state.resolve(checkout, target.tracking) if target.tracking else ""

    # --- there -------------------------------------------------------------------------------

    def _mirror(self, checkout: Checkout, target: Target, head: str) -> Mirror:
        """Give our repository beside the checkout."""
        address = _address(checkout, target)
        borrowed = {
            "GIT_ALTERNATE_OBJECT_DIRECTORIES": _quoted(str(checkout.common_dir / "objects")),
            "GIT_DEFAULT_HASH": state.algorithm_of(head),
        }
        shallow = checkout.common_dir / "shallow"
        if shallow.is_file():
            borrowed["GIT_SHALLOW_FILE"] = str(shallow)
        mirror = Mirror(
            self._place, address, check_branch(target.branch), borrowed=tuple(borrowed.items())
        )
        mirror.open()
        return mirror

    def _compare(self, waiting: Waiting, target: Target) -> Compared:
        checkout = locate(self._root)
        mirror = self._mirror(checkout, target, waiting.head)
        known = _known(mirror) or self._seen(checkout, target)
        there = mirror.look()
        if there and not _has(mirror, there):
            there = mirror.fetch()
        found = Compared(
            target=target,
            head=waiting.head,
            there=there,
            relation=mirror.compare(there, waiting.head).relation,
            ours=_count(mirror, waiting.head, there),
            known=known,
            brings_back=bool(there and known)
            and _is_part(mirror, known, waiting.head)
            and not _is_part(mirror, known, there),
        )
        if found.relation in (Relation.SAME, Relation.BEHIND):
            self._note(checkout, mirror, found, there)
        return found

    def _push(self, found: Compared) -> None:
        checkout = locate(self._root)
        mirror = self._mirror(checkout, found.target, found.head)
        try:
            mirror.push(found.head, str(self._root))
        except PushRacedError as why:
            raise ConflictError(f"{found.target.there} has moved meanwhile ({why})") from why
        self._note(checkout, mirror, found, found.head)

    @staticmethod
    def _note(checkout: Checkout, mirror: Mirror, found: Compared, there: str) -> None:
        """Note where the branch is there, for us and, as a push by hand does, for the person."""
        plumbing.run(mirror.repo, "config", _KNOWN, f"{there} {_label(mirror)}")
        tracking = found.target.tracking
        if not tracking or there != found.head:
            return
        before = state.resolve(checkout, tracking) or "0" * len(there)
        if before != there:
            # Somebody who fetches meanwhile knows better.
            with suppress(HostError):
                words = ("update-ref", "-m", "weaver: pushed", tracking, there, before)
                plumbing.run(checkout, *words)


def _settings(checkout: Checkout) -> dict[str, list[str]]:
    """Give the settings that git goes by when the person pushes."""
    env = transport.environment(checkout)
    said = plumbing.run_in(env, ("config", "-z", "--list"), cwd=str(checkout.place))
    found: dict[str, list[str]] = {}
    for entry in said.decode(errors="replace").split("\0"):
        name, _, value = entry.partition("\n")
        found.setdefault(name, []).append(value)
    return found


def _address(checkout: Checkout, target: Target) -> Address:
    """Give the address that a push goes to. Raises WeaverError where there is not just one."""
    env = transport.environment(checkout)
    words = ("remote", "get-url", "--push", "--all", "--", target.remote)
    said = plumbing.run_in(env, words, cwd=str(checkout.place)).decode(errors="replace")
    urls = said.splitlines()
    if len(urls) != 1:
        raise ManifestError(
            f"{target.remote} has {len(urls)} addresses to push to",
            mend=f"leave one of them: git remote set-url --push {target.remote} URL",
        )
    return check_url(urls[0], checkout.top)


def _count(mirror: Mirror, head: str, *bases: str) -> int:
    """Count the commits of Weaver's that are in a branch, and in none of the others."""
    words = ("rev-list", "--count", f"--max-count={LIMIT}", "--ignore-missing", _OURS, head)
    said = plumbing.run(mirror.repo, *words, *(f"^{base}" for base in bases if base), "--")
    return int(said)


def _has(mirror: Mirror, commit: str) -> bool:
    """Tell whether a commit is here."""
    words = ("rev-parse", "-q", "--verify", f"{commit}^{{commit}}")
    return bool(plumbing.run(mirror.repo, *words, accept=(0, 1, 128)).strip())


def _is_part(mirror: Mirror, old: str, new: str) -> bool:
    """Tell whether a commit descends from another, as far as both are here."""
    words = ("rev-list", "--count", "--max-count=1", "--ignore-missing", old, f"^{new}", "--")
    return _has(mirror, old) and plumbing.run(mirror.repo, *words).strip() == b"0"


def _known(mirror: Mirror) -> str:
    """Give where the branch was there when it was seen last; empty: another is meant by now."""
    said = plumbing.run(mirror.repo, "config", "--default", "", "--get", _KNOWN)
    commit, _, label = said.decode(errors="replace").rstrip("\n").partition(" ")
    return commit if label == _label(mirror) else ""


def _label(mirror: Mirror) -> str:
    """Tell a branch of a repository from all others."""
    return f"{mirror.branch} {mirror.address.url}"


def _quoted(path: str) -> str:
    """Write a folder as git's lists of folders have it.

    >>> _quoted("/srv/a"), _quoted("/srv/a:b")
    ('/srv/a', '"/srv/a:b"')
    """
    if ":" not in path and not path.startswith('"'):
        return path
    escaped = path.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'

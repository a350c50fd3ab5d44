"""Tell a pusher what becomes of the push, by asking the daemons on this host that follow it."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from reconciler.api.human import count, plain
from reconciler.cli import exits, screen
from reconciler.cli.client import Daemon, Json
from reconciler.cli.errors import CommandError
from reconciler.cli.progress import describe
from reconciler.runtime.followers import Follower, followers
from reconciler.runtime.received import Pushed

PATIENCE_S = 60.0
"""For all daemons together; what takes longer goes on without anybody waiting."""
AT_ONCE = 16
"""How many daemons are listened to at a time."""
LATER = "accepted, converges later"


def follow_push(git_dir: Path, updates: Sequence[Pushed], *, quiet: bool) -> int:
    """Ask each daemon that follows a pushed branch, and show how it goes. Always gives 0.

    What is said here goes to the pusher; the push is accepted, whatever comes of it.
    """
    pushed = {one.branch: one.new for one in updates if one.branch and one.new}
    pusher = os.environ.get("WEAVER_PUSHER", "")
    known = followers(git_dir)
    asked = [one for one in known if one.branch in pushed and one.home != pusher]
    deadline = time.monotonic() + PATIENCE_S

    def follow(one: Follower) -> None:
        teller = Teller(one.home if len(asked) > 1 else "", quiet=quiet, waits=not pusher)
        teller.follow(one, pushed[one.branch], max(1.0, deadline - time.monotonic()))

    # Side by side: no host waits for its turn until another has converged.
    with ThreadPoolExecutor(AT_ONCE) as threads:
        list(threads.map(follow, asked))
    if pushed and not asked and not pusher:
        names = ", ".join(plain(name) for name in sorted(pushed))
        # Beside a branch that is followed, another one is a proposal, and nothing comes of it.
        screen.err(f"{'accepted' if known else LATER}: no daemon on this host follows {names}")
    return exits.OK


class Teller:
    """Tells of one daemon, with its home before each line where there are several."""

    def __init__(self, home: str, *, quiet: bool, waits: bool) -> None:
        self._home = plain(home)
        self._waits = waits
        """No: a change of a daemon's is not kept waiting for what other daemons make of it."""
        self._quiet = quiet
        self._has_concluded = False
        self._begun: dict[str, float] = {}
        self._done: dict[str, str] = {}
        self._services: set[str] = set()
        self._begun_at = time.monotonic()

    def follow(self, one: Follower, commit: str, patience_s: float) -> None:
        """Have a daemon fetch a commit, and show what comes of it."""
        daemon = Daemon(one.home, one.socket)
        body = {"revision": commit, "timeout": patience_s, "wait": self._waits}
        try:
            for message in daemon.tell("/v1/sync", body, patience_s):
                self._show(message)
        except (CommandError, OSError, ValueError, KeyError) as error:
            self._say(f"{LATER}: {plain(str(error))}")
            return
        if not self._has_concluded:
            self._say(f"{LATER}: the daemon went away meanwhile")

    def _show(self, message: Json) -> None:
        match message["type"]:
            case "action":
                self._action(message)
            case "note" if not self._quiet:
                self._say(plain(message["text"]))
            case "problem":
                self._say(plain(message["title"]))
                if message.get("mend"):
                    self._say(f"    mend: {plain(message['mend'])}")
                for line in message.get("logTail", ()):
                    self._say(f"    | {plain(line)}")
            case "summary":
                self._conclude(message)
            case _:
                pass

    def _action(self, message: Json) -> None:
        """Tell of an action once it is over, and how long it took."""
        line = describe(message)
        name = plain(message.get("instance") or message["service"])
        now = time.monotonic()
        if line.phase == "start":
            self._begun.setdefault(name, now)
            return
        took = now - self._begun.pop(name, now)
        how = f"in {took:.1f} s" if line.action == "stop" else f"healthy in {took:.1f} s"
        if line.phase == "failed":
            how = line.reason
        self._services.add(message["service"])
        if self._done.get(name) != line.word:
            self._done[name] = line.word
            self._say(f"{name}  {line.word}  {how}")

    def _conclude(self, message: Json) -> None:
        """End with one line."""
        self._has_concluded = True
        took = time.monotonic() - self._begun_at
        if message["exitCode"] == exits.TIMED_OUT:
            self._say(f"{LATER}: not all of it was there after {took:.0f} s")
        elif message["exitCode"]:
            self._say(f"accepted, but not as wanted: {plain(message['text'])}")
        elif self._services:
            self._say(f"{count(len(self._services), 'service')} as wanted after {took:.1f} s")
        else:
            self._say("accepted: no running service is affected")

    def _say(self, text: str) -> None:
        screen.err(f"{self._home}: {text}" if self._home else text)

"""What `weaver up` in front says: a line an event, faults at once, what to try next."""

from __future__ import annotations

from typing import assert_never

from reconciler.api.diff_text import at
from reconciler.api.events_text import event_line
from reconciler.api.human import plain, span_in_words
from reconciler.api.page import Page
from reconciler.cli import screen
from reconciler.cli.errors import CommandError
from reconciler.runtime.messages import (
    ActionSeen,
    CommitMade,
    Converged,
    EventSeen,
    Message,
    Note,
    Planned,
    Problem,
    Summary,
)

HINTS = (
    ("weaver status", "what runs and why not"),
    ("weaver logs -f", "what the services print"),
    ("weaver set NAME env.KEY=VALUE", "change a value; only that service restarts"),
)
"""What to try in another terminal, or by saving a file."""


class Voice:
    """Says what happens, on standard output: here that is the result."""

    def __init__(self, page: Page, greeting: str, *, quiet: bool) -> None:
        self._page = page
        self._greeting = greeting
        """Said before the first good news: a daemon that is refused greets nobody."""
        self._quiet = quiet
        self._has_hinted = False

    def __call__(self, message: Message) -> None:
        """Say one message."""
        match message:
            case Problem():
                self._complain(message)
            case Summary() if message.exit_code:
                screen.err(plain(message.text))
            case _ if self._quiet:
                pass
            case EventSeen(event=event):
                several = {event.service} if message.is_one_of_several else set()
                self._say(event_line(event, self._page, several))
            case Converged():
                self._converged(message)
            case Note(text=text) | Summary(text=text):
                self._say(plain(text))
            case Planned() | CommitMade() | ActionSeen():
                """Others asked for these; the events that follow tell it all."""
            case unreachable:
                assert_never(unreachable)

    def _converged(self, message: Converged) -> None:
        """Say that all is as wanted, and the first time what to try next."""
        took = span_in_words(message.seconds)
        self._say(f"all as wanted at {at(message.revision)} after {took}")
        if self._has_hinted:
            return
        self._has_hinted = True
        self._say("Try in another terminal:")
        for words, about in HINTS:
            self._say(f"  {words:<30} {about}")

    def _complain(self, problem: Problem) -> None:
        """Say what is wrong; faults of manifests as file:line:col."""
        faults = [str(fault) for fault in problem.diagnostics]
        tail = [f"    | {plain(line)}" for line in problem.log_tail]
        screen.complain(
            CommandError(plain(problem.title), mend=plain(problem.mend), details=faults + tail),
            colour=self._page.colour,
        )

    def _say(self, text: str) -> None:
        """Print a line at once, so that a pipe sees it too."""
        if self._greeting:
            screen.out(self._greeting)
            self._greeting = ""
        screen.out(text)
        screen.flush()

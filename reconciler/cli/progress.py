"""Show a long verb at work: one living line a service on a terminal, plain lines elsewhere."""

from __future__ import annotations

import shutil
import sys
import threading
import time
from dataclasses import dataclass, field

from reconciler.api.human import clip, plain, span
from reconciler.cli.client import Json
from reconciler.cli.screen import GREEN, RED, YELLOW, err, paint

TICK_S = 1.0
"""How often the living lines show how long it has taken."""
MOST_LINES = 12
"""Services shown at once; the others are counted."""

_DOING = {
    "start": ("starting", "started"),
    "stop": ("stopping", "stopped"),
    "restart": ("restarting", "restarted"),
    "reload": ("reloading", "reloaded"),
    "update": ("updating", "updated"),
}

_BRINGS_UP = ("start", "restart")

_OBVIOUS = frozenset({"", "its manifest says running"})
"""Reasons that tell nobody anything."""


@dataclass(slots=True)
class Line:
    """What is going on with one service."""

    service: str
    action: str
    phase: str
    word: str
    reason: str = ""
    since: float = field(default_factory=time.monotonic)


def describe(message: Json) -> Line:
    """Turn an `action` message into words.

    >>> line = describe({"service": "web", "action": "start", "phase": "failed", "reason": "no"})
    >>> line.word, line.reason
    ('cannot start', 'no')
    """
    action, phase = message["action"], message["phase"]
    doing, done = _DOING.get(action, (action, action))
    words = {"start": doing, "done": done, "failed": f"cannot {action}"}
    return Line(
        service=message["service"],
        action=action,
        phase=phase,
        word=words[phase],
        reason=plain(message.get("reason", "")),
    )


class Progress:
    """What a person sees while a verb works; all of it on standard error."""

    def __init__(self, *, quiet: bool, colour: bool) -> None:
        self._quiet = quiet
        self._colour = colour
        self._living = sys.stderr.isatty() and not quiet
        self._lines: dict[str, Line] = {}
        self._up: set[str] = set()
        self._drawn = 0
        self._lock = threading.Lock()
        self._ended = threading.Event()
        if self._living:
            threading.Thread(target=self._tick, daemon=True).start()

    def action(self, message: Json) -> None:
        """Show an action on a service, or how it ended."""
        line = describe(message)
        name = plain(message.get("instance") or message["service"])
        with self._lock:
            self._tell_a_crash(name, line)
            before = self._lines.get(name)
            self._lines[name] = line
            if self._living:
                self._draw()
            elif not self._quiet and (before is None or before.word != line.word):
                err(self._text(name, line, width=0))

    def _tell_a_crash(self, name: str, line: Line) -> None:
        """Say of one that was seen running that it crashed, not that it cannot be started."""
        before = self._lines.get(name)
        if line.phase == "failed" and line.action in _BRINGS_UP:
            # That it is given up for it follows at once and says the same.
            is_told = before is not None and before.word == "crashed"
            line.word = "crashed" if name in self._up or is_told else line.word
        is_up = line.phase == "done" and line.action != "stop"
        is_going = line.phase == "start" and line.action == "stop"
        if is_up:
            self._up.add(name)
        elif not is_going and line.action in (*_BRINGS_UP, "stop"):
            self._up.discard(name)

    def arrived(self) -> None:
        """Show that all is as wanted, whatever was last heard of single actions."""
        for name, line in list(self._lines.items()):
            if line.phase == "start":
                done = {"service": line.service, "action": line.action, "phase": "done"}
                self.action({**done, "instance": name if name != line.service else None})

    def say(self, text: str) -> None:
        """Print a line for good, above the living ones."""
        if self._quiet:
            return
        with self._lock:
            self._erase()
            err(text)
            self._draw()

    def close(self) -> None:
        """Leave the last state on the screen."""
        self._ended.set()
        with self._lock:
            self._drawn = 0
            self._lines.clear()

    def _tick(self) -> None:
        """Redraw now and then, so that waiting shows."""
        while not self._ended.wait(TICK_S):
            with self._lock:
                if not self._ended.is_set():
                    self._draw()

    def _draw(self) -> None:
        """Draw the living lines over those drawn before."""
        if not self._living or not self._lines:
            return
        self._erase()
        width = shutil.get_terminal_size().columns - 1
        shown = sorted(self._lines, key=lambda name: self._lines[name].phase == "done")
        texts = [self._text(name, self._lines[name], width) for name in shown[:MOST_LINES]]
        if len(shown) > MOST_LINES:
            texts.append(f"  and {len(shown) - MOST_LINES} more")
        sys.stderr.write("".join(f"{text}\n" for text in texts))
        sys.stderr.flush()
        self._drawn = len(texts)

    def _erase(self) -> None:
        """Take the living lines off the screen."""
        if self._drawn:
            sys.stderr.write(f"\x1b[{self._drawn}A\x1b[J")
            self._drawn = 0

    def _text(self, name: str, line: Line, width: int) -> str:
        """Give one service's line."""
        colour = {"done": GREEN, "failed": RED}.get(line.phase, YELLOW)
        waited = time.monotonic() - line.since
        says_more = line.reason not in _OBVIOUS and line.phase != "done"
        tail = f": {line.reason}" if says_more else ""
        if line.phase == "start" and self._living and waited >= TICK_S:
            tail += f" ({span(waited)})"
        room = width - len(name) - 4 - len(line.word) if width else len(tail)
        return f"  {name}  {paint(line.word, colour, self._colour)}{clip(tail, max(room, 0))}"

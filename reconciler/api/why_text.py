"""Explain a service's state: the chain of reasons, the service first, its needs below it."""

from __future__ import annotations

from collections.abc import Sequence

from reconciler.api.human import plain
from reconciler.api.page import Page, Paint, paint, wrap
from reconciler.runtime.control import Reason

_PAINTS = {
    "running": Paint.GOOD,
    "starting": Paint.BUSY,
    "stopping": Paint.BUSY,
    "crashed": Paint.BAD,
    "degraded": Paint.BAD,
}


def why_text(chain: Sequence[Reason], page: Page) -> str:
    """Give the chain, each link under the one that it explains.

    >>> from reconciler.model.units import ServiceName
    >>> chain = [
    ...     Reason(service=ServiceName("web"), state="starting", because="needs db to be ready"),
    ...     Reason(service=ServiceName("db"), state="crashed", because="exited with 1", depth=1,
    ...            file="services.d/db.yaml:3:1", log_tail=("no such directory",)),
    ... ]
    >>> print(why_text(chain, Page()), end="")
    web is starting: needs db to be ready
      because db is crashed: exited with 1
        services.d/db.yaml:3:1
        | no such directory
    """
    return "\n".join(line for link in chain for line in _link(link, page)) + "\n"


def _link(link: Reason, page: Page) -> list[str]:
    """Give one link, indented by its depth, with its place in a manifest and its last words."""
    indent = "  " * min(link.depth, page.width // 8)
    because = "because " if link.depth else ""
    state = plain(link.state)
    said = f"{because}{plain(link.service)} is {state}"
    if link.because:
        said += f": {plain(link.because)}"
    first, *rest = wrap(said, page, indent)
    colour = _PAINTS.get(state, Paint.PLAIN)
    lines = [first.replace(f" is {state}", f" is {paint(state, colour, page)}", 1), *rest]
    if link.file:
        lines += wrap(plain(link.file), page, indent + "  ")
    for line in link.log_tail:
        lines += wrap(f"| {plain(line)}", page, indent + "  ")
    return lines

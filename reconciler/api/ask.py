"""What a handler gets: who asks, what exactly, and where the answer is shown."""

from __future__ import annotations

import difflib
import re
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from datetime import UTC, tzinfo
from typing import Any

from reconciler.api.human import clip, listing, plain
from reconciler.api.page import NARROWEST, WIDEST, Page
from reconciler.api.standing import is_as_wanted
from reconciler.api.streams import Streams
from reconciler.api.wire.queries import Query, labels
from reconciler.model.status import Picture, ServiceStatus
from reconciler.model.units import ServiceName
from reconciler.ports import NotFoundError
from reconciler.runtime.control import Control

LONGEST_SHOWN_NAME = 80

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,61}[a-z0-9])?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """What all handlers share."""

    control: Control
    streams: Streams
    exposition: Callable[[], Awaitable[tuple[bytes, str]]]
    """Gives the metrics as Prometheus reads them, and their media type."""
    wall: Callable[[], float]
    """Gives the wall clock, seconds since 1970."""
    zone: tzinfo = UTC
    """Of the times in text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One request, checked and read."""

    backend: Backend
    uid: int
    """Of the peer, as the kernel says."""
    parameters: dict[str, str]
    """The parts of the path that are not fixed."""
    query: Query
    body: Any
    """The decoded body; None where the route takes none."""
    leaving: Callable[[], Coroutine[Any, Any, None]]
    """Waits until the client has gone."""
    last_event: int = 0
    """Of a stream that is taken up again (Last-Event-ID)."""

    @property
    def control(self) -> Control:
        """Give the facade of the daemon."""
        return self.backend.control

    @property
    def page(self) -> Page:
        """Give the page that text is laid out for."""
        width = min(max(self.query.width, NARROWEST), WIDEST)
        return Page(
            width=width,
            colour=self.query.color,
            zone=self.backend.zone,
            folds=self.query.fold,
        )

    @property
    def service(self) -> ServiceName:
        """Give the service that the path names; what is no name cannot be one's."""
        name = self.parameters["name"]
        if not _NAME.fullmatch(name):
            raise NotFoundError(f"no service is named {shown(name)}", mend="weaver status")
        return ServiceName(name)


def shown(name: str) -> str:
    """Give what a client calls a name so that it can be repeated in an error."""
    return clip(plain(name), LONGEST_SHOWN_NAME) or "''"


def choose(
    picture: Picture,
    *,
    names: Sequence[str] = (),
    selectors: Sequence[str] = (),
    problems: bool = False,
) -> list[ServiceStatus]:
    """Give the services that are asked for, in the picture's order. Raises NotFoundError."""
    for name in names:
        if name not in picture.services:
            raise unknown(name, picture)
    named = frozenset(names)
    wanted = labels(selectors).items()
    return [
        service
        for service in picture.services.values()
        if (not named or service.name in named)
        and all(service.spec and service.spec.labels.get(key) == value for key, value in wanted)
        and not (problems and is_as_wanted(service))
    ]


def unknown(name: str, picture: Picture) -> NotFoundError:
    """Say that there is no such service, and which name was perhaps meant."""
    near = difflib.get_close_matches(name[:LONGEST_SHOWN_NAME], list(picture.services), n=1)
    if near:
        mend = f"did you mean {near[0]}?"
    elif picture.services:
        mend = f"there are: {listing(list(picture.services))}"
    else:
        mend = "no service is defined yet; weaver register NAME -- COMMAND"
    return NotFoundError(f"no service is named {shown(name)}", mend=mend)

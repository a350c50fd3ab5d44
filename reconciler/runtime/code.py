"""Have the code of services watched that ask for it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from reconciler.model.plan import Situation
from reconciler.model.spec import ServiceSpec, Watch
from reconciler.model.units import ServiceName


class Watcher(Protocol):
    """Sees that files change."""

    def want(self, watches: Mapping[ServiceName, Watch], spared: frozenset[str]) -> None:
        """Watch for these services from now on; files and folders that are spared never count."""
        ...


def follower(
    watcher: Watcher, logs: Callable[[Iterable[ServiceSpec]], frozenset[str]], state: str
) -> Callable[[Situation], None]:
    """Give what is to be called after each reading: it has watched what there is to watch now.

    Weaver's own state never counts, and neither do the logs of any service.
    """

    def follow(situation: Situation) -> None:
        wanted = situation.desired.services
        specs = [one.spec for one in wanted.values() if one.spec is not None]
        watches = {
            spec.name: spec.watch for spec in specs if spec.watch is not None and spec.wants_to_run
        }
        watcher.want(watches, logs(specs) | {state} if watches else frozenset())

    return follow

"""Show status to people: a table, troubled first, and one line that says it all."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from reconciler.api.diff_text import at
from reconciler.api.human import (
    NOTHING,
    commit,
    count,
    percent,
    plain,
    size,
    span,
    span_in_words,
)
from reconciler.api.page import Column, Page, Paint, paint, table, wrap
from reconciler.api.standing import (
    faults,
    is_as_wanted,
    listening,
    own_slots,
    running,
    troubled_first,
    troubles,
    uptime,
    usage_of,
)
from reconciler.model.observed import State
from reconciler.model.spec import DesiredState
from reconciler.model.status import Health, ServiceStatus
from reconciler.runtime.control import Scene
from reconciler.runtime.reasons import spoken

MOST_FAULTS = 3
"""Shown below the table; `weaver validate` shows all."""

RETURN_IS_NEWS_S = 3600.0

SAYS_NOTHING = 10
"""Added to what makes a column expendable when all its rows say the same nothing."""

WHY_FLOOR = 30
WHY_FLOOR_CALM = 12
NAME_FLOOR = 8

BY_MANIFEST = "by manifest"
"""Why a service is stopped that should be: short enough for the narrowest column."""

NOTHING_DEFINED = """\
Nothing is defined here yet: there is no manifest in services.d/.

  weaver register web -- python3 -m http.server 8123

runs a first service and writes its manifest. A manifest saved there starts too.
"""

PAINTS = {
    Health.HEALTHY: Paint.GOOD,
    Health.PROGRESSING: Paint.BUSY,
    Health.DEGRADED: Paint.BAD,
    Health.STOPPED: Paint.DIM,
    Health.MISSING: Paint.BAD,
    Health.UNKNOWN: Paint.BUSY,
}


def status_text(
    scene: Scene, services: Sequence[ServiceStatus], page: Page, *, wide: bool = False
) -> str:
    """Give the table of the chosen services with its footer; `wide` shows all of everything."""
    if not scene.picture.services:
        return _nothing_defined(scene, page) + "".join(line + "\n" for line in _below(scene, page))
    shown = troubled_first(services)
    lines = _table(scene, shown, page, wide=wide) if shown else []
    lines += ["", *wrap(footer(scene, services), page), *_below(scene, page)]
    return "\n".join(lines[0 if shown else 1 :]) + "\n"


def _nothing_defined(scene: Scene, page: Page) -> str:
    """Say what can be done where no manifest is known; why that is so stands below."""
    source = scene.daemon.source
    if scene.picture.source_held:
        said = "Nothing runs here yet: there are no manifests to go by."
    elif source is not None:
        name = source.address.rstrip("/").rpartition("/")[2]
        where = f"{source.branch} of {name}"
        said = f"Nothing is defined here yet: push a manifest in services.d/ to {where}."
    else:
        return NOTHING_DEFINED
    return "".join(f"{line}\n" for line in wrap(said, page))


def footer(scene: Scene, services: Sequence[ServiceStatus]) -> str:
    """Say how many are as wanted, and at which revision."""
    revision = scene.picture.revision
    where = f"at {at(revision)}" if revision.commit else f"in {at(revision)}"
    if scene.daemon.source is not None:
        source = scene.daemon.source
        where += f", {source.branch} of {source.address.rstrip('/').rpartition('/')[2]}"
    good = sum(map(is_as_wanted, services))
    if good < len(services):
        return f"{good} of {len(services)} as wanted {where}"
    if not services:
        return f"no problems: all {len(scene.picture.services)} as wanted {where}"
    return f"{count(good, 'service')} as wanted {where}"


def _table(scene: Scene, shown: Sequence[ServiceStatus], page: Page, *, wide: bool) -> list[str]:
    """Give the table's lines."""
    columns = _columns(scene, shown)
    if wide:
        columns[-1:-1] = _wide_columns(shown, scene)
    elif not any(columns[-1].texts):
        columns.pop()
    return table(columns, page, fit=not wide)


def _columns(scene: Scene, shown: Sequence[ServiceStatus]) -> list[Column]:
    """Give the columns of the contract, in its order; LISTEN goes first where room is short."""
    paints = [PAINTS[service.health] for service in shown]
    measured = [usage_of(service, scene) for service in shown]
    cpu = [percent(sum(u.cpu_percent for u in us)) if us else NOTHING for us in measured]
    memory = [size(sum(u.rss for u in us)) if us else NOTHING for us in measured]
    ups = [_up(service, scene) for service in shown]
    restarts = [str(sum(slot.restarts for slot in service.slots)) for service in shown]
    listens = [address_text(listening(us)) for us in measured]
    why = [_why(service, scene) for service in shown]
    troubled = [w for w, s in zip(why, shown, strict=True) if not is_as_wanted(s)]
    floor = WHY_FLOOR if any(troubled) else WHY_FLOOR_CALM
    calm = SAYS_NOTHING * (set(restarts) <= {"0"})
    silent = SAYS_NOTHING * (set(listens) <= {NOTHING})
    return [
        Column(title="NAME", texts=[plain(s.name) for s in shown], floor=NAME_FLOOR),
        Column(title="STATE", texts=[state_text(s) for s in shown], paints=paints),
        Column(title="HEALTH", texts=[s.health for s in shown], paints=paints, expendable=1),
        Column(title="UP", texts=ups, right=True, expendable=2),
        Column(title="RESTARTS", texts=restarts, right=True, expendable=3 + calm),
        Column(title="CPU", texts=cpu, right=True, expendable=5),
        Column(title="MEM", texts=memory, right=True, expendable=4),
        Column(title="LISTEN", texts=listens, floor=14, expendable=6 + silent),
        Column(title="WHY", texts=why, floor=floor),
    ]


def _wide_columns(shown: Sequence[ServiceStatus], scene: Scene) -> list[Column]:
    """Give what `wide` adds before WHY."""
    revision = commit(scene.picture.revision.commit)

    def column(title: str, text: Callable[[ServiceStatus], str]) -> Column:
        return Column(title=title, texts=[text(service) for service in shown])

    return [
        column("PID", _pids),
        column("DESIRED", lambda s: s.desired or "removed"),
        column("SYNC", lambda s: s.sync),
        column("REVISION", lambda s: NOTHING if s.invalid else revision),
        column("FILE", lambda s: plain(s.source.file) or NOTHING),
    ]


def state_text(service: ServiceStatus) -> str:
    """Give the state, and how many run where there are several slots."""
    own = own_slots(service)
    if len(own) < 2:
        return service.state
    return f"{service.state} {running(own)}/{len(own)}"


def address_text(addresses: Sequence[str]) -> str:
    """Give the first address, and how many more there are.

    >>> address_text(["0.0.0.0:80", "127.0.0.1:81"]), address_text([])
    ('*:80 +1', '-')
    """
    if not addresses:
        return NOTHING
    first = plain(addresses[0])
    for anywhere in ("0.0.0.0:", "[::]:", ":::"):
        if first.startswith(anywhere):
            first = f"*:{first.removeprefix(anywhere)}"
    return first if len(addresses) == 1 else f"{first} +{len(addresses) - 1}"


def _pids(service: ServiceStatus) -> str:
    """Give the pids of a service, in the order of its slots."""
    return ",".join(str(pid) for pid in pids(service)) or NOTHING


def pids(service: ServiceStatus) -> list[int]:
    """Give the pids of the main processes that run."""
    return [slot.process.id.pid for slot in service.slots if slot.process is not None]


def _why(service: ServiceStatus, scene: Scene) -> str:
    """Give the reason, in two words where the state is all there is to say."""
    if is_as_wanted(service) and service.state is State.STOPPED and not _is_wanted(service):
        return BY_MANIFEST
    return plain(spoken(service, scene.picture.now))


def _is_wanted(service: ServiceStatus) -> bool:
    """Tell whether a service should run."""
    return service.desired is DesiredState.RUNNING


def _up(service: ServiceStatus, scene: Scene) -> str:
    """Give the uptime of the youngest slot."""
    spans = [up for slot in service.slots if (up := uptime(slot, scene)) is not None]
    return span(min(spans)) if spans else NOTHING


def _below(scene: Scene, page: Page) -> list[str]:
    """Give what no row of the table shows: broken manifests, held removals, Weaver's own woes."""
    broken = faults(scene.picture)
    lines = [line for text in broken[:MOST_FAULTS] for line in _alarm(text, page)]
    if len(broken) > MOST_FAULTS:
        lines.append(f"  and {len(broken) - MOST_FAULTS} more: `weaver validate`")
    woes = [*troubles(scene), *_return(scene)]
    return lines + [line for text in woes for line in _alarm(text, page)]


def _return(scene: Scene) -> list[str]:
    """Say for a while that the daemon was brought back."""
    daemon = scene.daemon
    if not daemon.brought_back or daemon.uptime > RETURN_IS_NEWS_S:
        return []
    ago = span_in_words(daemon.uptime)
    return [f"the daemon was brought back {ago} ago: {daemon.brought_back}"]


def _alarm(text: str, page: Page) -> list[str]:
    """Give a sentence that should not be overlooked."""
    first, *rest = wrap(plain(text), page, indent="  ") or ["  "]
    return [paint("! ", Paint.BAD, page) + first[2:], *rest]

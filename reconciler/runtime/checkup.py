"""What a daemon finds when it looks at itself: the lines of `weaver doctor`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from reconciler.model.plan import HoldCode
from reconciler.model.status import Picture, Way
from reconciler.model.units import ServiceName
from reconciler.runtime.control import Finding, Grade, PushFacts

FILES_A_SERVICE = 8
"""Descriptors that daemon and holder together may need for a service, readers included."""


MOST_WARNINGS = 10
"""Of manifests, that are shown; `weaver status -o json` has the rest."""

LIBRARY = "library"
"""The aspect of the record that is about the database itself; it matters to few."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vitals:
    """All that is looked at."""

    picture: Picture
    holder_pid: int | None
    holder_trouble: str = ""
    watch_trouble: str = ""
    record_trouble: str = ""
    record: Mapping[str, str] = field(default_factory=dict)
    """A sentence for each aspect of the record."""
    unwatched: Mapping[ServiceName, tuple[str, ...]] = field(default_factory=dict)
    """Paths of `watch` that are not there, by service."""
    other_troubles: tuple[str, ...] = ()
    files_allowed: int = 0
    ways: Mapping[str, Way] = field(default_factory=dict)
    """Which control groups runs are killed (`main`) and limited by."""
    push: PushFacts | None = None
    """Where a checkout is pushed to; None where it is not."""
    is_unsigned: bool = False
    """Whether Weaver does not sign its commits, and new ones of the branch must be signed."""
    keys_fault: str = ""
    """Why the keys that the host names verify nothing."""
    hooks: Mapping[str, str] = field(default_factory=dict)
    """Why each hook of the host could not be run; empty where it could."""


def examine(vitals: Vitals) -> Iterator[Finding]:
    """Give a finding for each part, the healthy ones too."""
    yield _holder(vitals)
    yield _record(vitals)
    yield from _library(vitals)
    yield _watch(vitals)
    yield from _unwatched(vitals.unwatched)
    yield from _manifests(vitals.picture)
    yield from _services(vitals.picture)
    yield from _push(vitals.push)
    yield from _signing(vitals)
    yield _files(vitals)
    yield from _control_groups(vitals)
    yield from _hooks(vitals.hooks)
    for trouble in vitals.other_troubles:
        yield Finding(check="daemon", grade=Grade.PROBLEM, text=trouble)


def returned(ending: str) -> Iterator[Finding]:
    """Warn of a daemon that was brought back, given how the last one ended."""
    if ending:
        yield Finding(
            check="daemon",
            grade=Grade.WARNING,
            text=f"it was brought back by the holder: {ending}",
            mend="holder.log and daemon.log say when and why; no service was touched",
        )


def _holder(vitals: Vitals) -> Finding:
    trouble = vitals.picture.host_unseen or vitals.holder_trouble
    if trouble or vitals.holder_pid is None:
        text = trouble or "there is no holder"
        mend = "see holder.log in the state directory; services run on meanwhile"
        return Finding(check="holder", grade=Grade.PROBLEM, text=text, mend=mend)
    return Finding(check="holder", grade=Grade.OK, text=f"runs, pid {vitals.holder_pid}")


def _record(vitals: Vitals) -> Finding:
    if vitals.record_trouble:
        return Finding(
            check="record",
            grade=Grade.PROBLEM,
            text=vitals.record_trouble,
            mend="make room on the disk of the state directory; it is written then by itself",
        )
    aspects = [f"{aspect}: {said}" for aspect, said in vitals.record.items() if aspect != LIBRARY]
    return Finding(check="record", grade=Grade.OK, text="; ".join(aspects) or "it is written")


def _library(vitals: Vitals) -> Iterator[Finding]:
    if LIBRARY in vitals.record:
        yield Finding(check=LIBRARY, grade=Grade.OK, text=vitals.record[LIBRARY])


def _watch(vitals: Vitals) -> Finding:
    if vitals.watch_trouble:
        return Finding(
            check="watch",
            grade=Grade.WARNING,
            text=vitals.watch_trouble,
            mend="raise fs.inotify.max_user_watches and fs.inotify.max_user_instances",
        )
    return Finding(check="watch", grade=Grade.OK, text="changes of manifests are seen at once")


def _unwatched(paths: Mapping[ServiceName, tuple[str, ...]]) -> Iterator[Finding]:
    for name, absent in sorted(paths.items()):
        yield Finding(
            check=name,
            grade=Grade.WARNING,
            text=f"nothing is there to watch at {', '.join(absent)}",
            mend="mend watch.paths in its manifest; relative paths count from the repository",
        )


def _manifests(picture: Picture) -> Iterator[Finding]:
    if picture.source_held:
        yield Finding(check="manifests", grade=Grade.WARNING, text=picture.source_held)
        return
    faults = [found for found in picture.diagnostics if not found.is_warning]
    if faults:
        text = f"{_count(len(faults), 'fault')}, the first: {faults[0].source}: {faults[0].message}"
        mend = "weaver validate shows all of them"
        yield Finding(check="manifests", grade=Grade.PROBLEM, text=text, mend=mend)
    else:
        text = f"{_count(len(picture.services), 'service')}, all valid"
        yield Finding(check="manifests", grade=Grade.OK, text=text)
    for told in [found for found in picture.diagnostics if found.is_warning][:MOST_WARNINGS]:
        text = f"{told.source}: {told.code} {told.message}"
        yield Finding(check="manifests", grade=Grade.WARNING, text=text, mend=told.mend)
    if picture.prune is not None:
        yield Finding(
            check="removal",
            grade=Grade.WARNING,
            text=f"held: {picture.prune.because}",
            mend=f"weaver prune approve {picture.prune.id}, or bring the manifests back",
        )


_STUCK = (HoldCode.GAVE_UP, HoldCode.UNKILLABLE, HoldCode.JUDGE_REFUSED)
_WAITING = {
    HoldCode.BACKING_OFF: "weaver logs {name}",
    HoldCode.REFUSED: "see the hooks in weaver.yaml; it is asked again by itself",
    HoldCode.ADDRESS_TAKEN: "end what listens there, or give it another address",
    HoldCode.PORT_AWAITED: "see weaver logs --daemon for why none was written",
    HoldCode.MEMORY_SHORT: "free memory, or lower its maxMemory; it is tried again by itself",
}
"""Services that do not run though they should and may yet, and the mend of each."""


def _services(picture: Picture) -> Iterator[Finding]:
    for name, status in picture.services.items():
        if status.reason_code in _STUCK:
            yield Finding(
                check=name, grade=Grade.PROBLEM, text=status.reason, mend=f"weaver logs {name}"
            )
        for code, words in _WAITING.items():
            if status.reason_code == code:
                mend = words.format(name=name)
                yield Finding(check=name, grade=Grade.WARNING, text=status.reason, mend=mend)


def _push(push: PushFacts | None) -> Iterator[Finding]:
    """Say whether what Weaver committed in a checkout is where its branch goes."""
    if push is None:
        return
    if push.reason:
        waiting = _count(push.waiting, "commit") if push.waiting else "what will be committed"
        because, _, mend = push.reason.partition("; mend: ")
        text = f"{waiting} cannot be pushed: {because}"
        yield Finding(check="push", grade=Grade.WARNING, text=text, mend=mend)
    elif push.waiting:
        text = f"{_count(push.waiting, 'commit')} on the way to {push.branch} of {push.remote}"
        yield Finding(check="push", grade=Grade.OK, text=text)
    elif push.remote:
        text = f"{push.branch} of {push.remote} has all commits of weaver's"
        yield Finding(check="push", grade=Grade.OK, text=text)


def _signing(vitals: Vitals) -> Iterator[Finding]:
    """Warn of keys that verify nothing, and of commits of ours that other hosts would refuse."""
    if vitals.keys_fault:
        yield Finding(
            check="keys",
            grade=Grade.PROBLEM,
            text=f"git.verify looks at signatures, but {vitals.keys_fault}",
            mend="name files of this host in weaver.yaml, and install what reads them",
        )
    if vitals.is_unsigned:
        yield Finding(
            check="signing",
            grade=Grade.WARNING,
            text="commits that Weaver makes are not signed; hosts that verify do not follow them",
            mend="name a key in git.sign of weaver.yaml, and enter it into their allowedSigners",
        )


def _files(vitals: Vitals) -> Finding:
    slots = sum(len(status.slots) for status in vitals.picture.services.values())
    needed = 256 + FILES_A_SERVICE * slots
    if vitals.files_allowed < needed:
        return Finding(
            check="open files",
            grade=Grade.WARNING,
            text=f"{vitals.files_allowed} are allowed, {needed} may be needed",
            mend="raise the hard limit: ulimit -Hn",
        )
    return Finding(check="open files", grade=Grade.OK, text=f"{vitals.files_allowed} are allowed")


def _hooks(hooks: Mapping[str, str]) -> Iterator[Finding]:
    """Warn of hooks in weaver.yaml that could not be run."""
    for kind, fault in hooks.items():
        yield Finding(
            check=kind,
            grade=Grade.WARNING if fault else Grade.OK,
            text=fault or "its program is there",
            mend=f"mend hooks.{kind} in weaver.yaml, or the file and its mode" if fault else "",
        )


_WITHOUT = {
    "main": ("stopping", "found by session, group and mark"),
    "memory": ("maxMemory", "measured every few seconds"),
    "cpu": ("maxCpu", "measured, and only told"),
    "pids": ("pidsMax", "not in force"),
}


def _control_groups(vitals: Vitals) -> Iterator[Finding]:
    """Say by what services are stopped and limited; a limit that is wanted and not kept is told."""
    for purpose, (check, without) in _WITHOUT.items():
        way = vitals.ways.get(purpose)
        if way is None:
            continue
        if way.version:
            yield Finding(check=check, grade=Grade.OK, text=f"by {way.text}")
            continue
        is_missed = purpose == "pids" and _wants_pids(vitals.picture)
        yield Finding(
            check=check,
            grade=Grade.WARNING if is_missed else Grade.OK,
            text=f"{without}: {way.text}",
            mend="run it as root, or in a unit of its own with Delegate=yes" if is_missed else "",
        )


def _wants_pids(picture: Picture) -> bool:
    return any(
        status.spec is not None and status.spec.pids_max is not None
        for status in picture.services.values()
    )


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"

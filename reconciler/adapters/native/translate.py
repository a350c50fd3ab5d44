"""Turn what the holder says into the nouns of the model, and signal names into numbers."""

from __future__ import annotations

import signal
from dataclasses import asdict
from typing import Any

from reconciler.core.launch import Identity, Listening
from reconciler.model.event import SpawnFailed
from reconciler.model.observed import (
    NOTHING_SAID,
    Exit,
    HeldSocket,
    Notice,
    Process,
    ProcessId,
    Role,
    Slot,
)
from reconciler.model.spec import DEFAULT_UMASK
from reconciler.model.status import Way
from reconciler.model.units import Digest, Nanos, RunId, Serial, ServiceName

Message = dict[str, Any]


def tag_of(slot: Slot, digest: Digest, role: Role = Role.MAIN, place: int = 0) -> Message:
    """Give what the holder keeps with a process for us: whose it is, of which spec, what for."""
    tag = {"service": slot.service, "index": slot.index, "digest": digest}
    return tag if role is Role.MAIN else tag | {"role": role.value, "place": place}


def holder_slot(slot: Slot, role: Role = Role.MAIN) -> str:
    """Name the place that a process has with the holder: one at a time for each role.

    >>> holder_slot(Slot(service=ServiceName("web"), index=0), Role.PRE_START)
    'web-0/preStart'
    """
    return str(slot) if role is Role.MAIN else f"{slot}/{role}"


def slot_of(name: str) -> Slot:
    """Give the slot whose main process has a place with the holder.

    >>> str(slot_of("web-api-12"))
    'web-api-12'
    """
    service, _, index = name.rpartition("-")
    return Slot(service=ServiceName(service), index=int(index))


def process_of(run: Message, boot: str) -> Process:
    """Give the process of a run as the holder lists it."""
    tag = run["tag"]
    return Process(
        slot=Slot(service=ServiceName(tag["service"]), index=tag["index"]),
        # A start that was cut off may have left no pid that anybody knows.
        id=ProcessId(boot=boot, pid=run["pid"] or 0, born=run["born"] or 0),
        run=RunId(run["run"]),
        digest=Digest(tag["digest"]),
        started=Nanos(run["at"]),
        exit=None if run["exit"] is None else exit_of(run["exit"]),
        tree_empty=run["empty"],
        role=Role(tag.get("role", Role.MAIN)),
        place=tag.get("place", 0),
        notice=notice_of(run["notice"]) if run.get("notice") else NOTHING_SAID,
    )


def ways_of(hello: Message) -> dict[str, Way]:
    """Give what control groups serve for; a holder of an earlier version says nothing of them."""
    told = hello.get("cgroups", {})
    return {purpose: Way(version=way["version"], text=way["text"]) for purpose, way in told.items()}


def sockets_of(listed: Message) -> tuple[HeldSocket, ...]:
    """Give the sockets that a holder lists; one of an earlier version knows of none."""
    return tuple(
        HeldSocket(service=ServiceName(one["service"]), address=one["address"], is_held=one["held"])
        for one in listed.get("sockets", ())
    )


def listen_order(service: ServiceName, one: Listening) -> Message:
    """Give what the holder is told of a socket that it shall have."""
    uid, gid = one.owner or (None, None)
    how = {"backlog": one.backlog, "mode": one.mode, "uid": uid, "gid": gid}
    return {"service": service, "address": one.address} | how


def notice_of(said: Message) -> Notice:
    """Give what a run said of itself; what it wrote is made fit to be shown."""
    text = str(said.get("status", ""))
    return Notice(
        at=Nanos(said.get("at", 0)),
        ready=bool(said.get("ready")),
        reloading=Nanos(said.get("reloading", 0)),
        stopping=bool(said.get("stopping")),
        status="".join(one if one.isprintable() else "\ufffd" for one in text),
        errno=said.get("errno", 0),
        watchdog=Nanos(said.get("watchdog", 0)),
        pinged=Nanos(said.get("pinged", 0)),
        failed=bool(said.get("failed")),
        extended=Nanos(said.get("extended", 0)),
    )


def noticed(notice: Notice) -> Message:
    """Give what a holder should know of a notice, as a field of a request; none if none is due."""
    known = {name: value for name, value in asdict(notice).items() if value}
    return {"notice": known} if known else {}


def exit_of(verdict: Message) -> Exit:
    """Give the end of a main process as the holder tells it."""
    number = verdict["signal"]
    return Exit(
        at=Nanos(verdict["at"]),
        code=verdict["code"],
        signal=None if number is None else signal_name(number),
        core=verdict["core"],
        unknown=verdict["unknown"],
        oom=verdict.get("oom", False),
    )


def refusal_of(error: Message, serial: Serial, slot: Slot) -> SpawnFailed:
    """Give the start that the holder refused or could not make."""
    return SpawnFailed(
        serial=serial,
        slot=slot,
        step=error["step"],
        errno=error["errno"],
        because=error["text"],
        is_busy=error["step"] == "slot",
    )


def signal_name(number: int) -> str:
    """Name a signal.

    >>> signal_name(9), signal_name(36)
    ('SIGKILL', 'SIGRTMIN+2')
    """
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"SIGRTMIN+{number - signal.SIGRTMIN}"


def signal_number(name: str) -> int:
    """Give a signal's number. Raises ValueError for a name that is none.

    >>> signal_number("SIGKILL"), signal_number("SIGRTMIN+2")
    (9, 36)
    """
    base, plus, offset = name.partition("+")
    if base in signal.Signals.__members__ and (not plus or offset.isdigit()):
        return signal.Signals[base] + int(offset or 0)
    raise ValueError(f"no signal is named {name}")


def identity_of(identity: Identity) -> Message | None:
    """Give what the holder is told of who a process shall be; None where that is as it is."""
    account, limits = identity.account, identity.limits
    who: Message = {}
    if account is not None:
        who = {"uid": account.uid, "gid": account.gid, "groups": list(account.groups)}
    said: Message = {
        **who,
        "umask": None if identity.umask == DEFAULT_UMASK else identity.umask,
        "nice": identity.nice,
        "limits": {name: [limits[name].soft, limits[name].hard] for name in limits} or None,
        "noNewPrivileges": identity.no_new_privileges or None,
    }
    return {key: value for key, value in said.items() if value is not None} or None

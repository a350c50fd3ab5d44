"""Check what a service says of sockets and ports, where a schema cannot."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from reconciler.manifest.addresses import Address, AddressError, read
from reconciler.manifest.codes import Code
from reconciler.manifest.faults import Fault
from reconciler.manifest.schema import Schema, child
from reconciler.manifest.words import has_placeholder

Document = Mapping[str, Any]
PASSED = ("LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES")
EXAMPLE = "`sockets: [{listen: tcp://127.0.0.1:8080}]`"


def socket_faults(document: Document, schema: Schema) -> Iterator[Fault]:
    """Give what contradicts itself in the sockets, the port and the instances of a service.

    Of one key by itself, as in `defaults`, nothing can be said that depends on others.
    """
    sockets = document.get("sockets") or []
    known = [(place, one) for place, one in enumerate(sockets) if isinstance(one, dict)]
    for place, one in known:
        yield from _only_of_files(place, one)
    yield from _said_twice(known)
    if "name" in schema["properties"]:
        yield from _mode_faults(document, has_sockets=bool(sockets))
        yield from _port_faults(document, schema, has_sockets=bool(sockets))
    for name in PASSED if sockets else ():
        if name in (document.get("env") or {}):
            message = f"`env.{name}` hides from the service which sockets it has"
            yield Fault(("env", name), Code.BESIDE, message, "remove it", at_key=True)


def _only_of_files(place: int, one: Document) -> Iterator[Fault]:
    listen = one.get("listen")
    if not isinstance(listen, str) or not listen.startswith("tcp:"):
        return
    for key in ("mode", "owner"):
        if one.get(key) is not None:
            message = f"`sockets[{place}].{key}` does nothing: a port has no file"
            yield Fault(("sockets", place, key), Code.NO_EFFECT, message, "remove it", at_key=True)


def _said_twice(sockets: Sequence[tuple[int, Document]]) -> Iterator[Fault]:
    """Give each socket whose address another one before it has, or is part of."""
    before: list[tuple[int, Address]] = []
    for place, one in sockets:
        try:
            address = read(one.get("listen") or "")
        except AddressError:
            continue
        other = next((at for at, earlier in before if earlier.overlaps(address)), None)
        if other is not None:
            message = f"`sockets[{place}]` and `sockets[{other}]` listen on one address"
            yield Fault(("sockets", place, "listen"), Code.REPEATED, message, "remove one of them")
        before.append((place, address))


def _mode_faults(document: Document, *, has_sockets: bool) -> Iterator[Fault]:
    """Give what does not go together in `execMode`, `instances` and `sockets`."""
    mode, count = document.get("execMode"), document.get("instances") or 1
    if mode == "cluster" and not has_sockets:
        message = "`execMode: cluster` shares sockets, and there are none"
        yield Fault(("execMode",), Code.BESIDE, message, f"add {EXAMPLE}")
    elif mode == "fork" and has_sockets and count > 1:
        message = f"{count} instances would share the sockets, which `execMode: fork` is against"
        mend = "write `execMode: cluster`, or `instances: 1`"
        yield Fault(("execMode",), Code.BESIDE, message, mend)


def _port_faults(document: Document, schema: Schema, *, has_sockets: bool) -> Iterator[Fault]:
    """Give what keeps instances from their port, and where there is none to be filled in."""
    port, count = document.get("port"), document.get("instances") or 1
    if port is not None and count > 1 and not has_sockets:
        message = f"{count} instances cannot listen on one `port`"
        mend = f"let them share a socket, {EXAMPLE}; or write `instances: 1`"
        yield Fault(("port",), Code.BESIDE, message, mend)
    if port is None:
        for key in document:
            if _asks_for_port(document[key], child(schema, key), fills=False):
                message = f"`${{port}}` is asked for in `{key}`, and there is no `port`"
                yield Fault((key,), Code.PLACEHOLDER, message, "add `port: 8080`, or `port: auto`")


def _asks_for_port(value: Any, schema: Schema, *, fills: bool) -> bool:
    """Tell whether a `${port}` stands where it is filled in."""
    fills = schema.get("x-placeholders", fills)
    if isinstance(value, str):
        return fills and has_placeholder(value, "port")
    if isinstance(value, list):
        value = dict(enumerate(value))
    return isinstance(value, Mapping) and any(
        _asks_for_port(inner, child(schema, step), fills=fills) for step, inner in value.items()
    )

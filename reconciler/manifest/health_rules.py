"""Check what a service says of its health, where a schema cannot."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from reconciler.manifest import durations
from reconciler.manifest.codes import Code
from reconciler.manifest.durations import DurationError
from reconciler.manifest.faults import Fault
from reconciler.manifest.health import span_of
from reconciler.manifest.nodes import Path
from reconciler.model.health import is_per_instance

Document = Mapping[str, Any]

OWN_HEADERS = frozenset({"connection", "content-length", "transfer-encoding"})
HIGHEST_PORT = 65535
_PORT_EACH = re.compile(r"(\d+)\$\{instance\}")
_STATUS = re.compile(r"\d{3}(-\d{3})?")
_REPEATED = re.compile(r"\((?:[^()\\]|\\.)*[^\\]?[*+}](?:[^()\\]|\\.)*\)[*+]")
"""A repetition of what is a repetition itself, one in the other."""


def health_faults(document: Document) -> Iterator[Fault]:
    """Give what contradicts itself in how a service is checked."""
    for above in ("ready", "healthCheck"):
        yield from _port_faults((above, "tcp", "port"), document)
    check = document.get("healthCheck")
    if not isinstance(check, dict):
        return
    yield from _span_faults(check)
    http, mcp, command = (_part(check, key) for key in ("http", "mcp", "command"))
    yield from _http_faults(("healthCheck", "http"), http)
    yield from _mcp_faults(mcp)
    yield from pattern_faults(("healthCheck", "http", "expectedBody"), http.get("expectedBody"))
    path: Path = ("healthCheck", "command", "expectedOutput")
    yield from pattern_faults(path, command.get("expectedOutput"))


def health_warnings(document: Document) -> Iterator[Fault]:
    """Give what does less in how a service is checked than it seems to."""
    check, ready = _part(document, "healthCheck"), _part(document, "ready")
    for kind, key in (("http", "expectedBody"), ("command", "expectedOutput")):
        pattern = _part(check, kind).get(key)
        if isinstance(pattern, str) and _REPEATED.search(pattern):
            message = f"`healthCheck.{kind}.{key}` repeats a repetition, which can take for ever"
            mend = "write it with one of the two; a match of more than 0.25s is a failed check"
            path = ("healthCheck", kind, key)
            yield Fault(path, Code.BACKTRACKING, message, mend, is_warning=True)
    if not _is_shared_among(document):
        return
    for above, probe in (("ready", ready), ("healthCheck", check)):
        for place, target in _targets(above, probe):
            if not is_per_instance(target):
                yield _shared(place, above)


def pattern_faults(path: Path, pattern: Any) -> Iterator[Fault]:
    """Give what keeps a text from being a regular expression."""
    if not isinstance(pattern, str):
        return
    try:
        re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as why:
        message = f"`{'.'.join(map(str, path))}` is no regular expression: {why}"
        mend = "put a backslash before signs meant as such"
        yield Fault(path, Code.BESIDE, message, mend)


def _part(document: Document, key: str) -> Document:
    value = document.get(key)
    return value if isinstance(value, dict) else {}


def _span_faults(check: Document) -> Iterator[Fault]:
    timeout, interval = _span(check, "timeout", "0"), _span(check, "interval", "10s")
    if timeout is not None and interval is not None and timeout > interval:
        message = "`healthCheck.timeout` is longer than `healthCheck.interval`"
        mend = "make `timeout` at most as long as `interval`"
        yield Fault(("healthCheck", "timeout"), Code.BESIDE, message, mend)


def _span(mapping: Document, key: str, default: str) -> int | None:
    value = mapping.get(key)
    try:
        return durations.read(default if value is None else value)
    except DurationError:
        return None


def _port_faults(path: Path, document: Document) -> Iterator[Fault]:
    """Hold the ports of all instances to what a port may be."""
    above, kind, key = map(str, path)
    port = _part(_part(document, above), kind).get(key)
    instances = document.get("instances", 1)
    found = _PORT_EACH.fullmatch(port) if isinstance(port, str) else None
    if found is None or not isinstance(instances, int):
        return
    highest = int(f"{found[1]}{max(instances - 1, 0)}")
    if highest > HIGHEST_PORT:
        message = f"`{'.'.join(map(str, path))}` would be {highest} for the last instance"
        yield Fault(path, Code.OUT_OF_RANGE, message, f"{HIGHEST_PORT} is the highest port")


def _http_faults(at: Path, http: Document) -> Iterator[Fault]:
    url = http.get("url")
    if isinstance(url, str):
        yield from _own_api(at, url)
        yield from _idle_verification(at, http, url)
    yield from _own_headers(at, http)
    status = http.get("expectedStatus")
    for one in status if isinstance(status, list) else [status]:
        if isinstance(one, str) and _STATUS.fullmatch(one):
            first, last = span_of(one)
            if first > last:
                message = f"`healthCheck.http.expectedStatus` has the range {one}, which is empty"
                mend = f"write `{last}-{first}`"
                yield Fault((*at, "expectedStatus"), Code.OUT_OF_RANGE, message, mend)


def _own_api(at: Path, url: str) -> Iterator[Fault]:
    if url.startswith("unix:") and url.split(":")[1].endswith("/.weaver/weaver.sock"):
        message = "`healthCheck.http.url` is Weaver's own API, which says nothing about a service"
        yield Fault((*at, "url"), Code.BESIDE, message, "ask the service itself")


def _idle_verification(at: Path, part: Document, url: str) -> Iterator[Fault]:
    if part.get("verifyTls") is False and not url.startswith("https:"):
        name = ".".join(map(str, (*at, "verifyTls")))
        message = f"`{name}` does nothing: nobody shows a certificate over {url.partition(':')[0]}"
        yield Fault((*at, "verifyTls"), Code.NO_EFFECT, message, "remove it", at_key=True)


def _own_headers(at: Path, part: Document) -> Iterator[Fault]:
    for name in _part(part, "headers"):
        if name.lower() in OWN_HEADERS:
            message = f"the header `{name}` cannot be set"
            mend = "remove it: it says how the request is sent"
            yield Fault((*at, "headers", name), Code.BESIDE, message, mend, at_key=True)


def _mcp_faults(mcp: Document) -> Iterator[Fault]:
    if not mcp:
        return
    at: Path = ("healthCheck", "mcp")
    if ("url" in mcp) == ("cmd" in mcp):
        message = "`healthCheck.mcp` needs one of `url` and `cmd`"
        mend = "write `url: http://127.0.0.1:8000/mcp`, or `cmd: python3 server.py`"
        yield Fault(at, Code.BESIDE, message, mend)
    yield from _own_headers(at, mcp)
    if isinstance(url := mcp.get("url"), str):
        yield from _idle_verification(at, mcp, url)


def _is_shared_among(document: Document) -> bool:
    """Tell whether more than one process may answer on an address of the service."""
    instances = document.get("instances")
    return (isinstance(instances, int) and instances > 1) or bool(document.get("sockets"))


def _targets(above: str, probe: Document) -> Iterator[tuple[Path, str]]:
    """Give what is asked over the network, with its place."""
    kind = probe.get("type")
    if kind == "tcp" and "port" in (target := _part(probe, kind)):
        yield (above, kind, "port"), f"{target.get('host', '')}:{target['port']}"
    if kind in ("http", "mcp") and isinstance(url := _part(probe, kind).get("url"), str):
        yield (above, kind, "url"), url


def _shared(path: Path, above: str) -> Fault:
    name = ".".join(map(str, path))
    message = f"all instances share `{name}`, so what answers there says nothing about one of them"
    mend = "put `${instance}` into it, or use `type: command`"
    if above == "ready":
        mend += ", `logLine` or `notify`"
    else:
        message += ": a rollout does not go by it"
    return Fault(path, Code.SHARED_TARGET, message, mend, is_warning=True)

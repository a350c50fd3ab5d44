"""Show people what checks say: a line for each instance, or all about one service."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from reconciler.api.human import NOTHING, count, plain, span, span_in_words
from reconciler.api.page import Column, Page, Paint, paint, table, wrap
from reconciler.api.standing import VERDICT_WORDS, ago, chart_of, health_word
from reconciler.manifest import durations
from reconciler.model.health import CheckResult, HealthCheck
from reconciler.model.status import ServiceStatus, SlotStatus
from reconciler.model.units import Nanos, in_seconds
from reconciler.runtime.checked import Checked, SlotHealth
from reconciler.runtime.control import Scene

LABEL_WIDTH = 12
NOT_KNOWN = "unknown"
NONE_CHECKED = """\
No service has a health check.

  healthCheck: {type: http, http: {url: "http://127.0.0.1:8080/health"}}

in a manifest gives it one; `weaver explain healthCheck` says what there is.
"""
_PAINTS = {"healthy": Paint.GOOD, "unhealthy": Paint.BUSY, "degraded": Paint.BAD}


def health_text(scene: Scene, services: Sequence[ServiceStatus], page: Page) -> str:
    """Give a table of all instances that are checked."""
    rows = [(slot, service) for service in services for slot in service.slots if _is_asked(service)]
    if not rows:
        return NONE_CHECKED
    rows.sort(key=lambda row: _rank(row[0], scene))
    words = [_word(slot, scene) for slot, _ in rows]
    charts = [chart_of(slot, scene) for slot, _ in rows]
    columns = [
        Column(title="INSTANCE", texts=[plain(str(slot.slot)) for slot, _ in rows], floor=8),
        Column(title="HEALTH", texts=words, paints=[_paint(word) for word in words]),
        Column(title="CHECK", texts=[_kind(service) for _, service in rows], expendable=3),
        Column(title="TIME", texts=[_took(chart) for chart in charts], right=True, expendable=1),
        Column(
            title="AGO", texts=[_age(chart, scene) for chart in charts], right=True, expendable=2
        ),
        Column(
            title="WHAT",
            texts=[_said(slot, chart) for (slot, _), chart in zip(rows, charts, strict=True)],
            floor=24,
        ),
    ]
    good = words.count("healthy")
    foot = f"{count(good, 'instance')} healthy" if good == len(rows) else _of(good, len(rows))
    return "\n".join([*table(columns, page), "", foot]) + "\n"


def service_health_text(scene: Scene, service: ServiceStatus, page: Page) -> str:
    """Give all that is known of how one service is."""
    health = service.spec.health if service.spec else None
    if health is None:
        where = service.source.file or "its manifest"
        text = f"{plain(service.name)} has no health check; a `healthCheck` in {where} gives it one"
        return "\n".join(wrap(text, page)) + "\n"
    blocks = [[paint(plain(service.name), Paint.BOLD, page), *_fact("check", words(health), page)]]
    blocks += [_instance(slot, scene, page) for slot in service.slots]
    return "\n\n".join("\n".join(block) for block in blocks) + "\n"


def words(health: HealthCheck) -> str:
    """Say what is asked how often, and when that counts.

    >>> from reconciler.model.health import CheckType, TcpCheck
    >>> words(HealthCheck(type=CheckType.TCP, tcp=TcpCheck(port=5432)))
    'tcp 127.0.0.1:5432, every 10s, timeout 3s; degraded after 3 failures in a row'
    """
    parts = [f"{health.type} {_target(health)}".rstrip(), f"every {_span(health.interval)}"]
    parts.append(f"timeout {_span(health.timeout)}")
    if health.retries:
        parts.append(count(health.retries, "retry", "retries"))
    limits = [f"{count(health.threshold.consecutive_failures, 'failure')} in a row"]
    if health.threshold.failure_rate is not None:
        window = _span(health.threshold.time_window)
        limits.append(f"{health.threshold.failure_rate:g} % of them within {window}")
    return f"{', '.join(parts)}; degraded after {' or '.join(limits)}"


def last_check(chart: SlotHealth, scene: Scene) -> str:
    """Say in one sentence what the last check came to.

    Its own words come last, as they are the longest.
    """
    last = chart.last
    if last is None:
        return f"not checked yet, due in {_in(chart.due, scene)}"
    row = chart.successes if last.ok else chart.failures
    several = f", {row} in a row" if row > 1 else ""
    how = "passed" if last.ok else "failed"
    when = f"{span_in_words(ago(last.at, scene))} ago"
    tries = f", {last.tries} tries" if last.tries > 1 else ""
    said = f": {last.detail}" if last.detail else ""
    return f"{how} {when} in {milliseconds(last.took)}{tries}{several}{said}"


def milliseconds(took: Nanos) -> str:
    """Give what a check took.

    >>> [milliseconds(Nanos(n)) for n in (230_000, 2_340_000, 56_700_000, 3_000_000_000)]
    ['0.23 ms', '2.3 ms', '57 ms', '3 s']
    """
    count_ms = took / 1e6
    if count_ms >= 1000:
        return span_in_words(in_seconds(took))
    digits = 2 if count_ms < 1 else 1 if count_ms < 10 else 0
    return f"{count_ms:.{digits}f} ms"


def _instance(slot: SlotStatus, scene: Scene, page: Page) -> list[str]:
    word, chart = _word(slot, scene), chart_of(slot, scene)
    lines = [f"{plain(str(slot.slot))}  {paint(word, _paint(word), page)}"]
    if chart is None:
        return [*lines, *_fact("last", _said(slot, chart), page)]
    lines += _fact("last", last_check(chart, scene), page)
    if chart.last is not None:
        lines += _fact("seen", _facts(chart.last), page)
        lines += _fact("next", f"in {_in(chart.due, scene)}", page)
    inner = Page(width=page.width - 2, colour=page.colour)
    return [*lines, *([""] if chart.history else []), *_history(chart.history, scene, inner)]


def _history(history: Sequence[Checked], scene: Scene, page: Page) -> list[str]:
    if not history:
        return []
    results = ["passed" if one.ok else "failed" for one in history]
    columns = [
        Column(title="AGO", texts=[span(ago(one.at, scene)) for one in history], right=True),
        Column(
            title="RESULT",
            texts=results,
            paints=[Paint.GOOD if one.ok else Paint.BAD for one in history],
        ),
        Column(title="TIME", texts=[milliseconds(one.took) for one in history], right=True),
        Column(title="STATUS", texts=[_verdict(one) for one in history], expendable=1),
        Column(title="WHAT", texts=[plain(one.detail) for one in history], floor=24),
    ]
    return [f"  {line}" for line in table(columns, page)]


def _verdict(one: Checked) -> str:
    return VERDICT_WORDS[one.verdict] or "starting"


def _facts(last: CheckResult) -> str:
    return ", ".join(f"{key} {plain(str(value))}" for key, value in last.facts.items())


def _fact(label: str, text: str, page: Page) -> list[str]:
    """Give one fact; long ones run on under their beginning, and nothing is none."""
    indent = " " * (LABEL_WIDTH + 2)
    lines = wrap(plain(text), page, indent) if text else []
    if lines:
        lines[0] = f"  {paint(f'{label:<{LABEL_WIDTH}}', Paint.DIM, page)}{lines[0][len(indent) :]}"
    return lines


def _is_asked(service: ServiceStatus) -> bool:
    return service.spec is not None and service.spec.health is not None


def _rank(slot: SlotStatus, scene: Scene) -> int:
    """Put trouble first, then what nobody knows, then the rest as it comes."""
    return {"degraded": 0, "unhealthy": 1, NOT_KNOWN: 2}.get(_word(slot, scene), 3)


def _word(slot: SlotStatus, scene: Scene) -> str:
    return health_word(slot, scene, is_checked=True) or NOT_KNOWN


def _paint(word: str) -> Paint:
    return _PAINTS.get(word, Paint.DIM)


def _kind(service: ServiceStatus) -> str:
    return service.spec.health.type.value if service.spec and service.spec.health else NOTHING


def _took(chart: SlotHealth | None) -> str:
    return milliseconds(chart.last.took) if chart and chart.last else NOTHING


def _age(chart: SlotHealth | None, scene: Scene) -> str:
    return span(ago(chart.last.at, scene)) if chart and chart.last else NOTHING


def _said(slot: SlotStatus, chart: SlotHealth | None) -> str:
    if chart is None:
        return f"not checked: it is {slot.state}"
    if chart.last is None:
        return "not checked yet"
    many = f"{chart.failures} in a row: " if chart.failures > 1 else ""
    return many + plain(chart.last.detail)


def _of(good: int, number: int) -> str:
    return f"{good} of {count(number, 'instance')} healthy"


def _in(due: Nanos, scene: Scene) -> str:
    return span_in_words(max(0.0, in_seconds(Nanos(due - scene.picture.now))))


def _span(time: Nanos) -> str:
    return durations.write(time)


def _target(health: HealthCheck) -> str:
    return " ".join(_targets(health))


def _targets(health: HealthCheck) -> Iterator[str]:
    """Name what is asked, as the manifest does."""
    if health.http is not None:
        method = "" if health.http.method == "GET" else f"{health.http.method} "
        yield f"{method}{health.http.url}"
    if health.tcp is not None:
        yield f"{health.tcp.host}:{health.tcp.port}"
    if health.command is not None:
        yield " ".join([*health.command.cmd, *health.command.args])
    if health.custom is not None:
        yield health.custom.module
    if health.mcp is not None:
        yield health.mcp.url or " ".join([*health.mcp.cmd, *health.mcp.args])

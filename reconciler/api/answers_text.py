"""Show the smaller answers to people: the catalogue, usage, findings, settings, waits."""

from __future__ import annotations

from collections.abc import Sequence

from reconciler.api.human import NOTHING, listing, percent, plain, size, span_in_words
from reconciler.api.page import Column, Page, Paint, paint, table, wrap
from reconciler.api.status_text import NOTHING_DEFINED, address_text
from reconciler.model.status import ServiceStatus
from reconciler.ports import Usage
from reconciler.runtime.control import Finding, Grade, Scene, Setting, WaitResult
from reconciler.runtime.requests import WaitQuery

_GRADES = {
    Grade.OK: ("ok     ", Paint.GOOD),
    Grade.WARNING: ("warning", Paint.BUSY),
    Grade.PROBLEM: ("problem", Paint.BAD),
}


def catalogue_text(services: Sequence[ServiceStatus], page: Page) -> str:
    """Give the catalogue: what is defined where, and who needs whom."""
    if not services:
        return NOTHING_DEFINED
    columns = [
        Column(title="NAME", texts=[plain(s.name) for s in services], floor=8),
        Column(title="DESIRED", texts=[s.desired or "removed" for s in services], expendable=1),
        Column(title="FILE", texts=[plain(s.source.file) for s in services], floor=16),
        Column(title="NEEDS", texts=[listing(s.needs) or NOTHING for s in services], floor=10),
        Column(
            title="NEEDED BY",
            texts=[listing(s.needed_by) or NOTHING for s in services],
            floor=10,
            expendable=2,
        ),
    ]
    return "\n".join(table(columns, page)) + "\n"


def usage_text(scene: Scene, services: Sequence[ServiceStatus], page: Page) -> str:
    """Give what every instance that runs uses now."""
    rows = [
        (str(slot.slot), measured)
        for service in services
        for slot in service.slots
        if (measured := scene.usage.get(slot.slot)) is not None
    ]
    if not rows:
        return "Nothing runs, so nothing is used.\n"
    used = [usage for _, usage in rows]
    columns = [
        Column(title="INSTANCE", texts=[plain(name) for name, _ in rows], floor=8),
        Column(title="CPU", texts=[percent(u.cpu_percent) for u in used], right=True),
        Column(title="MEM", texts=[size(u.rss) for u in used], right=True),
        Column(title="PSS", texts=[_size(u.pss) for u in used], right=True, expendable=2),
        Column(title="SWAP", texts=[_size(u.swap) for u in used], right=True, expendable=1),
        Column(title="FILES", texts=[_files(u) for u in used], right=True),
        Column(title="LISTEN", texts=[address_text(u.listening) for u in used], floor=12),
    ]
    return "\n".join(table(columns, page)) + "\n"


def doctor_text(findings: Sequence[Finding], page: Page) -> str:
    """Give the findings, the worst last, where the eye is; each with its mend."""
    order = list(_GRADES)
    lines: list[str] = []
    for finding in sorted(findings, key=lambda found: order.index(found.grade)):
        word, colour = _GRADES[finding.grade]
        first, *rest = wrap(f"{plain(finding.check)}: {plain(finding.text)}", page, " " * 9)
        lines += [f"{paint(word, colour, page)}  {first.strip()}", *rest]
        if finding.mend and finding.grade is not Grade.OK:
            lines += wrap(f"mend: {plain(finding.mend)}", page, " " * 9)
    return "\n".join(lines) + "\n"


def settings_text(settings: Sequence[Setting], page: Page) -> str:
    """Give the effective weaver.yaml, a value a line; defaults are marked."""
    width = max((len(s.path) for s in settings), default=0)
    lines = []
    for setting in settings:
        note = paint("  (default)", Paint.DIM, page) if setting.is_default else ""
        lines.append(f"{plain(setting.path):<{width}}  {plain(setting.value) or NOTHING}{note}")
    return "\n".join(lines) + "\n" if lines else "No settings: everything is as it comes.\n"


def wait_text(query: WaitQuery, result: WaitResult, page: Page) -> str:
    """Say how a wait ended, and of each service that is not there, why."""
    took = span_in_words(result.seconds)
    if result.exit_code == 0:
        whom = listing([plain(name) for name in query.services]) or "all services"
        return f"{whom}: {query.goal} after {took}\n"
    lines = [f"not {query.goal} after {took}:"]
    for name, why in result.missing.items():
        lines += wrap(f"{plain(name)}: {plain(why)}", page, "  ")
    return "\n".join(lines) + "\n"


def _size(count: int | None) -> str:
    """Give a size where it is known."""
    return NOTHING if count is None else size(count)


def _files(usage: Usage) -> str:
    """Give the number of open files."""
    return str(usage.file_descriptors)

"""Show a preview to people: what changes in the files, what would be done, in which order, why."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from reconciler.api.human import NOTHING, cells, commit, count, listing, plain
from reconciler.api.page import Page, Paint, paint, wrap
from reconciler.model.change import Effect, FieldChange, ServiceChange, Verb
from reconciler.model.desired import Revision
from reconciler.model.diagnostic import Diagnostic
from reconciler.model.plan import Hold, HoldCode
from reconciler.model.units import ServiceName
from reconciler.runtime.messages import FileChange, Preview

MOST_DIFF_LINES = 400
"""Of one file; the rest is counted, not shown."""

QUIET = frozenset({HoldCode.COMPLETED, HoldCode.SCHEDULED, HoldCode.EXITED})
"""Holds of services that are as wanted: nobody has to do or to wait for anything."""

EFFECT_WORDS = {
    Effect.RESTART: "restart",
    Effect.STRUCTURAL: "structural",
    Effect.STATE: "state",
    Effect.LIVE: "live",
    Effect.METADATA: "none",
}
"""What a change of a field does to processes, in a word."""

_SYMBOLS = {
    Verb.START: ("+", Paint.GOOD),
    Verb.STOP: ("-", Paint.BAD),
    Verb.RESTART: ("~", Paint.BUSY),
    Verb.RELOAD: ("~", Paint.BUSY),
    Verb.UPDATE: ("~", Paint.PLAIN),
    Verb.NONE: (" ", Paint.PLAIN),
}

_COUNTED = (Verb.START, Verb.RESTART, Verb.RELOAD, Verb.STOP, Verb.UPDATE)


def diff_text(preview: Preview, page: Page) -> str:
    """Give the whole preview; its last line says it all in one."""
    blocks = [
        _files(preview.files, page),
        _actions(preview, page),
        _reach(preview, page),
        [last_line(preview)],
    ]
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"


def last_line(preview: Preview) -> str:
    """Give the one line that scripts and hurried people read.

    >>> from reconciler.model.desired import Revision
    >>> here = Revision(commit="9be0177c0ffee", dirty=("services.d/web.yaml",))
    >>> last_line(Preview(mode="live", base=here, head=here))
    'No changes. What runs matches 9be0177 + 1 uncommitted file.'
    """
    if not (preview.changes or preview.drift or held_services(preview) or has_errors(preview)):
        if preview.mode == "live":
            return f"No changes. What runs matches {at(preview.head)}."
        return f"No changes. {at(preview.head)} matches {at(preview.base)}."
    tally = counts(preview)
    parts = [f"{tally[verb]} to {verb}" for verb in _COUNTED]
    parts += [f"{tally[word]} {word}" for word in ("held", "invalid", "unchanged")]
    return f"Plan: {', '.join(parts)}."


def counts(preview: Preview) -> dict[str, int]:
    """Count services by what would happen to them, and files that are invalid."""
    verbs: Counter[Verb] = Counter(
        verb for change in acting(preview) for verb in change.verbs if verb is not Verb.NONE
    )
    return {
        **{verb.value: verbs[verb] for verb in _COUNTED},
        "held": len(held_services(preview)),
        "invalid": len(invalid_files(preview)),
        "unchanged": preview.unchanged,
    }


def acting(preview: Preview) -> list[ServiceChange]:
    """Give the changes that something would be done about, in their order, drift included."""
    both = [*preview.changes, *preview.drift]
    return sorted(
        (c for c in both if c.held_by is None and set(c.verbs) - {Verb.NONE}),
        key=lambda change: change.order,
    )


def affected(preview: Preview) -> int:
    """Count the running processes that would not simply go on."""
    return sum(change.processes for change in (*preview.changes, *preview.drift))


def held_services(preview: Preview) -> dict[ServiceName, str]:
    """Give the services that are kept from what is wanted of them, each with the reason."""
    held = {hold.service: hold.because for hold in loud(preview.holds)}
    for change in preview.changes:
        if change.held_by is not None:
            held.setdefault(change.service, change.held_by)
    return held


def loud(holds: Sequence[Hold]) -> list[Hold]:
    """Leave out the holds of services that simply are as wanted, and of invalid manifests."""
    return [h for h in holds if h.code not in QUIET and h.code is not HoldCode.INVALID_MANIFEST]


def invalid_files(preview: Preview) -> set[str]:
    """Give the files that have an error (a warning is none)."""
    return {fault.source.file for fault in preview.invalid if not fault.is_warning}


def has_errors(preview: Preview) -> bool:
    """Tell whether some manifest cannot be used (a warning does not count)."""
    return any(not fault.is_warning for fault in preview.invalid)


def at(revision: Revision) -> str:
    """Name a revision, and how many saved files are not part of it yet.

    >>> at(Revision(commit="9be0177c0ffee")), at(Revision(dirty=("services.d/web.yaml",)))
    ('9be0177', 'the saved files (no commit yet)')
    """
    if not revision.commit:
        return "the saved files (no commit yet)"
    name = commit(revision.commit)
    if not revision.dirty:
        return name
    return f"{name} + {count(len(revision.dirty), 'uncommitted file')}"


def _files(files: Sequence[FileChange], page: Page) -> list[str]:
    """Give a unified diff for each file."""
    return [line for change in files for line in _file(change, page)]


def _file(change: FileChange, page: Page) -> Iterator[str]:
    """Give one file's unified diff, as `git diff` would print it, within a limit."""
    path = plain(change.path)
    lines = difflib.unified_diff(
        (change.before or "").splitlines(),
        (change.after or "").splitlines(),
        fromfile="/dev/null" if change.before is None else f"a/{path}",
        tofile="/dev/null" if change.after is None else f"b/{path}",
        lineterm="",
    )
    shown = 0
    for shown, line in enumerate(lines, start=1):
        if shown <= MOST_DIFF_LINES:
            yield _diff_line(line, page)
    if shown > MOST_DIFF_LINES:
        yield f"... {count(shown - MOST_DIFF_LINES, 'more line')} of {path}"


def _diff_line(line: str, page: Page) -> str:
    """Colour one line of a diff by its first characters."""
    text = "\t".join(plain(part) for part in line.split("\t"))
    if line.startswith(("---", "+++")):
        return paint(text, Paint.BOLD, page)
    if line.startswith("+"):
        return paint(text, Paint.GOOD, page)
    if line.startswith("-"):
        return paint(text, Paint.BAD, page)
    return paint(text, Paint.DIM, page) if line.startswith("@@") else text


def _actions(preview: Preview, page: Page) -> list[str]:
    """Give the numbered actions, then what is held, then what is invalid."""
    changes = acting(preview)
    held = held_services(preview)
    alike = _alike(held)
    names = [str(c.service) for c in changes] + [g[0] for g in alike.values() if len(g) == 1]
    width = max(map(cells, names), default=0)
    lines: list[str] = []
    for number, change in enumerate(changes, start=1):
        lines += _action(number, change, width, page)
        if not preview.files:
            lines += [_field(item) for item in change.fields]
        elif preview.mode == "offline":
            lines += _effects(change.fields, page)
    for because, group in alike.items():
        lines += _hold(because, group, width, page)
    for fault in sorted(preview.invalid):
        lines += _fault(fault, page)
    return lines


def _alike(held: Mapping[ServiceName, str]) -> dict[str, list[str]]:
    """Give the reasons for holds, each with the services that it keeps, by name."""
    found: dict[str, list[str]] = {}
    for name, because in sorted(held.items()):
        found.setdefault(because, []).append(name)
    return found


def _hold(because: str, group: Sequence[str], width: int, page: Page) -> list[str]:
    """Give one reason for holds; several services that share it are named before it."""
    head = f"  . {'hold':<10}"
    if len(group) == 1:
        return _entry(f"{head}  {group[0]:<{width}}", because, Paint.BUSY, page)
    return _entry(head, f"{listing(group)}: {because}", Paint.BUSY, page)


def _action(number: int, change: ServiceChange, width: int, page: Page) -> list[str]:
    """Give one numbered action with its reason."""
    verbs = [verb for verb in change.verbs if verb is not Verb.NONE]
    symbol, colour = _SYMBOLS[verbs[0]]
    words = "+".join(verbs)
    head = f"{number:>3}. {symbol} {words:<8} {change.service:<{width}}"
    return _entry(head, change.reason, colour, page)


def _entry(head: str, because: str, colour: Paint, page: Page) -> list[str]:
    """Give an entry whose reason runs on in a column of its own."""
    indent = " " * (cells(head) + 2)
    lines = wrap(plain(because), page, indent) or [head]
    lines[0] = f"{paint(head, colour, page)}{lines[0][cells(head) :]}"
    return lines


def _field(change: FieldChange) -> str:
    """Give one field's values and what their change does."""
    before, after = _value(change.before), _value(change.after)
    return f"       {plain(change.path)}: {before} -> {after} ({change.effect})"


def _effects(fields: Sequence[FieldChange], page: Page) -> list[str]:
    """Name the fields by what their change does; their values stand in the diff above."""
    parts = []
    for effect, word in EFFECT_WORDS.items():
        paths = [plain(item.path) for item in fields if item.effect is effect]
        if paths:
            parts.append(f"{word}: {listing(paths)}")
    return wrap(f"       {'; '.join(parts)}", page, " " * 7) if parts else []


def _reach(preview: Preview, page: Page) -> list[str]:
    """Say how far it reaches: processes, what moved meanwhile, and how to apply just this."""
    if preview.mode != "offline" or not (preview.changes or preview.moved):
        return []
    lines = wrap(reach(preview), page, "")
    if preview.moved:
        lines += wrap(f"warning: {moved(preview.moved)}", page, "")
    if preview.if_revision:
        lines.append(f"Apply just this: --if-revision {preview.if_revision}")
    return lines


def reach(preview: Preview) -> str:
    """Say how many running processes are affected, and whose they are."""
    number = affected(preview)
    if not number:
        return "No running process affected."
    names = [c.service for c in (*preview.changes, *preview.drift) if c.processes]
    return f"{count(number, 'running process', 'running processes')} affected: {listing(names)}."


def moved(names: Sequence[str]) -> str:
    """Say that two branches change the same services.

    >>> moved(["web"])
    'web changed on the base branch as well since this one left it; see what both do: rebase'
    """
    return (
        f"{listing(names)} changed on the base branch as well since this one left it; "
        "see what both do: rebase"
    )


def _value(text: str | None) -> str:
    """Give a field's value; one that is not there and one that is empty look different."""
    return NOTHING if text is None else plain(text) or '""'


def _fault(fault: Diagnostic, page: Page) -> list[str]:
    """Give one diagnostic, its place first so that editors and people can jump there."""
    word, colour = ("warning", Paint.BUSY) if fault.is_warning else ("invalid", Paint.BAD)
    mend = f" (mend: {fault.mend})" if fault.mend else ""
    text = f"{fault.source}: {fault.code} {fault.message}{mend}"
    return _entry(f"  ! {word:<10}", text, colour, page)

"""Find runs that no journal tells of: it was deleted, torn or behind when its holder died.

The entry of a run, as the journal has it, is therefore kept where only the end of the run erases
it too: WEAVER_ENTRY=<entry> in the environment of its processes, and an attribute of its leaf,
which also knows the main process. Programs that write their title over their environment are
found by their leaf only.
"""

from __future__ import annotations

import contextlib
import json
import os

from reconciler.holder import cgroup, tree

TYPE_CHECKING = False  # see wire.py
if TYPE_CHECKING:
    from collections.abc import Collection

    from reconciler.holder.cgroup import Cgroups
    from reconciler.holder.journal import Journal
    from reconciler.holder.ledger import Run
    from reconciler.holder.wire import Message

MARK = "WEAVER_ENTRY"
ATTRIBUTE = "user.weaver"
"""Of a leaf; kernels before 5.7 have none."""
BEGUN = ("run", "slot", "tag", "at", "notice", "sockets")
SPAWNED = ("run", "pid", "born")
LONGEST = 16 * 1024


def marks(entry: Message, group: str) -> dict[str, str]:
    """Give the variable that a run is found by, unless its entry is too long for one."""
    text = _text(entry, group)
    return {MARK: text} if len(text) < LONGEST else {}


def note(run: Run, group: str) -> None:
    """Note at the leaf of a run what it is, and its main process, as far as the kernel can."""
    leaf = run.leaves.get(cgroup.MAIN)
    if leaf is None:
        return
    pid, born = run.main
    entry = {name: getattr(run, name) for name in ("slot", "tag", "at")}
    entry |= {"run": run.id, "pid": pid, "born": born}
    entry |= {"notice": run.notice} if run.notice else {}
    entry |= {"sockets": run.sockets} if run.sockets else {}
    with contextlib.suppress(OSError):
        os.setxattr(leaf, ATTRIBUTE, _text(entry, group).encode())


def enter(journal: Journal, cgroups: Cgroups) -> list[str]:
    """Enter into the journal each run of ours that lives and that it does not tell of."""
    found = search(cgroups.name, cgroups.leaves(), journal.ledger.runs.keys())
    for begun, *rest in found:
        begun["leaves"] = cgroups.find(cgroup.leaf_name(begun["slot"], begun["run"]))
        for step in (begun, *rest):
            journal.record(step)
    return [begun["slot"] for begun, *_ in found]


def search(group: str, leaves: Collection[str], known: Collection[str]) -> list[list[Message]]:
    """Give the transitions of each run of ours that lives and is not known, in their order.

    `leaves` are all of ours. Nobody can say whether a run that was heard had got ready: whatever
    of it lives is taken to be.
    """
    found: dict[str, Message] = {}
    for process in tree.living():
        environ = tree.variables(process.pid)
        entry = _read(environ.get(MARK.encode(), b""), group)
        if entry is not None and _fits(entry, process, environ.get(tree.MARK.encode(), b"")):
            found.setdefault(entry["run"], entry)
    for leaf in leaves:
        entry = _noted(leaf, group)
        if entry is not None and cgroup.is_populated(leaf):
            found[entry["run"]] = entry
    lost = [entry for run, entry in found.items() if run not in known]
    return [_transitions(entry) for entry in sorted(lost, key=lambda entry: entry["at"])]


def _transitions(entry: Message) -> list[Message]:
    begun = {name: entry[name] for name in BEGUN if name in entry}
    if entry.get("notice"):
        begun["notice"] = entry["notice"] | {"ready": True}
    steps = [{"is": "spawning"} | begun]
    if entry.get("pid") and entry.get("born"):
        known = {name: entry[name] for name in SPAWNED}
        steps.append({"is": "spawned", "seen": entry["at"]} | known)
    return steps


def _text(entry: Message, group: str) -> str:
    kept = {name: entry[name] for name in dict.fromkeys(BEGUN + SPAWNED) if name in entry}
    return json.dumps({"of": group} | kept, separators=(",", ":"))


def _noted(leaf: str, group: str) -> Message | None:
    """Give what is noted at a leaf, if it is the leaf of that run."""
    try:
        text = os.getxattr(leaf, ATTRIBUTE)
    except OSError:
        return None
    entry = _read(text, group)
    if entry is None or os.path.basename(leaf) != cgroup.leaf_name(entry["slot"], entry["run"]):
        return None
    return entry


def _read(text: bytes, group: str) -> Message | None:
    """Read an entry; None where it is none, or is of the holder of another directory."""
    if not text:
        return None
    try:
        entry = json.loads(text)
        is_ours = entry["of"] == group and isinstance(entry["at"], int)
        is_whole = isinstance(entry["run"], str) and isinstance(entry["slot"], str)
    except (ValueError, LookupError, TypeError, RecursionError):
        return None
    return entry if is_ours and is_whole and "tag" in entry else None


def _fits(entry: Message, process: tree.Process, mark: bytes) -> bool:
    """Tell whether a process can be of the run that its environment names."""
    is_later: bool = process.born >= entry["at"] // tree.NANOS_PER_TICK
    return is_later and mark == entry["run"].encode()

"""The holder is killed at moments nobody chose: nothing is doubled, nothing is forgotten."""

from __future__ import annotations

import random
import secrets
import signal
from collections import Counter
from pathlib import Path

import pytest

from reconciler.holder import tree, wire
from tests.holder.rig import PATH, Message, Rig
from tests.settings import SETTINGS
from tests.waiting import until

pytestmark = [pytest.mark.real, pytest.mark.slow]

SLOTS = 6
ROUNDS = 30


def living(prefix: str) -> Counter[str]:
    """Count the living processes by the run whose mark they carry."""
    found: Counter[str] = Counter()
    for entry in Path("/proc").iterdir():
        process = tree.find(int(entry.name)) if entry.name.isdigit() else None
        if process is not None and not process.is_dead:
            found[tree.mark(process.pid)] += 1
    return Counter({run: count for run, count in found.items() if run.startswith(prefix)})


def hurried_requests(rig: Rig, luck: random.Random, prefix: str) -> dict[str, str]:
    """Ask for starts and ends and wait for no answer; give the slots of the runs asked for."""
    asked = {}
    for number in range(luck.randrange(1, 12)):
        slot, run = f"s-{luck.randrange(SLOTS)}", f"{prefix}{secrets.token_hex(4)}"
        order: Message = {
            "slot": slot,
            "run": run,
            "argv": luck.choice([["sleep", "1000"], ["true"], ["sh", "-c", "sleep 1000 & exit 3"]]),
            "env": {"PATH": PATH, "WEAVER_RUN": run},
            "cwd": "/",
            "stdout": str(rig.root / "out.log"),
            "stderr": None,
            "tag": None,
        }
        wire.send(rig.sock, {"do": "spawn", "serial": 10_000 + number, **order})
        asked[run] = slot
    return asked


@pytest.mark.parametrize(("seed", "rig"), [*enumerate(SETTINGS)], indirect=["rig"])
def test_p3_a_holder_killed_at_any_moment_leaves_one_process_a_slot(rig: Rig, seed: int) -> None:
    luck, prefix = random.Random(seed), f"{secrets.token_hex(4)}-"
    slots: dict[str, str] = {}
    ends: dict[str, Message] = {}
    for _ in range(ROUNDS):
        asked = hurried_requests(rig, luck, prefix)
        slots |= asked
        for _ in range(luck.randrange(len(asked) + 1)):
            wire.receive(rig.sock)
        rig.restart_holder()
        until(lambda: settled(rig, prefix), message="the list to say what lives")
        runs = rig.runs()
        live_slots = Counter(slots[run] for run in living(prefix))
        assert max(live_slots.values(), default=0) <= 1
        for run, shown in runs.items():
            if shown["exit"] is not None:
                assert ends.setdefault(run, shown["exit"]) == shown["exit"], "told once, as it was"
        over = [run for run, shown in runs.items() if not shown["empty"]]
        if over and luck.random() < 0.5:
            end_one(rig, runs[luck.choice(over)])


def settled(rig: Rig, prefix: str) -> bool:
    """Tell whether the holder lists exactly the runs that have a living process."""
    shown = {run for run, it in rig.runs().items() if not it["empty"]}
    return shown == set(living(prefix))


def end_one(rig: Rig, run: Message) -> None:
    identity = {name: run[name] for name in ("run", "pid", "born")}
    rig.ask("signal", **identity, signal=signal.SIGKILL, scope="tree")

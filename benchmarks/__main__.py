"""Measure every budget, print the table, and write it into the docs."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from subprocess import SubprocessError

from benchmarks import machine
from benchmarks.cases import (
    checks,
    cold,
    crash,
    flood,
    lives,
    offline,
    planning,
    pushing,
    rolling,
    saving,
    status,
    survival,
)
from benchmarks.peers import PEERS
from benchmarks.processes import NeverCameError, leave_in_order
from benchmarks.report import Beside, Row, as_markdown, as_text, with_table

PAGE = Path(__file__).resolve().parent.parent / "docs" / "benchmarks.md"
README = PAGE.parent.parent / "README.md"
IN_README = (f"{lives.MANY:,} services", survival.TITLE)
Case = Callable[[], Iterable[Row | Beside]]
CASES: Mapping[str, Case] = {
    "plan": planning.run,
    "offline": offline.run,
    "status": status.run,
    "crash": crash.run,
    "survival": survival.run,
    "save": saving.run,
    "push": pushing.run,
    "flood": flood.run,
    "checks": checks.run,
    "rolling": rolling.run,
    "cold": cold.run,
    "lives": lives.run,
}

INTRODUCTION = """\
# Benchmarks

`make bench` measures this and writes this page. Ours and the peers' figures come from the same
run on the same machine: compare the two columns, and take the times themselves with care.
Everything is seen from outside, through `/proc`; no supervisor is asked what it does. A ratio
below 1 means that Weaver takes less than what it is compared with. Every supervisor runs as its
users would run it; those named "+" have a logger for each service, which the others have built in
or, without it, do not have.

"""


def main() -> int:
    """Run the chosen cases; exit 1 where a peer is missing, 0 also where a budget is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", action="append", choices=CASES, metavar="NAME", default=[])
    chosen = parser.parse_args().only or list(CASES)
    absent = [peer for peer in PEERS if not peer.is_installed()]
    names = [peer.name for peer in absent] + (rolling.missing() if "rolling" in chosen else [])
    if names:
        mend = absent[0].mend if absent else "make bench installs it"
        print(f"cannot compare: {', '.join(names)} is not installed; {mend}", file=sys.stderr)
        return 1
    leave_in_order()
    facts = machine.facts()
    began = time.monotonic()
    found = [one for name in CASES if name in chosen for one in measured(name)]
    tables = [one for one in found if isinstance(one, Beside)]
    rows = [one for one in found if isinstance(one, Row)]
    print("\n\n".join([*(table.as_text() for table in tables), as_text(rows)]))
    print(f"\nmeasured in {time.monotonic() - began:.0f} s; met: {_count(rows)}")
    if set(chosen) == set(CASES):
        PAGE.write_text(page(tables, rows, facts))
        README.write_text(with_table(README.read_text(), in_readme(tables)))
        print(f"written to {PAGE.relative_to(Path.cwd())}" if _is_below(PAGE) else str(PAGE))
    else:
        print("docs/benchmarks.md is written by a run of all cases")
    return 0


def measured(name: str) -> list[Row | Beside]:
    """Run one case; one that cannot be run is a row that says why."""
    print(f"measuring {name} ...", file=sys.stderr, flush=True)
    try:
        return list(CASES[name]())
    except (NeverCameError, OSError, RuntimeError, SubprocessError, ValueError) as why:
        print(f"cannot measure {name}: {why}", file=sys.stderr)
        return [Row(what=name, measured="failed", met=False, note=str(why))]


def page(tables: list[Beside], rows: list[Row], facts: Mapping[str, str]) -> str:
    """Give the page of the docs."""
    today = datetime.now(UTC).date().isoformat()
    machine_list = "\n".join(f"- {name}: {text}" for name, text in {"Date": today, **facts}.items())
    beside = "\n\n".join(table.as_markdown() for table in tables)
    return (
        f"{INTRODUCTION}## Beside others\n\n{beside}\n\n## Budgets\n\n{as_markdown(rows)}\n\n"
        f"## The machine\n\n{machine_list}\n"
    )


def in_readme(tables: list[Beside]) -> str:
    """Give what the README repeats: how many services are run, and what a kill leaves."""
    return "\n\n".join(table.as_markdown() for table in tables if table.title in IN_README)


def _count(rows: list[Row]) -> str:
    held = [row for row in rows if row.met is not None]
    return f"{sum(bool(row.met) for row in held)} of {len(held)} budgets"


def _is_below(path: Path) -> bool:
    return path.is_relative_to(Path.cwd())


if __name__ == "__main__":
    sys.exit(main())

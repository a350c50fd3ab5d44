"""Measure every budget, print the table, and write it into the docs."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import machine
from benchmarks.cases import cold, crash, offline, planning, resident, saving, status, survival
from benchmarks.processes import NeverCameError
from benchmarks.report import Row, as_markdown, as_table, as_text, with_table

PAGE = Path(__file__).resolve().parent.parent / "docs" / "benchmarks.md"
README = PAGE.parent.parent / "README.md"
Case = Callable[[], Iterable[Row]]
CASES: Mapping[str, Case] = {
    "plan": planning.run,
    "offline": offline.run,
    "status": status.run,
    "crash": crash.run,
    "survival": survival.run,
    "save": saving.run,
    "cold": cold.run,
    "resident": resident.run,
}

INTRODUCTION = """\
# Benchmarks

`make bench` measures this and writes this page. Ours and the peers' figures come from the same
run on the same machine: compare the two columns, and take the times themselves with care.
Everything is seen from outside, through `/proc`; no supervisor is asked what it does. A ratio
below 1 means that Weaver takes less than what it is compared with. Medians; spread and CPU time
are listed under the table.

"""


def main() -> int:
    """Run the chosen cases; the exit code is 0 also where a budget is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", action="append", choices=CASES, metavar="NAME", default=[])
    chosen = parser.parse_args().only or list(CASES)
    facts = machine.facts()
    began = time.monotonic()
    rows = [row for name in CASES if name in chosen for row in measured(name)]
    print(as_text(rows))
    print(f"\nmeasured in {time.monotonic() - began:.0f} s; met: {_count(rows)}")
    if set(chosen) == set(CASES):
        PAGE.write_text(page(rows, facts))
        README.write_text(with_table(README.read_text(), as_table(rows)))
        print(f"written to {PAGE.relative_to(Path.cwd())}" if _is_below(PAGE) else str(PAGE))
    else:
        print("docs/benchmarks.md is written by a run of all cases")
    return 0


def measured(name: str) -> list[Row]:
    """Run one case; one that cannot be run is a row that says why."""
    print(f"measuring {name} ...", file=sys.stderr, flush=True)
    try:
        return list(CASES[name]())
    except (NeverCameError, OSError, RuntimeError, ValueError) as why:
        return [Row(what=name, measured="failed", met=False, note=str(why))]


def page(rows: list[Row], facts: Mapping[str, str]) -> str:
    """Give the page of the docs."""
    today = datetime.now(UTC).date().isoformat()
    machine_list = "\n".join(f"- {name}: {text}" for name, text in {"Date": today, **facts}.items())
    return f"{INTRODUCTION}{as_markdown(rows)}\n\n## The machine\n\n{machine_list}\n"


def _count(rows: list[Row]) -> str:
    held = [row for row in rows if row.met is not None]
    return f"{sum(bool(row.met) for row in held)} of {len(held)} budgets"


def _is_below(path: Path) -> bool:
    return path.is_relative_to(Path.cwd())


if __name__ == "__main__":
    sys.exit(main())

"""What transitions add up to, and what a holder that was killed leaves to the next one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.holder.journal import Journal
from reconciler.holder.ledger import Ledger
from tests.holder.rig import Message

Step = tuple[str, int]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["start", "fail", "doom", "exit", "lose", "empty", "ack", "ack-all"]),
        st.integers(0, 3),
    ),
    max_size=60,
)


def history(steps: list[Step]) -> list[Message]:
    """Give the transitions that a holder writes as these things happen to four slots."""
    ledger = Ledger()
    entries: list[Message] = []

    def add(**entry: object) -> None:
        ledger.apply(entry)
        entries.append(entry)

    add(**{"is": "journal", "boot": "b", "seq": 0, "acked": 0})
    for time, (step, index) in enumerate(steps):
        slot = f"s-{index}"
        run = ledger.holding(slot)
        if step in ("start", "fail") and run is None:
            mark = f"run-{time}"
            add(**{"is": "spawning", "run": mark, "slot": slot, "tag": {"n": time}, "at": time})
            after = {"is": "failed"} if step == "fail" else {"is": "spawned", "seen": time}
            add(**after, run=mark, pid=100 + time, born=time)
        elif step == "doom" and run is not None:
            add(**{"is": "doomed", "run": run.id})
        elif step in ("exit", "lose") and run is not None and run.exit is None:
            lost = step == "lose"
            verdict = {"code": None if lost else 0, "signal": None, "core": False, "unknown": lost}
            add(**{"is": "exited", "run": run.id, "seq": ledger.seq + 1, "at": time}, **verdict)
        elif step == "empty" and run is not None and run.exit is not None:
            add(**{"is": "empty", "run": run.id, "seq": ledger.seq + 1})
        elif step.startswith("ack"):
            add(**{"is": "acked", "seq": ledger.seq if step == "ack-all" else ledger.seq // 2})
    return entries


def replayed(entries: list[Message]) -> Ledger:
    ledger = Ledger()
    for entry in entries:
        ledger.apply(json.loads(json.dumps(entry)))
    return ledger


def shown(ledger: Ledger) -> object:
    """Give all that matters of a ledger."""
    runs = [(run.shown(), run.seen, run.empty, run.doomed) for run in ledger.runs.values()]
    holders = {run.slot: run.id for run in ledger.unfinished()}
    assert all((run := ledger.holding(slot)) and run.id == mark for slot, mark in holders.items())
    return runs, holders, ledger.boot, ledger.seq, ledger.acked


@given(steps=STEPS)
def test_the_shortest_history_of_a_ledger_leads_to_it_from_any_point(steps: list[Step]) -> None:
    entries = history(steps)
    for end in range(len(entries) + 1):
        ledger = replayed(entries[:end])
        assert shown(replayed([*ledger.entries()])) == shown(ledger)
        rest = entries[end:]
        assert shown(replayed([*ledger.entries(), *rest])) == shown(replayed(entries))


@given(steps=STEPS)
def test_a_slot_never_has_two_runs_and_none_is_lost_before_it_is_acknowledged(
    steps: list[Step],
) -> None:
    entries = history(steps)
    for end in range(len(entries) + 1):
        ledger = replayed(entries[:end])
        slots = [run.slot for run in ledger.unfinished()]
        assert len(slots) == len(set(slots))
        told = {e["run"]: e["seq"] for e in entries[:end] if e["is"] == "empty"}
        failed = {e["run"] for e in entries[:end] if e["is"] == "failed"}
        started = {e["run"] for e in entries[:end] if e["is"] == "spawning"}
        kept = {run for run in started - failed if told.get(run, ledger.seq + 1) > ledger.acked}
        assert set(ledger.runs) == kept


@given(steps=STEPS, cut=st.integers(0, 400))
def test_a_file_cut_anywhere_gives_what_its_whole_lines_say(
    tmp_path_factory: pytest.TempPathFactory, steps: list[Step], cut: int
) -> None:
    entries = history(steps)
    text = b"".join(json.dumps(entry).encode() + b"\n" for entry in entries)
    text = text[: max(0, len(text) - cut)]
    state = tmp_path_factory.mktemp("state")
    (state / "holder").mkdir()
    (state / "holder" / "journal").write_bytes(text)
    journal = Journal(str(state))
    assert journal.load() == ""
    assert shown(journal.ledger) == shown(replayed(entries[: text.count(b"\n")]))


@given(steps=STEPS)
def test_another_boot_keeps_what_happened_and_forgets_every_pid(steps: list[Step]) -> None:
    ledger = replayed(history(steps))
    before = {run.id: run.exit and run.exit["code"] for run in ledger.runs.values()}
    ledger.begin_boot("c")
    assert {run.id: run.exit and run.exit["code"] for run in ledger.runs.values()} == before
    assert all(
        (run.pid, run.born, run.at, run.seen) == (None, None, 0, 0) for run in ledger.runs.values()
    )
    assert all(run.exit is None or run.exit["at"] == 0 for run in ledger.runs.values())


def test_transitions_of_a_later_version_change_nothing() -> None:
    ledger = replayed([*history([("start", 0)]), {"is": "frozen", "run": "run-0", "since": 7}])
    assert shown(ledger) == shown(replayed(history([("start", 0)])))


def test_a_journal_writes_what_the_next_one_reads(tmp_path: Path) -> None:
    state = str(tmp_path / "state")
    journal = Journal(state)
    for entry in history([("start", 0), ("start", 1), ("exit", 0), ("empty", 0), ("ack", 0)]):
        journal.record(entry)
    after = Journal(state)
    assert (after.load(), journal.trouble) == ("", "")
    assert shown(after.ledger) == shown(journal.ledger)
    modes = [Path(path).stat().st_mode & 0o777 for path in (state, f"{state}/holder/journal")]
    assert modes == [0o700, 0o600]


def test_a_journal_that_cannot_be_written_says_so_and_is_whole_later(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file in place of the folder")
    journal = Journal(str(tmp_path / "state"))
    for entry in history([("start", 0), ("start", 1)]):
        journal.record(entry)
    assert "cannot write" in journal.trouble
    (tmp_path / "state").unlink()
    journal.mend()
    assert journal.trouble == ""
    after = Journal(str(tmp_path / "state"))
    after.load()
    assert shown(after.ledger) == shown(journal.ledger)

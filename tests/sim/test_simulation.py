"""The simulator at work: enough of it, replayed bit for bit, and able to see what is wrong."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from reconciler.model.event import Signal
from tests.covered import Tell
from tests.sim import hunting, runner
from tests.sim.episode import BreachError, play
from tests.sim.rules import Rules
from tests.sim.shrinking import outcome, rule_of, shortest

EVENTS = 80_000
FAULTS = 19_000
SEEDS = (1, 2, 3, 4, 5, 6, 7, 8)
"""More shares than cores, so that no core is idle for long while the last one plays."""


@pytest.mark.slow
@pytest.mark.timeout(580)
def test_whatever_the_host_does_we_stay_safe_and_arrive(tell: Tell) -> None:
    share = -(-EVENTS // len(SEEDS))
    toll, broken = runner.play_all(runner.Share(seed, events=share) for seed in SEEDS)
    tell(f"simulation: {len(SEEDS)} seeds, {runner.in_words(toll)}; {len(broken)} broken rules")
    assert broken == [], "\n\n".join(broken)
    assert toll.events >= EVENTS
    assert toll.faults.total() >= FAULTS


@pytest.mark.slow
@pytest.mark.timeout(580)
def test_every_planted_bug_is_caught_and_the_source_itself_passes(
    tell: Tell, capsys: pytest.CaptureFixture[str]
) -> None:
    code = hunting.catch_all([])
    said = capsys.readouterr().out
    tell(f"planted bugs: {said.splitlines()[-1]}")
    assert code == 0, said


@pytest.mark.slow
def test_a_seed_gives_the_same_digest_whatever_the_hash_seed() -> None:
    said = {_run("run", "--seed", "7", "--events", "1500", hash_seed=seed) for seed in ("0", "77")}
    assert len(said) == 1
    assert next(iter(said)).startswith("digest ")


def _run(*arguments: str, hash_seed: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "tests.sim", *arguments],
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()[-1]


def test_a_failure_names_the_command_that_replays_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _forbid_sigkill(monkeypatch)
    assert runner.run(1, 100_000) == 1
    said = capsys.readouterr().out
    replay = next(line for line in said.splitlines() if line.startswith("replay: "))
    assert "AssertionError: no SIGKILL" in said
    assert "the last deeds:" in said
    number = int(replay.rpartition(" ")[2])
    assert runner.tell(1, number) == 1
    assert "AssertionError: no SIGKILL" in capsys.readouterr().out


@pytest.mark.slow
def test_a_failing_history_is_made_short_and_fails_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    _forbid_sigkill(monkeypatch)
    breach = _first_breach()
    history, said = shortest(breach, tries=50)
    assert rule_of(said) == rule_of(str(breach))
    assert len(history) < len(breach.history)
    again = outcome(history, breach.seed)
    assert again is not None
    assert rule_of(again) == rule_of(said)


def _forbid_sigkill(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a rule that the engine is bound to break."""

    def may_signal(_: Rules, order: Signal, __: int) -> None:
        assert order.signal != "SIGKILL", "no SIGKILL"

    monkeypatch.setattr(Rules, "_may_signal", may_signal)


def _first_breach() -> BreachError:
    """Give an episode that breaks the rule after not too many deeds."""
    for number in range(100):
        try:
            play(1, number)
        except BreachError as breach:
            if len(breach.history) < 60:
                return breach
    raise AssertionError("nobody was killed")

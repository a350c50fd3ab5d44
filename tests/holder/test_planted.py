"""Bugs planted into the holder, each of which a test of the holder has to catch.

A copy of the holder has one line changed; the test named beside the bug runs on that copy and has
to fail. A test that does not notice is worth nothing to whoever makes the same mistake.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from tests import settings
from tests.holder import test_lost, test_notify, test_recovery, test_services
from tests.holder.installation import installation
from tests.holder.rig import MAIN, Rig

pytestmark = pytest.mark.real

SILENCE_S = 1.5
"""After this, what a holder with a bug does not tell is not told at all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Planted:
    """One wrong line in a module of the holder, and the test that is there to notice."""

    name: str
    module: str
    before: str
    """Text that stands exactly once in the module."""
    after: str
    caught_by: Callable[[Rig], None]
    setting: str = settings.AS_IT_IS


PLANTED = [
    Planted(
        name="tells an end that it has not written down",
        module="processes",
        before='self._journal.record({"is": "exited", "run": run.id} | verdict)',
        after='self._ledger.apply({"is": "exited", "run": run.id} | verdict)',
        caught_by=test_recovery.test_v13_exit_codes_and_numbers_of_events_outlive_holder_and_daemon,
    ),
    Planted(
        name="keeps in mind alone what the daemon has recorded",
        module="loop",
        before='self._journal.record({"is": "acked", "seq": order["seq"]})',
        after='self._journal.ledger.apply({"is": "acked", "seq": order["seq"]})',
        caught_by=test_recovery.test_acknowledged_ends_are_forgotten_and_others_are_not,
    ),
    Planted(
        name="hands its journal on to every service",
        module="journal",
        before="        self._fd, self._room = fd, GROWTH_BYTES\n",
        after="        self._fd, self._room = fd, GROWTH_BYTES\n"
        "        os.set_inheritable(fd, True)\n",
        caught_by=test_services.test_a_service_starts_with_clean_signals_and_only_its_own_descriptors,
    ),
    Planted(
        name="takes a slot to be free once its main process is gone",
        module="processes",
        before="if (former := self._ledger.holding(slot)) is not None:",
        after="if (former := self._ledger.holding(slot)) is not None and not former.exit:",
        caught_by=test_services.test_v6_what_a_leader_leaves_behind_keeps_the_slot_until_it_is_gone,
    ),
    Planted(
        name="calls a tree empty when its group is",
        module="processes",
        before="return children is not None and children <= self._children.keys() | "
        "self.apart.keys()",
        after="return children is not None",
        setting="none",
        caught_by=test_services.test_who_left_for_a_session_of_its_own_is_found_by_its_mark,
    ),
    Planted(
        name="signals a process of another birth",
        module="processes",
        before="or run.main != identity:",
        after="or run.main[0] != identity[0]:",
        caught_by=partial(
            test_services.test_a_signal_for_another_identity_is_refused, field="born"
        ),
    ),
    Planted(
        name="does not watch what it adopts",
        module="processes",
        before="        self._mains[run.id] = pidfd\n        self._poller.watch(pidfd, "
        "functools.partial(self._adopted_gone, run))\n\n    def move(",
        after="        self._mains[run.id] = pidfd\n\n    def move(",
        caught_by=test_recovery.test_the_end_of_an_adopted_service_is_noticed_with_its_code,
    ),
    Planted(
        name="believes that a journal which is there tells of every run",
        module="lost",
        before="lost = [entry for run, entry in found.items() if run not in known]",
        after="lost = [entry for run, entry in found.items() if not known]",
        caught_by=test_lost.test_a_journal_that_is_not_whole_hides_no_run,
    ),
    Planted(
        name="leaves the first words of a service in its socket",
        module="notify",
        before="            data, ancillary, _, _ = received\n",
        after="            data, ancillary, _, _ = received\n            if not self._told_at:\n"
        "                return\n",
        caught_by=test_notify.test_a_service_says_what_it_is_about,
    ),
    Planted(
        name="writes down no word, since it has them in mind",
        module="notify",
        before="        if notice.lasting(known) != notice.lasting(before):\n",
        after="        if not known:\n",
        caught_by=test_notify.test_sockets_and_stored_descriptors_survive_the_holder,
    ),
    Planted(
        name="tells an end without having heard the last words",
        module="processes",
        before="                self._notify.hear_out(run)\n            run = self._children.pop(",
        after="                pass\n            run = self._children.pop(",
        caught_by=test_notify.test_the_last_words_of_a_process_are_told_before_its_end,
    ),
]


@pytest.fixture
def place(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Rig]:
    """Give a rig whose holder was not started; what is left of it a sound one clears away."""
    setting = request.getfixturevalue("bug").setting
    with settings.place(setting, tmp_path) as root:
        rig = Rig(root, setting)
        yield rig
        if rig.is_held:
            rig.kill_holder()
        # Its journal may say that nothing is left; without one, all is found that lives.
        shutil.rmtree(rig.state)
        rig.program, rig.patience_s = str(MAIN), 20.0
        rig.close()


@pytest.mark.parametrize("bug", PLANTED, ids=lambda bug: bug.name)
def test_a_bug_that_was_planted_into_the_holder_is_caught(
    bug: Planted, place: Rig, tmp_path: Path
) -> None:
    module = f"{bug.module}.py"
    assert (MAIN.parent / module).read_text("utf-8").count(bug.before) == 1
    changed = (module, bug.before, bug.after)
    place.program = installation(tmp_path / "planted", "0.0.1", changed)
    place.start()
    place.patience_s = SILENCE_S
    place.sock.settimeout(SILENCE_S)
    with pytest.raises((AssertionError, LookupError, TypeError, TimeoutError)):
        bug.caught_by(place)

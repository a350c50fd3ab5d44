"""Bugs about what the host refuses or cannot do: taken for a failure, or for done."""

from __future__ import annotations

from tests.sim.planting import Mutant

REFUSED = (
    Mutant(
        name="a-refused-start-is-a-failure",
        module="reconciler/core/answers.py",
        before="        _wait_for_leave(ledger, record, event.because)\n        return\n",
        after="        _wait_for_leave(ledger, record, event.because)\n",
        story="A hook of the host keeps services from starting while a backup is made. When it is"
        " over, half of them have used up their restarts and stay down.",
    ),
    Mutant(
        name="a-refused-stop-is-killed-all-the-same",
        module="reconciler/core/answers.py",
        before="ledger.put(replace(record, pending=later, deadline=None))",
        after="ledger.put(replace(record, pending=None))",
        story="A hook of the host keeps a database from being stopped while it is copied. It is"
        " killed at its stopTimeout, without ever having been asked to end.",
    ),
)

IDENTITY = (
    Mutant(
        name="an-unknown-user-counts-as-no-failure",
        module="reconciler/core/answers.py",
        before="    if event.errno in SCARCE:\n",
        after='    if event.errno in SCARCE or event.step != "exec":\n',
        story="A service names a user that does not exist. It is tried again every few seconds for"
        " ever, and nobody is told that it failed.",
    ),
    Mutant(
        name="a-start-that-fails-before-its-program-is-tried-at-once",
        module="reconciler/core/answers.py",
        before="trouble = one_more_failure(ledger, record, because, uptime=Nanos(0))",
        after="trouble = replace(\n"
        "        one_more_failure(ledger, record, because, uptime=Nanos(0)), retry_at=None\n"
        "    )",
        story="A control group cannot be made, and the host is busy with nothing but trying to"
        " start what has to live in it.",
    ),
    Mutant(
        name="work-that-could-not-begin-counts-as-done",
        module="reconciler/core/answers.py",
        before="memory = replace(memory, done=None, done_at=None)",
        after="memory = replace(memory, done_at=memory.done_at)",
        story="A migration is to run once more, and cannot be started. It counts as done by its"
        " earlier run, and is not tried again.",
    ),
)

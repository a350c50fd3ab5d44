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

QUIET = (
    Mutant(
        name="a-refusal-is-told-each-time",
        module="reconciler/core/answers.py",
        before="    if record.refused != because:\n",
        after="    if because:\n",
        story="A hook of the host keeps services from starting for a night, and in the morning"
        " there are forty thousand events that say so.",
    ),
    Mutant(
        name="each-try-of-what-is-refused-is-a-start",
        module="reconciler/core/ledger.py",
        before="if signal is Signal.START and record.put_off:",
        after="if signal is Signal.START and record.put_off and record.trying:",
        story="A service waits for memory. Its state changes twice a second all the while, and so"
        " does every page that shows it.",
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

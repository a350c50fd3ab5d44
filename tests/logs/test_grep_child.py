"""The small program that tries patterns on log lines."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from reconciler.adapters.logs import grep_child

pytestmark = pytest.mark.real

IMPATIENT = """\
from reconciler.adapters.logs import grep_child
grep_child.MESSAGE_CPU_S = 1
grep_child.main()
"""


def test_a_pattern_without_end_ends_by_itself_though_its_asker_was_killed() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", IMPATIENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdin
        grep_child.write(child.stdin, "(a+)+$")
        grep_child.write(child.stdin, ["a" * 60 + "b"])
        assert child.wait(30) == -signal.SIGXCPU

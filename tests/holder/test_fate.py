"""How a process ended that is not our child: told by /proc, by its pidfd, or by nobody."""

from __future__ import annotations

import ctypes
import os
import select
import signal
from collections.abc import Callable, Iterator

import pytest

from reconciler.holder import fate, tree
from tests.holder.rig import KERNEL_TELLS

pytestmark = pytest.mark.real

CASES: dict[str, tuple[Callable[[], object], tuple[int | None, int | None]]] = {
    "exit": (lambda: os._exit(11), (11, None)),
    "zero": (lambda: os._exit(0), (0, None)),
    "signal": (lambda: os.kill(os.getpid(), signal.SIGKILL), (None, signal.SIGKILL)),
}


@pytest.fixture
def parent() -> Iterator[list[int]]:
    """Collect the children of a test by hand, as a stranger's parent would."""
    children: list[int] = []
    yield children
    for pid in children:
        os.waitpid(pid, 0)


def started(how: str, parent: list[int]) -> tuple[int, int, int]:
    """Start a process that ends so when it is told, and give its pidfd, pid and birth tick."""
    reader, writer = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(writer)
        os.read(reader, 1)
        CASES[how][0]()
    os.close(reader)
    parent.append(pid)
    found = tree.find(pid)
    assert found is not None
    pidfd = fate.pin(pid, found.born)
    assert pidfd is not None
    assert fate.ending(pidfd, pid, found.born) is None
    os.close(writer)
    select.select([pidfd], [], [], 10)
    return pidfd, pid, found.born


def told(end: fate.Ending | None) -> tuple[int | None, int | None]:
    assert end is not None
    return end.code, end.signal


@pytest.mark.parametrize("how", CASES)
def test_one_that_is_dead_and_not_reaped_is_read_from_proc(how: str, parent: list[int]) -> None:
    pidfd, pid, born = started(how, parent)
    assert told(fate.ending(None, pid, born)) == CASES[how][1]
    assert fate.ending(None, pid, born + 1) is None
    os.close(pidfd)


@pytest.mark.skipif(not KERNEL_TELLS, reason="the kernel keeps no exit codes before 6.15")
@pytest.mark.parametrize("how", CASES)
def test_one_that_was_reaped_is_told_by_the_pidfd_opened_before(
    how: str, parent: list[int]
) -> None:
    pidfd, pid, born = started(how, parent)
    os.waitpid(parent.pop(), 0)
    assert told(fate.ending(pidfd, pid, born)) == CASES[how][1]
    assert fate.ending(None, pid, born) is None
    os.close(pidfd)


def test_an_older_kernel_that_knows_no_such_question_leaves_it_unknown(
    parent: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    pidfd, pid, born = started("exit", parent)
    os.waitpid(parent.pop(), 0)
    monkeypatch.setattr(fate, "PIDFD_GET_INFO", 0xC040FF7F)
    assert fate.ending(pidfd, pid, born) is None
    monkeypatch.undo()
    # One in between knows the question and does not say that it answers this part of it.
    monkeypatch.setattr(fate, "PIDFD_INFO_EXIT", 1 << 40)
    assert fate.ending(pidfd, pid, born) is None
    os.close(pidfd)


def test_a_zero_is_not_believed_where_we_may_not_look(parent: list[int]) -> None:
    """Another user's zombie shows 0 to those who may not look into it."""
    if os.geteuid():
        pytest.skip("needs root, to become somebody else")
    pidfd, pid, born = started("zero", parent)
    libc = ctypes.CDLL(None, use_errno=True)
    asker = os.fork()
    if not asker:
        libc.setresuid(65534, 65534, 65534)
        os._exit(fate.ending(None, pid, born) is not None)
    assert os.waitpid(asker, 0)[1] == 0
    assert told(fate.ending(None, pid, born)) == (0, None)
    os.close(pidfd)

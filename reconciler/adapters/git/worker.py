"""The process that writes commits: GitPython and the YAML editor live here, not in the daemon.

It reads one question a line and answers each with one line, until its input ends. Memory and time
are limited, so that a hostile manifest or repository can end this process only.
"""

from __future__ import annotations

import os
import resource
import sys
import traceback
from pathlib import Path
from typing import BinaryIO

from reconciler.adapters.git import wire
from reconciler.adapters.git.checkout import Bare, Checkout, Repo, locate
from reconciler.adapters.git.edits import IntentEdit
from reconciler.adapters.git.overtaken import refuse_overtaken
from reconciler.adapters.git.proposing import propose
from reconciler.adapters.git.remote.building import builds_in
from reconciler.adapters.git.undo import Asked, undo
from reconciler.adapters.git.wire import Question
from reconciler.adapters.git.writeback import writes_into
from reconciler.ports import Committed, HostError, WeaverError

MEMORY_BYTES = 1 << 30
CPU_S = 60
"""For each question."""


def main() -> None:
    """Answer questions until there are no more."""
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with _answers() as answers:
        for line in sys.stdin.buffer:
            _limit_cpu()
            answers.write(_answer(line))
            answers.flush()


def _answers() -> BinaryIO:
    """Keep the answers' pipe to ourselves: a stray print goes nowhere."""
    answers = os.dup(sys.stdout.fileno())
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
    return os.fdopen(answers, "wb")


def _limit_cpu() -> None:
    used = resource.getrusage(resource.RUSAGE_SELF)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    soft = int(used.ru_utime + used.ru_stime) + CPU_S
    resource.setrlimit(resource.RLIMIT_CPU, (soft, hard))


def _answer(line: bytes) -> bytes:
    try:
        return wire.done_answer(_do(wire.read_question(line)))
    except WeaverError as why:
        return wire.error_answer(why)
    except Exception as why:  # noqa: BLE001 - a fault of ours ends one request, not the queue
        return wire.error_answer(HostError(f"cannot write back: {_place_of(why)}"))


def _do(question: Question) -> Committed:
    repo: Repo
    if question.folder is None:
        repo = checkout = locate(Path(question.root))
        write = writes_into(checkout, question.sign)
    else:
        repo = mirror = Bare.at(Path(question.root), question.folder)
        write = builds_in(mirror, question.sign)
    if question.verb == "undo":
        asked = Asked(
            author=question.author,
            op_id=question.op_id,
            auto_commit=question.auto_commit,
            write=write,
        )
        return undo(repo, asked)
    request = question.request()
    if question.since:
        refuse_overtaken(repo, request.intents, question.since)
    edit = IntentEdit(intents=request.intents)
    if request.branch and isinstance(repo, Checkout):
        return propose(repo, request, edit)
    return write(request, edit)


def _place_of(why: Exception) -> str:
    """Say what went wrong in our code, and where, for a report."""
    frame = traceback.extract_tb(why.__traceback__)[-1]
    return f"{type(why).__name__}: {why} ({Path(frame.filename).name}:{frame.lineno})"


if __name__ == "__main__":
    main()

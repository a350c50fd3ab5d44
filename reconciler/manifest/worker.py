"""The worker for manifests: a process of its own, with limits on what it may cost.

It takes requests from standard input and answers on standard output until its input ends. The
parser and the schema library live here and not in the daemon, which stays small; and a file that
exhausts memory or time ends this process only.
"""

from __future__ import annotations

import os
import resource
import sys
from typing import BinaryIO

from reconciler.manifest.edit import replay
from reconciler.manifest.pipe import (
    LENGTH_BYTES,
    Answer,
    Read,
    Refusal,
    Request,
    framed,
    length_of,
    read_request,
)
from reconciler.manifest.read import read_config, read_manifest
from reconciler.manifest.split import split
from reconciler.model.errors import WeaverError

MEMORY_BYTES = 512 << 20
CPU_S_PER_REQUEST = 5


def main() -> int:
    """Answer until the input ends."""
    _limit_memory()
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    while (head := requests.read(LENGTH_BYTES)) and len(head) == LENGTH_BYTES:
        request = read_request(requests.read(length_of(head)))
        _limit_time()
        _write(answers, framed(_answer(request)))
    return 0


def _answer(request: Request) -> Answer:
    try:
        if request.read is not None:
            return _read(request.read)
        if request.split is not None:
            asked = request.split
            found = split(asked.file, asked.data, must_be_valid=asked.must_be_valid)
            return Answer(documents=found)
        assert request.replay is not None
        intents = [packed.intent for packed in request.replay.intents]
        return Answer(changes=replay(request.replay.texts, intents))
    except WeaverError as why:
        return Answer(refusal=Refusal.of(why))


def _read(asked: Read) -> Answer:
    if asked.config is None:
        return Answer(config=read_config(asked.file, asked.data))
    return Answer(result=read_manifest(asked.file, asked.data, asked.config))


def _write(answers: BinaryIO, data: bytes) -> None:
    answers.write(data)
    answers.flush()


def _limit_memory() -> None:
    """Let no file take more than a share of the host, nor leave anything behind."""
    for kind, limit in ((resource.RLIMIT_AS, MEMORY_BYTES), (resource.RLIMIT_CORE, 0)):
        resource.setrlimit(kind, (limit, limit))


def _limit_time() -> None:
    """Give the next request its share of processor time; beyond it the kernel ends the process."""
    used = os.times()
    spent = int(used.user + used.system) + 1
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    resource.setrlimit(resource.RLIMIT_CPU, (spent + CPU_S_PER_REQUEST, hard))


if __name__ == "__main__":
    sys.exit(main())

"""The process that tries changes of manifests out: the YAML editor lives here, not in the daemon.

It answers one question on standard input and ends. Memory and time are limited, so that a hostile
manifest can end this process only.
"""

from __future__ import annotations

import resource
import sys

from reconciler.adapters.drafting.wire import (
    Answer,
    Question,
    error_answer,
    read_intents,
    read_question,
    write_answer,
)
from reconciler.manifest.config import Config
from reconciler.manifest.edit import replay
from reconciler.manifest.nodes import Scalar
from reconciler.manifest.parse import parse
from reconciler.manifest.validate import check
from reconciler.model.errors import ManifestError, WeaverError

MEMORY_BYTES = 512 << 20
CPU_S = 20


def main() -> int:
    """Answer the one question."""
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    question = read_question(sys.stdin.buffer.read())
    try:
        answer = _answer(question)
    except WeaverError as why:
        answer = error_answer(why)
    sys.stdout.buffer.write(write_answer(answer))
    return 0


def _answer(question: Question) -> Answer:
    if question.intents is not None:
        return Answer(files=dict(replay(question.files, read_intents(question))))
    [(path, data)] = question.files.items()
    return Answer(documents=_documents(path, data, must_be_valid=question.must_be_valid))


def _documents(path: str, data: bytes, *, must_be_valid: bool) -> list[tuple[str, str]]:
    """Split a file into its documents, where they can be told apart at all."""
    parsed = parse(path, data)
    faults = check(parsed, Config()).faults if must_be_valid else parsed.faults
    if faults:
        raise ManifestError(
            f"cannot use {path}: it is not valid",
            mend="mend what is named; nothing was written",
            diagnostics=faults,
        )
    found: list[tuple[str, str]] = []
    for document in parsed.documents:
        name = document.root.get("name") if document.root else None
        if isinstance(name, Scalar):
            text = parsed.text[document.start : document.end].removeprefix("---")
            found.append((str(name.value), f"{text.strip()}\n"))
    return found


if __name__ == "__main__":
    sys.exit(main())

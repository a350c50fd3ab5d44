"""Check by a function in Python, in a process of its own.

A process for each check, and never one for two: what a checker leaks, breaks or keeps is gone with
it, and nothing of it stays resident. It costs the start of an interpreter each time.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from dataclasses import replace
from typing import Any

from reconciler.adapters.checks import custom_child
from reconciler.adapters.checks.child import Child, Heard, how_it_ended
from reconciler.adapters.checks.command import until_ended
from reconciler.adapters.checks.place import Place, ProbeError, Seen
from reconciler.model.health import CheckFault, CustomCheck

MEMORY_BYTES = 256 << 20
"""What a checker may use; beyond it, it gets a MemoryError."""
_SAID = 4096


async def check_custom(check: CustomCheck, place: Place) -> Seen:
    """Call a checker and judge what it gives or raises."""
    ours, its = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        child = _start(check, place, its)
    except BaseException:
        os.close(ours)
        raise
    finally:
        os.close(its)
    said = Heard(child.output, _SAID)
    try:
        await until_ended(child, said)
        answer = _answer(ours)
    finally:
        await child.end()
        os.close(ours)
    assert child.code is not None
    if answer is None:
        words = said.last_line()
        text = f"the checker gave no answer: {how_it_ended(child.code)}"
        raise ProbeError(text + (f": {words}" if words else ""), CheckFault.EXIT)
    return _judged(answer)


def _start(check: CustomCheck, place: Place, result: int) -> Child:
    request = {
        "module": place.expand(check.module),
        "options": {
            name: place.expand(value) if isinstance(value, str) else value
            for name, value in check.options.items()
        },
        "root": place.root,
        "result": result,
        "memory": MEMORY_BYTES,
    }
    with os.fdopen(os.memfd_create("check"), "wb") as asked:
        asked.write(json.dumps(request).encode())
        asked.seek(0)
        # `-P`: what lies beside the program is nothing that a checker may import.
        argv = [sys.executable, "-P", custom_child.__file__]
        env = {"PYTHONDONTWRITEBYTECODE": "1", **place.env}
        return Child(argv, replace(place, env=env), stdin=asked, inherits=(result,))


def _answer(fd: int) -> dict[str, Any] | None:
    with suppress(BlockingIOError, ValueError):
        answer = json.loads(os.read(fd, custom_child.ANSWER_BYTES))
        if isinstance(answer, dict) and isinstance(answer.get("ok"), bool):
            return answer
    return None


def _judged(answer: dict[str, Any]) -> Seen:
    detail = str(answer.get("detail", ""))
    found = answer.get("facts")
    facts = {str(key): value for key, value in found.items()} if isinstance(found, dict) else {}
    if answer["ok"]:
        return Seen(detail=detail or "it passed", facts=facts)
    is_full = answer.get("fault") == CheckFault.MEMORY
    text = f"it used more than {MEMORY_BYTES >> 20} MiB" if is_full else detail
    raise ProbeError(
        text or "the checker says no", CheckFault.MEMORY if is_full else CheckFault.FAILED, facts
    )

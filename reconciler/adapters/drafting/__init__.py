"""Try changes of manifests out, in a process of its own: a bad one cannot end the daemon."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import reconciler
from reconciler.adapters.drafting import wire
from reconciler.manifest.intent import Intent
from reconciler.model.errors import HostError, ManifestError
from reconciler.model.units import ServiceName

TIME_S = 30.0
_MODULE = "reconciler.adapters.drafting.worker"
_PACKAGES = str(Path(reconciler.__file__).resolve().parents[1])


async def replay(
    files: Mapping[str, bytes], intents: Sequence[Intent]
) -> Mapping[str, bytes | None]:
    """Give the files that intents change, as they would be; None for one that goes."""
    return (await _ask(wire.ask_replay(files, intents))).files


async def split(path: str, data: bytes, *, must_be_valid: bool) -> list[tuple[ServiceName, str]]:
    """Give each service of a file with the text of its document. Raises ManifestError."""
    answer = await _ask(wire.ask_documents(path, data, must_be_valid=must_be_valid))
    return [(ServiceName(name), text) for name, text in answer.documents]


async def _ask(question: bytes) -> wire.Answer:
    try:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", _MODULE),
            stdin=PIPE,
            stdout=PIPE,
            env={"PATH": os.environ.get("PATH", os.defpath), "PYTHONPATH": _PACKAGES},
            start_new_session=True,
        )
    except OSError as why:
        raise HostError(f"cannot try the change out: {why.strerror}") from why
    try:
        async with asyncio.timeout(TIME_S):
            said, _ = await process.communicate(question)
    except TimeoutError:
        raise _too_costly(f"it took more than {TIME_S:g} s") from None
    finally:
        await _end(process)
    if process.returncode:
        raise _too_costly("it took more time or memory than a manifest may")
    answer = wire.read_answer(said)
    answer.raise_error()
    return answer


def _too_costly(how: str) -> ManifestError:
    return ManifestError(
        f"cannot try the change out: {how}", mend="`weaver validate` tells which file is at fault"
    )


async def _end(process: Process) -> None:
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()

"""Run as a program: the daemon that `weaver up --detach` starts."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from reconciler.model.units import ServiceName
from reconciler.ports import WeaverError
from reconciler.runtime.options import UpOptions

READY = "ready"


def main(words: Sequence[str]) -> int:
    """Live as a daemon, and say on a descriptor when it is ready, or why it is not."""
    parser = argparse.ArgumentParser(prog="weaver daemon")
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--state-dir", type=Path)
    parser.add_argument("--only", action="append", default=[])
    parser.add_argument("--comes-back", action="store_true")
    parser.add_argument("--ready", type=int)
    given = parser.parse_args(words)
    options = UpOptions(
        root=given.root,
        state_dir=given.state_dir,
        only=tuple(ServiceName(name) for name in given.only),
        comes_back=given.comes_back,
    )
    try:
        from reconciler.app.life import live

        return live(options, ready=lambda: _say(given.ready, READY))
    except WeaverError as why:
        _say(given.ready, f"{why.exit_code} {why}")
        return why.exit_code


def _say(descriptor: int | None, text: str) -> None:
    """Write to whoever started us, who may have gone, and let go of them."""
    if descriptor is None:
        # The holder did, which has our standard error written to the log and reads its end.
        sys.stderr.write("" if text == READY else f"{text}\n")
        return
    with suppress(OSError):
        os.write(descriptor, text.encode())
        os.close(descriptor)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

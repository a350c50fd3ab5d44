"""Run the command line as a person does, in a process of its own."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

from reconciler.cli.main import run

ROOT = Path(__file__).parents[2]
"""The checkout."""


def weaver(
    *arguments: str, cwd: Path, env: dict[str, str] | None = None, stdin: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run `weaver` and give how it ended and what it said."""
    return subprocess.run(
        [sys.executable, "-m", "reconciler", *arguments],
        cwd=cwd,
        env=surroundings(env),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@contextlib.contextmanager
def started(*arguments: str, cwd: Path) -> Iterator[subprocess.Popen[str]]:
    """Start `weaver`, its output and errors in one pipe, and end it after the block."""
    with subprocess.Popen(
        [sys.executable, "-m", "reconciler", *arguments],
        cwd=cwd,
        env=surroundings(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def call(
    *arguments: str, cwd: Path, env: dict[str, str] | None = None, stdin: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run `weaver` in this process: the same words and codes, without the start of a Python."""
    stdout, stderr = io.BytesIO(), io.BytesIO()
    out, err = (io.TextIOWrapper(raw, "utf-8", write_through=True) for raw in (stdout, stderr))
    with (
        contextlib.chdir(cwd),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        mock.patch.dict(os.environ, surroundings(env), clear=True),
        mock.patch.object(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode()), "utf-8")),
    ):
        code = run(arguments)
    said = (stdout.getvalue().decode(), stderr.getvalue().decode())
    return subprocess.CompletedProcess(arguments, code, *said)


def surroundings(extra: dict[str, str] | None = None) -> dict[str, str]:
    """Give a bare environment in which this checkout is what `python -m reconciler` finds."""
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "HOME": os.environ.get("HOME", "/"),
        **(extra or {}),
    }

"""The instructions that the holder executes are those of their source."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from reconciler.holder import vfork

SOURCE = Path(vfork.__file__).with_suffix(".s")


@pytest.mark.skipif(not (shutil.which("as") and shutil.which("objcopy")), reason="needs binutils")
def test_the_instructions_are_what_their_source_says(tmp_path: Path) -> None:
    made, code = tmp_path / "vfork.o", tmp_path / "vfork.bin"
    subprocess.run(["as", "--64", "-o", made, SOURCE], check=True)
    subprocess.run(["objcopy", "-O", "binary", "-j", ".text", made, code], check=True)
    assert code.read_bytes() == vfork.CODE

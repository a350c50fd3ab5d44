"""What turns nouns into JSON and back, where several threads do so at once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
AT_ONCE = """
import json, sys, threading, types
from reconciler.manifest.codec import decode

sys.setswitchinterval(1e-6)
FIELDS = [f"field{number}" for number in range(9)]
TEXT = json.dumps({"inner": dict.fromkeys(FIELDS, {"a": 1})})
SOURCE = "\\n".join(
    [
        "from __future__ import annotations",
        "from dataclasses import dataclass",
        *(f"@dataclass\\nclass {name.title()}:\\n    a: int" for name in FIELDS),
        *("@dataclass", "class Inner:", *(f"    {name}: {name.title()}" for name in FIELDS)),
        *("@dataclass", "class One:", "    inner: Inner"),
        *("@dataclass", "class Other:", "    inner: Inner"),
    ]
)
for number in range(50):
    module = types.ModuleType(f"nouns{number}")
    sys.modules[module.__name__] = module
    exec(SOURCE, module.__dict__)
    begin = threading.Barrier(2)
    threads = [
        threading.Thread(target=lambda kind=kind: (begin.wait(), decode(TEXT, kind)))
        for kind in (module.One, module.Other)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
"""


def test_two_threads_may_be_the_first_to_read_a_noun() -> None:
    """The record and the manifests are read at once while a daemon begins: it died of SIGSEGV."""
    done = subprocess.run(
        [sys.executable, "-c", AT_ONCE], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")

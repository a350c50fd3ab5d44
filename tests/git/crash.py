"""A program that sets web's port to 8001 and dies by SIGKILL at the step that it is told.

python -m tests.git.crash ROOT STEP
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from tests.git.asking import set_field, write
from tests.git.scratch import Scratch


def main() -> None:
    """Write back, and die on the way."""
    root, step = Path(sys.argv[1]), sys.argv[2]

    def tell(reached: str) -> None:
        if reached == step:
            os.kill(os.getpid(), signal.SIGKILL)

    write(Scratch(top=root, root=root), set_field("8001"), tell=tell)


if __name__ == "__main__":
    main()

"""Start the command line: `weaver` and `python -m reconciler`."""

import os
import sys


def main() -> None:
    """Answer the command line and exit with its code."""
    from reconciler.cli import fast

    arguments = sys.argv[1:]
    code = fast.answer(arguments)
    if code is not None:
        # Everything is written; taking the interpreter apart would only cost time.
        os._exit(code)
    from reconciler.cli.main import run

    sys.exit(run(arguments))


if __name__ == "__main__":
    main()

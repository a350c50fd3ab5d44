"""Fetch one line after another from the API. Each instance begins at another line."""

import json
import os
import signal
import sys
import threading
import urllib.request

API = os.environ["API_URL"]
INSTANCE = int(os.environ["WEAVER_INSTANCE"])
PAUSE_S = float(os.environ.get("PAUSE", "5"))


def main() -> int:
    """Work until SIGTERM."""
    leaving = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: leaving.set())
    number = INSTANCE
    while not leaving.wait(PAUSE_S if number > INSTANCE else 0):
        with urllib.request.urlopen(f"{API}/line/{number}", timeout=5) as answer:
            print(f"line {number}: {json.load(answer)['line']}")
        number += 1
    print("left in good order")
    return 0


if __name__ == "__main__":
    sys.exit(main())

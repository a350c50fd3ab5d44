"""Print the time now and then: the smallest service that does anything."""

import signal
import sys
import threading
import time


def main() -> int:
    """Tick every ten seconds until SIGTERM."""
    leaving = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: leaving.set())
    while not leaving.wait(10):
        print(time.strftime("it is %H:%M:%S"))
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Serve the prepared lines over HTTP, with a page that says when it is ready."""

import json
import os
import signal
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

LINES = json.loads(Path(os.environ["DEMO_DATA"]).read_text())


class Page(BaseHTTPRequestHandler):
    """Answer `/ready` and `/line/N`."""

    def do_GET(self) -> None:
        """Answer one request."""
        if self.path == "/ready":
            self.answer(200, {"ready": True})
            return
        try:
            number = int(self.path.removeprefix("/line/"))
        except ValueError:
            self.answer(404, {"error": f"no such page: {self.path}"})
            return
        self.answer(200, {"line": LINES[number % len(LINES)]})

    def answer(self, status: int, body: dict[str, object]) -> None:
        """Send a JSON document."""
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base names it
        """Log requests, but not those of the readiness probe."""
        if self.path != "/ready":
            print(format % args)


def main() -> None:
    """Serve until SIGTERM, then finish what is under way and leave."""
    server = ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Page)

    def leave(*_: object) -> None:
        threading.Thread(target=server.shutdown).start()

    signal.signal(signal.SIGTERM, leave)
    print(f"listening on http://127.0.0.1:{server.server_port}")
    server.serve_forever()
    print("left in good order")


if __name__ == "__main__":
    main()

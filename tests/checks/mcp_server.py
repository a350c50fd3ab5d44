"""A real server of the Model Context Protocol: `mcp_server.py stdio|http|json`."""

from __future__ import annotations

import socket
import sys

import uvicorn
from mcp.server import MCPServer

server = MCPServer("shop", version="1.2")


def main(kind: str) -> None:
    if kind == "stdio":
        server.run("stdio")
        return
    app = server.streamable_http_app(json_response=kind == "json")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        sys.stdout.write(f"{listener.getsockname()[1]}\n")
        sys.stdout.flush()
        uvicorn.Server(uvicorn.Config(app, log_level="info")).run([listener])


if __name__ == "__main__":
    main(sys.argv[1])

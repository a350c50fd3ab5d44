"""Answer `weaver status` before any framework is imported.

The daemon has the finished text ready; all that is left is to ask, to print and to exit. Whatever
is out of the ordinary (help, an unknown option, no daemon, a problem) is left to the full command
line, which says the same words with more care.
"""

import _socket
import os

from reconciler.cli import place
from reconciler.runtime import socket_file

FORMATS = ("table", "wide", "json", "yaml", "name", "pid")

_VALUES = {
    "-C": "directory",
    "--directory": "directory",
    "--state-dir": "state_dir",
    "-o": "format",
    "--output": "format",
    "-l": "selector",
    "--selector": "selector",
}
_FLAGS = {"--problems": "problems", "--check": "check", "--no-color": "no_color"}
_COMMANDS = (["status"], ["service", "status"])

_PIPED_WIDTH = 1000
"""A pipe has no edge to keep to, so nothing is cut there."""
_CHUNK = 1 << 16
_TIMEOUT_S = 10.0
_SAFE = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~")

Options = dict[str, list[str]]


def answer(arguments: list[str]) -> int | None:
    """Print the status that was asked for and give the exit code; None: not a case for here."""
    options = parse(arguments)
    if options is None:
        return None
    try:
        reply = fetch(socket_path(options), request(options))
    except OSError:
        return None
    code = exit_code(reply)
    if code is None:
        return None
    write(reply[reply.index(b"\r\n\r\n") + 4 :])
    return code


def parse(arguments: list[str]) -> Options | None:
    """Sort the arguments of a plain `status`; None for everything else.

    >>> parse(["status", "web", "-o", "json", "--check"])
    {'name': ['web'], 'format': ['json'], 'check': ['1']}
    >>> parse(["status", "--help"]), parse(["logs"])
    (None, None)
    """
    options: Options = {}
    words: list[str] = []
    rest = iter(arguments)
    for argument in rest:
        name, _, value = argument.partition("=")
        if argument in _FLAGS:
            options[_FLAGS[argument]] = ["1"]
        elif not argument.startswith("-"):
            words.append(argument)
        elif argument in _VALUES and (following := next(rest, None)) is not None:
            options.setdefault(_VALUES[argument], []).append(following)
        elif name != argument and name.startswith("--") and name in _VALUES:
            options.setdefault(_VALUES[name], []).append(value)
        else:
            return None
    return _with_names(options, words)


def _with_names(options: Options, words: list[str]) -> Options | None:
    """Split the command off the words; what is left are names of services."""
    for command in _COMMANDS:
        if words[: len(command)] == command:
            if any(chosen not in FORMATS for chosen in options.get("format", ())):
                return None
            names = words[len(command) :]
            return {"name": names, **options} if names else options
    return None


def request(options: Options) -> str:
    """Give the path and query to ask for, terminal width and colour included."""
    single = {"format": options.get("format", ["table"])[-1], "width": str(width())}
    single["color"] = "1" if may_colour("no_color" in options) else "0"
    pairs = [(key, value) for key in ("name", "selector") for value in options.get(key, ())]
    pairs += [(key, "1") for key in ("problems", "check") if key in options]
    pairs += single.items()
    return "/v1/status?" + "&".join(f"{key}={quote(value)}" for key, value in pairs)


def quote(text: str) -> str:
    """Encode a value for a query string.

    >>> quote("team=web a")
    'team%3Dweb%20a'
    """
    return "".join(chr(b) if b in _SAFE else f"%{b:02X}" for b in os.fsencode(text))


def width() -> int:
    """Give the columns to render for: COLUMNS, else the terminal's, else as many as it takes."""
    asked = os.environ.get("COLUMNS", "")
    if asked.isdigit() and int(asked):
        return int(asked)
    try:
        return os.get_terminal_size(1).columns or 80
    except OSError:
        return _PIPED_WIDTH


def may_colour(refused: bool = False, descriptor: int = 1) -> bool:
    """Tell whether colour is welcome on a descriptor."""
    if refused or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return os.isatty(descriptor)


def fetch(path: str, target: str) -> bytes:
    """Ask the daemon and give its whole answer, head and body."""
    head = f"GET {target} HTTP/1.1\r\nHost: weaver\r\nConnection: close\r\n\r\n"
    connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    try:
        connection.settimeout(_TIMEOUT_S)
        connection.connect(path)
        connection.send(head.encode("ascii"))
        chunks = []
        while chunk := connection.recv(_CHUNK):
            chunks.append(chunk)
    finally:
        connection.close()
    return b"".join(chunks)


def exit_code(reply: bytes) -> int | None:
    """Read the exit code off a complete good answer; None for any other."""
    head, blank, body = reply.partition(b"\r\n\r\n")
    lines = head.lower().split(b"\r\n")
    fields = dict(line.split(b": ", 1) for line in lines[1:] if b": " in line)
    complete = blank and fields.get(b"content-length") == str(len(body)).encode()
    if not complete or b" 200 " not in lines[0] + b" ":
        return None
    code = fields.get(b"weaver-exit-code", b"")
    return int(code) if code.isdigit() else None


def write(body: bytes) -> None:
    """Write everything to standard output; a reader that left early is no fault."""
    try:
        while body:
            body = body[os.write(1, body) :]
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def socket_path(options: Options) -> str:
    """Give the path of the socket to ask, FileNotFoundError where no repository is named."""
    root = place.named_root(options.get("directory", [None])[-1])
    if root is None:
        raise FileNotFoundError
    return socket_file.socket_path(root, place.state_dir(options.get("state_dir", [None])[-1]))

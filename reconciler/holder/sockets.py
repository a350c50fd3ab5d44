"""Hold the sockets that services listen on, whatever becomes of the services and of the daemon.

Each is bound once for its service, and its processes get duplicates. So do the daemon, which gives
them to the next holder if we are killed, and the next program if ours is replaced. Where daemon and
holder died, a living process still has them (see regain.py). The journal says which there are.
"""

from __future__ import annotations

import contextlib
import errno
import socket

from reconciler.failpoints import failpoint
from reconciler.holder import binding
from reconciler.holder.regain import regain
from reconciler.holder.spawn import Refused

TYPE_CHECKING = False  # see wire.py
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from reconciler.holder.journal import Journal
    from reconciler.holder.ledger import Run
    from reconciler.holder.log import Log
    from reconciler.holder.notify import Notify
    from reconciler.holder.wire import Message


class Sockets:
    """All sockets that services listen on, by address."""

    def __init__(
        self, journal: Journal, log: Log, tell: Callable[[Message, list[int]], None]
    ) -> None:
        self._ledger = journal.ledger
        self._journal = journal
        self._log = log
        self._tell = tell
        self._held: dict[str, socket.socket] = {}

    # --- requests ---

    def listen(self, order: Message) -> Message:
        """Have a socket that listens at an address for a service, the same one as before."""
        address: str = order["address"]
        known = self._ledger.sockets.get(address)
        if known is not None and known["service"] != order["service"] and address in self._held:
            text = f"cannot listen on {address}: it is still held for {known['service']}"
            raise Refused("socket", errno.EADDRINUSE, text)
        try:
            sock = self._reachable(address)
            with contextlib.suppress(PermissionError):  # binding it fails then, and says so
                sock = sock or self._regained(address)
            if sock is None:
                self._bind(order)
            else:
                binding.dress(sock, order)
        except OSError as error:
            why = str(error.strerror or error)
            text = f"cannot listen on {address}: {why[:1].lower()}{why[1:]}"
            raise Refused("socket", error.errno or errno.EIO, text) from error
        if known is None or known["service"] != order["service"]:
            self._note(address, order["service"])
        return {}

    def unlisten(self, order: Message) -> Message:
        """Close sockets of a service that nobody wants any more."""
        for address in order["addresses"]:
            known = self._ledger.sockets.get(address)
            if known is not None and known["service"] == order["service"]:
                failpoint("holder.unlisten.before")
                binding.remove(address, known["file"])
                self._let_go(address)
                self._journal.record({"is": "closed", "address": address})
                failpoint("holder.unlisten.closed")
        return {}

    def equip(self, order: Message) -> Message:
        """Give the order of a start with the sockets that its process gets."""
        asked = order.get("sockets") or []
        for one in asked:
            if one["address"] not in self._held:
                text = f"{one['address']} is not listened on"
                raise Refused("socket", errno.ENOTCONN, text)
        gifts = [(self._held[one["address"]].fileno(), one["name"]) for one in asked]
        return order | {"gifts": gifts} if gifts else order

    def keep(self, order: Message) -> Message:
        """Take back what the daemon kept of a former holder's."""
        sock = socket.socket(fileno=order["fds"].pop(0))
        address = order["address"]
        if address in self._held or not binding.is_at(sock, address):
            sock.close()
            return {}
        self._hold(address, sock)
        if address not in self._ledger.sockets:
            self._note(address, order["service"])
        return {}

    def shown(self) -> list[Message]:
        """Give what the daemon wants to know of all sockets."""
        return [
            {"address": address, "service": known["service"], "held": address in self._held}
            for address, known in self._ledger.sockets.items()
        ]

    def show_all(self) -> None:
        """Give the daemon a duplicate of each."""
        for address in self._held:
            self._show(address)

    # --- beginnings and ends ---

    def recover(self, runs: Iterable[Run]) -> None:
        """Take back out of living processes what a former holder had."""
        for run in runs:
            for address, service in run.sockets:
                if address not in self._ledger.sockets:
                    self._note(address, service)
        for address in self._ledger.sockets:
            try:
                self._regained(address)
            except OSError as error:
                self._log.write(f"cannot take {address} back: {error.strerror}")

    def belongings(self) -> tuple[Message, list[int]]:
        """Give all that another program needs to go on in our place, and its descriptors."""
        held = {address: sock.fileno() for address, sock in self._held.items()}
        return held, [*held.values()]

    def resume(self, told: Message) -> list[int]:
        """Go on with the sockets of a program that was replaced by ours."""
        for address, fd in told.items():
            self._held[address] = socket.socket(fileno=fd)
        return [*told.values()]

    def close(self) -> None:
        """Let go of all for good, and remove their files."""
        for address, known in [*self._ledger.sockets.items()]:
            self.unlisten({"service": known["service"], "addresses": [address]})

    # --- one socket ---

    def _reachable(self, address: str) -> socket.socket | None:
        """Give the socket that we hold, unless somebody removed its file: nobody finds it then."""
        sock, known = self._held.get(address), self._ledger.sockets.get(address)
        if sock is None or known is None:
            return None
        if known["file"] is not None and binding.file_of(address) != known["file"]:
            self._log.write(f"{address} is not there any more, and is bound anew")
            self._let_go(address)
            return None
        return sock

    def _regained(self, address: str) -> socket.socket | None:
        having = [
            run
            for run in self._ledger.unfinished()
            if any(address == other for other, _ in run.sockets)
        ]
        if address in self._held or not having:
            return None
        path = binding.path_of(address)
        if path is not None and binding.file_of(address) is None:
            return None  # whoever has it, nobody reaches it
        sock = regain(having, address)
        if sock is not None:
            self._log.write(f"{address} was taken back out of a process")
            self._hold(address, sock)
        return sock

    def _bind(self, order: Message) -> None:
        address: str = order["address"]
        failpoint("holder.socket.before")
        sock = binding.bind(order)
        self._note(address, order["service"])
        self._hold(address, sock)
        failpoint("holder.socket.bound")

    def _hold(self, address: str, sock: socket.socket) -> None:
        self._held[address] = sock
        self._show(address)

    def _note(self, address: str, service: str) -> None:
        entry = {"address": address, "service": service, "file": binding.file_of(address)}
        self._journal.record({"is": "listening"} | entry)

    def _show(self, address: str) -> None:
        known = self._ledger.sockets.get(address) or {}
        told = {"slot": address, "number": 0, "what": "listener", "address": address}
        told["service"] = known.get("service", "")
        self._tell({"event": "kept"} | told, [self._held[address].fileno()])

    def _let_go(self, address: str) -> None:
        if (sock := self._held.pop(address, None)) is not None:
            sock.close()
            self._tell({"event": "unkept", "slot": address, "number": 0}, [])


def equipped(sockets: Sockets, notify: Notify, order: Message) -> tuple[Message, Message]:
    """Give the order of a start with all that its process gets, and what to know of the run.

    The sockets come first, then what an earlier process of the slot has stored, as with systemd.
    """
    order, known = notify.equip(sockets.equip(order))
    if asked := order.get("sockets"):
        service = order["tag"]["service"]
        known = known | {"sockets": [(one["address"], service) for one in asked]}
    gifts = order.get("gifts")
    if not gifts:
        return order, known
    env = {"LISTEN_FDS": str(len(gifts)), "LISTEN_FDNAMES": ":".join(name for _, name in gifts)}
    passed = {
        "env": env | order["env"],
        "pass": [fd for fd, _ in gifts],
        "own_pid": [*order.get("own_pid", ()), "LISTEN_PID"],
    }
    return order | passed, known

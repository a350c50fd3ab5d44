"""Serve the daemon and wait for processes: the one place where the holder waits."""

from __future__ import annotations

import errno
import functools
import os
import signal
import socket
import time

import reconciler
from reconciler.failpoints import failpoint
from reconciler.holder import lost, reexec, wire
from reconciler.holder.cgroup import Cgroups
from reconciler.holder.notify import Notify
from reconciler.holder.poller import Poller
from reconciler.holder.processes import Processes
from reconciler.holder.revival import Revival
from reconciler.holder.sockets import Sockets, equipped
from reconciler.holder.spawn import Refused

TYPE_CHECKING = False  # see wire.py
if TYPE_CHECKING:
    from collections.abc import Iterable

    from reconciler.holder.journal import Journal
    from reconciler.holder.log import Log
    from reconciler.holder.wire import Message

MAX_PEERS = 16
MEND_S = 3.0
"""How often to try again what failed for a full disk or for want of descriptors."""
CAN = ("comeback", "doors", "identity", "notify", "reexec", "release", "sockets")
"""What this holder can do that one of an earlier version could not."""
HEARD = ("notify", "sockets")
"""Of these, news is for daemons only that know of them."""
FREE = ("hello", "goodbye", "expects")
"""What any peer may ask: a daemon that leaves may have lost its connection, a client has none."""
IGNORED_SIGNALS = ("SIGHUP", "SIGINT", "SIGQUIT", "SIGPIPE", "SIGUSR1", "SIGUSR2")


class Loop:
    """The holder at work: it ends by SIGTERM or by `shutdown`, and services live on."""

    def __init__(self, listener: socket.socket, journal: Journal, log: Log, group: str) -> None:
        self._listener = listener
        self._journal = journal
        self._log = log
        self._poller = Poller()
        self._group = group
        self._cgroups = Cgroups(group)
        notices, listeners = (functools.partial(self._tell_beside, what) for what in HEARD)
        self._notify = Notify(journal, self._poller, log, notices)
        self._sockets = Sockets(journal, log, listeners)
        equip = functools.partial(equipped, self._sockets, self._notify)
        self._processes = Processes(
            journal, self._poller, self._tell, self._cgroups, self._notify, equip
        )
        self._revival = Revival(journal, log, self._processes.standing, self._processes.apart)
        self._peers: set[wire.Channel] = set()
        self._controller: wire.Channel | None = None
        self._hears: list[str] = []
        """What news beside the ends of runs the controller knows how to take."""
        self._untold: list[Message] = []
        """Events of the step that is under way."""
        self._told_trouble = ""
        self._mend_at = 0.0
        self._accepts = False
        self._leaves = False
        self._verbs = {
            "hello": self._hello,
            "spawn": lambda _, order: self._processes.spawn(order),
            "adopt": lambda _, order: self._processes.adopt(order),
            "signal": lambda _, order: self._processes.signal(order),
            "keep": self._keep,
            "listen": lambda _, order: self._sockets.listen(order),
            "unlisten": lambda _, order: self._sockets.unlisten(order),
            "list": self._list,
            "release": self._release,
            "ack": self._ack,
            "goodbye": self._goodbye,
            "expects": self._expects,
            "reexec": self._reexec,
            "shutdown": self._shutdown,
        }

    def open(self) -> None:
        """Take over what a former holder left, then let the daemon in."""
        self._poller.watch(self._catch_signals(), self._on_signal)
        if found := lost.enter(self._journal, self._cgroups):
            self._log.write(f"found {len(found)} runs that no journal tells of: {' '.join(found)}")
        unfinished = self._journal.ledger.unfinished()
        self._notify.recover(unfinished)
        self._processes.recover(unfinished)
        self._sockets.recover(unfinished)
        self._cgroups.clear()
        self._revival.begin()
        self._listener.setblocking(False)
        self._listener.listen(MAX_PEERS)
        self._mend()

    def resume(self, belongings: Message) -> None:
        """Go on in the place of a program that was replaced by ours."""
        self._poller.watch(self._catch_signals(), self._on_signal)
        used = [self._listener.fileno()]
        if (fd := belongings.get("controller")) is not None:
            used.append(fd)
            self._controller = self._met(socket.socket(fileno=fd))
        daemon = self._controller.peer_pid if self._controller is not None else 0
        self._revival.resume(belongings["processes"]["apart"], daemon)
        self._hears = belongings.get("hears", ["notify"] * belongings.get("hears_notices", 0))
        used += self._sockets.resume(belongings.get("sockets", {}))
        used += self._notify.resume(belongings.get("notify", []))
        used += self._processes.resume(belongings["processes"])
        reexec.close_rest(belongings, used)
        self._processes.catch_up()
        self._mend()
        if self._controller is not None:
            self._post(self._controller, {"answer": belongings["serial"]} | self._about())

    def run(self) -> None:
        """Do whatever comes next until it is time to leave."""
        while not self._leaves:
            try:
                self._tell_events()
                handler = self._poller.next(self._pause())
                if handler is not None:
                    handler()
                self._processes.settle()
                self._notify.flush()
                self._revival.act()
                if self._needs_mending() and time.monotonic() >= self._mend_at:
                    self._mend()
                self._tell_trouble()
            except Exception:  # noqa: BLE001 - all services depend on this loop going on
                self._log.write_failure()
        self._cgroups.close()
        self._log.write(f"leaves; {len(self._journal.ledger.unfinished())} runs go on")

    def _pause(self) -> float | None:
        """Give the seconds to wait at most; None, the rule, wakes only for an event."""
        pauses = [self._processes.pause(), self._notify.pause(), self._revival.pause()]
        if self._needs_mending():
            pauses.append(max(0.0, self._mend_at - time.monotonic()))
        return min((pause for pause in pauses if pause is not None), default=None)

    # --- what can go wrong around us ---

    def _needs_mending(self) -> bool:
        return bool(self._journal.trouble) or not self._accepts

    def _mend(self) -> None:
        self._mend_at = time.monotonic() + MEND_S
        self._journal.mend()
        if not self._accepts:
            self._poller.watch(self._listener.fileno(), self._accept)
            self._accepts = True

    def _tell_trouble(self) -> None:
        """Tell when the journal cannot be written, and when it can again."""
        if self._told_trouble != self._journal.trouble:
            self._told_trouble = self._journal.trouble
            self._log.write(self._told_trouble or "the journal is written again")
            self._tell({"event": "trouble", "text": self._told_trouble})

    # --- signals ---

    def _catch_signals(self) -> int:
        """Make signals readable as bytes, since nothing may happen between two steps of ours."""
        readable, writable = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(writable, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, lambda *_: setattr(self, "_leaves", True))
        for name in IGNORED_SIGNALS:
            signal.signal(getattr(signal, name), signal.SIG_IGN)
        self._signals = readable
        return readable

    def _on_signal(self) -> None:
        os.read(self._signals, 65536)
        self._processes.reap()

    # --- peers ---

    def _accept(self) -> None:
        try:
            sock, _ = self._listener.accept()
        except BlockingIOError:
            return
        except OSError as error:
            # Without descriptors the same connection would wake us for ever.
            self._log.write(f"cannot accept a connection: {error.strerror}")
            self._poller.forget(self._listener.fileno())
            self._accepts = False
            return
        if len(self._peers) >= MAX_PEERS or not wire.is_trusted(sock):
            sock.close()
            return
        self._met(sock)

    def _met(self, sock: socket.socket) -> wire.Channel:
        channel = wire.Channel(sock)
        self._peers.add(channel)
        self._poller.watch(channel.fileno(), functools.partial(self._serve, channel))
        return channel

    def _serve(self, channel: wire.Channel) -> None:
        """Answer the next request of a peer, which must take its last answers first."""
        if channel.is_behind:
            channel.flush()
            self._poller.await_room(channel.fileno(), channel.is_behind)
            return
        try:
            received = channel.receive()
        except BlockingIOError:
            return
        except (wire.WireError, OSError) as error:
            self._log.write(f"drops a peer: {error}")
            received = None
        if received is None:
            self._drop(channel)
            return
        message, fds = received
        message["fds"] = fds
        answer = self._answer(channel, message)
        # What was kept was taken out.
        wire.close_all(fds)
        failpoint("holder.answer.before")
        self._post(channel, {"answer": message.get("serial")} | answer)
        failpoint("holder.answer.sent")

    def _post(self, channel: wire.Channel, message: Message, fds: Iterable[int] = ()) -> None:
        channel.post(message, fds)
        self._poller.await_room(channel.fileno(), channel.is_behind)

    def _tell(self, event: Message) -> None:
        self._untold.append(event)

    def _tell_events(self) -> None:
        """Tell what a step came to in one go: an end and its empty tree are one thing to decide."""
        while self._untold:
            event = self._untold.pop(0)
            failpoint("holder.event.before")
            if self._controller is not None:
                self._post(self._controller, event)
            failpoint("holder.event.told")

    def _tell_beside(self, what: str, event: Message, fds: list[int]) -> None:
        if self._controller is not None and what in self._hears:
            failpoint("holder.notice.before")
            self._post(self._controller, event, fds)
            failpoint("holder.notice.told")

    def _drop(self, channel: wire.Channel) -> None:
        if channel is self._controller:
            self._controller = None
            self._revival.lost()
        self._peers.discard(channel)
        self._poller.forget(channel.fileno())
        channel.close()

    # --- requests ---

    def _answer(self, channel: wire.Channel, order: Message) -> Message:
        may_ask = channel is self._controller or order.get("do") in FREE
        try:
            verb = self._verbs[order["do"]] if may_ask else _refuse
            return verb(channel, order)
        except Refused as refused:
            error = {"step": refused.step, "errno": refused.number, "text": refused.text}
            return {"error": error}
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            self._log.write_failure()
            return {"error": {"step": "request", "errno": errno.EINVAL, "text": repr(error)}}

    def _hello(self, channel: wire.Channel, order: Message) -> Message:
        """Make a peer the controller: the only one that is told events and may ask for more."""
        if order["proto"] != wire.PROTO:
            text = f"this holder speaks protocol {wire.PROTO}, not {order['proto']}"
            raise Refused("hello", errno.EPROTO, text)
        if self._controller is not None and self._controller is not channel:
            self._drop(self._controller)
        self._controller = channel
        self._hears = [what for what in HEARD if what in order.get("can", ())]
        self._notify.show_all()
        self._sockets.show_all()
        news = self._revival.met(channel.peer_pid, order.get("comeback"))
        return news | self._about()

    def _about(self) -> Message:
        return {
            "proto": wire.PROTO,
            "version": reconciler.__version__,
            "pid": os.getpid(),
            "boot": self._journal.ledger.boot,
            "can": CAN,
            "cgroups": self._cgroups.shown(),
        }

    def _goodbye(self, _channel: wire.Channel, order: Message) -> Message:
        """Do not bring the daemon back: it leaves in order, or `returns` by itself."""
        self._revival.farewell(returns=bool(order.get("returns")))
        return {}

    def _expects(self, _channel: wire.Channel, _order: Message) -> Message:
        """Tell a client that finds no daemon whether it is worth its while to wait for one."""
        has_one = self._controller is not None
        return {"expects": self._revival.expects(has_daemon=has_one)}

    def _keep(self, _channel: wire.Channel, order: Message) -> Message:
        """Take back what the daemon kept of a former holder's."""
        whose = self._sockets if order["what"] == "listener" else self._notify
        return whose.keep(order)

    def _list(self, _channel: wire.Channel, _order: Message) -> Message:
        """Show all runs that live or whose end is not acknowledged."""
        self._journal.mend()
        ledger = self._journal.ledger
        runs = [run.shown() for run in ledger.runs.values()]
        known = {"seq": ledger.seq, "trouble": self._journal.trouble, "runs": runs}
        return known | {"sockets": self._sockets.shown()}

    def _release(self, _channel: wire.Channel, order: Message) -> Message:
        """Close the door of a slot that nobody wants any more."""
        self._notify.release(order["slot"])
        return {}

    def _ack(self, _channel: wire.Channel, order: Message) -> Message:
        """Forget the events up to a number: the daemon has recorded them."""
        if order["seq"] > self._journal.ledger.acked:
            failpoint("holder.ack.before")
            self._journal.record({"is": "acked", "seq": order["seq"]})
            failpoint("holder.ack.taken")
        return {}

    def _reexec(self, channel: wire.Channel, order: Message) -> Message:
        """Let another program go on in our place, which then gives the answer."""
        processes, fds = self._processes.belongings()
        doors, kept = self._notify.belongings()
        sockets, listening = self._sockets.belongings()
        belongings = {
            "state": self._journal.state,
            "group": self._group,
            "listener": self._listener.fileno(),
            "controller": None if channel.is_behind else channel.fileno(),
            "serial": order["serial"],
            "ledger": [*self._journal.ledger.entries()],
            "processes": processes,
            "notify": doors,
            "hears": self._hears,
            "hears_notices": "notify" in self._hears,  # what a former version reads
            "sockets": sockets,
        }
        fds += [self._listener.fileno(), channel.fileno(), *kept, *listening]
        words = reexec.command(order)
        self._log.write(f"gives its place to {words[3]}")
        self._processes.standing.waive()
        try:
            reexec.replace(words, belongings, fds)
        finally:
            self._processes.standing.claim()
        return {}

    def _shutdown(self, _channel: wire.Channel, _order: Message) -> Message:
        """Leave for good, unless something still runs."""
        unfinished = self._journal.ledger.unfinished()
        if unfinished:
            text = f"{len(unfinished)} runs are not over, {unfinished[0].slot} among them"
            raise Refused("shutdown", errno.EBUSY, text)
        failpoint("holder.shutdown.before")
        self._sockets.close()
        self._leaves = True
        failpoint("holder.shutdown.after")
        return {}


def _refuse(_channel: wire.Channel, _order: Message) -> Message:
    raise Refused("request", errno.EPERM, "say hello first")

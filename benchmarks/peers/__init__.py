"""The supervisors that Weaver is measured beside, as their users would run them."""

from __future__ import annotations

from benchmarks.peers.circus import Circus
from benchmarks.peers.pm2 import Pm2
from benchmarks.peers.scanned import S6, LoggingRunit, LoggingS6, Runit
from benchmarks.peers.supervisord import Supervisord
from benchmarks.supervisors import Supervisor

PEERS: tuple[type[Supervisor], ...] = (
    Supervisord,
    Circus,
    Pm2,
    Runit,
    LoggingRunit,
    S6,
    LoggingS6,
)
LOGGING = tuple(peer for peer in PEERS if peer.captures_output)

"""Services that write down what they print, and notice a second one of themselves."""

from __future__ import annotations

from tests.real.servers import free_ports
from tests.real.station import Station

SERVICES = 20
# It holds a lock as long as it lives, so that a second one of it is noticed; what it prints it
# writes down besides, after it was printed.
PROGRAM = r"""
name=$1 at=proof/$1 n=0
exec 9>>$at.lock 8<>$at.orders
flock -n 9 || echo "$name $$" >>proof/twice
say() {
    n=$((n + 1))
    echo "$name $$ $n $*"
    echo "$name $$ $n $*" >>$at.said
}
[ "$2" = deaf ] && trap '' TERM
# It is in no session, group or leaf of ours, and keeps our lock.
[ "$3" = astray ] && setsid sh -c '
    for at in /sys/fs/cgroup/unified /sys/fs/cgroup; do echo 0 >$at/cgroup.procs; done
    exec sleep 1000
' 2>/dev/null &
say begin $2
while read -r order number <&8; do
    say "$order $number"
    [ "$order" = exit ] && exit "$number"
    while [ "$order" = fill ] && [ "$number" -gt 0 ]; do
        number=$((number - 1))
        say "$number, and so on, and so on, and so on, and so on, and so on, and so on"
    done
done
"""
# It says how many descriptors it was given back, and stores another in their place.
SAYS_READY = r"""
import array, os, socket, sys
at = os.environ["NOTIFY_SOCKET"]
given = os.environ.get("LISTEN_FDS", "0")
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
    sock.connect("\0" + at[1:] if at[0] == "@" else at)
    sock.send(b"FDSTOREREMOVE=1\nFDNAME=kept")
    fds = array.array("i", [os.memfd_create("kept")])
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)]
    sock.sendmsg([b"FDSTORE=1\nFDNAME=kept"], rights)
    sock.send(b"READY=1")
os.execvp("sh", ["sh", "service.sh", sys.argv[1], given])
"""
ROTATED = 7
LISTENING = 8
FILLS = 1000
"""Lines that are more than a log may have."""
COMMON = "backoff: {initial: 10ms, max: 20ms, jitter: 0ms}\nmaxRestarts: 100000\nrestart: always\n"
PLAIN = "ready: {type: delay, delay: 10ms}\nstopTimeout: 2s\n"


def define(here: Station, number: int) -> None:
    """Write the manifest of a service."""
    name, more = f"s{number}", COMMON
    command = f"sh service.sh {name}"
    if number == 1:
        more += f'{PLAIN}umask: "027"\npidsMax: 100\n'
    elif number == 2:
        command = f"python3 -I -S ready.py {name}"
        more += "type: notify\nstopTimeout: 2s\nstartTimeout: 5s\n"
    elif number == 4:
        command += " deaf astray"
        more += "ready: {type: delay, delay: 10ms}\nstopTimeout: 100ms\n"
    elif number == LISTENING:
        more += f"{PLAIN}sockets: [{{listen: 'tcp://127.0.0.1:{free_ports(1)[0]}'}}]\n"
        more += "update: {order: stop-first, minReady: 0}\n"
    elif number == ROTATED:
        more += f"{PLAIN}logRotation: {{maxSize: 64K, maxFiles: 2}}\n"
    else:
        more += PLAIN
    here.define(name, command, more, quick=False)


def listening_at(here: Station) -> int:
    """Give the port of the service that listens."""
    return int(here.file(f"s{LISTENING}").read_text().partition("127.0.0.1:")[2].partition("'")[0])

"""Made-up services: manifests of a few that need each other, and programs that misbehave."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from reconciler.model.units import Nanos, milliseconds, seconds
from tests.sim.luck import Luck
from tests.sim.machine import Program

NAMES = ("a", "b", "c", "d", "e", "f", "g")
LOADED = ("conf/one", "conf/two")
"""Files that services load."""
BYSTANDER = "z"
"""A service that nobody needs, changes or disturbs: it must never notice anything."""

GOOD = Program()
PROGRAMS = (
    GOOD,
    Program(lives_for=seconds(2)),
    Program(ready_after=None),
    Program(ready_after=seconds(2)),
    Program(ready_after=seconds(20)),
    Program(cannot_run="no such file"),
    Program(lives_for=Nanos(0), code=1),
    Program(lives_for=milliseconds(1), code=0),
    Program(lives_for=seconds(3), code=2),
    Program(ends_in=None),
    Program(ends_in=seconds(2)),
    Program(ends_in=seconds(2), code=3, lives_for=seconds(5)),
    Program(leaves_child=True),
    Program(leaves_child=True, child_ignores=True),
    Program(leaves_child=True, child_ignores=True, lives_for=seconds(4)),
    Program(ends_in=None, unkillable=True),
    Program(oneshot_takes=None),
    Program(silent_after=seconds(10)),
    Program(oneshot_takes=None, ends_in=None),
    Program(writes_code=True),
    Program(writes_code=True, lives_for=milliseconds(600), code=1),
    Program(hooks_code=3),
    Program(hooks_take=None),
    Program(hooks_take=seconds(2)),
    Program(hooks_take=seconds(2), lives_for=seconds(3), code=2),
    Program(hooks_leave_child=True, hooks_take=milliseconds(500)),
    Program(hooks_cannot_run="no such file"),
)
"""Well-behaved; done at once; never ready; slow; not to be run; crashing; deaf; with children."""

FIELDS: dict[str, Sequence[Any]] = {
    "command": (["run", "1"], ["run", "2"]),
    "description": ("old words", "new words"),
    "instances": (1, 1, 2),
    "state": ("running", "running", "stopped"),
    "restart": ("always", "always", "on-failure", "never"),
    "maxRestarts": (0, 2, 10, "unlimited"),
    "stopTimeout": ("1s", "4s"),
    "startTimeout": ("3s", "20s"),
    "stopSignal": ("SIGTERM", "SIGINT"),
    "nice": (0, 5),
    "maxMemory": ("64M", "512M"),
    "memoryAction": ("alert", "restart"),
    "reload": ({"signal": "SIGHUP"}, {"signal": "SIGUSR1"}, {"command": "reread"}),
    "healthCheck": (
        {"type": "tcp", "tcp": {"port": 81}, "interval": "1s", "timeout": "500ms"},
        {
            "type": "tcp",
            "tcp": {"port": 82},
            "interval": "2s",
            "timeout": "1s",
            "startPeriod": "5s",
            "successThreshold": 2,
            "degradationThreshold": {"consecutiveFailures": 2, "timeWindow": "20s"},
        },
        {
            "type": "tcp",
            "tcp": {"port": 83},
            "interval": "1s",
            "timeout": "1s",
            "degradationThreshold": {
                "consecutiveFailures": 4,
                "failureRate": 50,
                "timeWindow": "10s",
            },
        },
    ),
    "onUnhealthy": ("none", "restart", "restart", "reload", "alert"),
    "hooks": (
        {},
        {"preStart": "prepare", "postStop": {"command": "clean", "timeout": "2s"}},
        {"preStart": [{"command": "one", "timeout": "1s"}, {"command": "two"}]},
        {"preStop": {"command": "drain", "timeout": "3s"}, "postStart": "announce"},
        {"onFailure": {"command": "page", "timeout": "4s"}, "postStop": "clean"},
        {"preStart": "a", "postStart": "b", "preStop": "c", "postStop": "d", "onFailure": "e"},
    ),
    "backoff": (
        {"initial": "1s", "jitter": "0s"},
        {"initial": "1s", "jitter": "1s", "max": "8s"},
        {"initial": "100ms", "jitter": "0s", "resetAfter": "10s"},
    ),
}
"""What may be changed in a manifest, and to what."""


SCHEDULES = tuple(
    {**times, "overlap": overlap, "catchUp": catch_up}
    for times in ({"cron": "*/5 * * * *", "timezone": "UTC"}, {"every": "70s"})
    for overlap in ("skip", "queue", "replace")
    for catch_up in ("none", "once")
)


FEW = 3
"""Of services, programs or fields that are edited, where there are to be few."""


def one_of_few(word: Any) -> Any:
    """Give, for the name of a service, one of the few; anything else is left as it is."""
    return NAMES[NAMES.index(word) % FEW] if word in NAMES else word


def document(
    luck: Luck, name: str, others: Sequence[str], without: Sequence[str] = ()
) -> dict[str, Any]:
    """Make up the manifest of a service, which may need others, without some of the traits."""
    made: dict[str, Any] = {"name": name}
    made["command"] = luck.of("command").choice(FIELDS["command"])
    if "dependsOn" not in without:
        _give_needs(made, luck.of("dependsOn"), others)
    for field in ("hooks", "instances", "restart", "maxRestarts", "stopTimeout", "backoff"):
        mine = luck.of(field)
        if field not in without and mine.random() < 0.5:
            made[field] = mine.choice(FIELDS[field])
    for trait, give in PARTS.items():
        if trait not in without:
            give(made, luck.of(trait))
    if made.get("restart") == "never":
        for field in ("backoff", "maxRestarts"):
            made.pop(field, None)
    return made


def _give_needs(made: dict[str, Any], luck: Luck, others: Sequence[str]) -> None:
    needed = luck.some(others, luck.of("how many").choice((0, 0, 1, 1, 2)))
    if needed:
        made["dependsOn"] = {one: need(luck.of(one)) for one in sorted(needed)}


def need(luck: Luck) -> dict[str, Any]:
    """Make up what one service asks of another."""
    return {
        "condition": luck.of("condition").choice(
            ("ready", "ready", "started", "completed", "healthy")
        ),
        "onRestart": luck.of("onRestart").choice(("none", "none", "restart")),
        "required": luck.of("required").choice((True, True, False)),
    }


def _give_oneshot(made: dict[str, Any], luck: Luck) -> None:
    """Let a service be work that ends, on a schedule or not."""
    if luck.random() >= 0.2:
        return
    made |= {"type": "oneshot", "restart": "on-failure"}
    if luck.random() < 0.3:
        made["startTimeout"] = "3s"
    if luck.random() < 0.5:
        _put_on_schedule(made, luck)


def _put_on_schedule(made: dict[str, Any], luck: Luck) -> None:
    """Let a oneshot run on a schedule; such a one does not follow its needs."""
    made["schedule"] = luck.choice(SCHEDULES)
    for wish in made.get("dependsOn", {}).values():
        wish["onRestart"] = "none"


def _give_ready(made: dict[str, Any], luck: Luck) -> None:
    """Let a service be asked whether it is ready."""
    if "type" not in made and luck.random() < 0.5:
        made["ready"] = {"type": "tcp", "tcp": {"port": 80}}
        made["startTimeout"] = luck.choice(FIELDS["startTimeout"])


def _give_notify(made: dict[str, Any], luck: Luck) -> None:
    """Let a service say itself that it is ready."""
    if "type" in made or "ready" in made or luck.random() >= 0.6:
        return
    made |= {"type": "notify", "startTimeout": luck.choice(FIELDS["startTimeout"])}
    if luck.random() < 0.7:
        made["watchdogTimeout"] = luck.choice(("4s", "20s"))


def _give_limits(made: dict[str, Any], luck: Luck) -> None:
    if luck.random() < 0.3:
        made["maxMemory"] = luck.choice(FIELDS["maxMemory"])
        if luck.random() < 0.5:
            made["memoryAction"] = "alert"


def _give_nice(made: dict[str, Any], luck: Luck) -> None:
    """Let a service say how nice it is."""
    if luck.random() < 0.5:
        made["nice"] = luck.choice(FIELDS["nice"])


def _give_eyes(made: dict[str, Any], luck: Luck) -> None:
    """Let a service follow files."""
    if made.get("type") != "oneshot" and luck.random() < 0.3:
        made["reload"] = {"signal": luck.choice(("SIGHUP", "SIGUSR2"))}
        if "hooks" in made:
            made["reload"] = {"command": "reread", "timeout": "4s"}
        made["reloadOn"] = luck.choice(([LOADED[0]], list(LOADED)))
    if "schedule" not in made and luck.random() < 0.3:
        does_reload = "reload" in made and luck.random() < 0.3
        made["watch"] = {"paths": ["app"], "action": "reload" if does_reload else "restart"}


def _give_checks(made: dict[str, Any], luck: Luck) -> None:
    """Let a service be checked, and something be done about it where it is ill."""
    if made.get("type") == "oneshot" or luck.random() >= 0.5:
        return
    made["healthCheck"] = luck.choice(FIELDS["healthCheck"])
    ways = FIELDS["onUnhealthy"] if "reload" in made else ("none", "restart", "restart", "alert")
    made["onUnhealthy"] = luck.choice(ways)


def addresses(name: str) -> tuple[str, ...]:
    """Give where a service may listen: two ports of its own, and one that others want too."""
    first = 8000 + 10 * NAMES.index(name)
    return tuple(f"tcp://127.0.0.1:{port}" for port in (first, first + 1, 8999))


def sockets(name: str, which: Sequence[int]) -> list[dict[str, Any]]:
    """Give some of the sockets that a service may have."""
    return [{"listen": addresses(name)[one]} for one in which]


SOME_SOCKETS = ((0,), (0, 1), (1,), (2,), ())
"""Which of its addresses a service may have."""


def _give_sockets(made: dict[str, Any], luck: Luck) -> None:
    """Let a service listen, mostly where nobody else does."""
    if "type" in made and made["type"] == "oneshot":
        return
    if luck.random() < 0.4:
        made["sockets"] = sockets(made["name"], luck.choice(SOME_SOCKETS))


PARTS: Mapping[str, Callable[[dict[str, Any], Luck], None]] = {
    "oneshot": _give_oneshot,
    "ready": _give_ready,
    "notify": _give_notify,
    "limits": _give_limits,
    "nice": _give_nice,
    "eyes": _give_eyes,
    "sockets": _give_sockets,
    "checks": _give_checks,
}
"""What may be given to a manifest, in this order, each with a luck of its own."""
TRAITS = ("dependsOn", "hooks", "instances", *PARTS, "many")
"""What the services of an episode may be like, or none of them."""


def documents(luck: Luck, without: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Make up a few services without a cycle, and the bystander."""
    among = NAMES[:FEW] if "many" in without else NAMES
    names = sorted(luck.some(among, luck.of("how many").randint(2, len(among))))
    made = [document(luck.of(name), name, names[:at], without) for at, name in enumerate(names)]
    oneshots = {one["name"] for one in made if one.get("type") == "oneshot"}
    checked = {one["name"] for one in made if "healthCheck" in one}
    scheduled = {one["name"] for one in made if "schedule" in one}
    for one in made:
        for other, wish in one.get("dependsOn", {}).items():
            if other in scheduled:
                # It would restart at every one of the other's times, and never come to rest.
                wish["onRestart"] = "none"
            if other not in oneshots and wish["condition"] == "completed":
                wish["condition"] = "ready"
            if other not in checked and wish["condition"] == "healthy":
                wish["condition"] = "ready"
    return [*made, {"name": BYSTANDER, "command": ["run", "1"]}]

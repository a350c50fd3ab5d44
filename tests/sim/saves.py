"""What people and programs do to the files of a repository, each thing by its name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

from reconciler.manifest.intent import Intent, PutService, RemoveField, RemoveService, SetField
from reconciler.model.event import OperationKind
from reconciler.model.units import ServiceName, seconds
from tests.sim import documents as made_up
from tests.sim.drawing import Kind, a_name, choose, count, named, nothing, seeded, two_names, which
from tests.sim.luck import Luck
from tests.sim.repository import path_of, text_of, yaml_of
from tests.sim.world import World

SYNTAX = b"  - [\n"
UNKNOWN_KEY = b"restrat: always\n"
CONFLICT = b"<<<<<<< HEAD\n=======\n>>>>>>> theirs\n"


def save_all(world: World, seed: int, without: Sequence[str] = ()) -> None:
    """Save another set of services, none of which has any of some traits."""
    world.repository.save(made_up.documents(Luck(seed), without))
    world.look_at_repository()


def edit(world: World, name: str, field: str, value: Any) -> None:
    """Change one field of a service, by an editor."""
    world.repository.set_line(name, field, value)
    world.look_at_repository()


def draw_edit(luck: Random) -> tuple[Any, ...]:
    field = luck.choice(sorted(made_up.FIELDS))
    return (a_name(luck), field, luck.choice(made_up.FIELDS[field]))


def protect(world: World, name: str, value: bool | None) -> None:
    """Protect a service, lift that, or delete the line about it, by an editor."""
    count(world, "protection changed", world.repository.set_line(name, "protect", value))
    world.look_at_repository()


def remove_protected(world: World, name: str, first: str) -> None:
    """Protect a service and delete its file: behind its line, at once, or as a command would."""
    protect(world, name, value=True)
    world.pass_time(1)
    if first == "line":
        protect(world, name, value=None)
        world.pass_time(1)
    if first == "name":
        world.ask(OperationKind.APPROVE_PRUNE, name)
    count(world, "protected one removed", world.repository.remove(name))
    world.look_at_repository()


def edit_sockets(world: World, name: str, which: Sequence[int]) -> None:
    """Let a service listen elsewhere, by an editor."""
    world.repository.set_line(name, "sockets", made_up.sockets(name, which))
    world.look_at_repository()
    count(world, "sockets changed")


def take_port(world: World, name: str, which: int, is_taken: bool) -> None:
    """Let a stranger listen where a service may want to, unless one of ours does; or leave."""
    address, strangers = made_up.addresses(name)[which], world.host.machine.strangers
    if not is_taken:
        strangers.pop(address, None)
    elif not world.host.is_open(address):
        strangers[address] = "a stranger (pid 7)"
        count(world, "port taken")


def deny(world: World, is_denied: bool) -> None:
    """Let the kernel keep sockets that holders would take back out of processes."""
    world.host.machine.traces = not is_denied
    count(world, "sockets not given back", is_denied)


def add(world: World, seed: int, without: Sequence[str] = ()) -> None:
    """Save one service that may need others, be there others or not."""
    luck = Luck(seed)
    name = a_name(luck)
    others = [other for other in made_up.NAMES if other < name]
    world.repository.put(made_up.document(luck, name, others[-2:], without))
    world.look_at_repository()


def add_need(world: World, name: str, other: str) -> None:
    """Let one service need another: perhaps one that is not there, or that needs it as well."""
    path = ("dependsOn", other)
    intent = SetField(service=ServiceName(name), path=path, value="{condition: ready}")
    count(world, "need added", _write(world, intent))


def drop_needs(world: World, name: str) -> None:
    _write(world, RemoveField(service=ServiceName(name), path=("dependsOn",)))


def _write(world: World, intent: Intent) -> bool:
    drafted = world.repository.draft([intent])
    did = drafted is not None and world.repository.commit(drafted)
    world.look_at_repository()
    return did


def write_back(world: World, name: str, field: str, value: Any, takes: float) -> None:
    """Have Weaver commit a change, which somebody's push may overtake."""
    intent = SetField(service=ServiceName(name), path=(field,), value=yaml_of(value))
    repository = world.repository
    drafted, base = repository.draft([intent]), repository.commits

    def finish() -> None:
        mine = drafted
        if repository.commits != base:
            count(world, "commit lost its race")
            mine = repository.draft([intent])
        if mine is not None and repository.commit(mine):
            world.look_at_repository()

    world.host.later(seconds(takes), finish)


def draw_write_back(luck: Random) -> tuple[Any, ...]:
    return (*draw_edit(luck), luck.choice((0.05, 0.5, 3.0)))


def remove(world: World, name: str) -> None:
    count(world, "manifest removed", world.repository.remove(name))
    world.look_at_repository()


def unregister(world: World, name: str) -> None:
    """Remove a service by name, which is a yes to its removal."""
    if _write(world, RemoveService(service=ServiceName(name))):
        world.ask(OperationKind.APPROVE_PRUNE, name)


def vanish(world: World) -> None:
    """Let every manifest be gone at once."""
    count(world, "manifests vanished", world.repository.files)
    world.repository.save([])
    world.look_at_repository()


def spoil(world: World, name: str, garbage: bytes) -> None:
    count(world, "manifest broken", world.repository.break_file(name, garbage))
    world.look_at_repository()


def garble(world: World, which: int) -> None:
    """Let a conflict of a merge be all that is left of a file, so that not even its name is."""
    count(world, "manifest garbled", world.repository.garble_file(which, CONFLICT))
    world.look_at_repository()


def mend(world: World) -> None:
    world.repository.mend()
    world.look_at_repository()


def move(world: World, name: str) -> None:
    to = f"services.d/moved/{name}.yaml"
    count(world, "file renamed", world.repository.move(name, to))
    world.look_at_repository()


def rename(world: World, name: str, to: str) -> None:
    count(world, "service renamed", world.repository.rename(name, to))
    world.look_at_repository()


def duplicate(world: World, name: str) -> None:
    to = path_of(f"copy-of-{name}")
    count(world, "name defined twice", world.repository.copy(name, to))
    world.look_at_repository()


def remove_duplicate(world: World, name: str) -> None:
    world.repository.remove(f"copy-of-{name}")
    world.look_at_repository()


def put_verbatim(world: World, seed: int, without: Sequence[str] = ()) -> None:
    """Have Weaver apply a file: `weaver apply -f`."""
    luck = Luck(seed)
    name = a_name(luck)
    text = text_of(made_up.document(luck, name, (), without)).decode()
    _write(world, PutService(service=ServiceName(name), text=text))


def hold_source(world: World, is_held: bool) -> None:
    world.repository.is_held = is_held
    count(world, "manifests held", is_held)
    world.look_at_repository()


def write_loaded(world: World, which: int, text: str) -> None:
    """Let a file that services load have a content; none: it is gone."""
    contents, path = world.repository.contents, made_up.LOADED[which % len(made_up.LOADED)]
    count(world, "loaded file changed", contents.get(path, "") != text)
    contents[path] = text
    if not text:
        del contents[path]
    world.look_at_repository()


def change_code(world: World, name: str) -> None:
    """Let a file of a service's code be changed, be it watched or not."""
    world.change_code(name)
    spec = world.rules.wanted.defined(ServiceName(name))
    count(world, "code changed", spec is not None and spec.watch is not None)


SAVES: Mapping[str, Kind] = {
    "write-loaded": Kind(which("v1", "v2", "v3", ""), write_loaded, 3),
    "change-code": Kind(named, change_code, 3),
    "save-all": Kind(seeded, save_all, 2),
    "edit": Kind(draw_edit, edit, 6),
    "edit-sockets": Kind(
        lambda luck: (a_name(luck), luck.choice(made_up.SOME_SOCKETS)), edit_sockets, 3
    ),
    "take-port": Kind(
        lambda luck: (a_name(luck), luck.randrange(3), luck.choice((True, False))), take_port, 2
    ),
    "deny": Kind(choose(True, False), deny),
    "add": Kind(seeded, add, 2),
    "add-need": Kind(two_names, add_need, 2),
    "drop-needs": Kind(named, drop_needs),
    "write-back": Kind(draw_write_back, write_back, 2),
    "remove": Kind(named, remove, 2),
    "unregister": Kind(named, unregister),
    "protect": Kind(
        lambda luck: (a_name(luck), luck.choice((True, True, False, None))), protect, 2
    ),
    "remove-protected": Kind(
        lambda luck: (a_name(luck), luck.choice(("", "line", "name"))), remove_protected
    ),
    "vanish": Kind(nothing, vanish),
    "spoil": Kind(lambda luck: (a_name(luck), luck.choice((SYNTAX, UNKNOWN_KEY))), spoil, 2),
    "garble": Kind(lambda luck: (luck.randrange(100),), garble),
    "mend": Kind(nothing, mend, 2),
    "move": Kind(named, move),
    "rename": Kind(two_names, rename),
    "duplicate": Kind(named, duplicate),
    "remove-duplicate": Kind(named, remove_duplicate),
    "apply": Kind(seeded, put_verbatim),
    "hold": Kind(choose(True, False, False), hold_source),
}
"""Every deed of one step in the repository."""

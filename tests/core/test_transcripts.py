"""Stories of the engine as readable text: what came in, what changed, and what is to be done.

`pytest tests/core/test_transcripts.py --rewrite` writes what really happens into the files. Times
are seconds since the beginning; `<` came in, `>` is done, `*` is told, the rest are changes.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler.model.event import OperationKind
from reconciler.model.observed import State
from reconciler.model.spec import Backoff
from reconciler.model.units import Nanos, milliseconds, seconds
from tests.core.building import STOPPED, follows, oneshot, probed, service
from tests.sim.host import Program
from tests.sim.world import World

FOLDER = Path(__file__).parent / "transcripts"
Story = Callable[[], World]
STORIES: dict[Path, tuple[str, Story]] = {}
FAILING = Program(lives_for=milliseconds(500), code=1)


def story(sentence: str) -> Callable[[Story], Story]:
    """Keep a story under its name, with the sentence that its file begins with."""

    def keep(play: Story) -> Story:
        STORIES[FOLDER / f"{play.__name__.replace('_', '-')}.txt"] = (sentence, play)
        return play

    return keep


@story("Two services and a oneshot start in the order of their needs.")
def cold_start() -> World:
    world = World(
        service("web", "api"),
        probed("api", "prepare"),
        oneshot("prepare"),
        api=Program(ready_after=milliseconds(400)),
    )
    world.settle()
    return world


@story("The database does not become ready in time: it is stopped and tried again; web waits.")
def a_need_is_never_ready() -> World:
    world = World(
        service("web", "db"),
        probed("db", start_timeout=seconds(1)),
        db=Program(ready_after=None),
    )
    world.pass_time(2.5)
    return world


@story("A service that ends at once is restarted twice, and then no more.")
def a_crash_loop() -> World:
    world = World(service("web", max_restarts=2), web=FAILING)
    world.settle()
    return world


@story("Somebody mends the program and starts the service again.")
def a_manual_start_after_giving_up() -> World:
    world = World(service("web", max_restarts=0), web=FAILING)
    world.settle()
    world.become(web=Program())
    world.ask(OperationKind.START, "web")
    world.settle()
    return world


@story("One commit changes a service and its need: the dependent stops first and starts last.")
def both_change() -> World:
    world = World(service("web", "db"), service("db"))
    world.settle()
    world.save(service("web", "db", edition=2), service("db", edition=2))
    world.settle()
    return world


@story("The need crashes; the dependent says `onRestart: restart`, so it restarts as well.")
def following_a_need() -> World:
    world = World(service("web", follows("db")), service("db"))
    world.settle()
    world.end("db")
    world.settle()
    return world


@story("A process ignores SIGTERM, and is killed when its stopTimeout is over.")
def a_stop_that_is_ignored() -> World:
    world = World(service("web", stop_timeout=seconds(3)), web=Program(ends_in=None))
    world.settle()
    world.save(service("web", stop_timeout=seconds(3), state=STOPPED))
    world.settle()
    return world


@story("The main process dies and leaves a child: that one ends before the next start.")
def children_that_are_left() -> World:
    world = World(service("web"), web=Program(leaves_child=True))
    world.settle()
    world.end("web", code=3)
    world.settle()
    return world


@story("A process outlives SIGKILL: it is shown as unknown, and gets no second copy.")
def what_cannot_be_killed() -> World:
    world = World(
        service("web", stop_timeout=seconds(1)), web=Program(ends_in=None, unkillable=True)
    )
    world.settle()
    world.save(service("web", stop_timeout=seconds(1), edition=2))
    world.settle()
    return world


@story("A typo freezes its service at the last good version; the mended file is followed again.")
def a_manifest_breaks() -> World:
    world = World(service("web"), service("db"))
    world.settle()
    world.save(service("db"), invalid=["web"])
    world.step()
    world.save(service("db"), service("web", edition=2))
    world.settle()
    return world


@story("All services vanish from the manifests: nothing stops until somebody agrees.")
def a_removal_is_held() -> World:
    world = World(service("web", "db"), service("db"))
    world.settle()
    world.save()
    world.settle()
    prune = world.picture.prune
    world.ask(OperationKind.APPROVE_PRUNE, prune_id=prune.id if prune else "")
    world.settle()
    return world


@story("A new daemon adopts what runs, and hears of what ended meanwhile.")
def the_daemon_dies() -> World:
    world = World(service("web"), service("worker"))
    world.settle()
    world.host.later(seconds(1), lambda: world.end("worker", code=9))
    world.kill_daemon(down_for=3)
    world.settle()
    return world


@story("The holder is out of reach for a while; a process ends out of sight.")
def the_holder_leaves() -> World:
    world = World(service("web"), service("worker"))
    world.settle()
    world.lose_holder(seconds_long=0.5)
    world.step()
    world.end("worker", code=9)
    world.settle()
    return world


@story("The answer to a start is lost: a look finds the process, and there is no second one.")
def a_lost_answer() -> World:
    world = World(service("web"))
    world.host.loses_next.add("Spawn")
    world.settle()
    return world


@story("Everything stops, dependents first; a second request kills what takes too long.")
def a_shutdown() -> World:
    world = World(service("web", "db"), service("db"), db=Program(ends_in=None))
    world.settle()
    world.ask(OperationKind.SHUTDOWN)
    world.until(lambda: world.states() == {"db": "stopping", "web": "stopped"})
    world.ask(OperationKind.KILL)
    world.until(lambda: world.finished)
    return world


@story("One service is restarted on request; what needs it runs on and says so.")
def a_restart() -> World:
    world = World(service("web", "db"), service("db"))
    world.settle()
    world.ask(OperationKind.RESTART, "db")
    world.settle()
    return world


@story("The same manifests are read again: nothing happens, and nothing is written down.")
def nothing_to_do() -> World:
    world = World(service("web"))
    world.settle()
    world.save(service("web"))
    world.step()
    assert world.decisions[-1].remembered.is_empty
    assert world.state("web") is State.RUNNING
    return world


@story("`backoff.initial: 0` restarts in the very step in which the end was heard of.")
def a_restart_at_once() -> World:
    world = World(service("web", backoff=Backoff(initial=Nanos(0))))
    world.settle()
    world.end("web")
    world.settle()
    return world


@pytest.mark.parametrize("path", list(STORIES), ids=lambda path: path.stem)
def test_the_story_is_as_written(path: Path, request: pytest.FixtureRequest) -> None:
    sentence, play = STORIES[path]
    told = "\n".join([f"# {sentence}", "", *play().story, ""])
    if request.config.getoption("--rewrite"):
        path.write_text(told, "utf-8")
    assert path.read_text("utf-8") == told


def test_every_file_belongs_to_a_story() -> None:
    assert set(FOLDER.iterdir()) == {*STORIES, FOLDER / "cells.txt"}

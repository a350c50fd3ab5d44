"""Stories of the engine."""

from tests.core.building import service
from tests.core.world import World


def test_services_start_in_the_order_of_their_needs() -> None:
    world = World(service("web", "api"), service("api", "db"), service("db"))
    world.settle()
    assert world.states() == {"db": "running", "api": "running", "web": "running"}
    assert world.arrives()

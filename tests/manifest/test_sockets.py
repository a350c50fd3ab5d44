"""What manifests say of sockets and ports, and how that is shown again."""

from __future__ import annotations

import pytest

from reconciler.manifest.addresses import PATH_BYTES, AddressError, read
from reconciler.manifest.digest import digest
from reconciler.manifest.explain import explain
from reconciler.manifest.fields import describe
from reconciler.model.listening import AUTO_PORT, ExecMode, ListenSocket
from tests.manifest import reading

WRITTEN = """
name: web
command: x --port ${port}
instances: 3
execMode: cluster
port: 8080
sockets:
  - listen: "tcp://[0::1]:8080"
  - {name: admin, listen: "unix:///run//web.sock", mode: 0666, owner: web:www, backlog: 16}
"""


def test_a_spec_has_the_sockets_that_the_manifest_names_and_is_described_so() -> None:
    spec = reading.spec(WRITTEN)
    admin = ListenSocket(
        listen="unix:/run/web.sock", name="admin", mode=0o666, owner="web:www", backlog=16
    )
    assert spec.sockets == (ListenSocket(listen="tcp://[::1]:8080"), admin)
    assert (spec.exec_mode, spec.port, spec.shares_sockets) == (ExecMode.CLUSTER, 8080, True)
    shown = describe(spec)
    assert shown["execMode"] == "cluster"
    assert shown["port"] == "8080"
    assert shown["sockets"] == (
        "tcp://[::1]:8080, admin unix:/run/web.sock backlog 16 mode 666 owner web:www"
    )


def test_a_port_may_be_left_to_the_daemon() -> None:
    spec = reading.spec("name: web\ncommand: x ${port}\nport: auto\n")
    assert (spec.port, spec.awaits_port, describe(spec)["port"]) == (AUTO_PORT, True, "auto")


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("[{listen: 'tcp://127.0.0.1:80'}]", "[{listen: 'tcp://127.0.0.1:81'}]", False),
        ("[{listen: 'tcp://[::1]:80'}]", "[{listen: 'tcp://[0:0::1]:80'}]", True),
        ("[{listen: 'unix:/a', mode: 0666}]", "[{listen: 'unix:///a', mode: 666}]", True),
        ("[{listen: 'unix:/a', mode: 666}]", "[{listen: 'unix:/a'}]", False),
    ],
)
def test_another_socket_is_another_version(one: str, other: str, is_same: bool) -> None:
    manifest = "name: web\ncommand: x\nsockets: {}\n"
    digests = {digest(reading.spec(manifest.format(text)), {}) for text in (one, other)}
    assert (len(digests) == 1) is is_same


def test_a_path_may_have_as_many_bytes_as_the_kernel_allows_and_no_more() -> None:
    longest = f"unix:/{'a' * (PATH_BYTES - 1)}"
    assert str(read(longest)) == longest
    with pytest.raises(AddressError, match="108 bytes"):
        read(f"{longest}a")


@pytest.mark.parametrize(
    ("one", "other", "is_one"),
    [
        ("tcp://[::]:80", "tcp://127.0.0.1:80", True),
        ("tcp://127.0.0.1:80", "tcp://[::]:80", True),
        ("tcp://0.0.0.0:80", "tcp://[::1]:80", False),
        ("tcp://127.0.0.1:80", "tcp://127.0.0.2:80", False),
        ("tcp://0.0.0.0:80", "tcp://0.0.0.0:81", False),
        ("unix:/a", "unix:/a", True),
        ("unix:/a", "unix:/b", False),
        ("unix:/a", "tcp://[::]:80", False),
    ],
)
def test_addresses_are_one_where_only_one_of_them_can_be_bound(
    one: str, other: str, is_one: bool
) -> None:
    assert read(one).overlaps(read(other)) is is_one


def test_what_a_socket_consists_of_is_explained() -> None:
    assert "sockets.listen, sockets.backlog" in " ".join(explain("sockets").split())
    assert "107 bytes" in explain("sockets.listen")

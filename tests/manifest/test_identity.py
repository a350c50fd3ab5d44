"""What manifests say of users, limits and streams, and how that is shown again."""

from __future__ import annotations

import pytest

from reconciler.manifest import rlimits
from reconciler.manifest.fields import describe
from reconciler.model.spec import Limit, ServiceSpec
from tests.manifest import reading

WRITTEN = """
name: web
command: x
user: 1000
group: ssl-cert
supplementaryGroups: [4, docker]
umask: 0077
nice: 0
noNewPrivileges: true
stdin: fixtures/in.txt
errorFile: log/${instance}.err
logLevel: warn
limits: {nofile: 65536, core: unlimited, memlock: 64M, stack: {soft: 1M}, cpu: 90s, fsize: 4097}
"""


def test_a_spec_has_what_the_manifest_says_and_is_described_so() -> None:
    spec = reading.spec(WRITTEN)
    assert (spec.user, spec.supplementary_groups, spec.umask) == ("1000", ("4", "docker"), 0o077)
    assert spec.limits["stack"] == Limit(soft=1 << 20)
    assert describe(spec) | {"name": "", "command": ""} == {
        "name": "",
        "command": "",
        "user": "1000",
        "group": "ssl-cert",
        "supplementaryGroups": "4, docker",
        "umask": "077",
        "nice": "0",
        "noNewPrivileges": "true",
        "stdin": "fixtures/in.txt",
        "errorFile": "log/${instance}.err",
        "logLevel": "warn",
        "limits.core": "unlimited",
        "limits.cpu": "90s",
        "limits.fsize": "4097",
        "limits.memlock": "64M",
        "limits.nofile": "65536",
        "limits.stack.soft": "1M",
    }


def test_nothing_to_read_can_be_said_in_words() -> None:
    plain = reading.spec("name: web\ncommand: x\n")
    assert reading.spec("name: web\ncommand: x\nstdin: null\numask: 022\nlimits: {}\n") == plain
    assert (plain.nice, plain.umask) == (None, 0o022)
    assert not ServiceSpec(name=plain.name, digest=plain.digest).has_account


@pytest.mark.parametrize("name", sorted(rlimits.COUNTS | rlimits.TIMES | {"core", "memlock"}))
@pytest.mark.parametrize("amount", [1, 1024, 1 << 20, -1])
def test_a_limit_is_read_back_as_it_was_written(name: str, amount: int) -> None:
    text = rlimits.write(name, amount)
    assert rlimits.read(name, int(text) if text.isdecimal() else text) == amount

"""Users and groups as this host knows them."""

from __future__ import annotations

import grp
import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest

import reconciler
from reconciler.adapters.accounts import Wanted, account_of, owners_of, wanted
from reconciler.core.launch import Account
from reconciler.model.event import Errand
from reconciler.model.listening import ListenSocket
from reconciler.model.observed import Role
from reconciler.model.spec import Hook, ServiceSpec
from reconciler.model.units import Digest, ServiceName
from reconciler.ports import HostError
from tests import settings

NOBODY = pwd.getpwnam("nobody")
ADM = grp.getgrnam("adm").gr_gid
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may become somebody else")
ASKING = """
import sys
from reconciler.adapters.accounts import Wanted, account_of
for user in sys.argv[1:]:
    try:
        print(account_of(Wanted(of="web", user=user)))
    except Exception as why:
        print(why)
"""


def test_who_asks_for_nobody_is_nobody_in_particular() -> None:
    assert account_of(Wanted(of="web")) is None


@as_root
def test_a_user_comes_with_its_groups_and_its_home() -> None:
    variables = {"HOME": NOBODY.pw_dir, "USER": "nobody", "LOGNAME": "nobody"}
    own = tuple(sorted(os.getgrouplist("nobody", NOBODY.pw_gid)))
    plain = Account(uid=NOBODY.pw_uid, gid=NOBODY.pw_gid, groups=own, variables=variables)
    assert account_of(Wanted(of="web", user="nobody")) == plain
    assert account_of(Wanted(of="web", user=str(NOBODY.pw_uid))) == plain
    more = account_of(Wanted(of="web", user="nobody", group="adm", more=("0",)))
    assert more is not None
    assert (more.gid, set(more.groups)) == (ADM, {0, ADM, *os.getgrouplist("nobody", ADM)})


@as_root
def test_a_number_that_the_host_does_not_know_needs_a_group() -> None:
    found = account_of(Wanted(of="web", user="54321", group="adm"))
    assert found is not None
    assert (found.uid, found.gid, found.groups) == (54321, ADM, (ADM,))
    assert dict(found.variables) == {"HOME": "/", "USER": "54321", "LOGNAME": "54321"}


@pytest.mark.parametrize(
    ("who", "text"),
    [
        (Wanted(of="web", user="ghost"), "cannot run web as ghost: this host knows no such user"),
        (Wanted(of="web", group="gh"), "cannot run web in group gh: this host knows no such group"),
        (Wanted(of="web", more=("gh",)), "cannot run web in group gh: this host knows no such"),
        (Wanted(of="web", user="54321"), "this host knows no user of that number"),
        (Wanted(of="web", user=str(2**32 - 1)), "that is no number of a user or group"),
        (Wanted(of="web", group=str(2**64)), "that is no number of a user or group"),
    ],
)
def test_y16_who_is_not_known_is_an_error_before_anything_starts(who: Wanted, text: str) -> None:
    with pytest.raises(HostError) as told:
        account_of(who)
    assert text in str(told.value)


def test_whose_a_socket_shall_be_is_looked_up_too() -> None:
    def asking(owner: str) -> ServiceSpec:
        one = ListenSocket(listen="unix:/run/web", owner=owner)
        return ServiceSpec(name=ServiceName("web"), digest=Digest("d"), sockets=(one,))

    root = pwd.getpwuid(0)
    assert owners_of(asking("root")) == {"root": (0, root.pw_gid)}
    daemon = grp.getgrnam("daemon").gr_gid
    assert owners_of(asking("root:daemon")) == {"root:daemon": (0, daemon)}
    with pytest.raises(
        HostError, match="cannot give a socket of web to nobody-here: this host knows no"
    ):
        owners_of(asking("nobody-here"))


def test_a_hook_may_have_another_user_than_its_service() -> None:
    spec = ServiceSpec(name=ServiceName("web"), digest=Digest("d"), user="www", group="adm")
    assert wanted(spec) == Wanted(of="web", user="www", group="adm")
    errand = Errand(role=Role.PRE_START, hook=Hook(command=("true",)))
    assert wanted(spec, errand) == wanted(spec)
    errand = Errand(role=Role.PRE_START, hook=Hook(command=("true",), user="root"))
    assert wanted(spec, errand) == Wanted(of="the preStart hook of web", user="root")


@pytest.mark.real
def test_a_daemon_that_is_not_root_may_run_services_as_itself_alone() -> None:
    me = "nobody" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
    command = settings.command("user", [sys.executable, "-c", ASKING, me, "root"])
    checkout = Path(reconciler.__file__).parents[1]
    asked = subprocess.run(
        command, cwd=checkout, capture_output=True, text=True, check=False, timeout=30
    )
    if not asked.stdout:
        pytest.skip("an unprivileged user cannot read this checkout")
    own, root = asked.stdout.splitlines()
    assert own == "None"
    assert root == (
        f"cannot run web as root: the daemon runs as {me}, and only root may run services as others"
    )

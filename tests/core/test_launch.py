"""What exactly is executed for a slot."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler.core.launch import (
    Account,
    Identity,
    Launch,
    Surroundings,
    beneath,
    expand,
    launch,
    log_file,
)
from reconciler.model.event import Errand
from reconciler.model.observed import Role
from reconciler.model.spec import Hook, Limit, ServiceSpec
from reconciler.model.units import RunId
from tests.core.building import service, slot

HERE = Surroundings(
    root="/srv/app",
    log_dir="/srv/app/.weaver/logs",
    base_env={"PATH": "/bin", "HOME": "/root"},
    file_env={"A": "of the file", "B": "of the file"},
)


def launched(spec: ServiceSpec, index: int = 0) -> Launch:
    return launch(spec, slot(spec.name, index), RunId("r1"), HERE)


@pytest.mark.parametrize(
    ("fields", "argv"),
    [
        ({"command": ("serve", "-v")}, ("serve", "-v")),
        ({"command": ("bin/serve",), "args": ("-v",)}, ("/srv/app/bin/serve", "-v")),
        ({"command": ("./serve",)}, ("/srv/app/serve",)),
        ({"command": ("/bin/serve",)}, ("/bin/serve",)),
        (
            {"command": ("serve.py",), "interpreter": ("python3", "-u")},
            ("python3", "-u", "serve.py"),
        ),
        ({"command": ("run",), "args": ("a b", "$$x")}, ("run", "a b", "$x")),
        (
            {"command": ("echo $$HOME | cat",), "shell": True},
            ("/bin/sh", "-c", "echo $HOME | cat", "web"),
        ),
        (
            {"command": ("echo $$1",), "args": ("x y",), "shell": True},
            ("/bin/sh", "-c", "echo $1", "web", "x y"),
        ),
        (
            {"command": ("serve", "--port=800${instance}", "${name}")},
            ("serve", "--port=8002", "web"),
        ),
    ],
)
def test_the_words_that_are_executed(fields: dict[str, object], argv: tuple[str, ...]) -> None:
    assert launched(service("web", **fields), 2).argv == argv  # type: ignore[arg-type]  # names of fields


def test_nothing_of_ours_leaks_into_the_environment_and_the_mark_cannot_be_taken() -> None:
    spec = service("web", env={"B": "own ${instance}", "WEAVER_RUN": "x", "PATH": "/own"})
    assert launched(spec, 1).env == {
        "PATH": "/own",
        "HOME": "/root",
        "PYTHONUNBUFFERED": "1",
        "WEAVER_SERVICE": "web",
        "WEAVER_INSTANCE": "1",
        "WEAVER_RUN": "r1",
        "A": "of the file",
        "B": "own 1",
    }


@pytest.mark.parametrize(
    ("path", "found"),
    [
        (".", "/srv/app"),
        ("", "/srv/app"),
        ("./", "/srv/app"),
        ("sub/dir", "/srv/app/sub/dir"),
        ("././x", "/srv/app/x"),
        ("/var/x", "/var/x"),
        (".hidden", "/srv/app/.hidden"),
    ],
)
def test_relative_paths_are_those_of_the_repository(path: str, found: str) -> None:
    assert beneath("/srv/app", path) == found
    assert launched(service("web", cwd=path)).cwd == found


@pytest.mark.parametrize(
    ("spec", "found"),
    [
        (service("web"), "/srv/app/.weaver/logs/web/3.log"),
        (service("web", log_file="log/${name}-${instance}.log"), "/srv/app/log/web-3.log"),
        (service("web", log_file="/var/log/web.log"), "/var/log/web.log"),
        (None, "/srv/app/.weaver/logs/web/3.log"),
    ],
)
def test_where_the_output_goes(spec: ServiceSpec | None, found: str) -> None:
    assert log_file(spec, slot("web", 3), HERE) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("$$", "$"),
        ("$$$$", "$$"),
        ("$${instance}", "${instance}"),
        ("$${instance}${instance}", "${instance}1"),
        ("$HOME ${HOME}", "$HOME ${HOME}"),
        ("${name}${name}", "webweb"),
    ],
)
def test_only_what_is_ours_is_filled_in(text: str, found: str) -> None:
    assert expand(text, slot("web", 1)) == found


def test_a_port_is_filled_in_and_told_and_env_wins_over_it() -> None:
    spec = service("web", command=("serve", "${port}"), port=8080)
    made = launched(spec)
    assert (made.argv, made.env["PORT"]) == (("serve", "8080"), "8080")
    own = launched(replace(spec, env={"PORT": "1${port}"}))
    assert own.env["PORT"] == "18080"


def test_who_runs_it_is_told_to_it_and_env_wins_over_what_the_manifest_implies() -> None:
    account = Account(uid=33, gid=33, groups=(33,), variables={"HOME": "/var/www"})
    here = replace(HERE, account=account)
    spec = service("web", log_level="warn", umask=0o077, limits={"core": Limit(soft=0, hard=-1)})
    made = launch(spec, slot("web", 0), RunId("r1"), here)
    assert (made.env["HOME"], made.env["LOG_LEVEL"]) == ("/var/www", "warn")
    assert made.identity == Identity(
        account=account, umask=0o077, limits={"core": Limit(soft=0, hard=-1)}
    )
    own = replace(spec, env={"HOME": "/home", "LOG_LEVEL": "debug"})
    made = launch(own, slot("web", 0), RunId("r1"), here)
    assert (made.env["HOME"], made.env["LOG_LEVEL"]) == ("/home", "debug")


def test_streams_are_beneath_the_repository_and_one_file_is_not_named_twice() -> None:
    spec = service("web", stdin="in", log_file="web.log", error_file="./${instance}.err")
    made = launched(spec, 2)
    assert (made.stdin, made.error_file) == ("/srv/app/in", "/srv/app/2.err")
    assert launched(replace(spec, error_file="./web.log")).error_file == ""
    assert launched(service("web")).stdin == ""


def test_an_errand_has_the_identity_of_its_service_and_not_its_input() -> None:
    spec = service("web", stdin="in", umask=0o077)
    errand = Errand(role=Role.PRE_START, hook=Hook(command=("true",)))
    made = launch(spec, slot("web", 0), RunId("r1"), HERE, errand)
    assert (made.stdin, made.identity.umask) == ("", 0o077)

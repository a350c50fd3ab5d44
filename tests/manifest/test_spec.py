"""Specs on their way: to JSON and back, to a digest, to words."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.manifest.codec import CodecError, decode, encode
from reconciler.manifest.config import Config, effective
from reconciler.manifest.digest import digest
from reconciler.manifest.envfile import read_env_file
from reconciler.manifest.fields import describe
from reconciler.manifest.result import FileResult
from reconciler.model.desired import ManifestSet
from reconciler.model.health import (
    CheckType,
    CommandCheck,
    CustomCheck,
    HealthCheck,
    HttpCheck,
    McpCheck,
    TcpCheck,
    Threshold,
)
from reconciler.model.observed import Exit, Slot
from reconciler.model.record import PruneHold, ServiceMemory, SlotMemory, Trouble
from reconciler.model.spec import (
    Backoff,
    CommandTarget,
    HttpTarget,
    Need,
    Readiness,
    ServiceSpec,
    TcpTarget,
)
from reconciler.model.units import Digest, Nanos, RunId, ServiceName, minutes, seconds
from tests.manifest.reading import manifests, result, service, spec

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
NANOS = st.integers(0, 10**18).map(Nanos)
NAME = st.from_regex(r"[a-z0-9]([a-z0-9.-]{0,5}[a-z0-9])?", fullmatch=True).map(ServiceName)


def built(kind: Any, **fixed: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Build a noun of its types, texts and spans being what they can be."""
    return st.builds(kind, **fixed)


for noun, strategy in {
    Nanos: NANOS,
    ServiceName: NAME,
    str: TEXT,
    float: st.floats(1, 100),
    Digest: TEXT.map(Digest),
    RunId: TEXT.map(RunId),
}.items():
    st.register_type_strategy(noun, strategy)

WORDS = st.lists(TEXT, max_size=3).map(tuple)
TEXTS = st.dictionaries(TEXT, TEXT, max_size=3)
OPTIONS = st.dictionaries(
    TEXT, TEXT | st.integers(-9, 9) | st.booleans() | st.floats(0.1, 0.9), max_size=2
)
SPECS = built(
    ServiceSpec,
    labels=TEXTS,
    annotations=TEXTS,
    env=TEXTS,
    command=st.lists(TEXT, min_size=1, max_size=3).map(tuple),
    args=WORDS,
    interpreter=WORDS,
    env_file=WORDS,
    needs=st.lists(built(Need), max_size=3).map(tuple),
    backoff=built(Backoff),
    ready=st.none()
    | built(
        Readiness,
        tcp=st.none() | built(TcpTarget),
        http=st.none() | built(HttpTarget),
        command=st.none() | built(CommandTarget, cmd=WORDS, args=WORDS),
    ),
    health=st.none()
    | built(
        HealthCheck,
        http=st.none() | built(HttpCheck, headers=TEXTS),
        tcp=st.none() | built(TcpCheck),
        command=st.none() | built(CommandCheck, cmd=WORDS, args=WORDS),
        custom=st.none() | built(CustomCheck, options=OPTIONS),
        mcp=st.none() | built(McpCheck, headers=TEXTS, cmd=WORDS, args=WORDS),
    ),
    success_exit_codes=st.lists(st.integers(1, 255), max_size=3).map(tuple),
    start_timeout=st.none() | NANOS,
    max_restarts=st.none() | st.integers(0, 9),
)


@settings(max_examples=60)
@given(SPECS)
def test_a_spec_survives_json(found: ServiceSpec) -> None:
    assert decode(encode(found), ServiceSpec) == found
    assert encode(decode(encode(found), ServiceSpec)) == encode(found)


@settings(max_examples=40)
@given(SPECS, st.integers(0, 9), NANOS)
def test_memories_survive_json(found: ServiceSpec, number: int, at: Nanos) -> None:
    slot = Slot(service=found.name, index=number)
    for noun in (
        SlotMemory(
            slot=slot,
            restarts=number,
            trouble=Trouble(failures=number, retry_at=at, because="x"),
            last_exit=Exit(at=at, signal="SIGKILL"),
            tried=found.digest,
        ),
        ServiceMemory(spec=found, source=spec_source(), restart_before=at),
        PruneHold(id="p", services=(found.name,), because="all of them"),
    ):
        assert decode(encode(noun), type(noun)) == noun


def spec_source() -> Any:
    return result(service("web")).readings[0].definition.source


def test_results_and_sets_survive_json() -> None:
    texts = {
        "a.yaml": service("a", "dependsOn: [b]\n"),
        "b.yaml": "name: b\nfoo: 1\n",
        "c.yaml": "[",
    }
    for file, text in texts.items():
        assert decode(encode(result(text, file)), FileResult) == result(text, file)
    assert decode(encode(manifests(texts)), ManifestSet) == manifests(texts)


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"name": 1}', b"\xff"])
def test_damaged_json_is_told(data: bytes) -> None:
    with pytest.raises(CodecError, match="cannot read ServiceSpec"):
        decode(data, ServiceSpec)


# --- digests ---------------------------------------------------------------------------------


SAME = "name: web\ncommand: python -m http.server\nenv: {A: 1, B: 2}\n"


@pytest.mark.parametrize(
    "text",
    [
        "# comment\nenv: {B: '2', A: 1}\ncommand: [python, -m, http.server]\nname: web\n",
        SAME + "description: other\nlabels: {a: b}\nversion: 2\nstate: stopped\ninstances: 4\n",
        SAME + "stopTimeout: 1s\nrestart: never\ndependsOn: [db]\nx-own: 1\n",
        SAME + "cwd: .\nshell: false\nargs: []\n",
    ],
    ids=["spelling", "what people read", "what is applied in place", "defaults spelt out"],
)
def test_what_does_not_reach_the_process_is_not_in_the_digest(text: str) -> None:
    assert digest(spec(text), {}) == digest(spec(SAME), {})


def test_env_files_count_by_their_contents() -> None:
    found = spec(SAME + "envFile: .env\n")
    digests = {digest(found, {".env": data}) for data in (b"A=1", b"A=2", None)}
    assert len(digests) == 3
    assert digest(found, {".env": b"A=1", "other": b"x"}) in digests
    assert digest(found, {}) == digest(found, {".env": None})


def test_a_digest_is_what_it_was_in_the_first_version() -> None:
    """A change here restarts every service of everybody at the next upgrade."""
    assert (
        digest(spec(SAME), {}) == "0ec019c9cc08f2c62b91383ecee29a7c9fbb0cfca3ebb6288495d2d9d7669841"
    )


# --- words -----------------------------------------------------------------------------------


HEALTH = """\
name: web
command: x
onUnhealthy: restart
healthCheck:
  type: http
  interval: 30s
  retries: 2
  startPeriod: 1m
  http:
    url: https://localhost/healthz
    headers: {X-Token: 0800}
    expectedStatus: [204, 300-399]
    expectedBody: ^ok
    verifyTls: false
  degradationThreshold: {failureRate: 50, timeWindow: 10m}
"""


def test_a_check_is_described_as_a_person_writes_it() -> None:
    found = spec(HEALTH)
    assert found.health == HealthCheck(
        type=CheckType.HTTP,
        interval=seconds(30),
        retries=2,
        start_period=minutes(1),
        http=HttpCheck(
            url="https://localhost/healthz",
            headers={"X-Token": "0800"},
            expected_status=((204, 204), (300, 399)),
            expected_body="^ok",
            verify_tls=False,
        ),
        threshold=Threshold(failure_rate=50.0, time_window=minutes(10)),
    )
    assert describe(found) == {
        "command": "x",
        "onUnhealthy": "restart",
        "healthCheck.type": "http",
        "healthCheck.interval": "30s",
        "healthCheck.retries": "2",
        "healthCheck.startPeriod": "1m",
        "healthCheck.http.url": "https://localhost/healthz",
        "healthCheck.http.headers": "X-Token: 0800",
        "healthCheck.http.expectedStatus": "204, 300-399",
        "healthCheck.http.expectedBody": "^ok",
        "healthCheck.http.verifyTls": "false",
        "healthCheck.degradationThreshold.failureRate": "50",
        "healthCheck.degradationThreshold.timeWindow": "10m",
    }


def test_the_usual_timeout_is_never_longer_than_the_interval() -> None:
    found = spec("name: w\ncommand: x\nhealthCheck: {type: tcp, interval: 1s, tcp: {port: 1}}\n")
    assert found.health is not None
    assert found.health.timeout == seconds(1)
    assert "healthCheck.timeout" not in describe(found)


@pytest.mark.parametrize(
    ("target", "is_of_one"),
    [
        ("{type: http, http: {url: 'http://127.0.0.1:80${instance}/'}}", True),
        ("{type: http, http: {url: 'http://127.0.0.1:80/'}}", False),
        ("{type: tcp, tcp: {port: 80}}", False),
        ("{type: mcp, mcp: {url: 'http://127.0.0.1/mcp'}}", False),
        ("{type: mcp, mcp: {cmd: python3 server.py}}", True),
        ("{type: command, command: {cmd: [test, -e, x]}}", True),
        ("{type: custom, custom: {module: x}}", True),
    ],
)
def test_a_target_that_instances_share_says_nothing_about_one(target: str, is_of_one: bool) -> None:
    health = spec(f"name: web\ncommand: x\nhealthCheck: {target}\n").health
    assert health is not None
    assert health.is_of_one_slot is is_of_one


def test_a_spec_is_described_as_a_person_writes_it() -> None:
    found = spec(
        "name: web\ncommand: a 'b c'\nenv: {PORT: 8000}\ninstances: 2\nmaxRestarts: unlimited\n"
        "labels: {app.kubernetes.io/name: x}\nstopTimeout: 90s\nsuccessExitCodes: [3, 2]\n"
        "dependsOn: {db.main: {onRestart: restart, required: false}}\nbackoff: {max: 2m}\n"
        "ready: {type: http, http: {url: 'http://x${instance}', expectedStatus: 200},"
        " interval: 1s}\n"
    )
    assert describe(found) == {
        "command": "a 'b c'",
        "env.PORT": "8000",
        "instances": "2",
        "maxRestarts": "unlimited",
        'labels."app.kubernetes.io/name"': "x",
        "stopTimeout": "90s",
        "successExitCodes": "2, 3",
        'dependsOn."db.main".condition': "ready",
        'dependsOn."db.main".onRestart': "restart",
        'dependsOn."db.main".required': "false",
        "backoff.max": "2m",
        "ready.type": "http",
        "ready.http.url": "http://x${instance}",
        "ready.http.expectedStatus": "200",
        "ready.interval": "1s",
    }


def test_defaults_are_not_described() -> None:
    assert describe(spec(service("web"))) == {"command": "sleep 1"}


def test_settings_are_listed_with_where_they_come_from() -> None:
    listed = effective(Config(auto_commit=False, defaults={"env": {"A": "1"}, "args": ["x", "y"]}))
    assert [(one.path, one.value, one.is_default) for one in listed] == [
        ("git.autoCommit", "false", False),
        ("git.author", "", True),
        ("git.push", "false", True),
        ("git.poll", "10s", True),
        ("git.verify", "off", True),
        ("git.allowedSigners", "", True),
        ("git.gpgHome", "", True),
        ("git.sign", "", True),
        ("git.webhook.listen", "", True),
        ("git.webhook.secretFile", "", True),
        ("metrics.listen", "", True),
        ("defaults.env.A", "1", False),
        ("defaults.args", "x, y", False),
    ]


# --- env files -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "variables"),
    [
        ("A=1\n\n# c\n  B=2  \nexport C=3\n", {"A": "1", "B": "2", "C": "3"}),
        ("A=a=b c\n", {"A": "a=b c"}),
        ("A=\nB=''\nC=\"\"\n", {"A": "", "B": "", "C": ""}),
        ("A=x # c\nB=x#c\nC=#x\nD= # c\n", {"A": "x", "B": "x#c", "C": "#x", "D": ""}),
        ('A=\'a # "b\'\nB="a\\n\\t\\"\\\\\\$x" # c\n', {"A": 'a # "b', "B": 'a\n\t"\\$x'}),
        ("A=$B ${C} `d`\n", {"A": "$B ${C} `d`"}),
        ("A=it's\r\nA=2\r\n", {"A": "2"}),
        ("\ufeffA=é\n", {"A": "é"}),
    ],
)
def test_env_files_are_read_as_they_are_written_everywhere(
    text: str, variables: dict[str, str]
) -> None:
    assert read_env_file(text.encode()).variables == variables


@pytest.mark.parametrize(
    ("data", "line", "problem"),
    [
        (b"A=1\nB\n", 2, "this line is not KEY=value"),
        (b"A='x\n", 1, "this line is not KEY=value"),
        (b'A="x" y\n', 1, "this line is not KEY=value"),
        (b"A=1\n\xff=2\n", 2, "it is not UTF-8 text"),
        (b"A=a\0b\n", 1, "this line is not KEY=value"),
        (b"#" * (1 << 21), 1, "it is larger than 1,048,576 bytes"),
    ],
)
def test_a_bad_line_of_an_env_file_is_named(data: bytes, line: int, problem: str) -> None:
    found = read_env_file(data)
    assert (found.line, found.problem) == (line, problem)


def test_env_files_that_are_missing_or_bad_make_their_services_invalid() -> None:
    text = {"a.yaml": service("a", "envFile: [.env, x.env]\n"), "b.yaml": service("b")}
    assert list(manifests(text).definitions) == ["a", "b"]
    found = manifests(text, {".env": None, "x.env": b"A\n"})
    assert list(found.definitions) == ["b"]
    assert [str(fault.source) for fault in found.diagnostics] == ["a.yaml:3:11", "a.yaml:3:17"]
    assert [fault.code for fault in found.diagnostics] == ["W306", "W306"]

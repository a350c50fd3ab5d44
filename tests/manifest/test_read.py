"""What good manifests mean."""

from __future__ import annotations

import pytest

from reconciler.manifest.config import Config
from reconciler.manifest.parse import parse
from reconciler.manifest.validate import check_config
from reconciler.model.spec import (
    Backoff,
    Condition,
    DesiredState,
    HttpTarget,
    Need,
    OnRestart,
    Readiness,
    ReadyType,
    RestartPolicy,
    ServiceType,
    TcpTarget,
)
from reconciler.model.units import Nanos, ServiceName, milliseconds, minutes, seconds
from tests.manifest.reading import result, spec

SMALL = "name: web\ncommand: python -m http.server 8000\n"


def test_name_and_command_are_enough() -> None:
    found = spec(SMALL)
    assert found.command == ("python", "-m", "http.server", "8000")
    assert (found.restart, found.max_restarts) == (RestartPolicy.ALWAYS, 10)
    assert found.ready is None


def test_plain_scalars_in_env_args_and_labels_are_text_as_written() -> None:
    found = spec(
        SMALL
        + "env: {PORT: 0800, V: 3.10, N: no, T: true, H: 0x1F, E: 1e3, C: 1:30, Q: '~', B: "
        + "5" * 5000
        + "}\nargs: [010, 1.0, yes, .inf]\nlabels: {build: 007}\nannotations: {a: 1e400}\n"
        "version: 1.10\n"
    )
    assert found.env["PORT"] == "0800"
    assert found.env["V"] == "3.10"
    assert (found.env["N"], found.env["T"], found.env["H"]) == ("no", "true", "0x1F")
    assert (found.env["E"], found.env["C"], found.env["Q"]) == ("1e3", "1:30", "~")
    assert found.env["B"] == "5" * 5000
    assert found.args == ("010", "1.0", "yes", ".inf")
    assert found.labels == {"build": "007"}
    assert found.annotations == {"a": "1e400"}
    assert found.version == "1.10"


def test_json_is_read_by_the_same_rules() -> None:
    text = (
        '{"name": "web", "command": ["a", 1], "env": {"PORT": 8000, "X": "\\ud83d\\ude00\\/"},\n'
        '\t"instances": 2}'
    )
    read = result(text, "services.d/web.json")
    assert not read.diagnostics
    found = read.readings[0].definition.spec
    assert found.command == ("a", "1")
    assert found.env == {"PORT": "8000", "X": "\N{GRINNING FACE}/"}
    assert found.instances == 2


def test_byte_order_mark_and_windows_line_ends_are_fine() -> None:
    assert spec(b"\xef\xbb\xbf" + SMALL.replace("\n", "\r\n").encode()) == spec(SMALL)


def test_a_url_between_brackets_needs_no_quotes() -> None:
    found = spec("name: web\ncommand: [curl, http://localhost:80/x, -H, a:b]\n")
    assert found.command == ("curl", "http://localhost:80/x", "-H", "a:b")


def test_several_documents_are_several_services() -> None:
    read = result("name: a\ncommand: x\n---\n# two\nname: b\ncommand: y\n...\n")
    assert [found.definition.spec.name for found in read.readings] == ["a", "b"]
    assert [found.definition.source.line for found in read.readings] == [1, 5]


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("a b  c", ("a", "b", "c")),
        ("a 'b c' \"d e\" f\\ g", ("a", "b c", "d e", "f g")),
        ("a ''", ("a", "")),
        ("a \xa0b", ("a", "\xa0b")),
        ("a # b", ("a", "#", "b")),
        ("echo $HOME $$ *.py ~", ("echo", "$HOME", "$$", "*.py", "~")),
        ("a --x='y z'", ("a", "--x=y z")),
    ],
)
def test_a_command_is_split_as_a_shell_splits_words(command: str, words: tuple[str, ...]) -> None:
    import json

    assert spec(f"name: web\ncommand: {json.dumps(command, ensure_ascii=False)}\n").command == words


def test_a_command_for_a_shell_stays_one_text() -> None:
    found = spec("name: web\nshell: true\ncommand: a && b | c > $HOME/d\nargs: [e f]\n")
    assert found.command == ("a && b | c > $HOME/d",)
    assert found.args == ("e f",)


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("500ms", milliseconds(500)),
        ("10s", seconds(10)),
        ("1.5s", milliseconds(1500)),
        ("5m", minutes(5)),
        ("1h", minutes(60)),
        ("2d", minutes(2880)),
        ("1w", minutes(10080)),
        ("250", milliseconds(250)),
        ("0", Nanos(0)),
        ("52w", minutes(10080 * 52)),
    ],
)
def test_spans_of_time(text: str, span: Nanos) -> None:
    assert spec(f"{SMALL}stopTimeout: {text}\n").stop_timeout == span


def test_everything_there_is() -> None:
    found = spec(
        """\
apiVersion: weaver/v1
kind: Service
name: api.v-2
displayName: The API
description: |
  Two
  lines
command: main.py
interpreter: python3 -u
args: [--port, "800${instance}"]
cwd: apps/${name}
envFile: [a.env, b.env]
state: stopped
instances: 3
dependsOn:
  db: {onRestart: restart}
  migrate: {condition: completed}
startTimeout: 2m
stopTimeout: 0
stopSignal: SIGINT
restart: on-failure
backoff: {initial: 0, max: 1m, factor: 1.5, jitter: 0, resetAfter: 1h}
maxRestarts: unlimited
successExitCodes: [143, 2]
ready:
  type: http
  http: {url: "http://127.0.0.1:800${instance}/", expectedStatus: [200, 204]}
  interval: 500ms
logFile: log/${name}-${instance}.log
"""
    )
    assert found.description == "Two\nlines\n"
    assert found.interpreter == ("python3", "-u")
    assert found.env_file == ("a.env", "b.env")
    assert found.state is DesiredState.STOPPED
    assert found.needs == (
        Need(service=ServiceName("db"), on_restart=OnRestart.RESTART),
        Need(service=ServiceName("migrate"), condition=Condition.COMPLETED),
    )
    assert found.start_timeout == minutes(2)
    assert found.backoff == Backoff(
        initial=Nanos(0), max=minutes(1), factor=1.5, jitter=Nanos(0), reset_after=minutes(60)
    )
    assert found.max_restarts is None
    assert found.success_exit_codes == (2, 143)
    assert found.ready == Readiness(
        type=ReadyType.HTTP,
        delay=Nanos(0),
        http=HttpTarget(url="http://127.0.0.1:800${instance}/", expected_status=(200, 204)),
        interval=milliseconds(500),
    )


def test_a_probe_is_tried_at_once_and_a_delay_waits() -> None:
    tcp = spec(SMALL + "ready: {type: tcp, tcp: {port: 80}}\n").ready
    assert tcp == Readiness(type=ReadyType.TCP, delay=Nanos(0), tcp=TcpTarget(port=80))
    assert spec(SMALL + "ready: {type: delay}\n").ready == Readiness(delay=seconds(1))


class TestDefaults:
    """`defaults` of weaver.yaml complete what a manifest leaves out."""

    @staticmethod
    def config(text: str) -> Config:
        read = check_config(parse("weaver.yaml", text.encode()))
        assert read.config is not None, read.diagnostics
        return read.config

    def test_mappings_are_completed_key_by_key_and_the_manifest_wins(self) -> None:
        config = self.config("defaults: {env: {A: 01, B: 2}, stopTimeout: 30s, args: [x]}\n")
        found = spec(SMALL + "env: {B: 3}\nargs: [y]\n", config)
        assert found.env == {"A": "01", "B": "3"}
        assert found.stop_timeout == seconds(30)
        assert found.args == ("y",)

    def test_what_could_do_nothing_in_a_service_is_left_out(self) -> None:
        config = self.config(
            "defaults: {ready: {type: delay, delay: 2s}, restart: always, shell: true,"
            " backoff: {max: 2s}}\n"
        )
        found = spec("name: web\ncommand: [x]\ntype: oneshot\nbackoff: {initial: 3s}\n", config)
        assert found.type is ServiceType.ONESHOT
        assert (found.ready, found.shell, found.backoff.max) == (None, False, seconds(60))

    def test_a_service_does_not_need_itself_because_all_need_it(self) -> None:
        config = self.config("defaults: {dependsOn: [web, db]}\n")
        assert [need.service for need in spec(SMALL, config).needs] == ["db"]

    def test_a_file_without_settings_sets_nothing(self) -> None:
        assert self.config("# nothing yet\n") == Config()

    def test_settings(self) -> None:
        text = "git: {autoCommit: false, author: A B <a@b>}\nmetrics: {listen: '[::1]:9464'}\n"
        assert self.config(text) == Config(
            auto_commit=False, author="A B <a@b>", metrics_listen="[::1]:9464"
        )

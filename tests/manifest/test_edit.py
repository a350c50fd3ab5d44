"""Edits change the lines that are meant, and not a byte of the others."""

from __future__ import annotations

import json
from collections.abc import Callable
from difflib import unified_diff
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from reconciler.manifest.edit import replay
from reconciler.manifest.intent import Intent, PutService, RemoveField, RemoveService, SetField
from reconciler.manifest.nodes import MapNode
from reconciler.manifest.parse import parse
from reconciler.manifest.schema import SERVICE, load
from reconciler.manifest.split import split
from reconciler.manifest.wanted import comparable
from reconciler.model.errors import ConflictError, ManifestError, NotFoundError, WeaverError
from reconciler.model.units import ServiceName

FILE = "services.d/web.yaml"
WEB = ServiceName("web")

ODD = """\
# yaml-language-server: $schema=../x.json
# header

name: web   # the name
command:   python -m http.server   8000   # odd blanks
# about env
env:
    # the port
    PORT: 8000   # tcp
    B: 'two'

    # last
    C: "x"
args:
- a   # first
- b
dependsOn: [db, cache]  # needs
ready: {type: tcp, tcp: {port: 80}}   # flow
labels: {a: b,
  c: d,   # cc
  e: f}
description: |
  Two

  lines

# the end
"""


def set_to(path: str, value: str) -> SetField:
    return SetField(service=WEB, path=tuple(path.split(".")), value=value)


def remove(path: str) -> RemoveField:
    return RemoveField(service=WEB, path=tuple(path.split(".")))


def put(text: str, name: str = "web", *, verbatim: bool = False) -> PutService:
    return PutService(service=ServiceName(name), text=text, verbatim=verbatim)


def edited(text: str, *intents: Intent, file: str = FILE) -> str:
    """Give the text after the intents."""
    changed = replay({file: text.encode()}, intents)
    data = changed.get(file, text.encode())
    assert data is not None
    return data.decode()


def changes(text: str, *intents: Intent, file: str = FILE) -> list[str]:
    """Give the lines that the intents take away and add."""
    before, after = text.splitlines(), edited(text, *intents, file=file).splitlines()
    lines = list(unified_diff(before, after, n=0, lineterm=""))[2:]
    return [line for line in lines if not line.startswith("@@")]


@pytest.mark.parametrize(
    ("intent", "lines"),
    [
        (set_to("env.PORT", "8000"), []),
        (set_to("env.PORT", "8001"), ["-    PORT: 8000   # tcp", "+    PORT: 8001   # tcp"]),
        (set_to("env.PORT", "null"), ["-    PORT: 8000   # tcp", '+    PORT: "null"   # tcp']),
        (set_to("env.B", "it's"), ["-    B: 'two'", "+    B: 'it''s'"]),
        (set_to("env.C", 'a "b"'), ['-    C: "x"', '+    C: "a \\"b\\""']),
        (set_to("env.NEW", "0800"), ["+    NEW: 0800"]),
        (set_to("env.NEW", "a: b"), ['+    NEW: "a: b"']),
        (set_to("env.NEW", ""), ['+    NEW: ""']),
        (set_to("env.NEW", "- x"), ['+    NEW: "- x"']),
        (set_to("env.NEW", "two\nlines"), ['+    NEW: "two\\nlines"']),
        (set_to("env.NEW", "yes"), ["+    NEW: yes"]),
        (set_to("displayName", "12"), ['+displayName: "12"']),
        (set_to("displayName", "true"), ['+displayName: "true"']),
        (set_to("version", "1.10"), ["+version: 1.10"]),
        (set_to("state", "stopped"), ["+state: stopped"]),
        (set_to("instances", "2"), ["+instances: 2"]),
        (set_to("stopTimeout", "5s"), ["+stopTimeout: 5s"]),
        (set_to("shell", "true"), ["+shell: true"]),
        (set_to("backoff.initial", "5s"), ["+backoff:", "+    initial: 5s"]),
        (set_to("command", "x 'y z'"), [
            "-command:   python -m http.server   8000   # odd blanks",
            "+command:   x 'y z'   # odd blanks",
        ]),
        (set_to("command", "[x, y: z]"), [
            "-command:   python -m http.server   8000   # odd blanks",
            "+command: [x, {y: z}]   # odd blanks",
        ]),
        (set_to("args.1", "--b"), ["-- b", "+- --b"]),
        (set_to("args", "[a, b, c]"), ["+- c"]),
        (set_to("args", "[b]"), ["-- a   # first"]),
        (set_to("dependsOn", "[db]"), [
            "-dependsOn: [db, cache]  # needs",
            "+dependsOn: [db]  # needs",
        ]),
        (set_to("dependsOn", "[x, db, cache, y]"), [
            "-dependsOn: [db, cache]  # needs",
            "+dependsOn: [x, db, cache, y]  # needs",
        ]),
        (set_to("dependsOn.db.condition", "started"), [
            "-dependsOn: [db, cache]  # needs",
            "+# needs",
            "+dependsOn:",
            "+    db:",
            "+        condition: started",
            "+    cache: {}",
        ]),
        (set_to("ready.interval", "1s"), [
            "-ready: {type: tcp, tcp: {port: 80}}   # flow",
            "+ready: {type: tcp, tcp: {port: 80}, interval: 1s}   # flow",
        ]),
        (set_to("ready.tcp.port", "81"), [
            "-ready: {type: tcp, tcp: {port: 80}}   # flow",
            "+ready: {type: tcp, tcp: {port: 81}}   # flow",
        ]),
        (set_to("labels.g", "h"), ["-  e: f}", "+  e: f,", "+  g: h}"]),
        (set_to("description", "short"), [
            "-description: |", "-  Two", "-", "-  lines", "+description: short",
        ]),
        (remove("env.PORT"), ["-    PORT: 8000   # tcp"]),
        (remove("env.C"), ['-    C: "x"']),
        (remove("args.0"), ["-- a   # first"]),
        (remove("args"), ["-args:", "-- a   # first", "-- b"]),
        (remove("labels.c"), ["-  c: d,   # cc"]),
        (remove("labels.e"), ["-  c: d,   # cc", "-  e: f}", "+  c: d   # cc", "+  }"]),
        (remove("ready.tcp"), [
            "-ready: {type: tcp, tcp: {port: 80}}   # flow",
            "+ready: {type: tcp}   # flow",
        ]),
        (remove("description"), ["-description: |", "-  Two", "-", "-  lines"]),
        (remove("nothing.there"), []),
    ],
    ids=lambda value: ".".join(value.path) if isinstance(value, SetField | RemoveField) else "",
)  # fmt: skip
def test_one_field_changes_its_own_lines(intent: Intent, lines: list[str]) -> None:
    assert changes(ODD, intent) == lines


def test_the_last_entry_takes_its_mapping_with_it() -> None:
    text = "name: web\ncommand: x\nenv:\n  A: 1  # one\nstate: stopped\n"
    assert changes(text, remove("env.A")) == ["-env:", "-  A: 1  # one"]


def test_a_new_manifest_replaces_the_old_one_and_keeps_its_comments() -> None:
    new = """\
# another header
name: web
command: other
# since when
version: 3
env:
  # a new one
  Z: |
    a
    b
  PORT: "9000"
  C: "x"
args: [b, c]
ready:
  type: http
  http: {url: http://x/}
description: |
  Two

  lines
"""
    assert changes(ODD, put(new)) == [
        "-command:   python -m http.server   8000   # odd blanks",
        "+command:   other   # odd blanks",
        "+# since when",
        "+version: 3",
        "-    PORT: 8000   # tcp",
        "-    B: 'two'",
        '+    PORT: "9000"   # tcp',
        "+    # a new one",
        "+    Z: |",
        "+      a",
        "+      b",
        "-- a   # first",
        "-dependsOn: [db, cache]  # needs",
        "-ready: {type: tcp, tcp: {port: 80}}   # flow",
        "-labels: {a: b,",
        "-  c: d,   # cc",
        "-  e: f}",
        "+- c",
        "+ready: {type: http, http: {url: http://x/}}   # flow",
    ]


def test_a_manifest_that_says_the_same_changes_nothing() -> None:
    same = json.dumps(comparable(root(ODD), load(SERVICE)))
    assert changes(ODD, put(same)) == []
    assert replay({FILE: ODD.encode()}, [put(ODD), set_to("env.C", "x")]) == {}


def test_a_manifest_from_an_editor_is_taken_with_its_comments() -> None:
    new = "name: web   # mine\ncommand: y\n# no more\n"
    text = "# one\n---\nname: a\ncommand: x\n---\n# old\nname: web\n---\nname: z\ncommand: x\n"
    assert edited(text, put(new, verbatim=True)) == (
        "# one\n---\nname: a\ncommand: x\n---\n" + new + "---\nname: z\ncommand: x\n"
    )


def test_a_new_service_gets_a_file_of_its_own() -> None:
    new = put("# hi\nname: new\ncommand: x", "new")
    assert replay({}, [new]) == {"services.d/new.yaml": b"# hi\nname: new\ncommand: x\n"}
    other = {"services.d/new.yaml": b"name: old\ncommand: x"}
    assert replay(other, [new]) == {
        "services.d/new.yaml": b"name: old\ncommand: x\n---\n# hi\nname: new\ncommand: x\n"
    }


THREE = (
    "# head\n---\nname: a\ncommand: x\n---\n"
    "# of web\nname: web\ncommand: y\n---\nname: c\ncommand: z"
)


@pytest.mark.parametrize(
    ("name", "left"),
    [
        ("a", "# head\n---\n# of web\nname: web\ncommand: y\n---\nname: c\ncommand: z"),
        ("web", "# head\n---\nname: a\ncommand: x\n---\nname: c\ncommand: z"),
        ("c", "# head\n---\nname: a\ncommand: x\n---\n# of web\nname: web\ncommand: y\n"),
    ],
)
def test_a_document_is_removed_and_the_others_stay(name: str, left: str) -> None:
    assert edited(THREE, RemoveService(service=ServiceName(name))) == left


def test_the_last_document_takes_the_file_with_it() -> None:
    assert replay({FILE: b"# c\nname: web\ncommand: x\n"}, [RemoveService(service=WEB)]) == {
        FILE: None
    }


def test_one_document_among_others_is_edited() -> None:
    assert changes(THREE, set_to("env.A", "1")) == ["+env:", "+  A: 1"]
    last = SetField(service=ServiceName("c"), path=("state",), value="stopped")
    assert edited(THREE, last) == THREE + "\nstate: stopped"


def test_byte_order_mark_and_windows_line_ends_stay() -> None:
    data = b"\xef\xbb\xbfname: web\r\ncommand: x\r\nenv:\r\n  A: 1\r\n"
    intents = [set_to("env.B", "2"), set_to("env.A", "3"), set_to("backoff.max", "1m")]
    assert replay({FILE: data}, intents) == {
        FILE: b"\xef\xbb\xbfname: web\r\ncommand: x\r\nenv:\r\n  A: 3\r\n  B: 2\r\n"
        b"backoff:\r\n  max: 1m\r\n"
    }


JSON = """\
{
  "name": "web",
  "command": "x",
  "env": {
    "A": "1",
    "B": "2"
  },
  "args": ["a"]
}
"""


@pytest.mark.parametrize(
    ("intent", "lines"),
    [
        (set_to("env.A", "2"), ['-    "A": "1",', '+    "A": "2",']),
        (set_to("env.C", "0800"), ['-    "B": "2"', '+    "B": "2",', '+    "C": "0800"']),
        (set_to("instances", "2"), ['-  "args": ["a"]', '+  "args": ["a"],', '+  "instances": 2']),
        (remove("env.B"), ['-    "A": "1",', '-    "B": "2"', '+    "A": "1"']),
        (remove("args"), ["-  },", '-  "args": ["a"]', "+  }"]),
        (set_to("args", "[a, b c]"), ['-  "args": ["a"]', '+  "args": ["a", "b c"]']),
    ],
    ids=lambda value: ".".join(value.path) if isinstance(value, SetField | RemoveField) else "",
)
def test_json_stays_json(intent: Intent, lines: list[str]) -> None:
    file = "services.d/web.json"
    assert changes(JSON, intent, file=file) == lines
    json.loads(edited(JSON, intent, file=file))


def test_a_layout_nobody_knows_is_left_to_the_round_trip() -> None:
    text = "? name\n: web\n? command\n: x # c\n? state\n: stopped\n"
    after = edited(text, remove("state"))
    assert comparable(root(after), {}) == {"name": "web", "command": "x"}
    assert "# c" in after


@pytest.mark.parametrize(
    ("intent", "error", "message"),
    [
        (set_to("name", "api"), ManifestError, "cannot rename web"),
        (set_to("instances", "["), ManifestError, r"cannot use the value `\[`"),
        (set_to("instances", "a: b: c"), ManifestError, "cannot use the value"),
        (set_to("args.9", "x"), ManifestError, "cannot set item `9` of a list of 2"),
        (set_to("command.x", "y"), ManifestError, "inside of a single value"),
        (put("name: api\ncommand: x\n"), ManifestError, "the new manifest is of `api`"),
        (put("name: web\n---\nname: api\n"), ManifestError, "is 2 documents"),
        (put("name: [\n"), ManifestError, "W106"),
        (put(""), ManifestError, "W113"),
        (RemoveService(service=ServiceName("nope")), NotFoundError, "no manifest defines it"),
    ],
)
def test_what_cannot_be_done_is_refused(
    intent: Intent, error: type[WeaverError], message: str
) -> None:
    with pytest.raises(error, match=message):
        replay({FILE: ODD.encode()}, [intent])


def test_a_broken_file_is_not_edited_nor_doubled() -> None:
    files = {FILE: b"name: web\ncommand: [\n"}
    for intent in (set_to("state", "stopped"), put("name: web\ncommand: x\n")):
        with pytest.raises(ManifestError, match=r"cannot change web: services\.d/web\.yaml:3:1"):
            replay(files, [intent])


def test_a_service_that_is_defined_twice_is_not_edited() -> None:
    files = {FILE: b"name: web\ncommand: x\n", "services.d/b.yaml": b"name: web\ncommand: x\n"}
    with pytest.raises(ConflictError, match="defined twice, in"):
        replay(files, [set_to("state", "stopped")])


def test_intents_that_fail_change_nothing() -> None:
    files = {FILE: ODD.encode()}
    with pytest.raises(NotFoundError):
        replay(files, [set_to("state", "stopped"), RemoveService(service=ServiceName("nope"))])
    assert files == {FILE: ODD.encode()}


# --- splitting -------------------------------------------------------------------------------


def test_a_file_is_split_into_its_services() -> None:
    assert split("x.yaml", THREE.encode(), must_be_valid=True) == (
        ("a", "# head\n---\nname: a\ncommand: x\n"),
        ("web", "# of web\nname: web\ncommand: y\n"),
        ("c", "name: c\ncommand: z"),
    )


def test_what_is_invalid_is_split_only_for_editing() -> None:
    data = b"name: web\nfoo: 1\n"
    with pytest.raises(ManifestError, match="it is not valid") as caught:
        split("x.yaml", data, must_be_valid=True)
    assert len(caught.value.diagnostics) == 2
    assert split("x.yaml", data, must_be_valid=False) == (("web", data.decode()),)
    with pytest.raises(ManifestError, match="twice"):
        split("x.yaml", b"name: a\ncommand: x\n---\nname: a\ncommand: x\n", must_be_valid=True)


# --- properties ------------------------------------------------------------------------------


def root(text: str) -> MapNode:
    found = parse(FILE, text.encode()).documents[0].root
    assert found is not None
    return found


VALUES = st.sampled_from(
    ["a", "0800", "null", "x: y", "a #b", "'", 'it\'s "q"', "é ü", "- z", "[a]"]
)
ENV = st.dictionaries(st.sampled_from("ABCDEF"), VALUES, min_size=1, max_size=4)


def single(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


@st.composite
def layouts(draw: st.DrawFn) -> str:
    """Make a manifest with comments, blank lines and blocks in many layouts."""
    indent = " " * draw(st.sampled_from([1, 2, 4, 7]))
    dash = " " * draw(st.sampled_from([0, 2, 4]))
    comment = st.sampled_from(["", "", "  # why", " #x"])
    above = st.sampled_from(["", "", "# above\n", "\n", "\n# above\n\n"])
    quote: Callable[[str], str] = json.dumps if draw(st.booleans()) else single
    env = draw(ENV)
    if draw(st.booleans()):
        lines = [f"{indent}{key}: {quote(env[key])}{draw(comment)}\n" for key in env]
        block = "env:" + draw(comment) + "\n" + "".join(lines)
    else:
        block = "env: {" + ", ".join(f"{k}: {json.dumps(v)}" for k, v in env.items()) + "}\n"
    items = draw(st.lists(VALUES, min_size=1, max_size=4))
    if draw(st.booleans()):
        listed = "args:\n" + "".join(f"{dash}- {quote(item)}{draw(comment)}\n" for item in items)
    else:
        inner = ("," + draw(st.sampled_from([" ", "\n  ", " # c\n    "]))).join(
            map(json.dumps, items)
        )
        listed = f"args: [{inner}]{draw(comment)}\n"
    parts = ["name: web\n", f"command: x{draw(comment)}\n", block, listed]
    parts += [draw(st.sampled_from(["description: |\n  a\n\n  b\n", "state: stopped\n", ""]))]
    parts = draw(st.permutations(parts))
    text = "".join(draw(above) + part if part else "" for part in parts) + draw(above)
    text = draw(st.sampled_from(["", "---\n", "# first\n"])) + text
    if draw(st.booleans()):
        text = text.rstrip("\n")
    return text.replace("\n", draw(st.sampled_from(["\n", "\r\n"])))


def meaning(text: str) -> dict[str, Any]:
    value: dict[str, Any] = comparable(root(text), load(SERVICE))
    return value


def is_subsequence(few: list[str], many: list[str]) -> bool:
    rest = iter(many)
    return all(line in rest for line in few)


@settings(max_examples=150)
@given(layouts(), st.sampled_from("ABCXYZ"), VALUES)
def test_setting_a_value_touches_one_line_at_most(text: str, key: str, value: str) -> None:
    before, after = text.splitlines(keepends=True), edited(text, set_to(f"env.{key}", value))
    lines = after.splitlines(keepends=True)
    assert meaning(after) == {**meaning(text), "env": {**meaning(text)["env"], key: value}}
    gone = [line for line in before if line not in lines]
    new = [line for line in lines if line not in before]
    assert len(gone) <= 1
    assert len(new) <= 2
    assert edited(after, set_to(f"env.{key}", value)) == after


@settings(max_examples=150)
@given(layouts(), st.data())
def test_removing_a_value_adds_nothing_and_keeps_comments(text: str, data: st.DataObject) -> None:
    env = meaning(text)["env"]
    key = data.draw(st.sampled_from(sorted(env)))
    after = edited(text, remove(f"env.{key}"))
    rest = {name: value for name, value in env.items() if name != key}
    wanted = {**meaning(text), "env": rest}
    assert meaning(after) == (wanted if rest else {k: v for k, v in wanted.items() if k != "env"})
    full = [line for line in text.splitlines() if line.lstrip().startswith("# above")]
    assert [line for line in after.splitlines() if line.lstrip().startswith("# above")] == full


@settings(max_examples=150)
@given(layouts(), layouts())
def test_putting_a_manifest_gives_its_meaning_and_keeps_what_is_the_same(
    old: str, new: str
) -> None:
    new = new if new.endswith("\n") else new + "\n"
    after = edited(old, put(new))
    assert meaning(after) == meaning(new)
    same = {key for key, value in meaning(old).items() if meaning(new).get(key) == value}
    kept = [
        line
        for line in old.splitlines(keepends=True)
        if line.partition(":")[0] in same and not line.rstrip().endswith((":", "|"))
    ]
    assume(kept)
    assert is_subsequence([line.rstrip("\r\n") for line in kept], after.splitlines())
    assert edited(after, put(new)) == after


@settings(max_examples=60)
@given(layouts(), layouts())
def test_a_document_beside_others_leaves_them_alone(one: str, other: str) -> None:
    other = other.replace("name: web", "name: api")
    first = one if one.endswith("\n") else one + "\n"
    text = f"{first}---\n{other.removeprefix('---').lstrip()}"
    after = edited(text, set_to("state", "running"))
    assert after.endswith(text[len(first) :])

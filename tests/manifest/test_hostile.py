"""The fault catalogue of manifests: what a file may contain, by accident or by intent."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from reconciler.adapters.reader import OfflineReader
from reconciler.manifest.parse import parse
from reconciler.manifest.resolve import assemble
from reconciler.manifest.result import FileResult
from reconciler.manifest.validate import check, check_config
from reconciler.model.diagnostic import Diagnostic
from reconciler.model.errors import SourceHeldError
from reconciler.model.units import ServiceName
from tests.manifest.reading import faults, manifests, result, service
from tests.steps import steps_of

GOOD = """\
# yaml-language-server: $schema=../x.json
name: web   # the name
command: python -m http.server 8000
args: [--directory, "public files"]
env:
  PORT: 0800
  TEXT: |
    two
      lines
labels: {tier: web, 'team': "payments"}
dependsOn:
- db
ready: {type: http, http: {url: "http://127.0.0.1/", expectedStatus: [200]}}
stopTimeout: 10s
---
{"name": "db", "command": ["x", "\\u00e9"]}
"""


def read_in(steps: int, data: bytes | str) -> FileResult:
    """Read a file in not more than so many steps."""
    found = []
    assert steps_of(lambda: found.append(result(data))) < steps
    return found[0]


def one_fault(data: bytes, steps: int = 10_000) -> str:
    """Read a file that has exactly one fault, and see it soon; give its code."""
    found = read_in(steps, data)
    assert len(found.diagnostics) == 1
    assert not found.readings
    return found.diagnostics[0].code


@pytest.mark.parametrize(
    "data",
    [
        b"[" * 30_000,
        b"{a: " * 30_000,
        b"- " * 30_000,
        b"".join(b" " * depth + b"a:\n" for depth in range(1_400)),
        b"? " * 30_000,
    ],
    ids=["lists", "mappings", "dashes", "indentation", "question marks"],
)
def test_y1_deep_nesting_is_one_error_at_once(data: bytes) -> None:
    assert one_fault(data) == "W104"


def test_y1_nesting_that_the_parser_itself_refuses_is_one_error_at_once() -> None:
    assert one_fault(b"{a:" * 30_000) == "W106"


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [x, x]\n"
        + "".join(f"{chr(98 + n)}: &{chr(98 + n)} [*{chr(97 + n)}]\n" for n in range(9)),
        "a: &a {x: 1}\n" + "".join(f"b{n}:\n  <<: [*a, *a, *a]\n" for n in range(200)),
        "&x [*x]\n",
        "&x {a: *x}\n",
    ],
    ids=["aliases", "merge keys", "a list of itself", "a mapping of itself"],
)
def test_y2_bombs_are_refused_before_anything_is_composed(text: str) -> None:
    found = read_in(3_000_000, text)
    assert not found.readings
    assert any(fault.code == "W110" for fault in found.diagnostics)


def test_y2_too_many_nodes() -> None:
    assert one_fault(b"a: [" + b"x," * 60_000 + b"]", 4_000_000) == "W105"


@pytest.mark.parametrize(
    "make",
    [
        lambda path: path.write_bytes(b"# " + b"x" * 10_000_000),
        lambda path: os.truncate(path, 1 << 30),
    ],
    ids=["10 MB in a line", "1 GB of nothing"],
)
def test_y3_large_files_are_refused_by_their_size(
    tmp_path: Path, make: Callable[[Path], object]
) -> None:
    path = tmp_path / "services.d" / "web.yaml"
    path.parent.mkdir()
    path.touch()
    make(path)
    found = OfflineReader(str(tmp_path)).read_saved().assemble()
    assert [fault.code for fault in found.diagnostics] == ["W103"]
    assert list(found.broken_files) == ["services.d/web.yaml"]


def test_y3_a_key_of_a_megabyte() -> None:
    assert one_fault(b"a: " + b"k" * 1_040_000 + b": 1\n") == "W106"


def test_y4_files_that_are_no_manifests_are_counted_not_listed(tmp_path: Path) -> None:
    folder = tmp_path / "services.d"
    folder.mkdir()
    for number in range(300):
        (folder / f"{number}.txt").touch()
    (folder / "web.yaml").write_text(service("web"))
    found = OfflineReader(str(tmp_path)).read_saved().assemble()
    assert list(found.definitions) == ["web"]
    assert len(found.diagnostics) == 6
    assert "295 more files" in found.diagnostics[0].message


def test_y5_duplicates_name_both_places() -> None:
    found = manifests({"services.d/a.yaml": service("web"), "services.d/b.yaml": service("web")})
    assert [str(fault.source) for fault in found.diagnostics] == [
        "services.d/a.yaml:1:1",
        "services.d/b.yaml:1:1",
    ]
    assert "services.d/b.yaml:1:1" in found.diagnostics[0].message
    assert "line 2" in result("name: web\ncommand: x\ncommand: y\n").diagnostics[0].message


@pytest.mark.parametrize(
    "data", ["é: 1".encode("utf-16"), b"caf\xe9: 1", b"a: \x00", b"a: \xc2\x9b"]
)
def test_y6_what_is_not_utf8_text_is_one_clear_error(data: bytes) -> None:
    assert one_fault(data) in ("W101", "W102")


def test_y6_line_ends_of_windows_and_a_mark_at_the_start_are_fine() -> None:
    found = result(b"\xef\xbb\xbfname: web\r\ncommand: x\r\n")
    assert [reading.definition.spec.name for reading in found.readings] == ["web"]
    assert not found.diagnostics


def test_g11_a_pointer_of_git_lfs_is_said_to_be_one() -> None:
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 12345\n"
    [fault] = result(pointer).diagnostics
    assert (fault.code, result(pointer).is_broken) == ("W116", True)
    assert "git LFS" in fault.message
    assert "git lfs untrack" in fault.mend


@pytest.mark.parametrize("text", ["", "\n\n", "# only this\n", "---\n", "---\n---\n"])
def test_y7_empty_is_an_error_and_never_no_services(text: str) -> None:
    found = result(text)
    assert found.is_broken
    assert {fault.code for fault in found.diagnostics} == {"W113"}


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("%YAML 1.3\n---\nname: web\ncommand: x\n", "W112"),
        ("name: web\n\tcommand: x\n", "W107"),
        ("!!python/object:os.system {}\n", "W111"),
        ("name: !!binary aGk=\ncommand: x\n", "W111"),
        ("name: web\ncommand: x\nlabels: !!set {a: b}\n", "W111"),
        ("1: x\nname: web\ncommand: x\n", "W109"),
    ],
)
def test_y7_what_yaml_has_beyond_keys_and_values_is_an_error(text: str, code: str) -> None:
    assert [fault.code for fault in result(text).diagnostics] == [code]


def test_y7_a_file_may_lack_its_last_line_end_and_hold_several_services() -> None:
    found = result("name: web\ncommand: x\n---\nname: db\ncommand: 2001-99-99")
    assert [reading.definition.spec.name for reading in found.readings] == ["web", "db"]


def test_y8_words_of_yaml_1_1_are_text_and_the_error_shows_how_to_write_it() -> None:
    found = result("name: web\ncommand: x\nshell: no\ninstances: 1:30\ncwd: 012\n")
    assert [fault.mend for fault in found.diagnostics] == [
        "write `false`: in YAML 1.2 `no` is a word",
        "for example instances: 2",
        'if it is text, put it in quotes: cwd: "012"',
    ]


@pytest.mark.parametrize("number", ["9" * 5_000, "1e400", ".nan", "-.inf", "0x" + "f" * 5_000])
def test_y9_numbers_out_of_all_bounds(number: str) -> None:
    assert faults(f"name: web\ncommand: x\ninstances: {number}\n") == ["3:12 W206"]


@pytest.mark.parametrize(
    "name",
    [
        "../x",
        "/x",
        "-x",
        ".x",
        "x y",
        "x\n",
        "$(id)",
        "\U0001f4a9",
        "\u05d0",
        "\u0430",
        "x" * 300,
        "e\u0301",
        "\xe9",
        "X",
        "x_y",
        "",
    ],
)
def test_y10_names_are_refused_before_any_path_is_made_of_them(name: str) -> None:
    import json

    found = result(f"name: {json.dumps(name)}\ncommand: x\n")
    assert [fault.code for fault in found.diagnostics] == ["W205"]
    assert found.is_broken
    assert not found.names


def test_y11_names_that_differ_only_in_the_file_freeze_both() -> None:
    for one, other in (("A.yaml", "a.yaml"), ("x.yaml", "x.yml")):
        found = manifests({f"services.d/{one}": service("a"), f"services.d/{other}": service("a")})
        assert not found.definitions
        assert list(found.invalid) == ["a"]
        assert len(found.invalid[ServiceName("a")]) == 2


def test_y12_a_key_of_another_version_is_an_error() -> None:
    assert faults(service("web", "alerts: {}\n")) == ["3:1 W201"]


def ring_of(count: int) -> dict[str, str]:
    """Give services that need each other in a ring, one that needs them, and one that is free."""
    files = {
        f"services.d/{n}.yaml": service(f"r{n}", f"dependsOn: [r{(n + 1) % count}]\n")
        for n in range(count)
    }
    files["services.d/on.yaml"] = service("on", "dependsOn: [r0]\n")
    files["services.d/free.yaml"] = service("free")
    return files


def test_y13_a_ring_ten_times_as_long_costs_ten_times_as_much() -> None:
    few, many = (steps_of(functools.partial(manifests, ring_of(count))) for count in (30, 300))
    assert many < 12 * few


def test_y13_cycles_freeze_their_members_and_no_others() -> None:
    found = manifests(ring_of(1000))
    assert sorted(found.definitions) == ["free", "on"]
    assert len(found.invalid) == 1000
    assert "r0 -> r1 -> r2" in found.invalid[ServiceName("r0")][0].message


def test_y13_a_long_chain_needs_no_recursion() -> None:
    text = "---\n".join(
        service(f"s{n}", f"dependsOn: [s{n - 1}]\n" if n else "") for n in range(3_000)
    )
    read = check(parse("services.d/chain.yaml", text.encode()))
    assert len(assemble([read]).definitions) == 3_000


def test_y15_variables_are_text_and_names_are_checked() -> None:
    from tests.manifest.reading import spec

    found = spec(service("web", "env: {LD_PRELOAD: x, PATH: /bin, A: $B, B: $$A}\n"))
    assert found.env == {"LD_PRELOAD": "x", "PATH": "/bin", "A": "$B", "B": "$$A"}
    assert faults(service("web", "env: {'': a, A=B: c}\n")) == ["3:7 W205", "3:14 W205"]
    assert faults(service("web", f"env: {{A: {'x' * 131_072}}}\n")) == ["3:10 W206"]


def test_y18_a_missing_folder_is_not_taken_for_no_services(tmp_path: Path) -> None:
    with pytest.raises(SourceHeldError, match=r"cannot read services\.d: no such file"):
        OfflineReader(str(tmp_path)).read_saved()
    (tmp_path / "services.d").write_text("not a folder")
    with pytest.raises(SourceHeldError, match="not a directory"):
        OfflineReader(str(tmp_path)).read_saved()


def test_y18_a_symlink_out_of_the_repository_is_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "web.yaml").write_text(service("web"))
    root = tmp_path / "root"
    (root / "services.d").mkdir(parents=True)
    (root / "services.d" / "web.yaml").symlink_to(outside / "web.yaml")
    (root / "services.d" / "gone.yaml").symlink_to("nowhere")
    (root / "real.yaml").write_text(service("inside"))
    (root / "services.d" / "in.yaml").symlink_to("../real.yaml")
    found = OfflineReader(str(root)).read_saved().assemble()
    assert [fault.code for fault in found.diagnostics] == ["W308", "W308"]
    assert list(found.definitions) == ["inside"]
    (root / "services.d" / "sub").symlink_to(outside)
    with pytest.raises(SourceHeldError, match="symlink that leaves the repository"):
        OfflineReader(str(root)).read_saved()


def test_y18_a_folder_that_leads_back_is_walked_once(tmp_path: Path) -> None:
    (tmp_path / "services.d" / "team").mkdir(parents=True)
    (tmp_path / "services.d" / "team" / "web.yaml").write_text(service("web"))
    (tmp_path / "services.d" / "again").symlink_to("team")
    (tmp_path / "services.d" / "loop").symlink_to("..")
    assert len(OfflineReader(str(tmp_path)).read_saved().assemble().files) == 1


def test_y19_what_is_no_regular_file_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "services.d"
    folder.mkdir()
    os.mkfifo(folder / "fifo.yaml")
    (folder / "zero.yaml").symlink_to("/dev/zero")
    (folder / "folder.yaml").mkdir()
    found = OfflineReader(str(tmp_path)).read_saved().assemble()
    assert [f"{fault.source.file} {fault.code}" for fault in found.diagnostics] == [
        "services.d/fifo.yaml W116",
        "services.d/zero.yaml W308",
    ]


@pytest.mark.parametrize("text", ["{{ name }}", "!include x", "*other"])
def test_y20_templates_and_includes_are_errors(text: str) -> None:
    assert faults(f"name: web\ncommand: {text}\n") != []


MUTATIONS = st.lists(
    st.tuples(
        st.integers(0, len(GOOD)),
        st.integers(0, 12),
        st.sampled_from([*":-[]{}'\"|>#&*!%@`?,~\t\n \r\\", "---\n", "<<: ", "\x00", "\ud7ff", "é"])
        | st.text(max_size=3),
    ),
    max_size=6,
)


@settings(max_examples=400)
@given(MUTATIONS)
@example([(0, 0, "{"), (len(GOOD), 0, "}")])
def test_y21_mutated_manifests_never_crash_and_never_half_start(
    mutations: list[tuple[int, int, str]],
) -> None:
    text = GOOD
    for at, length, new in mutations:
        text = text[:at] + new + text[at + length :]
    data = text.encode("utf-8", "surrogatepass")
    found = result(data)
    valid = {reading.definition.spec.name for reading in found.readings}
    assert not valid & set(found.invalid)
    assert found.is_broken or found.invalid or valid
    assert found.faults or not (found.is_broken or found.invalid)
    assert all(
        isinstance(str(fault), str) and fault.mend is not None for fault in found.diagnostics
    )


@settings(max_examples=300)
@given(st.binary(max_size=300))
def test_y21_any_bytes_are_read_without_an_exception(data: bytes) -> None:
    found = result(data)
    assert found.readings or found.faults
    settings_found = check_config(parse("weaver.yaml", data))
    assert settings_found.config is not None or settings_found.diagnostics


@settings(max_examples=200)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
        ),
        max_leaves=8,
    ),
    st.sampled_from(sorted(["env", "args", "ready", "dependsOn", "backoff", "labels", "command"])),
)
def test_y21_any_value_of_any_key_is_judged_without_an_exception(value: object, key: str) -> None:
    import json

    text = json.dumps({"name": "web", "command": "x", key: value})
    found = result(text, "services.d/web.json")
    assert found.readings or found.faults
    assert all(isinstance(fault, Diagnostic) for fault in found.diagnostics)

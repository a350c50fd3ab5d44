"""Which lines a query gets, and what they say of themselves."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from reconciler.adapters.logs import pieces
from reconciler.adapters.logs.parse import parse
from reconciler.adapters.logs.plain_files import PlainFile
from reconciler.ports import ManifestError, NotFoundError
from tests.logs.writing import START, Folder


@pytest.fixture
def logs(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def naive_lines(data: bytes) -> list[tuple[int, bytes]]:
    """Cut as slowly and plainly as possible."""
    found, at = [], 0
    lines = data.split(b"\n")
    if lines[-1] == b"":
        lines.pop()
    for line in lines:
        begin = 0
        while True:
            found.append((at + begin, line[begin : begin + pieces.LINE_MAX]))
            begin += pieces.LINE_MAX
            if begin >= len(line):
                break
        at += len(line) + 1
    return found


contents = st.lists(
    st.one_of(
        st.binary(max_size=12),
        st.sampled_from([b"\n", b"\n\n", b"a" * 7, b"b" * 8, b"c" * 9, b"d" * 33]),
    ),
    max_size=30,
).map(b"".join)


@settings(max_examples=200)
@given(data=contents)
@example(data=b"")
@example(data=b"x" * 16 + b"\n" + b"y" * 24)
def test_both_directions_cut_a_file_as_the_plain_way_does(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    """The limits are made small, so that short files meet all of them."""
    path = tmp_path_factory.mktemp("log") / "file"
    path.write_bytes(data)
    with pytest.MonkeyPatch.context() as patch, path.open("rb") as file:
        patch.setattr(pieces, "LINE_MAX", 8)
        patch.setattr(pieces, "BLOCK", 20)
        patch.setattr(pieces, "PIECES_AT_ONCE", 2)
        log = PlainFile(file.fileno())
        expected = naive_lines(data)
        assert [piece for lot in pieces.forward(log, 0, len(data)) for piece in lot] == expected
        lots = list(pieces.backward(log, 0, len(data)))
        assert [piece for lot in reversed(lots) for piece in lot] == expected


moments = st.lists(st.integers(0, 40), max_size=30)


def write_numbered(logs: Folder, files: list[list[int]]) -> list[tuple[int, int, int, str, str]]:
    """Write a line for each moment; give them all as (time, file, place, level, text)."""
    every = []
    for number, times in enumerate(files):
        source = logs.source(f"s{number}")
        for place, moment in enumerate(times):
            level = "error" if place % 3 else "debug"
            text = json.dumps({"ts": START + moment, "level": level, "n": [number, place]})
            logs.write(source, text + "\n")
            every.append((moment, number, place, level, text))
    return sorted(every)


@settings(max_examples=60)
@given(
    files=st.lists(moments.map(sorted), min_size=1, max_size=3),
    count=st.integers(0, 40),
    level=st.sampled_from(["", "warn"]),
)
def test_the_tail_is_the_end_of_everything_in_order(
    tmp_path_factory: pytest.TempPathFactory, files: list[list[int]], count: int, level: str
) -> None:
    logs = Folder(tmp_path_factory.mktemp("logs"))
    every = write_numbered(logs, files)
    wanted = [text for *_, grade, text in every if not level or grade == "error"]
    assert logs.texts(lines=None, level=level) == wanted
    assert logs.texts(lines=count, level=level) == wanted[max(0, len(wanted) - count) :]


@settings(max_examples=60)
@given(files=st.lists(moments, min_size=1, max_size=3), lines=st.none() | st.integers(1, 20))
def test_whatever_clocks_do_a_log_is_shown_in_its_own_order(
    tmp_path_factory: pytest.TempPathFactory, files: list[list[int]], lines: int | None
) -> None:
    """L9."""
    logs = Folder(tmp_path_factory.mktemp("logs"))
    every = write_numbered(logs, files)
    shown = [json.loads(text)["n"] for text in logs.texts(lines=lines)]
    assert len(shown) == (len(every) if lines is None else min(lines, len(every)))
    for number, times in enumerate(files):
        places = [place for file, place in shown if file == number]
        assert places == list(range(len(times)))[len(times) - len(places) :]


def test_l9_files_are_merged_by_time_and_each_keeps_its_own_order(logs: Folder) -> None:
    """L9: a clock that is set back reorders nothing within a log."""
    web, db = logs.source("web"), logs.source("db")
    logs.write(web, "2023-11-14T22:13:20Z w1\n2023-11-14T21:00:00Z w2 clock set back\n")
    logs.write(db, "2023-11-14T22:13:10Z d1\n2023-11-14T22:13:30Z d2\n")
    for lines in (None, 100):
        shown = [text.split()[1] for text in logs.texts(lines=lines)]
        assert shown == ["d1", "w1", "w2", "d2"]


def test_lines_without_a_time_have_that_of_the_look_before_them(logs: Folder) -> None:
    web = logs.source()
    logs.start(web, 0)
    logs.write(web, "one\n", at=10)
    logs.look(3600)
    logs.write(web, "two\n", at=3610)
    logs.write(web, "three\n", at=3620)
    assert [(line.raw, line.timestamp, line.timestamp_source) for line in logs.read()] == [
        ("one", START, "index"),
        ("two", START + 3600, "index"),
        ("three", START + 3610, "index"),
    ]


def test_lines_without_a_time_are_merged_as_if_they_had_come_evenly(logs: Folder) -> None:
    """Between two looks, and from the last look to the last change of the file."""
    web, db = logs.source("web"), logs.source("db")
    for source in (web, db):
        logs.start(source, 0)
        logs.write(source, "begin\n", at=1)
    logs.look(10)
    for second in range(10, 30, 2):
        logs.write(web, f"w{second}\n")
        logs.write(db, f'{{"ts": {START + second + 1}, "msg": "d{second + 1}"}}\n')
        if second == 18:
            logs.look(20)
    os.utime(web.path, (START + 30, START + 30))
    shown = [line.message for line in logs.read(lines=20)]
    assert shown == [f"{'dw'[second % 2 == 0]}{second}" for second in range(10, 30)]


def test_since_and_until_go_by_the_index_where_lines_have_no_time(logs: Folder) -> None:
    web = logs.source()
    for second in range(0, 100, 10):
        logs.write(web, f"at {second}\n" * 3, at=second + 1)
    late = logs.texts(since=START + 55, lines=None)
    assert late[0] == "at 60"
    assert len(late) == 12
    early = logs.texts(until=START + 25, lines=None)
    assert early[-1] in {"at 20", "at 30"}
    assert "at 40" not in early
    both = logs.texts(since=START + 35, until=START + 55, lines=2)
    assert both[-1] in {"at 50", "at 60"}


def test_since_goes_by_the_lines_own_times_where_they_have_them(logs: Folder) -> None:
    web = logs.source()
    for second in range(10):
        logs.write(web, f'{{"ts": {START + second}, "msg": "{second}"}}\n')
    shown = [line.message for line in logs.read(since=START + 4, until=START + 6)]
    assert shown == ["4", "5", "6"]


def test_a_wall_clock_that_is_set_back_hides_no_line_from_since(logs: Folder) -> None:
    web = logs.source()
    logs.write(web, "before\n", at=1000)
    logs.write(web, "after\n", at=500)
    logs.write(web, "later\n", at=600)
    assert "later" in logs.texts(since=START + 550, lines=None)


def test_the_previous_run_is_the_one_before_the_last(logs: Folder) -> None:
    web = logs.source()
    logs.start(web, 0)
    logs.write(web, "run 1\n", at=5)
    logs.start(web, 10)
    logs.write(web, "run 2 a\nrun 2 b\n")
    logs.start(web, 20)
    logs.write(web, "run 3\n", at=30)
    assert logs.texts(previous=True) == ["run 2 a", "run 2 b"]
    assert logs.texts(previous=True, lines=1) == ["run 2 b"]
    assert len(logs.texts()) == 4


def test_a_run_that_is_not_on_record_is_said(logs: Folder) -> None:
    web = logs.source()
    logs.start(web, 0)
    logs.write(web, "run 1\n", at=1)
    with pytest.raises(NotFoundError, match="earlier run of web"):
        logs.read(previous=True)


def test_only_the_present_run_has_the_present_pid(logs: Folder) -> None:
    web = logs.source()
    logs.start(web, 0)
    logs.write(web, "old\n", at=1)
    logs.start(web, 2)
    logs.write(web, "new\n", at=3)
    assert [(line.raw, line.pid) for line in logs.read()] == [("old", None), ("new", 4711)]


def test_an_index_of_another_file_is_not_believed(logs: Folder) -> None:
    web = logs.source()
    logs.write(web, "old\n" * 1000, at=100)
    Path(web.path).unlink()
    logs.write(web, "new\n")
    assert logs.texts(since=START + 50, lines=None) == ["new"]
    logs.look(200)
    assert logs.texts(lines=None) == ["new"]


def test_a_log_that_was_cut_short_begins_a_new_index(logs: Folder) -> None:
    web = logs.source()
    logs.start(web, 0)
    logs.write(web, "old\n" * 1000, at=100)
    os.truncate(web.path, 0)
    logs.write(web, "new\n", at=200)
    assert logs.texts(since=START + 150, lines=None) == ["new"]


def test_the_index_stays_small(logs: Folder) -> None:
    web = logs.source()
    for number in range(6000):
        logs.start(web, number)
        logs.write(web, f"{number}\n", at=number + 0.5)
    index = logs.root / "web" / "0.index"
    assert len(index.read_text().splitlines()) <= 4_096
    assert logs.texts(previous=True) == ["5998"]
    assert logs.texts(since=START + 5990, lines=None)[0] == "5990"


def test_a_broken_index_costs_times_and_no_lines(logs: Folder) -> None:
    web = logs.source()
    logs.write(web, "one\n", at=1)
    index = logs.root / "web" / "0.index"
    for text in ("", "garbage", index.read_text() + "t 17", "\0" * 100):
        index.write_text(text)
        assert logs.texts() == ["one"]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"level": "warn"}, ["2 WARN low", "3 ERROR out", "  at x.py:3", "4 FATAL end"]),
        ({"level": "error"}, ["3 ERROR out", "  at x.py:3", "4 FATAL end"]),
        ({"level": "info"}, ["0 plain", "2 WARN low", "3 ERROR out", "  at x.py:3", "4 FATAL end"]),
        ({"grep": "lo|ou"}, ["2 WARN low", "3 ERROR out"]),
        ({"grep": r"^\d ", "level": "fatal"}, ["4 FATAL end"]),
        ({"lines": 2, "level": "warn"}, ["  at x.py:3", "4 FATAL end"]),
        ({"lines": 0}, []),
        ({"instance": 1}, []),
        ({"services": ("db",)}, []),
    ],
    ids=str,
)
def test_filters(logs: Folder, query: dict[str, object], expected: list[str]) -> None:
    text = "0 plain\n1 DEBUG x\n2 WARN low\n3 ERROR out\n  at x.py:3\n4 FATAL end\n"
    logs.write(logs.source(), text)
    logs.source("db")
    assert logs.texts(**query) == expected


def test_fields_are_matched_as_a_person_types_them(logs: Folder) -> None:
    web = logs.source()
    logs.write(web, '{"msg": "a", "http": {"status": 500, "ok": false}, "request_id": 7}\n')
    logs.write(web, '{"msg": "b", "http.status": "200"}\nnot JSON\n')
    assert [line.message for line in logs.read(fields={"http.status": "500"})] == ["a"]
    assert [line.message for line in logs.read(fields={"http.status": "200"})] == ["b"]
    assert [line.message for line in logs.read(fields={"requestId": "7", "http.ok": "false"})] == [
        "a"
    ]
    assert logs.read(fields={"http.status.deep": "1"}) == []


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ({"level": "loud"}, "cannot use level 'loud'"),
        ({"lines": -1}, "cannot show -1 lines"),
        ({"lines": 100_001}, "cannot count out the last 100001 lines"),
        ({"since": 2.0, "until": 1.0}, "after `--until`"),
        ({"grep": "("}, r"cannot use the pattern '\('"),
        ({"grep": "x" * 2000}, "over 1000 characters"),
        ({"grep": "a{99999999999}"}, "cannot"),
    ],
    ids=str,
)
def test_a_query_that_makes_no_sense_is_refused(
    logs: Folder, query: dict[str, object], problem: str
) -> None:
    logs.write(logs.source(), "a\n")
    with pytest.raises(ManifestError, match=problem):
        logs.read(**query)


def test_a_pattern_that_never_ends_is_ended(logs: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reconciler.adapters.logs.grep.DEADLINE_S", 0.5)
    logs.write(logs.source(), "a" * 5000 + "\n")
    with pytest.raises(ManifestError, match="takes too long"):
        logs.read(grep="(a+)+$b")


def test_a_log_has_a_least_level_of_its_own_unless_one_is_asked_for(logs: Folder) -> None:
    web, api = logs.source("web"), logs.source("api")
    logs.sources[0] = replace(web, least="warn")
    logs.write(web, "INFO web up\nWARN web low\n", at=1)
    logs.write(api, "INFO api up\n", at=2)
    assert logs.texts() == ["WARN web low", "INFO api up"]
    assert logs.texts(level="trace") == ["INFO web up", "WARN web low", "INFO api up"]
    assert logs.texts(level="error") == []


def test_a_file_of_errors_is_told_from_that_of_output(logs: Folder) -> None:
    out = logs.source("web")
    err = replace(out, stream="stderr", path=f"{out.path}.err")
    logs.sources[:] = [replace(out, stream="stdout"), err]
    logs.write(logs.sources[0], "one\n", at=1)
    logs.write(err, "two\n", at=2)
    logs.write(logs.sources[0], "three\n", at=3)
    found = {(x.stream, x.message) for x in logs.read()}
    assert found == {("stdout", "one"), ("stderr", "two"), ("stdout", "three")}


def test_slots_that_share_a_file_are_read_once_and_without_a_claim(logs: Folder) -> None:
    path = logs.root / "shared.log"
    first, _ = logs.source("web", 0, path=path), logs.source("web", 1, path=path)
    logs.write(first, "one\n")
    (line,) = logs.read()
    assert (line.service, line.instance, line.pid) == ("web", "web", None)


def test_what_cannot_be_read_is_said_and_the_rest_is_shown(logs: Folder, tmp_path: Path) -> None:
    """L6: a link is not followed, a pipe does not hang the reader."""
    secret = tmp_path / "secret"
    secret.write_text("root:x:0\n")
    Path(logs.source("link").path).symlink_to(secret)
    os.mkfifo(logs.source("pipe").path)
    logs.source("none")
    logs.write(logs.source("web"), "one\n")
    found = logs.read()
    assert [line.is_notice for line in found] == [True, True, False]
    assert all("cannot read" in line.message for line in found[:2])
    assert "x:0" not in "".join(line.raw for line in found)
    assert found[2].raw == "one"


def test_l3_hostile_bytes_are_bounded_and_readable(logs: Folder) -> None:
    """L3."""
    web = logs.source()
    logs.write(web, b"x" * (3 * pieces.LINE_MAX + 5) + b"\n")
    logs.write(web, b"\xff\xfe bad utf-8 \x00\r\n")
    logs.write(web, b"no line break")
    found = logs.read(lines=None)
    assert [len(line.raw) for line in found[:4]] == [pieces.LINE_MAX] * 3 + [5]
    assert found[4].raw == "�� bad utf-8 \x00"
    assert found[5].raw == "no line break"
    assert [line.raw for line in logs.read(lines=4)] == [line.raw for line in found[-4:]]


def test_the_tail_of_an_endless_line_needs_no_memory_for_its_head(tmp_path: Path) -> None:
    """L3: 100 MB without a line break."""
    logs = Folder(tmp_path)
    web = logs.source()
    with Path(web.path).open("wb") as file:
        file.truncate(100 * 1024 * 1024)
    logs.write(web, b"end\n")
    before = _peak_kib()
    found = logs.read(lines=3)
    assert found[-1].raw.endswith("end")
    assert _peak_kib() - before < 20 * 1024


def _peak_kib() -> int:
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0])


def test_l12_a_line_cannot_say_who_wrote_it(logs: Folder) -> None:
    """L12."""
    web = logs.source()
    lie = {"service": "db", "instance": "db-0", "stream": "weaver", "pid": 1, "serviceVersion": "9"}
    logs.write(web, json.dumps({**lie, "msg": "trust me"}) + "\n")
    (line,) = logs.read()
    assert (line.service, line.instance, line.stream, line.pid) == ("web", "web-0", "both", 4711)
    assert line.service_version == "1.2"
    assert line.fields == lie


@pytest.mark.parametrize(
    ("text", "message", "lifted", "fields"),
    [
        (
            '{"msg": "hi", "reqId": "r", "traceId": "t"}',
            "hi",
            {"requestId": "r", "traceId": "t"},
            {},
        ),
        ('{"message": "x", "duration_ms": 250}', "x", {"duration": 0.25}, {}),
        (
            '{"err": {"type": "E", "message": "m", "stack": "s", "code": 7}, "k": [1]}',
            "",
            {"error": {"name": "E", "message": "m", "stack": "s", "code": 7}},
            {"k": [1]},
        ),
        (
            '{"event": "x", "exc_info": "Traceback\\n  File\\nValueError: no"}',
            "x",
            {
                "error": {
                    "name": "ValueError",
                    "message": "no",
                    "stack": "Traceback\n  File\nValueError: no",
                }
            },
            {},
        ),
        (
            '{"time": "later", "level": [], "msg": 3}',
            "",
            {},
            {"time": "later", "level": [], "msg": 3},
        ),
        ('{"a": 1', '{"a": 1', {}, {}),
        ("[1, 2]", "[1, 2]", {}, {}),
        ('{"a": NaN}', '{"a": NaN}', {}, {}),
        ('{"a":' * 5000, '{"a":' * 5000, {}, {}),
    ],
    ids=lambda value: str(value)[:30],
)
def test_json_lines_are_taken_apart(
    text: str, message: str, lifted: dict[str, object], fields: dict[str, object]
) -> None:
    parsed = parse(text)
    assert (parsed.message, parsed.lifted, parsed.fields) == (message, lifted, fields)


@given(st.text(max_size=200))
@example('{"ts": 1e400}')
@example('{"ts": 123456789012345678901234567890}')
@example("9999-99-99 99:99:99 x")
@example("0001-01-01 00:00:00 +2359")
def test_no_text_is_too_strange_to_be_read(text: str) -> None:
    assert parse(text).is_json or parse(text).message == text


def test_the_daemons_own_log_is_read_with_its_older_parts(logs: Folder) -> None:
    (logs.root / "daemon.log.1").write_text("2023-11-14T22:00:00.000Z INFO app: one\n")
    (logs.root / "daemon.log").write_text("2023-11-14T22:00:01.000Z ERROR app: two\n")
    found = logs.read(daemon=True)
    assert [(line.service, line.level, line.raw[25:]) for line in found] == [
        ("weaver", "info", "INFO app: one"),
        ("weaver", "error", "ERROR app: two"),
    ]

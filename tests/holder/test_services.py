"""What the holder does with services: start them, see them end, signal them."""

from __future__ import annotations

import errno
import json
import os
import signal
import stat
import sys
from pathlib import Path

import pytest

from reconciler.holder import tree
from tests.holder.rig import PATH, Message, Rig
from tests.settings import in_every_setting
from tests.waiting import until

pytestmark = pytest.mark.real

FDS = "import os; print(sorted(int(f) for f in os.listdir('/proc/self/fd')), flush=True)"


def test_v13_every_exit_code_is_told_as_it_was(rig: Rig) -> None:
    started = [rig.spawn(f"s-{code}", "/bin/sh", "-c", f"exit {code}") for code in range(256)]
    told = [rig.wait_for("exited", run) for run in started]
    assert [(event["code"], event["signal"]) for event in told] == [(n, None) for n in range(256)]
    assert not any(event["unknown"] or event["core"] for event in told)


@pytest.mark.parametrize("name", ["SIGTERM", "SIGKILL", "SIGHUP", "SIGPIPE", "SIGUSR1", "SIGRTMIN"])
def test_a_deadly_signal_is_told_and_is_no_exit_code(rig: Rig, name: str) -> None:
    number = getattr(signal, name)
    started = rig.spawn("web-0", "sleep", "1000")
    assert rig.signal(started, number)["reached"] == 1
    told = rig.wait_for("exited", started)
    assert (told["code"], told["signal"], told["core"]) == (None, number, False)
    rig.wait_for("empty", started)


def test_the_answer_to_a_start_precedes_its_end_which_precedes_emptiness(rig: Rig) -> None:
    started = [rig.spawn(f"s-{n}", "true") for n in range(30)]
    for run in started:
        rig.wait_for("empty", run)
        kinds = [event["event"] for event in rig.events if event.get("run") == run.run]
        assert kinds == ["exited", "empty"]
    assert [event["seq"] for event in rig.events] == list(range(1, 61))


FAILURES = [
    pytest.param(["nonesuch"], {}, "exec", errno.ENOENT, id="not on PATH"),
    pytest.param(["./nonesuch"], {}, "exec", errno.ENOENT, id="no such file"),
    pytest.param([""], {}, "exec", errno.ENOENT, id="empty name"),
    pytest.param([], {}, "exec", errno.EINVAL, id="no words at all"),
    pytest.param(["./plain"], {}, "exec", errno.EACCES, id="not executable"),
    pytest.param(["plain"], {"env": {"PATH": "."}}, "exec", errno.EACCES, id="so on PATH"),
    pytest.param(["/tmp"], {}, "exec", errno.EACCES, id="a directory"),
    pytest.param(["./headless"], {}, "exec", errno.ENOEXEC, id="no known format"),
    pytest.param(["./orphaned"], {}, "exec", errno.ENOENT, id="interpreter missing"),
    pytest.param(["true", "x" * 200_000], {}, "exec", errno.E2BIG, id="argument too long"),
    pytest.param(["true"], {"env": {"A": "x" * 200_000}}, "exec", errno.E2BIG, id="env too"),
    pytest.param(["true", "a\0b"], {}, "exec", errno.EINVAL, id="NUL in an argument"),
    pytest.param(["true"], {"env": {"A=B": "c"}}, "exec", errno.EINVAL, id="= in a key"),
    pytest.param(["true"], {"env": {"A": "\ud800"}}, "exec", errno.EINVAL, id="surrogate"),
    pytest.param(["true"], {"cwd": "/nonesuch"}, "cwd", errno.ENOENT, id="cwd missing"),
    pytest.param(["true"], {"cwd": "/etc/passwd"}, "cwd", errno.ENOTDIR, id="cwd a file"),
    pytest.param(["true"], {"stdout": "/proc/x/y"}, "log", errno.ENOENT, id="no log there"),
    pytest.param(["true"], {"stdout": "/etc/passwd/x"}, "log", errno.ENOTDIR, id="log in file"),
    pytest.param(["true"], {"stdout": "/tmp"}, "log", errno.EISDIR, id="log is a directory"),
    pytest.param(["true"], {"stderr": "/tmp"}, "log", errno.EISDIR, id="so for stderr"),
]


def write_unfit_programs(root: Path) -> None:
    """Write what exec refuses, for `FAILURES`."""
    for name, text in (("plain", ""), ("headless", "\0\1\2"), ("orphaned", "#!/nonesuch/sh\n")):
        (root / name).write_text(text)
        (root / name).chmod(0o600 if name == "plain" else 0o700)


@pytest.mark.parametrize(("argv", "changes", "step", "number"), FAILURES)
def test_a_start_that_fails_names_step_and_errno(
    rig: Rig, argv: list[str], changes: dict[str, object], step: str, number: int
) -> None:
    write_unfit_programs(rig.root)
    answer = rig.try_spawn("web-0", argv, **changes)
    assert (answer["error"]["step"], answer["error"]["errno"]) == (step, number), answer
    assert answer["error"]["text"].startswith("cannot ")
    assert not rig.runs(), "a start that failed leaves the slot free"
    assert rig.spawn("web-0", "sh", "-c", "exit 127").pid


def test_a_missing_interpreter_is_told_apart_from_a_missing_program(rig: Rig) -> None:
    script = rig.root / "script"
    script.write_text("#!/nonesuch/sh\n")
    script.chmod(0o700)
    assert "interpreter" in rig.try_spawn("a", [str(script)])["error"]["text"]
    assert "no such file" in rig.try_spawn("a", [f"{script}s"])["error"]["text"]


def test_a_directory_in_place_of_a_program_is_called_one(rig: Rig) -> None:
    assert rig.try_spawn("a", ["/tmp"])["error"]["text"] == "cannot run /tmp: it is a directory"


def test_a_symlink_or_fifo_in_place_of_the_log_is_refused(rig: Rig) -> None:
    (rig.root / "logs").mkdir()
    victim = rig.root / "victim"
    victim.write_text("precious")
    (rig.root / "logs" / "link-0.log").symlink_to(victim)
    os.mkfifo(rig.root / "logs" / "fifo-0.log")
    assert rig.try_spawn("link-0", ["echo", "x"])["error"]["errno"] == errno.ELOOP
    assert rig.try_spawn("fifo-0", ["echo", "x"])["error"]["step"] == "log"
    reader = os.open(rig.root / "logs" / "fifo-0.log", os.O_RDONLY | os.O_NONBLOCK)
    assert rig.try_spawn("fifo-0", ["echo", "x"])["error"]["errno"] == errno.EINVAL
    os.close(reader)
    assert victim.read_text() == "precious"


def test_output_is_appended_to_a_file_that_only_we_may_write(rig: Rig) -> None:
    for word in ("one", "two"):
        started = rig.spawn("web-0", "sh", "-c", f"echo {word}; echo {word}! >&2")
        rig.wait_for("empty", started)
    assert started.output == "one\none!\ntwo\ntwo!\n"
    assert stat.S_IMODE(started.log.stat().st_mode) == 0o640
    assert stat.S_IMODE(started.log.parent.stat().st_mode) == 0o750


def test_stderr_can_have_a_file_of_its_own(rig: Rig) -> None:
    other = rig.root / "logs" / "err.log"
    started = rig.spawn("web-0", "sh", "-c", "echo out; echo err >&2", stderr=str(other))
    rig.wait_for("exited", started)
    assert (started.output, other.read_text()) == ("out\n", "err\n")


def test_a_service_gets_exactly_the_environment_that_was_sent(rig: Rig) -> None:
    env = {"A": "1", "ODD": "\udcff ü = $HOME\n", "EMPTY": "", "PATH": "/usr/bin:/bin"}
    started = rig.spawn("web-0", "/usr/bin/env", "-0", env=env)
    rig.wait_for("exited", started)
    words = started.log.read_bytes().decode(errors="surrogateescape").split("\0")
    found = dict(word.split("=", 1) for word in words if word)
    assert json.loads(found.pop("WEAVER_ENTRY"))["run"] == started.run
    assert found == {**env, "WEAVER_RUN": started.run}


def test_a_mark_is_seen_even_while_the_program_is_only_being_loaded(rig: Rig) -> None:
    for number in range(150):
        started = rig.spawn(f"s-{number}", "sleep", "1000")
        assert tree.mark(started.pid) == started.run


def test_a_service_starts_with_clean_signals_and_only_its_own_descriptors(rig: Rig) -> None:
    script = f'cat /proc/self/status; exec {sys.executable} -c "{FDS}"'
    started = rig.spawn("web-0", "sh", "-c", script)
    rig.wait_for("exited", started)
    status = dict(line.split(":\t", 1) for line in started.output.splitlines() if ":\t" in line)
    assert int(status["SigBlk"], 16) == 0
    # The C library's own two signals are ignored in whatever its posix_spawn executes.
    assert int(status["SigIgn"], 16) & ~(1 << 31 | 1 << 32) == 0
    assert status["Umask"] == "0022"
    # Descriptor 3 is the listing of the folder itself.
    assert started.output.splitlines()[-1] == "[0, 1, 2, 3]"


def test_v20_a_service_leads_a_session_without_a_terminal_and_reads_nothing(rig: Rig) -> None:
    started = rig.spawn_shell("web-0", "echo up; cat; echo read all; pwd; exec sleep 1000")
    until(lambda: str(rig.root) in started.output)
    stat_line = Path(f"/proc/{started.pid}/stat").read_text().rpartition(")")[2].split()
    assert [int(word) for word in stat_line[1:5]] == [rig.holder_pid, started.pid, started.pid, 0]
    assert Path(f"/proc/{started.pid}/fd/0").readlink() == Path("/dev/null")


def test_p8_a_service_inherits_no_limit_or_score_that_the_holder_claims(rig: Rig) -> None:
    started = rig.spawn("web-0", "sleep", "1000")
    ours = Path("/proc/self/limits").read_text()
    theirs = Path(f"/proc/{started.pid}/limits").read_text()
    assert [line for line in theirs.splitlines() if "open files" in line] == [
        line for line in ours.splitlines() if "open files" in line
    ]
    score = int(Path("/proc/self/oom_score_adj").read_text())
    assert int(Path(f"/proc/{started.pid}/oom_score_adj").read_text()) == max(score, 0)
    assert int(Path(f"/proc/{rig.holder_pid}/oom_score_adj").read_text()) <= score


def test_the_holder_keeps_to_its_own_directory(rig: Rig) -> None:
    rig.spawn("web-0", "sleep", "1000", cwd="/usr")
    rig.try_spawn("web-1", ["nonesuch"], cwd="/usr")
    assert Path(f"/proc/{rig.holder_pid}/cwd").readlink() == Path("/")


def test_a_command_is_looked_for_on_the_path_of_the_service(rig: Rig) -> None:
    tool = rig.root / "bin" / "tool"
    tool.parent.mkdir()
    tool.write_text("#!/bin/sh\necho $0\n")
    tool.chmod(0o755)
    absolute = rig.spawn("a", "tool", env={"PATH": f"/nonesuch:{tool.parent}"})
    relative = rig.spawn("b", "tool", env={"PATH": "bin"})
    rig.wait_for("exited", absolute)
    rig.wait_for("exited", relative)
    assert (absolute.output, relative.output) == (f"{tool}\n", "bin/tool\n")


def test_a_large_environment_arrives_whole(rig: Rig) -> None:
    env = {f"KEY_{n}": "v" * 10_000 for n in range(100)}
    started = rig.spawn("web-0", "/usr/bin/env", "-0", env=env)
    rig.wait_for("exited", started)
    words = [word for word in started.output.split("\0") if word.startswith("KEY_")]
    assert dict(word.split("=", 1) for word in words) == env


def test_many_arguments_arrive_in_order(rig: Rig) -> None:
    words = [f"argument-{n}" for n in range(30_000)]
    started = rig.spawn("web-0", "/usr/bin/printf", "%s\n", *words)
    rig.wait_for("exited", started)
    assert started.output.split() == words


def test_a_busy_slot_is_refused_with_the_pid_in_it(rig: Rig) -> None:
    first = rig.spawn("web-0", "sleep", "1000")
    refused = rig.try_spawn("web-0", ["sleep", "1000"])
    assert (refused["error"]["step"], refused["error"]["errno"]) == ("slot", errno.EBUSY)
    assert str(first.pid) in refused["error"]["text"]
    assert [run["pid"] for run in rig.runs().values()] == [first.pid]
    rig.signal(first, signal.SIGKILL)
    rig.wait_for("empty", first)
    assert rig.spawn("web-0", "sleep", "1000").pid != first.pid


def test_a_run_without_its_mark_or_with_a_used_one_is_refused(rig: Rig) -> None:
    first = rig.spawn("web-0", "sleep", "1000")
    assert rig.try_spawn("web-1", ["true"], run=first.run)["error"]["errno"] == errno.EEXIST
    order = {"slot": "x", "run": "r", "argv": ["true"], "env": {"PATH": PATH}, "cwd": "/"}
    answer = rig.ask("spawn", **order, stdout="/dev/null", stderr=None, tag=None)
    assert answer["error"]["errno"] == errno.EINVAL


@in_every_setting
def test_v6_what_a_leader_leaves_behind_keeps_the_slot_until_it_is_gone(rig: Rig) -> None:
    started = rig.spawn_shell("web-0", "sleep 1000 & echo up; exit 3")
    assert rig.wait_for("exited", started)["code"] == 3
    refused = rig.try_spawn("web-0", ["true"])
    assert refused["error"]["errno"] == errno.EBUSY
    assert not any(event["event"] == "empty" for event in rig.events)
    assert rig.signal(started, signal.SIGTERM)["error"]["errno"] == errno.ESRCH
    assert rig.signal(started, signal.SIGTERM, "group")["reached"] == 1
    rig.wait_for("empty", started)
    assert rig.spawn("web-0", "true").pid


@in_every_setting
def test_a_service_that_ignores_sigterm_dies_by_sigkill_with_its_group(rig: Rig) -> None:
    script = "trap '' TERM; sleep 1000 & sleep 1000 & echo up; wait; wait; sleep 1000"
    started = rig.spawn_shell("web-0", script)
    rig.signal(started, signal.SIGTERM)
    assert started.is_alive
    assert rig.signal(started, signal.SIGKILL, "group")["reached"] == 1
    assert rig.wait_for("exited", started)["signal"] == signal.SIGKILL
    rig.wait_for("empty", started)


@in_every_setting
def test_who_left_for_a_session_of_its_own_is_found_by_its_mark(rig: Rig) -> None:
    away = "setsid sh -c 'echo up; exec sleep 1000'"
    started = rig.spawn_shell("web-0", f"{away} & ({away} &); echo up; wait", ups=3)
    assert rig.signal(started, signal.SIGKILL, "group")["reached"] == 1
    rig.wait_for("exited", started)
    assert rig.try_spawn("web-0", ["true"])["error"]["errno"] == errno.EBUSY
    assert rig.signal(started, signal.SIGKILL, "tree")["reached"] == 2
    rig.wait_for("empty", started)


@in_every_setting
def test_who_wiped_its_environment_is_found_by_its_session(rig: Rig) -> None:
    started = rig.spawn_shell("web-0", "env -i /bin/sleep 1000 & echo up; exit 0")
    rig.wait_for("exited", started)
    assert rig.signal(started, signal.SIGKILL, "tree")["reached"] == 1
    rig.wait_for("empty", started)


@in_every_setting
def test_r18_killing_a_tree_takes_a_live_leader_and_all_who_left_it(rig: Rig) -> None:
    away = "setsid sh -c 'sleep 1000 & sleep 1000 & echo up; wait'"
    started = rig.spawn_shell("web-0", f"({away} &); sleep 1000 & echo up; wait", ups=2)
    rig.signal(started, signal.SIGKILL, "tree")
    rig.wait_for("empty", started)


@in_every_setting
def test_a_group_that_outruns_every_search_is_killed_at_once(rig: Rig) -> None:
    """Each of its processes starts the next one, and stays: whoever is found is not the last."""
    chain = (
        '[ $1 -eq 90 ] && echo up; [ $1 -gt 0 ] && sh -c "$0" "$0" $(($1 - 1)) & exec sleep 1000'
    )
    started = rig.spawn("web-0", "/bin/sh", "-c", chain, chain, "100")
    until(lambda: "up" in started.output)
    rig.signal(started, signal.SIGTERM)
    rig.wait_for("exited", started)
    assert rig.signal(started, signal.SIGKILL, "tree")["reached"] > 0
    rig.wait_for("empty", started)


@in_every_setting
def test_who_wipes_every_mark_after_it_was_found_is_still_killed(rig: Rig) -> None:
    hidden = "sleep 0.2; exec env -i setsid sh -c 'echo up; exec sleep 1000'"
    started = rig.spawn_shell("web-0", f"({hidden}) & echo up; exit 0")
    rig.wait_for("exited", started)
    assert rig.try_spawn("web-0", ["true"])["error"]["errno"] == errno.EBUSY
    until(lambda: started.output.count("up") == 2)
    assert rig.signal(started, signal.SIGKILL, "tree")["reached"] == 1
    rig.wait_for("empty", started)


@in_every_setting
def test_a_tree_that_forks_away_from_its_group_is_searched_again(rig: Rig) -> None:
    forker = "for n in $(seq 60); do setsid sleep 1000 & done; wait"
    for number in range(5):
        started = rig.spawn_shell(f"s-{number}", f"({forker}) & echo up; exit 0")
        rig.wait_for("exited", started)
        assert rig.signal(started, signal.SIGKILL, "tree")["reached"] > 0
        rig.wait_for("empty", started)


@in_every_setting
def test_an_orphan_of_a_live_service_is_reaped_and_tells_nothing(rig: Rig) -> None:
    started = rig.spawn_shell("web-0", "(sh -c 'echo $$; exit 9' &); echo up; exec sleep 1000")
    orphan = int(until(lambda: [w for w in started.output.split() if w.isdigit()])[0])
    until(lambda: not Path(f"/proc/{orphan}").exists(), message="the orphan to be reaped")
    assert rig.runs()[started.run]["exit"] is None
    assert not rig.events


@pytest.mark.parametrize("field", ["pid", "born", "run"])
def test_a_signal_for_another_identity_is_refused(rig: Rig, field: str) -> None:
    started = rig.spawn("web-0", "sleep", "1000")
    wrong = {"run": "no-such-run", "pid": started.pid + 1, "born": started.born + 1}
    right = {"run": started.run, "pid": started.pid, "born": started.born}
    mixed: Message = {**right, field: wrong[field]}
    answer = rig.ask("signal", **mixed, signal=signal.SIGKILL, scope="tree")
    assert answer["error"]["errno"] == errno.ESRCH
    assert started.is_alive


def test_a_signal_for_a_run_that_is_over_is_refused(rig: Rig) -> None:
    started = rig.spawn("web-0", "true")
    rig.wait_for("empty", started)
    for scope in ("main", "group", "tree"):
        assert rig.signal(started, signal.SIGKILL, scope)["error"]["errno"] == errno.ESRCH


def test_no_such_signal_is_told_and_sends_none(rig: Rig) -> None:
    started = rig.spawn("web-0", "sleep", "1000")
    assert rig.signal(started, 999)["error"]["errno"] == errno.EINVAL
    assert started.is_alive


@in_every_setting
def test_a_stopped_service_can_be_killed(rig: Rig) -> None:
    started = rig.spawn("web-0", "sleep", "1000")
    rig.signal(started, signal.SIGSTOP)
    rig.signal(started, signal.SIGKILL, "group")
    assert rig.wait_for("exited", started)["signal"] == signal.SIGKILL

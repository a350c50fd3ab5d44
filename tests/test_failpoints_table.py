"""The table of docs/failpoints.md, the source, and what has an effect in it, agree."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "reconciler"
ROW = re.compile(r"^\| `([a-z.-]+)` \|(?: [^|]+ \|){3}$", re.MULTILINE)

SCANNED = (
    "holder",
    "app",
    *(f"adapters/{name}" for name in ("checks", "git", "logs", "native", "reader", "sqlite")),
)
ALSO_SCANNED = (
    "children.py",
    "adapters/daemon_log.py",
    "adapters/host_hooks.py",
    "runtime/announcer.py",
    "runtime/caretaker.py",
    "runtime/detach.py",
    "runtime/first.py",
    "runtime/home.py",
)
OF_MODULES = {
    "os": """
        rename replace link unlink rmdir mkdir makedirs posix_spawn fork execve execv waitid waitpid
        kill killpg write pwrite ftruncate sendfile fchown
    """.split(),  # noqa: SIM905 - read at a glance
    "signal": ["pidfd_send_signal"],
    "fcntl": ["flock"],
    "shutil": ["rmtree", "copy2", "move"],
    "subprocess": ["run", "Popen"],
    "asyncio": ["create_subprocess_exec"],
    "cgroup": ["send", "kill"],
    "fallocate": ["punch", "collapse"],
}
OF_OBJECTS = """
    bind rename unlink mkdir rmdir touch symlink_to write_text write_bytes post sendmsg sendto kill
""".split()  # noqa: SIM905 - read at a glance
"""Methods of paths and sockets; `replace` is text's too, and counts with one argument."""

TIDY = "it clears away what nobody needs any more, and does so again the next time"
BACK = "it is the way back from a step that failed, and swept up by the next writer where it ends"
ABOVE = "whoever calls it has points around it"
FOLDER = "a folder that is there already is as good; it is made at each begin"
CHILD = "a child that only reads or checks, and ends with us"
SAID = "a line for people or a word to systemd, which may be lost"
OWN = "nothing outside of this process and its child"
WITHOUT_A_POINT = {
    "adapters/daemon_log.py:_reopen": FOLDER,
    "adapters/daemon_log.py:_rotate": "our own log, whose oldest lines go",
    "adapters/daemon_log.py:_write": SAID,
    "adapters/git/index.py:discard": TIDY,
    "adapters/git/index.py:take_back": BACK,
    "adapters/git/index.py:write_beside": "a copy beside, which is swept; git.index.before follows",
    "adapters/git/locks.py:_locked": "the kernel gives it back; git.lock.before follows",
    "adapters/git/locks.py:remove_left_over": TIDY,
    "adapters/git/locks.py:sweep_in": TIDY,
    "adapters/git/objects.py:blobs": "what a git child of ours reads; git.objects.before tells",
    "adapters/git/plumbing.py:kill": "it ends a git child of ours that is of no use any more",
    "adapters/git/plumbing.py:start": "a git child; git.objects.before and git.ref.before tell",
    "adapters/git/writer.py:_kill": "it ends a worker that is of no use any more",
    "adapters/git/remote/mirror.py:_make": FOLDER,
    "adapters/git/remote/mirror.py:_sweep": TIDY,
    "adapters/git/remote/transport.py:hang_up": "it ends git children of ours, at our end",
    "adapters/git/serve.py:make_bare": "in the command; the same again writes what is missing",
    "adapters/git/saved.py:discard": TIDY,
    "adapters/git/saved.py:sweep": TIDY,
    "adapters/git/saved.py:take_back": BACK,
    "adapters/logs/archives.py:remove": TIDY,
    "adapters/host_hooks.py:_kill_bearers": "it ends what a hook left; hook.kill.after comes first",
    "adapters/host_hooks.py:add": "a note on a hook; hook.start.before follows",
    "adapters/host_hooks.py:forget": TIDY,
    "adapters/logs/grep.py:__init__": CHILD,
    "adapters/logs/grep.py:_send": CHILD,
    "adapters/logs/grep.py:close": CHILD,
    "adapters/logs/gzip_child.py:main": "rotate.packed follows",
    "adapters/logs/keeper.py:_make_folder": FOLDER,
    "adapters/logs/keeper.py:_tidy": TIDY,
    "adapters/logs/marking.py:_append_text": "notes on times, which are found anew",
    "adapters/logs/marking.py:_write_whole": "notes on times, which are found anew",
    "adapters/logs/packing.py:_begin": "rotate.packed follows",
    "adapters/logs/packing.py:_created": TIDY,
    "adapters/logs/packing.py:close": TIDY,
    "adapters/logs/record.py:write_record": ABOVE,
    "adapters/logs/rotate.py:_collapse": ABOVE,
    "adapters/logs/rotate.py:_copy": ABOVE,
    "adapters/logs/rotate.py:drop": "what is dropped was asked to be dropped",
    "adapters/native/host.py:warm": "it is no file's touch; daemon.holder.before follows",
    "adapters/checks/child.py:_start": CHILD,
    "adapters/checks/child.py:end": CHILD,
    "adapters/checks/custom_child.py:main": CHILD,
    "adapters/checks/mcp_stdio.py:say": CHILD,
    "adapters/checks/matching.py:_start": CHILD,
    "adapters/checks/matching.py:close": CHILD,
    "adapters/reader/cache.py:save": "what may be deleted at any time",
    "adapters/reader/client.py:_end": CHILD,
    "adapters/reader/client.py:_start": CHILD,
    "adapters/sqlite/opening.py:_drop_oldest_asides": TIDY,
    "adapters/sqlite/opening.py:_make_private": FOLDER,
    "adapters/sqlite/opening.py:move_aside": "a damaged file, found as such again",
    "adapters/sqlite/schema.py:migrate": "a program of its own; store.schema.before comes first",
    "app/detached.py:_say": SAID,
    "app/ports.py:_bind": "a port, which is tried again",
    "children.py:kill_group": ABOVE,
    "holder/binding.py:_bound_file": ABOVE,
    "holder/binding.py:_bound_port": ABOVE,
    "holder/binding.py:_clear_way": ABOVE,
    "holder/binding.py:remove": ABOVE,
    "holder/__main__.py:announce": SAID,
    "holder/__main__.py:check_state": FOLDER,
    "holder/__main__.py:tell": "holder.begin.before and holder.begin.told are around it",
    "holder/cgroup.py:_send_to_members": ABOVE,
    "holder/deliver.py:_send": ABOVE,
    "holder/deliver.py:_send_to": ABOVE,
    "holder/deliver.py:_to_the_rest": ABOVE,
    "holder/deliver.py:deliver": ABOVE,
    "holder/fork.py:_be_child": CHILD,
    "holder/fork.py:_born_in": ABOVE,
    "holder/fork.py:_fork": ABOVE,
    "holder/fork.py:exec_first": "in the child, of which the holder hears by a pipe",
    "holder/fork.py:_join": "in the child, of which the holder hears by a pipe",
    "holder/fork.py:execute": "a child that could not begin",
    "holder/groups.py:_clear": "the kernel gives the lock back; holder.cgroup.remove follows",
    "holder/groups.py:make_and_lock": "the kernel gives it back; holder.cgroup.before comes first",
    "holder/groups.py:write": ABOVE,
    "holder/journal.py:_write": ABOVE,
    "holder/log.py:write": SAID,
    "holder/loop.py:_post": ABOVE,
    "holder/processes.py:_awaits_leaf": "holder.cgroup.kill follows",
    "holder/reexec.py:_cannot_begin": CHILD,
    "holder/reexec.py:_written": OWN,
    "holder/spawn.py:_score": OWN,
    "holder/spawn.py:_set_score": OWN,
    "holder/streams.py:_give": "whose a log is; it is given again at each start",
    "holder/streams.py:open_log": FOLDER,
    "holder/vfork.py:execute": "a child that could not begin",
    "holder/wire.py:_sealed": OWN,
    "holder/wire.py:_send_packet": ABOVE,
    "runtime/announcer.py:_say": SAID,
    "runtime/detach.py:cannot_begin": CHILD,
    "runtime/detach.py:start": "in the command; daemon.name.before and all that follows tell",
    "runtime/first.py:_attend": "process 1 of a container hands signals on; with it all else ends",
    "runtime/first.py:_reap": "process 1 of a container collects; with it all else ends",
    "runtime/first.py:_say": SAID,
    "runtime/first.py:lead": "process 1 of a container; with it all else ends",
    "runtime/home.py:make_private": FOLDER,
}


def calls(tree: ast.AST) -> Iterator[ast.Call]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call))


def points_of(tree: ast.AST) -> Iterator[str]:
    """Yield the names of the points that a piece of source passes."""
    for call in calls(tree):
        if isinstance(call.func, ast.Name) and call.func.id == "failpoint":
            (name,) = call.args
            assert isinstance(name, ast.Constant), ast.unparse(call)
            yield str(name.value)


def effect_of(call: ast.Call) -> str:
    """Say what a call does outside of the process; nothing where it does not, or is unknown."""
    said = ast.unparse(call)
    if not isinstance(call.func, ast.Attribute):
        return ""
    name, owner = call.func.attr, ast.unparse(call.func.value)
    if name in OF_MODULES.get(owner, ()):
        return "" if "WNOWAIT" in said or said == "os.killpg(run.pid or 0, 0)" else said
    is_path = name == "replace" and len(call.args) == 1 and not call.keywords
    if owner not in OF_MODULES and (name in OF_OBJECTS or is_path) and owner != "self":
        return said
    return (
        said if (name == "execute" and "'COMMIT'" in said) or said == "connection.commit()" else ""
    )


def functions() -> Iterator[tuple[str, ast.AST]]:
    """Yield every function of the scanned source by its place, nested ones on their own too."""
    files = [path for folder in SCANNED for path in sorted((SOURCE / folder).rglob("*.py"))]
    for path in [*files, *(SOURCE / name for name in ALSO_SCANNED)]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield f"{path.relative_to(SOURCE)}:{node.name}", node


def test_each_point_of_the_table_is_in_the_source_once_and_the_other_way_round() -> None:
    found = Counter(
        name
        for path in SOURCE.rglob("*.py")
        if path.name != "failpoints.py"
        for name in points_of(ast.parse(path.read_text()))
    )
    assert {name: count for name, count in found.items() if count > 1} == {}
    table = ROW.findall((ROOT / "docs/failpoints.md").read_text())
    assert len(table) == len({*table})
    assert {*table} == {*found}


def test_what_has_an_effect_has_a_point_beside_it_or_a_reason() -> None:
    without: dict[str, list[str]] = {}
    for place, function in functions():
        effects = [said for call in calls(function) if (said := effect_of(call))]
        if effects and not [*points_of(function)]:
            without.setdefault(place, []).extend(effects)
    assert {place: said for place, said in without.items() if place not in WITHOUT_A_POINT} == {}
    assert WITHOUT_A_POINT.keys() - without.keys() == set(), "these have no effect now"

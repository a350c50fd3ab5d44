"""What is pushed is checked before it is accepted: what git says of it, and what is newly wrong."""

from __future__ import annotations

import pytest

from reconciler.adapters.git.checkout import locate
from reconciler.app.received import Receiving
from reconciler.ports import ManifestError
from reconciler.runtime.received import Pushed, read_pushed
from tests.git.scratch import Scratch

pytestmark = pytest.mark.real

ZERO, A, B = "0" * 40, "a" * 40, "b" * 40


@pytest.mark.parametrize(
    ("said", "branch", "old", "new"),
    [
        (f"{A} {B} refs/heads/main\n".encode(), "main", A, B),
        (f"{ZERO} {B} refs/heads/main\n".encode(), "main", "", B),
        (f"{A} {ZERO} refs/heads/main\n".encode(), "main", A, ""),
        (f"{A} {B} refs/tags/v1\n".encode(), "", A, B),
        (f"{A} {B} refs/heads/a\u2028b\u00a0c\u0085d".encode(), "a\u2028b\u00a0c\u0085d", A, B),
        (f"{A} {B} refs/heads/".encode() + b"\xff\n", "\udcff", A, B),
    ],
)
def test_each_reference_is_read_whatever_its_name(
    said: bytes, branch: str, old: str, new: str
) -> None:
    [one] = read_pushed(said)
    assert (one.branch, one.old, one.new) == (branch, old, new)


@pytest.mark.parametrize("said", [b"x\n", b"a b\n", b"a  c\n", b"a b \n"])
def test_what_git_never_says_is_not_let_through(said: bytes) -> None:
    with pytest.raises(ManifestError, match="cannot understand"):
        read_pushed(said)


@pytest.fixture
def scratch(empty: Scratch) -> Scratch:
    """Give a repository in which nothing is wrong."""
    for name in ("web", "db"):
        empty.write(f"services.d/{name}.yaml", f"name: {name}\ncommand: x\n")
    empty.commit("two services")
    return empty


def check(scratch: Scratch, old: str, new: str) -> tuple[list[str], int]:
    """Give the codes of what is newly wrong, and how much is wrong as before."""
    receiving = Receiving(locate(scratch.root).git_dir, {})
    [found] = receiving.check([Pushed(old=old, new=new, ref="refs/heads/main")])
    return [fault.code for fault in found.faults], found.known


def test_a_repository_that_is_broken_can_be_mended_step_by_step(scratch: Scratch) -> None:
    good = scratch.head()
    scratch.write("services.d/web.yaml", "name: web\ncomand: x\n")
    scratch.write("services.d/db.yaml", "name: db\ncommand: x\nport: many\n")
    broken = scratch.commit()
    assert len(check(scratch, good, broken)[0]) == 2
    scratch.write("services.d/web.yaml", "# mended\nname: web\ncommand: x\n")
    half = scratch.commit()
    assert check(scratch, broken, half) == ([], 1)
    scratch.write("services.d/db.yaml", "# moved down\nname: db\ncommand: x\nport: many\n")
    assert check(scratch, half, scratch.commit()) == ([], 1)
    scratch.write("services.d/db.yaml", "name: db\ncommand: x\nport: many\nextra: 1\n")
    codes, known = check(scratch, half, scratch.commit())
    assert (codes, known) == (["W201"], 1)


def test_what_is_good_is_taken_though_nobody_can_read_what_was_there(scratch: Scratch) -> None:
    assert check(scratch, "f" * 40, scratch.head()) == ([], 0)


def test_a_second_fault_of_the_same_kind_is_a_new_one(scratch: Scratch) -> None:
    text = "name: {0}\ncommand: x\nport: many\n"
    scratch.write("services.d/two.yaml", text.format("one"))
    old = scratch.commit()
    scratch.write("services.d/two.yaml", text.format("one") + "---\n" + text.format("two"))
    codes, known = check(scratch, old, scratch.commit())
    assert (len(codes), known) == (1, 1)


def test_every_folder_with_manifests_is_checked(scratch: Scratch) -> None:
    old = scratch.head()
    scratch.write("hosts/a/services.d/x.yaml", "name: x\ncomand: y\n")
    codes, _ = check(scratch, old, scratch.commit())
    assert codes == ["W201"]


def test_a_new_branch_is_compared_with_the_one_that_is_there(scratch: Scratch) -> None:
    scratch.write("services.d/web.yaml", "name: web\ncomand: x\n")
    assert check(scratch, "", scratch.commit()) == ([], 1)


def test_what_stands_in_the_place_of_the_folder_is_not_let_through(scratch: Scratch) -> None:
    before = scratch.head()
    scratch.path("services.d").rename(scratch.path("elsewhere"))
    scratch.path("services.d").symlink_to("elsewhere")
    assert check(scratch, before, scratch.commit()) == (["W116"], 0)

"""How messages travel, whatever their size, and what garbage does."""

from __future__ import annotations

import array
import contextlib
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from reconciler.holder import wire

NULL = Path("/dev/null")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)
SIZES = st.sampled_from([0, 1, wire.INLINE_BYTES - 20, wire.INLINE_BYTES, 300_000, 3_000_000])


@contextlib.contextmanager
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    left.settimeout(20)
    right.settimeout(20)
    with left, right:
        yield left, right


def open_fds() -> set[str]:
    return {f"{fd.name} {fd.readlink()}" for fd in Path("/proc/self/fd").iterdir() if fd.exists()}


@settings(max_examples=50)
@given(fields=st.dictionaries(st.text(), JSON), padding=SIZES)
@example(fields={"memfd": 7, "odd": "\ud800\0"}, padding=300_000)
def test_any_message_arrives_as_it_was_sent(fields: dict[str, Any], padding: int) -> None:
    message = {**fields, "padding": "x" * padding}
    before = open_fds()
    with pair() as (left, right):
        wire.send(left, message)
        assert wire.receive(right) == (message, [])
    assert open_fds() == before


@pytest.mark.parametrize("padding", [0, 300_000])
def test_descriptors_arrive_beside_a_message(padding: int) -> None:
    with pair() as (left, right):
        ends = os.pipe()
        wire.send(left, {"padding": "x" * padding}, ends)
        received = wire.receive(right)
        assert received is not None
        message, fds = received
        assert (len(message["padding"]), len(fds)) == (padding, 2)
        os.write(fds[1], b"hello")
        assert os.read(ends[0], 5) == b"hello"
        assert not any(os.get_inheritable(fd) for fd in fds)
        wire.close_all([*ends, *fds])


def test_the_end_of_the_stream_is_told() -> None:
    with pair() as (left, right):
        wire.send(left, {"last": True})
        left.close()
        assert wire.receive(right) == ({"last": True}, [])
        assert wire.receive(right) is None


@pytest.mark.parametrize(
    "packet",
    [
        b"\0",
        b"nonsense",
        b"[]",
        b'"text"',
        b"null",
        b"true",
        b"1.5",
        b"-1",
        b"0",
        b"[" * 60_000,
        b"9" * 5_000,
        b"{}" * 2,
        b"x" * (wire.INLINE_BYTES + 1),
    ],
)
def test_garbage_is_an_error_and_leaks_nothing(packet: bytes) -> None:
    before = open_fds()
    with pair() as (left, right), NULL.open("rb") as null:
        socket.send_fds(left, [packet], [null.fileno()])
        with pytest.raises(wire.WireError):
            wire.receive(right)
    assert open_fds() == before


def unsealed(_path: Path) -> int:
    return os.memfd_create("unsealed")


def regular_file(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT)


def fifo(path: Path) -> int:
    os.mkfifo(path)
    return os.open(path, os.O_RDWR)


@pytest.mark.parametrize("make", [unsealed, regular_file, fifo])
def test_only_a_sealed_memfd_carries_a_message(tmp_path: Path, make: Callable[[Path], int]) -> None:
    with pair() as (left, right):
        fd = make(tmp_path / "message")
        os.write(fd, b'{"a": 1}')
        socket.send_fds(left, [b"8"], [fd])
        os.close(fd)
        with pytest.raises(wire.WireError, match=r"sealed|no memfd"):
            wire.receive(right)


@pytest.mark.parametrize("claim", [b"1", b"299999", b"99999999999", b"300021"])
def test_a_wrong_length_is_an_error(claim: bytes) -> None:
    with pair() as (left, right):
        wire.send(left, {"padding": "x" * 300_000})
        number, ancillary, _, _ = right.recvmsg(100, 100)
        assert int(number) == 300_014
        left.sendmsg([claim], [(level, kind, data) for level, kind, data in ancillary])
        with pytest.raises(wire.WireError, match="length"):
            wire.receive(right)
        fds = array.array("i", ancillary[0][2])
        wire.close_all(fds)


def test_more_descriptors_than_any_message_has_are_an_error() -> None:
    before = open_fds()
    with pair() as (left, right), NULL.open("rb") as null:
        socket.send_fds(left, [b"{}"], [null.fileno()] * (wire.MESSAGE_FDS + 8))
        with pytest.raises(wire.WireError):
            wire.receive(right)
    assert open_fds() == before


def test_a_message_over_the_limit_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "MESSAGE_BYTES", 1000)
    with pair() as (left, _), pytest.raises(wire.WireError, match="limit is 1000"):
        wire.send(left, {"padding": "x" * 1000})


def test_a_channel_keeps_what_its_peer_has_not_taken_and_keeps_its_order() -> None:
    with pair() as (left, right):
        channel = wire.Channel(left)
        for number in range(200):
            channel.post({"number": number, "padding": "x" * 20_000})
        assert channel.is_behind
        for number in range(200):
            received = wire.receive(right)
            assert received is not None
            assert received[0]["number"] == number
            channel.flush()
        assert not channel.is_behind


def test_a_channel_whose_peer_left_drops_what_it_has_and_reads_the_end() -> None:
    with pair() as (left, right):
        channel = wire.Channel(left)
        right.close()
        channel.post({"number": 1})
        assert not channel.is_behind
        assert channel.receive() is None


def test_the_address_of_a_directory_is_the_same_by_any_name(tmp_path: Path) -> None:
    (tmp_path / "alias").symlink_to(tmp_path)
    (tmp_path / "other").mkdir()
    address = wire.address(str(tmp_path))
    assert wire.address(str(tmp_path / "alias")) == address != wire.address(str(tmp_path / "other"))
    assert address.startswith("\0weaver-holder-")

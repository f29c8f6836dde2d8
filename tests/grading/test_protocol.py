"""The pipe's form: what is sent arrives, and whatever else arrives is a ProtocolError, soon and in little memory."""

import contextlib
import socket
import struct
import threading
import time
import tracemalloc
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from lstmcourse.grading.protocol import (
    DTYPES,
    LIMITS,
    Closed,
    Late,
    Limits,
    Pipe,
    ProtocolError,
    Unsendable,
    decode,
    encode,
)
from lstmcourse.grading.sandbox import SandboxError
from lstmcourse.grading.session import Session

FEW = settings(max_examples=100, deadline=None)
arrays = hnp.arrays(st.sampled_from(DTYPES).map(np.dtype), hnp.array_shapes(min_dims=0, max_dims=4, max_side=5))
texts = st.text(max_size=200).filter(lambda text: len(text.encode("utf-8", "replace")) <= LIMITS.text)
plain = st.none() | st.booleans() | st.integers(-2**63, 2**63 - 1) | st.floats() | texts | arrays
values = st.recursive(plain, lambda inner: st.lists(inner, max_size=4) | st.lists(inner, max_size=4).map(tuple)
                      | st.dictionaries(texts, inner, max_size=4), max_leaves=12)


class Bytes:
    """`read` for decode, and the largest piece it was asked for."""

    def __init__(self, data):
        self.data, self.at, self.most = data, 0, 0

    def __call__(self, n):
        self.most = max(self.most, n)
        piece = self.data[self.at:self.at + n]
        self.at += n
        if len(piece) < n:
            raise Closed("the end of the stream")
        return piece


def equal(a, b):
    if isinstance(a, np.ndarray | np.generic):
        return isinstance(b, np.ndarray | np.generic) and a.dtype == b.dtype and a.shape == b.shape and (
            a.tobytes() == b.tobytes())
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return list(a) == list(b) and all(map(equal, a.values(), b.values()))
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(equal, a, b))
    return struct.pack("<d", a) == struct.pack("<d", b) if isinstance(a, float) else a == b


@FEW
@given(values)
def test_what_is_sent_arrives(value):
    assert equal(value if not isinstance(value, str) else value.encode("utf-8", "replace").decode(),
                 decode(Bytes(encode(value))))


@FEW
@given(values, st.data())
def test_a_truncated_message_is_an_error(value, data):
    message = encode(value)
    with pytest.raises(ProtocolError):
        decode(Bytes(message[:data.draw(st.integers(0, len(message) - 1))]))


@FEW
@given(values, st.data())
def test_a_forged_message_is_a_value_or_an_error(value, data):
    message = bytearray(encode(value))
    for _ in range(data.draw(st.integers(1, 4))):
        message[data.draw(st.integers(0, len(message) - 1))] = data.draw(st.integers(0, 255))
    read = Bytes(bytes(message))
    with contextlib.suppress(ProtocolError, Unsendable):
        encode(decode(read))
    assert read.most <= LIMITS.size


@FEW
@given(st.binary(max_size=300))
def test_any_bytes_are_a_value_or_an_error(data):
    with contextlib.suppress(ProtocolError):
        decode(Bytes(data))


@pytest.mark.parametrize("data", [
    b"s" + struct.pack("<I", 2**32 - 1), b"l" + struct.pack("<I", 2**32 - 1), b"d" + struct.pack("<I", 2**31),
    b"a" + struct.pack("<BBQ", 11, 1, 2**61), b"a" + struct.pack("<BBQQ", 11, 2, 2**40, 2**40),
    b"a" + struct.pack("<BBQQ", 11, 2, 0, 2**63), b"a" + struct.pack("<BB", 200, 1), b"a" + struct.pack("<BB", 1, 255),
    b"a" + struct.pack("<BBQB", 0, 1, 1, 7), b"l\1\0\0\0" * 1000, b"d\1\0\0\0" + b"i" + bytes(8) + b"N",
    b"s\2\0\0\0\xff\xfe", b"?"],
    ids=["text", "list", "dict", "array", "array-product", "array-empty", "dtype", "axes", "bool", "deep", "key",
         "not-utf8", "tag"])
def test_a_lie_about_a_length_is_found_before_memory_is_taken(data):
    read = Bytes(data + bytes(100))
    tracemalloc.start()
    with pytest.raises(ProtocolError):
        decode(read)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 20
    assert read.most < 1 << 10


def test_many_empty_values_are_bounded():
    with pytest.raises(ProtocolError):
        decode(Bytes(b"l" + struct.pack("<I", 9_000) + (b"l" + struct.pack("<I", 9_000)) + b"N" * 20_000))


@pytest.mark.parametrize("value", [
    object(), 2**63, {1: 2}, np.array([object()]), np.array([1j]), np.zeros(3, "datetime64[s]"), [[[[[[[[[[1]]]]]]]]]],
    np.broadcast_to(1.0, (2**30, 2**20)), "x" * 3000, [None] * 20_000, {1, 2}, b"bytes"],
    ids=lambda value: type(value).__name__)
def test_what_has_no_form_is_unsendable(value):
    with pytest.raises(Unsendable):
        encode(value)


def test_an_array_that_lies_is_sent_as_what_it_holds():
    class Liar(np.ndarray):
        def __eq__(self, other):
            return True

        def tobytes(self, *args):
            return b"lie"
    back = decode(Bytes(encode(np.ones(3).view(Liar))))
    assert type(back) is np.ndarray
    assert back.tolist() == [1, 1, 1]


def test_silence_ends_at_the_deadline_even_when_a_byte_comes_now_and_then():
    ours, theirs = socket.socketpair()
    stop = threading.Event()

    def drip():
        for byte in encode("x" * 500):
            if stop.wait(0.02):
                return
            theirs.send(bytes([byte]))
    thread = threading.Thread(target=drip)
    thread.start()
    start = time.monotonic()
    with ours, theirs:
        with pytest.raises(Late):
            Pipe(ours).receive(seconds=0.3)
        assert time.monotonic() - start < 2
        stop.set()
        thread.join()


def test_a_flood_is_cut_off_at_the_limit():
    ours, theirs = socket.socketpair()

    def flood():
        try:
            while True:
                theirs.sendall(b"l\1\0\0\0" * 1000)
        except OSError:
            pass
    thread = threading.Thread(target=flood, daemon=True)
    thread.start()
    pipe = Pipe(ours)
    with pytest.raises(ProtocolError):
        pipe.receive(seconds=5, limits=Limits(size=10_000))
    assert len(pipe.buffer) < 1 << 17
    ours.close()
    theirs.close()
    thread.join(5)


def test_a_closed_pipe_says_so():
    ours, theirs = socket.socketpair()
    theirs.close()
    with ours, pytest.raises(Closed):
        Pipe(ours).receive(seconds=1)


def test_a_message_of_exactly_the_limit_is_read_and_one_of_a_byte_more_is_not():
    message = encode(np.zeros(100, "uint8"))
    assert decode(Bytes(message), Limits(size=len(message))).size == 100
    assert len(encode(np.zeros(100, "uint8"), Limits(size=len(message)))) == len(message)
    with pytest.raises(ProtocolError, match="an array of shape"):
        decode(Bytes(message), Limits(size=len(message) - 1))
    with pytest.raises(Unsendable):
        encode(np.zeros(100, "uint8"), Limits(size=len(message) - 1))
    assert decode(Bytes(b"f" + bytes(8)), Limits(size=9)) == 0
    with pytest.raises(ProtocolError, match="more than 8 bytes"):
        decode(Bytes(b"f" + bytes(8)), Limits(size=8))


@pytest.mark.parametrize("shape", [(0, 2**24, 2**24, 2**24), (0, 2**23, 2**23), (2**24 + 1, 0)])
def test_an_empty_array_of_a_shape_that_numpy_refuses_is_no_message(shape):
    message = b"a" + struct.pack(f"<BB{len(shape)}Q", 0, len(shape), *shape)
    with pytest.raises(ProtocolError, match="an array of shape"):
        decode(Bytes(message))


def test_whatever_numpy_says_to_a_message_it_is_no_message(monkeypatch):
    from lstmcourse.grading import protocol

    def odd(*args):
        raise ValueError("array is too big")
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.send(encode(np.zeros(3)))
        monkeypatch.setattr(protocol.np, "frombuffer", odd)
        with pytest.raises(ProtocolError, match="too big"):
            Pipe(ours).receive(seconds=5)


# The conversation over the pipe: whatever the other end says, a session gives plain data or ends.

class Sandboxed:
    """A sandbox that notes what becomes of it."""

    def __init__(self):
        self.killed = self.ended = 0

    def kill(self):
        self.killed += 1

    def finished(self):
        self.ended += 1


def conversation(*messages):
    """(session, its sandbox), with these messages waiting."""
    ours, theirs = socket.socketpair()
    for message in messages:
        theirs.sendall(encode(message))
    session = Session(Sandboxed(), Pipe(ours))
    session.theirs, session.cells = theirs, 3
    return session


def test_a_session_passes_on_what_the_cells_come_to():
    said = [("cell", 0, "x = 1"), ("note", "odd"), ("ready", ["f"])]
    session = conversation(*said)
    assert list(session.run((2,), 7, ["f"], [("m", "source")])) == said
    assert Pipe(session.theirs).receive(1) == ([2], 7.0, ["f"], [("m", "source")])
    session.close()
    assert (session.sandbox.ended, session.sandbox.killed, session.pipe.sock.fileno()) == (1, 0, -1)


@pytest.mark.parametrize("message", [
    ("cell", 0), ("cell", "0", "x"), ("cell", 0, "x", 1), ("note", 3), ("note", "a", "b"), ("ready", ("f",)),
    ("ready",), ("score", 1000), (), (3, 4), "ready", None, ("cell", True, "x")])
def test_any_other_message_while_the_cells_run_ends_the_session(message):
    session = conversation(message)
    with pytest.raises(ProtocolError):
        list(session.run((), 7, []))
    session.close()
    assert (session.sandbox.ended, session.sandbox.killed, session.pipe.sock.fileno()) == (0, 1, -1)


def test_more_messages_than_the_cells_can_have_end_the_session():
    session = conversation(*[("note", "x")] * 50)
    with pytest.raises(ProtocolError, match="more messages than cells"):
        list(session.run((), 7, []))


def test_the_time_of_a_call_goes_with_it_and_two_seconds_more_are_waited(monkeypatch):
    session, waited = conversation(("value", 1, ())), []
    monkeypatch.setattr(session.pipe, "receive", lambda seconds: waited.append(seconds) or ("value", 1, ()))
    assert session.call("f", (2,), 5) == ("value", 1, ())
    assert Pipe(session.theirs).receive(1) == ("f", (2,), 5.0)
    assert waited == [7]


def test_the_time_of_all_cells_is_over_two_seconds_after_they_had_it(monkeypatch):
    session, waited = conversation(), []
    said = iter([("cell", 0, "x = 1"), ("note", "odd"), ("ready", ["f"])])
    monkeypatch.setattr(session.pipe, "receive", lambda seconds: waited.append(seconds) or next(said))
    clock = iter([100.0, 101.0, 104.0, 120.0])
    monkeypatch.setattr("lstmcourse.grading.session.time", SimpleNamespace(monotonic=lambda: next(clock)))
    list(session.run((), 7, ["f"]))
    assert waited == [8, 5, 0.01]


def test_what_is_said_of_a_notebook_is_that_it_is_read_or_refused():
    with pytest.raises(SandboxError, match="cannot be read: x"):
        conversation(("odd", "x")).read(b"")
    assert conversation(("refused", "why")).read(b"") == "why"
    session = conversation(("read", 3, "# Title"))
    assert session.read(b"") is None
    assert (session.cells, session.heading) == (3, "# Title")

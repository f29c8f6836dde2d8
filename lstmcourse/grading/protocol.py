"""Values over a pipe: arrays, numbers, strings, None, and tuples, lists and dicts of these. No pickle.

A value is one byte that says what it is, then its content, little-endian:

    N T F       None, True, False
    i f         an integer (int64), a float (float64)
    s           length (uint32), then UTF-8
    a           dtype (one of DTYPES, uint8), axes (uint8), each length (uint64), then the numbers
    t l         length (uint32), then that many values: a tuple, a list
    d           length (uint32), then that many pairs of a string and a value

Both ends use this file. The receiving end trusts nothing: `Limits` bounds what one message may
hold, and a length, a dtype or a shape is checked before the bytes that it announces are read.
"""

import math
import os
import struct
import time
from dataclasses import dataclass

import numpy as np

DTYPES = ("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
          "float16", "float32", "float64")
NATIVE = [np.dtype(name) for name in DTYPES]
LITTLE = [dtype.newbyteorder("<") for dtype in NATIVE]
CODES = {dtype: code for code, dtype in enumerate(NATIVE)}


class ProtocolError(Exception):
    """What arrived is not a message, or is more than is allowed."""


class Late(ProtocolError):
    """Nothing more arrived in time."""


class Closed(ProtocolError):
    """The other end is gone."""


class Unsendable(TypeError):
    """This value has no form in the protocol; str() says what it is."""


@dataclass(frozen=True)
class Limits:
    size: int = 1 << 24        # bytes in one message
    values: int = 10_000       # values in one message, counting those inside others
    depth: int = 8             # tuples in lists in dicts …
    axes: int = 8
    text: int = 2000           # bytes of one string: NumPy pads all strings of a list to the longest


LIMITS = Limits()


def encode(value, limits=LIMITS):
    """The bytes of one value; Unsendable if it has none within the limits."""
    encoder = _Encoder(limits)
    encoder.put_value(value, 0)
    return b"".join(encoder.parts)


def decode(read, limits=LIMITS):
    """One value; `read(n)` gives the next n bytes. ProtocolError for anything else."""
    return _Decoder(read, limits).value(0)


class _Encoder:
    """A message while it is written: its parts, and how many bytes and values it may still get."""

    def __init__(self, limits):
        self.limits, self.parts = limits, []
        self.bytes_left, self.values_left = limits.size, limits.values

    def put(self, data):
        self.bytes_left -= len(data)
        if self.bytes_left < 0:
            raise Unsendable(f"more than {self.limits.size >> 20} MB")
        self.parts.append(data)

    def put_value(self, value, depth):
        self.values_left -= 1
        if self.values_left < 0 or depth > self.limits.depth:
            raise Unsendable(f"a nest of more than {self.limits.values} values, or more than {self.limits.depth} deep")
        if value is None or value is True or value is False:
            self.put(b"N" if value is None else b"T" if value else b"F")
        elif isinstance(value, (np.ndarray, np.generic)):
            self.put_array(np.asarray(value))
        elif isinstance(value, int):
            self.put_integer(value)
        elif isinstance(value, float):
            self.put(b"f" + struct.pack("<d", value))
        elif isinstance(value, str):
            self.put_text(value)
        elif isinstance(value, (tuple, list)):
            self.put_sequence(value, tuple if isinstance(value, tuple) else list, depth)
        elif isinstance(value, dict):
            self.put_dict(value, depth)
        else:
            raise Unsendable(f"a value of type {type(value).__name__}")

    def put_integer(self, value):
        try:
            self.put(b"i" + struct.pack("<q", value))
        except struct.error:
            raise Unsendable("an integer of more than 64 bits") from None

    # A student's class may inherit from str, tuple, list or dict and say anything about itself; so these ask the
    # built-in type.

    def put_text(self, value):
        text = str.encode(value, "utf-8", "replace")
        if len(text) > self.limits.text:
            raise Unsendable(f"a string of more than {self.limits.text} bytes")
        self.put(b"s" + struct.pack("<I", len(text)) + text)

    def put_sequence(self, value, kind, depth):
        self.put((b"t" if kind is tuple else b"l") + struct.pack("<I", kind.__len__(value)))
        for item in kind.__iter__(value):
            self.put_value(item, depth + 1)

    def put_dict(self, value, depth):
        self.put(b"d" + struct.pack("<I", dict.__len__(value)))
        for key, item in dict.items(value):
            if not isinstance(key, str):
                raise Unsendable(f"a dict with a key of type {type(key).__name__}")
            self.put_value(key, depth + 1)
            self.put_value(item, depth + 1)

    def put_array(self, array):
        if array.dtype.kind == "f" and array.dtype.itemsize > 8:
            array = array.astype("float64")
        code = CODES.get(array.dtype, CODES.get(array.dtype.newbyteorder("=")))
        if code is None:
            raise Unsendable(f"an array of {array.dtype.name}")
        if array.nbytes > self.bytes_left or array.ndim > self.limits.axes:
            raise Unsendable(f"an array of shape {array.shape}, too large to be an answer")
        self.put(struct.pack(f"<cBB{array.ndim}Q", b"a", code, array.ndim, *array.shape))
        self.put(np.ascontiguousarray(array, LITTLE[code]).tobytes())


class _Decoder:
    """A message while it is read: where its bytes come from, and how many bytes and values it may still have."""

    def __init__(self, read, limits):
        self.read, self.limits = read, limits
        self.bytes_left, self.values_left = limits.size, limits.values

    def take(self, n):
        self.bytes_left -= n
        if self.bytes_left < 0:
            raise ProtocolError(f"a message of more than {self.limits.size} bytes")
        return self.read(n)

    def number(self, form):
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def tag(self, depth):
        """The byte that says what the next value is."""
        self.values_left -= 1
        if self.values_left < 0 or depth > self.limits.depth:
            raise ProtocolError("too many values")
        return self.take(1)

    def value(self, depth):
        tag = self.tag(depth)
        if tag == b"s":
            return self.text()
        if tag in (b"N", b"T", b"F"):
            return {b"N": None, b"T": True, b"F": False}[tag]
        if tag in (b"i", b"f"):
            return self.number("<q" if tag == b"i" else "<d")
        if tag == b"a":
            return self.array()
        if tag in (b"t", b"l", b"d"):
            length = self.number("<I")
            if length > self.values_left:
                raise ProtocolError(f"{length} values")
            if tag == b"d":
                return {self.key(depth + 1): self.value(depth + 1) for _ in range(length)}
            return (tuple if tag == b"t" else list)([self.value(depth + 1) for _ in range(length)])
        raise ProtocolError(f"no value begins with {bytes(tag)!r}")

    def key(self, depth):
        if self.tag(depth) != b"s":
            raise ProtocolError("a key that is not a string")
        return self.text()

    def text(self):
        length = self.number("<I")
        if length > self.limits.text:
            raise ProtocolError(f"a string of {length} bytes")
        try:
            return str(self.take(length), "utf-8")
        except UnicodeDecodeError:
            raise ProtocolError("a string that is not UTF-8") from None

    def array(self):
        code, axes = self.number("<B"), self.number("<B")
        if code >= len(DTYPES) or axes > self.limits.axes:
            raise ProtocolError(f"an array with dtype code {code} and {axes} axes")
        shape = tuple(self.number("<Q") for _ in range(axes))
        size = NATIVE[code].itemsize * math.prod(shape)       # Python's integers: nothing overflows
        if math.prod(max(length, 1) for length in shape) > self.limits.size or size > self.bytes_left:
            raise ProtocolError(f"an array of shape {shape}")
        data = self.take(size)
        if code == 0 and data.strip(b"\0\1"):
            raise ProtocolError("a bool that is neither 0 nor 1")
        own = np.frombuffer(data, LITTLE[code]).reshape(shape).astype(NATIVE[code])      # a copy, writeable
        return own if axes else own[()]


class Pipe:
    """Messages over a connected socket, each with a deadline."""

    def __init__(self, sock):
        self.sock, self.buffer, self.deadline = sock, bytearray(), None

    def send(self, value, seconds=None, limits=LIMITS):
        """All of it within `seconds` (None: however long it takes); else Late or Closed."""
        self._start(seconds)
        data = memoryview(encode(value, limits))
        while data:
            data = data[self._some(self._write, data[:1 << 16]):]

    def receive(self, seconds=None, limits=LIMITS):
        """The next message, all of it within `seconds`; else Late, Closed or another ProtocolError."""
        self._start(seconds)
        try:
            return decode(self._exactly, limits)
        except (ValueError, TypeError, OverflowError) as error:      # whatever NumPy says to a shape
            raise ProtocolError(f"not a message: {error}") from None

    def _start(self, seconds):
        self.deadline = None if seconds is None else time.monotonic() + seconds

    def _exactly(self, n):
        while len(self.buffer) < n:
            data = self._some(self._read, 1 << 16)
            if not data:
                raise Closed("the end of the stream")
            self.buffer += data
        data = bytes(self.buffer[:n])
        del self.buffer[:n]
        return data

    def _some(self, transfer, what):
        seconds = None if self.deadline is None else self.deadline - time.monotonic()
        if seconds is not None and seconds <= 0:
            raise Late("nothing more in time")
        try:
            return transfer(what, seconds)
        except TimeoutError:
            raise Late("nothing more in time") from None
        except OSError as error:
            raise Closed(str(error)) from None

    def _read(self, n, seconds):
        self.sock.settimeout(seconds)
        return self.sock.recv(n)

    def _write(self, data, seconds):
        self.sock.settimeout(seconds)
        return self.sock.send(data)


class FilePipe(Pipe):
    """The same by read() and write() alone, so that seccomp can deny everything about sockets."""

    def _read(self, n, seconds):
        return os.read(self.sock, n)

    def _write(self, data, seconds):
        return os.write(self.sock, data)

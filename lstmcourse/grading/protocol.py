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
    parts, left = [], [limits.size, limits.values]

    def put(data):
        left[0] -= len(data)
        if left[0] < 0:
            raise Unsendable(f"more than {limits.size >> 20} MB")
        parts.append(data)

    def walk(value, depth):
        left[1] -= 1
        if left[1] < 0 or depth > limits.depth:
            raise Unsendable(f"a nest of more than {limits.values} values, or more than {limits.depth} deep")
        if value is None or value is True or value is False:
            put(b"N" if value is None else b"T" if value else b"F")
        elif isinstance(value, (np.ndarray, np.generic)):
            put_array(np.asarray(value))
        elif isinstance(value, int):
            try:
                put(b"i" + struct.pack("<q", value))
            except struct.error:
                raise Unsendable("an integer of more than 64 bits") from None
        elif isinstance(value, float):
            put(b"f" + struct.pack("<d", value))
        elif isinstance(value, str):
            text = str.encode(value, "utf-8", "replace")
            if len(text) > limits.text:
                raise Unsendable(f"a string of more than {limits.text} bytes")
            put(b"s" + struct.pack("<I", len(text)) + text)
        elif isinstance(value, (tuple, list)):
            kind = tuple if isinstance(value, tuple) else list
            put((b"t" if kind is tuple else b"l") + struct.pack("<I", kind.__len__(value)))
            for item in kind.__iter__(value):
                walk(item, depth + 1)
        elif isinstance(value, dict):
            put(b"d" + struct.pack("<I", dict.__len__(value)))
            for key, item in dict.items(value):
                if not isinstance(key, str):
                    raise Unsendable(f"a dict with a key of type {type(key).__name__}")
                walk(key, depth + 1)
                walk(item, depth + 1)
        else:
            raise Unsendable(f"a value of type {type(value).__name__}")

    def put_array(array):
        if array.dtype.kind == "f" and array.dtype.itemsize > 8:
            array = array.astype("float64")
        code = CODES.get(array.dtype, CODES.get(array.dtype.newbyteorder("=")))
        if code is None:
            raise Unsendable(f"an array of {array.dtype.name}")
        if array.nbytes > left[0] or array.ndim > limits.axes:
            raise Unsendable(f"an array of shape {array.shape}, too large to be an answer")
        put(struct.pack(f"<cBB{array.ndim}Q", b"a", code, array.ndim, *array.shape))
        put(np.ascontiguousarray(array, LITTLE[code]).tobytes())

    walk(value, 0)
    return b"".join(parts)


def decode(read, limits=LIMITS):
    """One value; `read(n)` gives the next n bytes. ProtocolError for anything else."""
    left = [limits.size, limits.values]

    def take(n):
        left[0] -= n
        if left[0] < 0:
            raise ProtocolError(f"a message of more than {limits.size} bytes")
        return read(n)

    def number(form):
        return struct.unpack(form, take(struct.calcsize(form)))[0]

    def text():
        length = number("<I")
        if length > limits.text:
            raise ProtocolError(f"a string of {length} bytes")
        try:
            return str(take(length), "utf-8")
        except UnicodeDecodeError:
            raise ProtocolError("a string that is not UTF-8") from None

    def array():
        code, axes = number("<B"), number("<B")
        if code >= len(DTYPES) or axes > limits.axes:
            raise ProtocolError(f"an array with dtype code {code} and {axes} axes")
        shape = tuple(number("<Q") for _ in range(axes))
        size = NATIVE[code].itemsize * math.prod(shape)       # Python's integers: nothing overflows
        if math.prod(max(length, 1) for length in shape) > limits.size or size > left[0]:
            raise ProtocolError(f"an array of shape {shape}")
        data = take(size)
        if code == 0 and data.strip(b"\0\1"):
            raise ProtocolError("a bool that is neither 0 nor 1")
        own = np.frombuffer(data, LITTLE[code]).reshape(shape).astype(NATIVE[code])      # a copy, writeable
        return own if axes else own[()]

    def walk(depth, only_text=False):
        left[1] -= 1
        if left[1] < 0 or depth > limits.depth:
            raise ProtocolError("too many values")
        tag = take(1)
        if tag == b"s":
            return text()
        if only_text:
            raise ProtocolError("a key that is not a string")
        if tag in (b"N", b"T", b"F"):
            return {b"N": None, b"T": True, b"F": False}[tag]
        if tag in (b"i", b"f"):
            return number("<q" if tag == b"i" else "<d")
        if tag == b"a":
            return array()
        if tag in (b"t", b"l", b"d"):
            length = number("<I")
            if length > left[1]:
                raise ProtocolError(f"{length} values")
            if tag == b"d":
                return {walk(depth + 1, only_text=True): walk(depth + 1) for _ in range(length)}
            return (tuple if tag == b"t" else list)([walk(depth + 1) for _ in range(length)])
        raise ProtocolError(f"no value begins with {bytes(tag)!r}")

    return walk(0)


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
        left = None if self.deadline is None else self.deadline - time.monotonic()
        if left is not None and left <= 0:
            raise Late("nothing more in time")
        try:
            return transfer(what, left)
        except TimeoutError:
            raise Late("nothing more in time") from None
        except OSError as error:
            raise Closed(str(error)) from None

    def _read(self, n, left):
        self.sock.settimeout(left)
        return self.sock.recv(n)

    def _write(self, data, left):
        self.sock.settimeout(left)
        return self.sock.send(data)


class FilePipe(Pipe):
    """The same by read() and write() alone, so that seccomp can deny everything about sockets."""

    def _read(self, n, left):
        return os.read(self.sock, n)

    def _write(self, data, left):
        return os.write(self.sock, data)

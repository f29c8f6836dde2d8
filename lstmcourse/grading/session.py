"""One submission in the sandbox: the conversation with the inside, which may say anything."""

import contextlib
import time

import numpy as np

from lstmcourse.grading.protocol import Limits, ProtocolError
from lstmcourse.grading.sandbox import SandboxError

FORMS = {"cell": (int, str), "note": (str,), "ready": (list,)}      # what the inside says while the cells run
MESSAGES = 4                   # about one cell


class Session:
    """One submission in the sandbox. Every method gives plain data or raises ProtocolError, and then it is over."""

    def __init__(self, sandbox, pipe):
        self.sandbox, self.pipe, self.over = sandbox, pipe, False

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()

    def read(self, data, seconds=20):
        """Send the notebook; why it is refused, or None. No student's code has run yet."""
        with self.ending():
            self.pipe.send(np.frombuffer(data, np.uint8), seconds, Limits(size=1 << 28))
            kind, said, *more = self.message(seconds)
            if kind not in ("refused", "read"):
                raise SandboxError(f"the notebook cannot be read: {said}")
            if kind == "read":
                self.cells, self.heading = said, more[0]
            return str(said) if kind == "refused" else None

    def run(self, skip, seconds, functions, helpers=()):
        """Run the cells; yields ("cell", n, its first line) before each, ("note", text) where one failed, and at the
        end ("ready", names).

        skip       numbers of cells that are left out
        functions  names; those that are there in the end come with "ready"
        helpers    (module, source) of what may be imported from the course
        """
        end = time.monotonic() + seconds + 2
        with self.ending():
            self.pipe.send((list(skip), float(seconds), list(functions), list(helpers)), seconds)
            for _ in range(MESSAGES * self.cells + 2):
                kind, *what = self.message(max(0.01, end - time.monotonic()))
                if tuple(map(type, what)) != FORMS.get(kind):
                    raise ProtocolError(f"a message {kind!r}")
                yield kind, *what
                if kind == "ready":
                    return
            raise ProtocolError("more messages than cells")

    def call(self, name, args, seconds):
        """Call a function of the notebook: the kind of answer and what belongs to it."""
        with self.ending():
            self.pipe.send((name, args, float(seconds)), seconds)
            return self.message(seconds + 2)

    def message(self, seconds):
        """The next message: a tuple that begins with its kind."""
        message = self.pipe.receive(seconds)
        if not isinstance(message, tuple) or not message or not isinstance(message[0], str):
            raise ProtocolError("not a message")
        return message

    @contextlib.contextmanager
    def ending(self):
        """After a ProtocolError nothing of this sandbox is used again."""
        try:
            yield
        except BaseException:
            self.over = True
            self.pipe.sock.close()
            self.sandbox.kill()
            raise

    def close(self):
        if not self.over:
            self.over = True
            self.pipe.sock.close()
            self.sandbox.finished()

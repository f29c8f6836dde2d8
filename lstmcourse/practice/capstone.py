"""A network put together from the learner's own functions: the translator of lesson 14, or any other that trains here.

`put_together` looks which functions are kept, tries each on what one step of training has for it, and compares
with the library: where one differs, raises or would take too long, the library's stays, with a sentence.
`with machine:` training and decoding run on these parts, afterwards the library is as it was; `train = machine(train)`
does the same for every call of a function.
"""

from contextlib import ContextDecorator

from lstmcourse import attention, train
from lstmcourse.lab import models, translation
from lstmcourse.practice.adapters import ADAPTERS, same, seconds_of
from lstmcourse.practice.kept import look
from lstmcourse.practice.progress import TRANSLATOR, in_words, place
from lstmcourse.practice.registry import EXERCISES
from lstmcourse.recurrent import KINDS
from lstmcourse.seq2seq import decoder, model


class Machine(ContextDecorator):
    """A function for each part. `with machine:` the library's training and decoding use them; print it for the list.

    whose    {part: the exercise whose function it is, or None: the library's}
    notes    sentences: why a function of the learner's is left out
    seconds  {part: (the learner's, the library's)} in one training step
    step     seconds of a whole training step; steps: how many there are to be
    """

    def __init__(self):
        self.functions, self.whose = {part: ADAPTERS[part][0] for part in ADAPTERS}, dict.fromkeys(TRANSLATOR)
        self.notes, self.seconds, self.step, self.steps, self.calls, self.before = [], {}, 0.0, 0, None, []

    def run(self, part, *args):
        """The part's function; where the learner's raises, the library's from then on, with a sentence."""
        try:
            result = self.functions[part](*args)
        except Exception as error:
            if self.whose[part] is None:
                raise
            self.give_back(part, f"raised {type(error).__name__}: {error}")
            print(self.notes[-1])
            return self.run(part, *args)
        if self.calls is not None:
            self.calls.append((part, args, result))
        return result

    def give_back(self, part, reason):
        """The library's function for this part again, and a sentence why."""
        self.notes.append(_note(self.whose[part], reason))
        self.whose[part], self.functions[part] = None, ADAPTERS[part][0]
        mine, library = self.seconds.pop(part, (0, 0))
        self.step -= mine - library

    def attend(self, query, keys, values, mask, scale=1.0):
        """`dot_attention_forward` by the two parts of the forward pass."""
        alpha = self.run("attention, weights", scale * (query @ keys.swapaxes(1, 2)), mask)
        context = self.run("attention, context", alpha, values)
        return context, alpha, attention.AttentionCache(query, keys, values, alpha, scale)

    def __enter__(self):
        def runs(name):
            return lambda *args: self.run(name, *args)
        kind = KINDS["lstm"]._replace(forward=runs("cell"), backward=runs("backward pass"))
        inside = [(train, "clip_grads", runs("clipping")), (translation, "greedy", runs("decoding")),
                  (decoder, "dot_attention_forward", self.attend),
                  (decoder, "dot_attention_backward", runs("attention, backward pass"))]
        for module in (model, models):                    # the cache of the loss is its gradient
            inside += [(module, "cross_entropy_forward", runs("loss")),
                       (module, "cross_entropy_backward", lambda dlogits: dlogits)]
        self.before.append((KINDS["lstm"], [(module, name, getattr(module, name)) for module, name, _ in inside]))
        KINDS["lstm"] = kind
        for module, name, function in inside:
            setattr(module, name, function)
        return self

    def __exit__(self, *error):
        KINDS["lstm"], inside = self.before.pop()
        for module, name, function in inside:
            setattr(module, name, function)

    def __str__(self):
        return "\n".join([f"{part}: {text}" for part, text in in_words(self.whose).items()] + self.notes)

    def timing(self):
        """How long each of the learner's functions takes in a training step, and which is slow, as text."""
        whole = f"training: {self.steps} steps of {1e3 * self.step:.0f} ms, about {self.steps * self.step:.0f} seconds"
        if not self.seconds:
            return f"no part of a training step is yours; {whole}"
        rows = [f"{f'{part} ({self.whose[part]})':31} {1e3 * mine:8.1f} {1e3 * library:8.1f}"
                for part, (mine, library) in self.seconds.items()]
        slow, (mine, library) = max(self.seconds.items(), key=lambda item: item[1][0] - item[1][1])
        return "\n".join([f"{'':31} {'yours':>8} {'library':>8}   ms in a training step", *rows, whole]
                         + [f"the slow part: {slow}, {mine / library:.1f} times the library's"] * (mine > library))


def _note(id, reason):
    return f"{id} {EXERCISES[id].title}: the library's, since yours {reason}"


def put_together(loss_and_grads, params, batches, write=None, seconds=120):
    """A `Machine` with the learner's functions wherever one is kept, does what the library's does, and is fast enough.

    loss_and_grads, params, batches  as for `train`, of which one step is tried
    write                            called as write(params), has a translator write something; None: it writes nothing
    seconds                          for the whole training; where it would take longer, the slowest part goes first
    """
    machine = Machine()
    machine.steps, machine.calls = len(batches), []
    with machine:
        train.train(loss_and_grads, params, batches[:1], progress=False)
        if write is not None:
            machine.calls, trained = [], machine.calls
            write(params)
            machine.calls = trained + [call for call in machine.calls if call[0] == "decoding"]
        calls, machine.calls = machine.calls, None
        machine.step = seconds_of(lambda: train.train(loss_and_grads, params, batches[:1], progress=False))
    most = max(seconds, 2 * machine.steps * machine.step)         # on a slow computer: twice as long as the library
    tried = {part: [(args, result) for name, args, result in calls if name == part] for part in TRANSLATOR}
    machine.whose = {part: None for part in TRANSLATOR if tried[part]}
    for part in filter(tried.get, ADAPTERS):
        _fill(machine, part, tried[part])
    machine.notes.sort()
    slowest = sorted(machine.seconds, key=lambda part: machine.seconds[part][0] - machine.seconds[part][1])
    while slowest and machine.steps * machine.step > most:
        part = slowest.pop()
        machine.give_back(part, f"is too slow: the training would take {machine.steps * machine.step:.0f} seconds")
    return machine


def _fill(machine, part, calls):
    """Try the learner's functions for a part on the calls of one step, the best first, and take the first that fits."""
    library, adapters = ADAPTERS[part]
    for id in TRANSLATOR[part]:
        function, said = look(id)
        if function is None:
            machine.notes += [f"{id} {EXERCISES[id].title}: {said}"] if place(id, "py").exists() else []
            continue

        def yours(*args, function=function, adapter=adapters[id]):
            return adapter(function, *args)
        try:
            fits = all(same(yours(*args), wanted) for args, wanted in calls)
        except Exception as error:
            machine.notes.append(_note(id, f"raised {type(error).__name__}: {error}"))
            continue
        if not fits:
            machine.notes.append(_note(id, "does not fit: in a step of this network it returned something else"))
            continue
        machine.functions[part], machine.whose[part] = yours, id
        if part == "decoding":                              # no part of a training step
            return
        mine, theirs = machine.seconds[part] = [seconds_of(f, calls) for f in (yours, library)]
        machine.step += mine - theirs
        return

"""The verdict on an exercise, from outcomes alone: the learner's function is never seen here.

In this order, stopping at the first failure: did it return something, is no argument changed, are
number and type of the results right, their shapes, their values. Then the cause: a known mistake
that comes to the same outcome in every case, or else what the pattern of the numbers says.
"""

import itertools
from functools import partial

import numpy as np

from lstmcourse.practice.exercise import Verdict, in_letters, sizes_of
from lstmcourse.practice.observe import observe
from lstmcourse.practice.patterns import error_pattern, pattern
from lstmcourse.practice.values import as_array, close, copy_of, gist, same, soil

SHOWN = 600                                # characters of what a function printed


def judge(exercise, call, rng, pairs=False):
    """Verdict on the function behind call.

    call   called as call(args), once for each case; returns an Outcome
    rng    a numpy Generator that draws the cases
    pairs  True: look also for two known mistakes at once, which takes up to seconds
    """
    cases, observed = exercise.cases(rng), []
    for args in cases:
        soil(exercise.reference(*copy_of(args)))
        observed.append((args, call(args)))
        if observed[-1][1].error or observed[-1][1].not_started:
            break
    if observed[-1][1].not_started:
        return Verdict(exercise.id, False, "Write the function in place of the line with `raise`, then run the cell "
                       "with `check` again.", started=False)
    problems = [problem_of(exercise, args, outcome) for args, outcome in observed]
    if not any(problems):
        return Verdict(exercise.id, True, f"Right in {len(cases)} of {len(cases)} cases." + printed(observed[-1][1]))

    number = next(k for k, problem in enumerate(problems) if problem)
    (args, outcome), problem = observed[number], problems[number]
    sizes = ", ".join(f"{letter} = {n}" for letter, n in sizes_of(exercise, args).items())
    where = f"Case {number + 1} of {len(cases)}"
    if exercise.about and exercise.about[number]:
        where += f", {exercise.about[number]}"
    lines = [f"{where}{f' ({sizes})' if sizes else ''}: {problem}"]
    found = recognise(exercise, observed, problems, pairs)
    if found:
        lines += mistakes_in_words(found)
    elif outcome.error:
        lines.append(error_pattern(outcome.error, args))
    elif not exercise.accept:
        rows = rows_of(exercise, outcome.value, exercise.reference(*copy_of(args)))
        if not isinstance(rows, str):
            lines.append(pattern(rows, sizes_of(exercise, args)))
    return Verdict(exercise.id, False, "\n".join(filter(None, lines)) + printed(outcome),
                   " and ".join(mistake.name for mistake in found[0]) if found else None)


def recognise(exercise, observed, problems, pairs=False):
    """What comes to the same outcome as the learner's function in every case: a list of tuples of mistakes.

    One tuple for each known mistake that does so alone; where there is none and pairs are asked for, one
    for the first two that do so together.

    observed  [(args, Outcome)], one for each case that was called
    problems  what is wrong with each of these, in words, or None
    """
    def fits(function):
        return all(agree(exercise, args, outcome, problem, observe(exercise, function, args))
                   for (args, outcome), problem in zip(observed, problems, strict=True))

    alone = {mistake.name: mistake for mistake in reversed(exercise.mistakes) if any(map(fits, mistake.functions))}
    if alone or not pairs or exercise.accept or observed[0][1].error or any(outcome.changed for _, outcome in observed):
        return [(mistake,) for mistake in reversed(alone.values())]
    for one, other in itertools.combinations(exercise.mistakes, 2):
        both = itertools.starmap(together, itertools.product(one.functions, other.functions))
        if one.name != other.name and any(function and fits(function) for function in both):
            return [(one, other)]
    return []


def together(a, b):
    """One function with both mistakes in it; None where they do not change different parts of the same code.

    A mistake is a `partial` of code in which a part can be replaced: two of them differ in what they replace.
    """
    if not (isinstance(a, partial) and isinstance(b, partial) and a.func is b.func):
        return None
    parts = dict(a.keywords)
    for name, part in b.keywords.items():
        parts[name] = together(parts[name], part) if name in parts else part
    return None if any(part is None for part in parts.values()) else partial(a.func, **parts)


def mistakes_in_words(found):
    """What `recognise` found, as lines of the message."""
    if len(found[0]) > 1:
        starts = ["Two things at once. First, ", "Second, "]
    elif len(found) > 1:
        starts = ["Several things come to this. Either, ", *["or, "] * (len(found) - 1)]
    else:
        starts = [""]
    lines = []
    for start, mistake in zip(starts, itertools.chain(*found), strict=True):
        what = "another valid convention" if mistake.convention else "this looks like"
        line = f"{start}{what}: {mistake.name}. {mistake.hint}"
        lines.append(line[0].upper() + line[1:])
    return lines


def agree(exercise, args, mine, problem, theirs):
    """Do two outcomes of one case show the same mistake? problem: that of the first, in words."""
    if mine.error or theirs.error:
        return bool(mine.error and theirs.error) and gist(mine.error) == gist(theirs.error)
    if mine.changed or theirs.changed:
        return set(mine.changed) == set(theirs.changed)
    if mine.value is None or theirs.value is None:
        return mine.value is theirs.value
    if exercise.accept:
        return problem == problem_of(exercise, args, theirs)
    return same(mine.value, theirs.value)


def problem_of(exercise, args, outcome):
    """What is wrong with one outcome, in words; None where it is right."""
    if outcome.error:
        return f"your function stopped with an error.\n{outcome.error}"
    if outcome.value is None:
        return "your function returned None, that is, nothing. Does its last line say `return`?"
    if outcome.changed:
        return (f"your function wrote into its argument {' and '.join(outcome.changed)}. The caller still needs "
                "these numbers: work on a new array instead.")
    want = exercise.reference(*copy_of(args))
    rows = rows_of(exercise, outcome.value, want)
    if isinstance(rows, str):
        return rows
    sizes = sizes_of(exercise, args)
    for label, got, right, _ in rows:
        if got.shape != right.shape:
            return wrong_shape(label, got, right, sizes)
    if exercise.accept:
        return exercise.accept(args, outcome.value)
    wrong = [(label, got, right) for label, got, right, _ in rows if not close(got, right).all()]
    return wrong_values(wrong, [label for label, *_ in rows]) if wrong else None


def rows_of(exercise, value, want):
    """[(label, the learner's array, the right one, axes)] for every result; or the problem in words."""
    names = exercise.returns
    if len(names) == 1:
        if isinstance(value, tuple) and as_array(value) is None:
            return f"your function returned {len(value)} things; wanted one: {next(iter(names))}."
        value, want = (value,), (want,)
    if not isinstance(value, (tuple, list)) or len(value) != len(names):
        came = f"{len(value)} things" if isinstance(value, (tuple, list)) else "one thing"
        return f"your function returned {came}; wanted {len(names)}: {', '.join(names)}."
    rows = []
    for (name, axes), got, right in zip(names.items(), value, want, strict=True):
        if isinstance(right, dict):
            if not isinstance(got, dict) or got.keys() != right.keys():
                came = f"has the keys {', '.join(map(str, got))}" if isinstance(got, dict) else f"is {a_kind(got)}"
                return f"{name} {came}; wanted a dict with the keys {', '.join(right)}."
            entries = [(f'{name}["{key}"]', got[key], right[key], axes and axes[key]) for key in right]
        else:
            entries = [(name, got, right, axes)]
        for label, entry, right_entry, its_axes in entries:
            array, right_array = as_array(entry), np.asarray(right_entry)
            problem = wrong_type(label, entry, array, right_array)
            if problem:
                return problem
            rows.append((label, array, right_array, its_axes or ()))
    return rows


def wrong_type(label, value, array, want):
    """The problem with the type of one result, or None."""
    integers = want.dtype.kind in "iu"
    wanted = "a number" if want.ndim == 0 else f"an array of {'integers' if integers else 'floats'}"
    if isinstance(value, tuple) and array is None:
        return f"{label} is a tuple of {len(value)} things; wanted {wanted}."
    if array is None:
        return f"{label} is {a_kind(value)}; wanted {wanted}."
    if integers and array.dtype.kind == "f" and want.ndim:
        return f"{label} holds floats ({array.dtype}); wanted integers: they are used as indices."
    lost = array.dtype.kind in "iub" and want.dtype.kind == "f" and (array.dtype.kind == "b" or (want % 1).any())
    if lost and array.ndim:                                # whole numbers lose nothing in integers
        return (f"{label} holds {array.dtype} numbers; wanted floats. Digits after the decimal point are lost: "
                "was the array made with an integer dtype?")
    return None


def a_kind(value):
    """What a value is, in words: "a str", "a float16 array"."""
    if value is None:
        return "None"
    if isinstance(value, (np.ndarray, np.generic)):
        return f"an array of dtype {value.dtype}"
    if isinstance(value, (list, tuple)):
        return f"a {type(value).__name__} whose entries do not have one shape, or are no numbers"
    kind = type(value).__name__
    return f"{'an' if kind[0].lower() in 'aeiou' else 'a'} {kind}"


def wrong_shape(label, got, want, sizes):
    def with_letters(shape):
        letters = in_letters(shape, sizes)
        return f"{shape}" + (f" = {letters}" if letters and shape else "")
    came = f"has shape {with_letters(got.shape)}" if got.ndim else "is a single number"
    wanted = f"shape {with_letters(want.shape)}" if want.ndim else "a single number"
    return f"{label} {came}; wanted {wanted}."


def wrong_values(wrong, labels):
    """The facts: which results are wrong and which are right, and the worst number."""
    names = [label for label, *_ in wrong]
    label, got, want = wrong[0]
    right = [name for name in labels if name not in names]
    text = f"{_list(right)} {'are' if len(right) > 1 else 'is'} right; " if right else ""
    text += f"{_list(names)} {'are' if len(names) > 1 else 'is'} wrong. " if len(labels) > 1 else ""
    if not got.ndim:
        return f"{text}{label} is {got:.6g}; wanted {want:.6g}."
    bad = ~close(got, want)
    with np.errstate(all="ignore"):
        gap = np.where(bad, np.nan_to_num(np.abs(got - want), nan=np.inf), -1)
    worst = np.unravel_index(gap.argmax(), gap.shape)
    count = f"all {got.size} of its" if bad.all() else f"{bad.sum()} of its {got.size}"
    return (f"{text}{label} has the right shape, but {count} numbers {'is' if bad.sum() == 1 else 'are'} wrong: "
            f"{label}[{', '.join(map(str, worst))}] is {got[worst]:.4g}; wanted {want[worst]:.4g}.")


def _list(names):
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]


def printed(outcome):
    """What the function printed in one call, and NumPy's warnings, shortened; "" where nothing."""
    lines = ""
    for who, text in (("Your function printed", outcome.printed), ("NumPy warned", outcome.warned)):
        text = text.strip()
        if text:
            lines += f"\n{who}: " + (text if len(text) <= SHOWN else text[:SHOWN] + " …")
    return lines

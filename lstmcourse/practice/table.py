"""`lstmcourse mistakes`: every known mistake, put before the judge here and now."""

import argparse
import textwrap

import numpy as np

from lstmcourse.practice.judging import judge
from lstmcourse.practice.observe import observe
from lstmcourse.practice.registry import EXERCISES


def named(exercise, mistake, seed):
    """Is every form of the mistake rejected, and called by its name?"""
    def verdict(function):
        return judge(exercise, lambda args: observe(exercise, function, args), np.random.default_rng(seed))
    return {(said.passed, said.mistake) for said in map(verdict, mistake.functions)} == {(False, mistake.name)}


def main(argv=None):
    parser = argparse.ArgumentParser(
        prog="lstmcourse mistakes", description="List the mistakes that the exercises know, each put before the judge.")
    parser.add_argument("exercises", nargs="*", metavar="ID", help="only these, for example 4.3")
    parser.add_argument("--hints", action="store_true", help="with the hint that the learner gets")
    parser.add_argument("--seed", type=int, default=0, help="draws the cases (default 0)")
    args = parser.parse_args(argv)
    unknown = [id for id in args.exercises if id not in EXERCISES]
    if unknown:
        parser.error(f"there is no exercise {unknown[0]}; there are: {', '.join(EXERCISES)}")

    names, failed = 0, 0
    for id in args.exercises or EXERCISES:
        exercise, seen = EXERCISES[id], {}
        for mistake in exercise.mistakes:
            seen.setdefault(mistake.name, []).append(mistake)
        print(f"\n{id}  {exercise.title}")
        for name, variants in seen.items():
            right = all(named(exercise, mistake, args.seed) for mistake in variants)
            kind = ", another valid convention" if variants[0].convention else ""
            count = sum(len(mistake.functions) for mistake in variants)
            forms = f", in {count} forms" if count > 1 else ""
            print(f"  {'named ' if right else 'MISSED'}  {name}{kind}{forms}")
            if args.hints:
                print(textwrap.fill(variants[0].hint, 100, initial_indent=" " * 10, subsequent_indent=" " * 10))
            failed += not right
        names += len(seen)
    asked = args.exercises or EXERCISES
    different = {mistake.name for id in asked for mistake in EXERCISES[id].mistakes}
    print(f"\n{names} known mistakes ({len(different)} different ones) in "
          f"{len(asked)} exercise{'s' * (len(asked) != 1)}: "
          f"{names - failed} rejected and named, {failed} not.")
    return 1 if failed else 0

"""lstmcourse grade: grade a notebook, or a class of them, in the sandbox."""

import argparse
import contextlib
import os
import sqlite3
import sys
from pathlib import Path

from lstmcourse.grading.journal import Busy, Journal
from lstmcourse.grading.sandbox import FULL, LAYERS, Bounds, Sandbox, SandboxError
from lstmcourse.grading.submissions import WrongUse, entries


def add_arguments(parser):
    parser.add_argument("submissions", metavar="SUBMISSIONS", help="a notebook, a folder with a notebook or a folder "
                        "for each student, or a zip of these")
    parser.add_argument("--out", required=True, metavar="DIR", help="where the results go; a run that was stopped "
                        "goes on from there")
    parser.add_argument("--exercises", metavar="IDS", help="which ones, as in 4.1,4.3, or whole lessons, as in "
                        "4 (default: all)")
    parser.add_argument("--jobs", type=int, metavar="N", help="submissions at a time (default: one for each core)")
    parser.add_argument("--scheduler", metavar="ADDRESS", help="grade on the workers of this Dask scheduler, "
                        "tcp://host:port, instead of here")
    parser.add_argument("--gradescope", action="store_true", help="SUBMISSIONS is one student's; also write "
                        "DIR/results.json as Gradescope wants it")
    parser.add_argument("--require-isolation", nargs="?", const="full", metavar="LAYERS", help="do not grade with less "
                        "than these: landlock,seccomp (without LAYERS: bubblewrap,landlock,seccomp,rlimits)")
    parser.add_argument("--seconds", type=float, metavar="S", help="time for all cells of a notebook together "
                        "(default: 20)")
    parser.add_argument("--memory", type=int, metavar="MB", help="memory of a submission (default: 1024)")


def main(argv=None):
    """Exit status: 0 all were graded, 1 some could not be, 2 wrong use."""
    parser = argparse.ArgumentParser(prog="lstmcourse grade", description=__doc__)
    add_arguments(parser)
    args = parser.parse_args(argv)
    try:
        with contextlib.ExitStack() as stack:
            return run(args, stack)
    except WrongUse as error:
        print(f"lstmcourse grade: {error}", file=sys.stderr)
        return 2
    except Busy:
        print(f"lstmcourse grade: another run is using {args.out}", file=sys.stderr)
        return 2
    except SandboxError as error:
        print(f"lstmcourse grade: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nlstmcourse grade: stopped. The same command goes on from here.", file=sys.stderr)
        return 1
    except (OSError, sqlite3.OperationalError) as error:
        print(f"lstmcourse grade: the results cannot be written: {error}. What was there before is unchanged; "
              "the same command goes on from here.", file=sys.stderr)
        return 1


def run(args, stack):
    bounds, required, out = bounds_of(args), layers_of(args.require_isolation), Path(args.out)
    inside_each_other(Path(args.submissions), out)
    found, ignored = entries(args.submissions, whole=args.gradescope)
    jobs, sandbox = min(args.jobs or os.cpu_count() or 1, len(found)), None
    if not args.scheduler:
        sandbox = stack.enter_context(Sandbox(bounds, required=required))
        if required:
            sandbox.session().close()            # tells before anything is graded
        elif jobs == 1:
            sandbox.launch()                     # its NumPy loads while ours does, below
        if jobs > 1:
            sandbox = None                       # every process has its own

    from lstmcourse.grading import report
    from lstmcourse.grading.cohort import grade_all
    from lstmcourse.practice import EXERCISES
    ids = chosen(args.exercises, EXERCISES)
    out.mkdir(parents=True, exist_ok=True)
    journal = stack.enter_context(Journal(out / "journal.sqlite", ids))
    graded = grade_all(found, ids, journal, bounds, sandbox, jobs, args.scheduler, required,
                       stack.enter_context(progress_bar(len(found))))
    results = [result for result, _ in graded]
    isolation = " | ".join(sorted({used for _, used in graded}))
    titles = {id: EXERCISES[id].title for id in ids}
    report.write_reports(out, results, isolation, journal.seed, titles, args.gradescope)

    print(report.summary(results))
    if ignored:
        print(f"not looked at, as no notebook: {', '.join(ignored[:10])}{' …' if len(ignored) > 10 else ''}")
    print(f"isolation: {isolation}\nresults: {out / 'grades.csv'}, {out / 'grades.json'}, {out / 'feedback'}")
    return 0 if all(result["status"] == "graded" for result in results) else 1


@contextlib.contextmanager
def progress_bar(total):
    """Gives what is to be called after each submission."""
    if total == 1:
        yield None
    else:
        from tqdm import tqdm
        with tqdm(total=total, desc="grading", unit="submission", disable=None) as bar:
            yield lambda result: bar.update()


def chosen(text, exercises):
    """The ids that --exercises names, in the course's order; WrongUse for one that does not exist."""
    if text is None:
        return list(exercises)
    asked = {part.strip() for part in text.split(",") if part.strip()}
    ids = [id for id in exercises if id in asked or id.split(".")[0] in asked]
    unknown = asked - set(ids) - {id.split(".")[0] for id in ids}
    if unknown or not ids:
        raise WrongUse(f"there is no exercise {', '.join(sorted(unknown)) or '(none named)'}; "
                       f"there are {', '.join(exercises)}")
    return ids


def bounds_of(args):
    given = {"cells": args.seconds, "memory": args.memory and args.memory << 20}
    if any(value is not None and value <= 0 for value in (*given.values(), args.jobs)):
        raise WrongUse("--seconds, --memory and --jobs want a number above 0")
    return Bounds(**{name: value for name, value in given.items() if value is not None})


def layers_of(text):
    if text is None:
        return ()
    asked = FULL if text == "full" else tuple(part.strip() for part in text.split(","))
    if not set(asked) <= set(LAYERS):
        raise WrongUse(f"--require-isolation knows {', '.join(LAYERS)}; not {text}")
    return asked


def inside_each_other(submissions, out):
    """Results among the submissions would be graded the next time; the other way round is a slip as well."""
    a, b = submissions.resolve(), out.resolve()
    if a.is_dir() and (b.is_relative_to(a) or a.is_relative_to(b)):
        raise WrongUse(f"{out} and {submissions} lie inside each other; choose another --out")


if __name__ == "__main__":
    raise SystemExit(main())

"""lstmcourse grade: grade a notebook, or a class of them, in the sandbox."""

import argparse
import contextlib
import os
import sqlite3
import sys
from pathlib import Path

from lstmcourse.grading.journal import Busy, Journal
from lstmcourse.grading.names import moodle_id, moodle_name, readable, unique
from lstmcourse.grading.sandbox import FULL, LAYERS, Bounds, Sandbox, SandboxError
from lstmcourse.grading.submissions import Entry, WrongUse, entries


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
    parser.add_argument("--regrade", metavar="NAME", action="append", default=[], help="grade this student again, with "
                        "the seed of the run; may be given several times")
    parser.add_argument("--older", metavar="NAME", action="append", default=[], help="let the file of this student in "
                        "SUBMISSIONS count, though a newer one is graded; may be given several times")
    parser.add_argument("--moodle", type=Path, metavar="FILE", help="Moodle's offline grading worksheet: also write "
                        "DIR/FILE with the grades and the feedback in it")
    parser.add_argument("--canvas", type=Path, metavar="FILE", help="Canvas' exported gradebook: also write DIR/FILE "
                        "with the grades in it")
    parser.add_argument("--column", metavar="HEADING", help="the column of FILE that takes the grade (default: Grade "
                        "for Moodle, the only assignment for Canvas)")
    parser.add_argument("--feedback-column", metavar="HEADING", help="the column of Moodle's FILE that takes the "
                        "feedback (default: Feedback comments)")
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
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError):       # a name that this terminal cannot show ends no run
            stream.reconfigure(errors="replace")
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
    """Grade, write the results and say what happened; the exit status. What is opened, `stack` closes."""
    bounds, required, out = bounds_of(args), layers_of(args.require_isolation), Path(args.out)
    inside_each_other(Path(args.submissions), out)
    found, ignored = entries(args.submissions, whole=args.gradescope)
    again, older = ([entry_of(name, found, option) for name in names]
                    for option, names in (("--regrade", args.regrade), ("--older", args.older)))
    books = gradebooks(args)
    jobs = min(args.jobs or os.cpu_count() or 1, len(found))
    sandbox = None if args.scheduler else first_sandbox(bounds, required, jobs, stack)

    from lstmcourse.grading import report
    from lstmcourse.grading.cohort import grade_all
    from lstmcourse.practice import EXERCISES
    ids = chosen(args.exercises, EXERCISES)
    out.mkdir(parents=True, exist_ok=True)
    journal = stack.enter_context(Journal(out / "journal.sqlite", ids))
    before = journal.standing()
    forget(again, older, journal, out)
    graded = grade_all(found, ids, journal, bounds, sandbox, jobs, args.scheduler, required,
                       stack.enter_context(progress_bar(len(found))))
    rows = [(entry.key, *result) for entry, result in zip(found, graded, strict=True)]
    kept = [] if args.gradescope else journal.others({entry.key for entry in found})
    rows = with_others(rows, kept)
    results = [result for _, result, _ in rows]
    changes = report.changes([row[:2] for row in rows], before, journal.older, journal.again)
    isolation = " | ".join(sorted({used for _, _, used in rows if used})) or "nothing was run"
    titles = {id: EXERCISES[id].title for id in ids}
    report.write_reports(out, results, isolation, journal.seed, titles, args.gradescope)

    print("\n".join([report.summary(results), *changes]))
    if kept:
        print(f"{len(kept)} of these are not among SUBMISSIONS; what earlier runs with this DIR gave them stays")
    fill_in(books, rows, titles, out)
    if ignored:
        print(f"not looked at, as no notebook: {', '.join(ignored[:10])}{' …' if len(ignored) > 10 else ''}")
    print(f"isolation: {isolation}\nresults: {out / 'grades.csv'}, {out / 'grades.json'}, {out / 'feedback'}")
    return 0 if all(result["status"] == "graded" for result in results) else 1


def first_sandbox(bounds, required, jobs, stack):
    """The sandbox that grades in this process, on its way; None where every process has its own."""
    sandbox = stack.enter_context(Sandbox(bounds, required=required))
    if required:
        sandbox.session().close()            # tells before anything is graded
    elif jobs == 1:
        sandbox.launch()                     # its NumPy loads while ours does
    return None if jobs > 1 else sandbox


def fill_in(books, rows, titles, out):
    """Write the grades into copies of the learning platform's files, and say who is not in them."""
    for book in books:
        strangers = book.fill([row[:2] for row in rows], titles)
        print(f"filled in: {book.save(out)}" + (f"; not in it: {', '.join(strangers)}" if strangers else ""))


def forget(again, older, journal, out):
    """These entries are graded again. WrongUse where --regrade would take a grade back to an older file."""
    behind = [entry.student for entry in again if entry not in older and journal.newer(entry.load())]
    if behind:
        raise WrongUse(f"--regrade: a newer file than the one here is graded in {out}, of {', '.join(behind)}. Nothing "
                       "was changed. Name the download that holds the newer file, or, for the file here to count "
                       "instead: --older NAME")
    for entry in (*again, *older):
        journal.forget(entry.key)


def entry_of(name, found, option):
    """The entry that an option like --regrade names."""
    for names in (lambda entry: entry.student, lambda entry: entry.key, lambda entry: entry.id):
        matching = [entry for entry in found if names(entry) == name]
        if len(matching) == 1:
            return matching[0]
    raise WrongUse(f"{option}: there is no {readable(name)} among the submissions. There are "
                   f"{', '.join(entry.student for entry in found[:30])}{' …' if len(found) > 30 else ''}")


def gradebooks(args):
    """Read before anything is graded: what is wrong with them is said at once."""
    from lstmcourse.grading.gradebooks import Gradebook
    books = [Gradebook(path, kind, args.column, args.feedback_column)
             for kind, path in (("moodle", args.moodle), ("canvas", args.canvas)) if path]
    for book in books:
        if book.path.resolve().parent == Path(args.out).resolve():
            raise WrongUse(f"{readable(str(book.path))} lies in DIR, where the filled-in copy goes; move it elsewhere")
    return books


def with_others(rows, kept):
    """The rows of this run and of those that only earlier ones have met, each student with a name of their own."""
    if not kept:
        return rows
    rows = sorted([*rows, *kept], key=lambda row: row[0])
    named = unique([Entry(moodle_name(key) or result["student"], key, moodle_id(key), ()) for key, result, _ in rows])
    return [(key, result | {"student": entry.student}, used)
            for (key, result, used), entry in zip(rows, named, strict=True)]


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

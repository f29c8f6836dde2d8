"""A class: every submission graded once, several at a time, on this machine or on a Dask cluster.

The submissions are read here, a few ahead of those being graded, so memory does not grow with
their number. A worker that dies takes nobody's grade with it: what it had is given to another.
"""

import concurrent.futures as futures
import multiprocessing
import multiprocessing.connection
import os
import threading
from concurrent.futures.process import BrokenProcessPool

from lstmcourse.grading import scoring
from lstmcourse.grading.scoring import grade, grade_here, isolation
from lstmcourse.grading.submissions import WrongUse

ATTEMPTS = 3                   # at one submission, when workers die


def grade_all(entries, ids, journal, bounds, sandbox=None, jobs=1, scheduler=None, required=(), progress=None):
    """[(entry of grades.json, isolation)] in the order of `entries`.

    sandbox    grade one after the other in this process, in this sandbox
    jobs       else in so many processes
    scheduler  or on the cluster of the Dask scheduler at this address
    progress   called with each result as it comes
    """
    cohort = Cohort(entries, journal, progress)
    if sandbox is not None:
        for n, submission in cohort.ungraded():
            cohort.graded(n, submission, grade(submission, ids, journal.seed, sandbox), isolation(sandbox))
    else:
        with Workers(jobs, scheduler) as workers:
            grade_on(workers, cohort, (ids, journal.seed, bounds, required))
    return cohort.results


class Cohort:
    """The submissions of a run and their results; what an earlier run has graded comes from the journal."""

    def __init__(self, entries, journal, progress=None):
        self.entries, self.journal, self.progress = entries, journal, progress
        self.results = [None] * len(entries)

    def ungraded(self):
        """(position, submission) of what is still to be graded, read one after the other."""
        for n, entry in enumerate(self.entries):
            submission = entry.load()
            known = self.journal.result(submission)
            if newer := not known and self.journal.newer(submission):
                known = newer
                self.journal.older.add(entry.key)
            if known:
                self.put(n, *known)
            else:
                yield n, submission

    def graded(self, n, submission, result, layers):
        """A new result: also into the journal."""
        layers = "" if submission.refused else layers        # nothing was run
        self.journal.store(submission, result, layers)
        self.put(n, result, layers)

    def put(self, n, result, layers):
        self.results[n] = result, layers
        if self.progress:
            self.progress(result)


def grade_on(workers, cohort, settings):
    """Grade what is ungraded on the workers; a submission whose worker dies is tried ATTEMPTS times.

    settings  the arguments of `grade_here` after the submission
    """
    ungraded, running, to_repeat = cohort.ungraded(), {}, []
    while True:
        while len(running) < 2 * workers.size:
            n, submission, attempt = to_repeat.pop() if to_repeat else (*next(ungraded, (None, None)), 1)
            if submission is None:
                break
            running[workers.submit(grade_here, submission, *settings)] = n, submission, attempt
        if not running:
            return
        for future in futures.wait(running, return_when=futures.FIRST_COMPLETED).done:
            n, submission, attempt = running.pop(future)
            try:
                result = future.result()
            except Exception as error:
                if attempt < ATTEMPTS:
                    to_repeat.append((n, submission, attempt + 1))
                    continue
                result = error_entry(submission, error), "unknown"
            cohort.graded(n, submission, *result)


def error_entry(submission, error):
    return {"student": submission.student, "file": submission.file, "sha256": submission.sha256, "status": "error",
            "reason": f"the process that graded it died: {type(error).__name__}: {error}"[:500], "score": None,
            "max_score": None, "seconds": None, "exercises": []}


class Workers:
    """A pool of processes here, or the workers of a Dask cluster: submit() gives a Future of either."""

    def __init__(self, jobs, scheduler):
        self.scheduler, self.size = scheduler, jobs
        self.slots = multiprocessing.get_context("spawn").Value("i", 0)
        if scheduler:
            self.client = connected(scheduler)
            self.size = max(1, sum(self.client.nthreads().values()))
            self.pool = self.client.get_executor(pure=False)
        else:
            self.restart()

    def restart(self):
        spawn = multiprocessing.get_context("spawn")
        self.pool = futures.ProcessPoolExecutor(self.size, spawn, start_worker, (self.slots,))

    def submit(self, function, *arguments):
        try:
            return self.pool.submit(function, *arguments)
        except BrokenProcessPool:                # a worker has died, and with it the pool: a new one
            self.restart()
            return self.pool.submit(function, *arguments)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        if self.scheduler:
            self.client.close()
        else:
            self.pool.shutdown(cancel_futures=True)


def connected(scheduler):
    """A Client of the Dask scheduler at this address; WrongUse if there is none."""
    try:
        from distributed import Client
    except ImportError:
        raise WrongUse("--scheduler wants Dask: pip install 'lstmcourse[cluster]'") from None
    try:
        return Client(scheduler, timeout=20)
    except (OSError, ValueError) as error:
        raise WrongUse(f"no Dask scheduler answers at {scheduler}: {error}") from None


def start_worker(slots):
    """Give this process its number, and let it end also when the parent is killed."""
    with slots.get_lock():
        scoring.slot, slots.value = slots.value, slots.value + 1

    def watch():
        multiprocessing.connection.wait([multiprocessing.parent_process().sentinel])
        os._exit(1)
    threading.Thread(target=watch, daemon=True).start()

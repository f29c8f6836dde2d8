"""Grading that holds against a hostile notebook. The map, from outside to inside:

    grade      the command: SUBMISSIONS in, grades and feedback out
    submissions what was handed in: notebooks, folders, zips, read as data and within bounds
    names      whose a file is, from its name: Moodle's, Canvas', a browser's
    cohort     a class: several at a time, here or on a Dask cluster; each once
    journal    what has been graded so far, for a run that was killed and for late work
    report     grades.json, grades.csv, the feedback pages, Gradescope's results.json
    gradebooks the grades in the files that Moodle and Canvas export and import
    scoring    one submission: calls go into the sandbox, `practice.judge` says what the answers are worth
    sandbox    which layers of isolation there are, and the process behind them
    session    the conversation with that process
    memory     one of the layers: a limit on the memory of a group of processes
    doctor     the command: does each layer hold on this machine?
    nbgrader   the same grading for courses that run nbgrader

    inside the sandbox, with the standard library and NumPy alone:
    child      confines itself, says hello, runs the cells, answers the calls
    notebook   the code cells of a file, and how they are run
    magics     a cell as Jupyter takes it, as plain Python
    imports    what may be imported, and what stands in for what is not there
    confine    the layers that a process puts on itself: rlimits, Landlock, seccomp, another user
    protocol   values as bytes: both ends use it

The threat model is in docs/grading.md.
"""

"""The corpus: real notebooks, honest and hostile, each with the score it deserves.

Written down before the grader existed. `build(folder, target)` writes one submission per case;
`CASES` says what each deserves. The rules by which the deserved score was decided:

- a function is worth its points when it is right, whatever else stands in the notebook;
- a cell that fails, hangs or ends the process is left out, and the rest counts;
- a function that fails, hangs or ends the process loses its own points and no others;
- a file that is not a notebook is refused: no score, and a sentence that says why;
- nothing a notebook does is ever an error of the grader.

And what no submission may change (checked for all of them, and named per case in `aims_at`,
so that a failure says which promise it broke):

files         the submissions, the course's package, every file outside the scratch
classmates    nobody else's grade, message or feedback page
results       grades.json, grades.csv, the journal, the feedback pages hold only what the grader wrote
environment   no variable of the grader's environment, and no text of a file outside, reaches any result
network       the listeners on the loopback and on the local socket hear nothing
processes     nothing that the run started is still alive after it
feedback      the pages hold no script, no event handler, no image, no link that was not the grader's
limits        the time, the memory and the disk stay within their bounds
"""

from dataclasses import replace

from tests.grading.corpus import endless, honest, liars, odd, spies, strange, vandals
from tests.grading.corpus.parts import Case, Target, build

CASES = [*(replace(case, honest=True) for case in honest.CASES + odd.CASES), *endless.CASES, *liars.CASES, *spies.CASES,
         *vandals.CASES, *strange.CASES]
assert len({case.name.lower() for case in CASES}) == len(CASES), "two cases with one name"

__all__ = ["CASES", "Case", "Target", "build"]

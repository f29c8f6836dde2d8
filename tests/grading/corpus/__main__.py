"""python -m tests.grading.corpus FOLDER: write the submissions, to look at them; prints what each deserves."""

import os
import sys
from pathlib import Path

from tests.grading.corpus import CASES, Target, build

where = Path(sys.argv[1]).absolute()
build(where, Target(where, where.parent / "out", Path("lstmcourse").absolute(), where.parent, 9, Path(os.devnull)),
      CASES)
for case in CASES:
    print(f"{'honest' if case.honest else 'hostile':8} {case.kind:44} {case.name:28} {case.status:8} "
          f"{' '.join(case.passed)}")

"""python -m lstmcourse.grading grade|doctor …: the same as `lstmcourse grade` and `lstmcourse doctor`."""

import sys
from importlib import import_module

if len(sys.argv) < 2 or sys.argv[1] not in ("grade", "doctor"):
    raise SystemExit("usage: python -m lstmcourse.grading grade|doctor [options]")
raise SystemExit(import_module(f"lstmcourse.grading.{sys.argv[1]}").main(sys.argv[2:]))
